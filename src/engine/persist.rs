//! What is saved of a breaker, and how a breaker is restored from it.

use serde::{Deserialize, Serialize};

use super::view::{Configuration, View, with_view};
use super::{Core, parts::Parts};
use crate::recovery::{MaxRetryAfter, SavedRecovery};
use crate::state::history::{History, date_of};
use crate::state::{AtomicState, Generation, Moment, Phase, State, StateWord};
use crate::util::checksum::{Checksum, Summed, summed};
use crate::window::{Call, GenerationCounter, SavedWindow};
use crate::{
    adaptive::SavedEvidence, clock::Now, clock::context::CallContext, error::ConfigError,
    latency::baseline::SavedPercentileBaseline, latency::times::Timed,
};

/// The saved state of a breaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedCore {
    state: SavedKind,
    generation: u64,
    /// How old the generation was, in nanoseconds.
    age: u64,
    /// For how many more nanoseconds the breaker would have stayed open; zero if it wasn't open.
    left_open: u64,
    /// Failures since the last success.
    run: u64,
    /// From how many nanoseconds on a call was slow, if there was such a limit.
    slower_than: Option<u64>,
    window: SavedWindow,
    evidence: Option<SavedEvidence>,
    recovery: SavedRecovery,
    usual: Vec<SavedPercentileBaseline>,
}

summed!(SavedCore {
    state,
    generation,
    age,
    left_open,
    run,
    slower_than,
    window,
    evidence,
    recovery,
    usual,
});

/// A state as it is written. It stays the same even if [`State`] changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SavedKind {
    Closed,
    Open,
    HalfOpen,
    ForcedOpen,
    Disabled,
    MetricsOnly,
}

impl Summed for SavedKind {
    fn add_to(&self, sum: &mut Checksum) {
        (*self as u64).add_to(sum);
    }
}

impl From<State> for SavedKind {
    fn from(state: State) -> Self {
        match state {
            State::Closed => Self::Closed,
            State::Open => Self::Open,
            State::HalfOpen => Self::HalfOpen,
            State::ForcedOpen => Self::ForcedOpen,
            State::Disabled => Self::Disabled,
            State::MetricsOnly => Self::MetricsOnly,
        }
    }
}

impl From<SavedKind> for State {
    fn from(phase: SavedKind) -> Self {
        match phase {
            SavedKind::Closed => Self::Closed,
            SavedKind::Open => Self::Open,
            SavedKind::HalfOpen => Self::HalfOpen,
            SavedKind::ForcedOpen => Self::ForcedOpen,
            SavedKind::Disabled => Self::Disabled,
            SavedKind::MetricsOnly => Self::MetricsOnly,
        }
    }
}

impl SavedCore {
    /// The most state changes that are accepted: one per microsecond for 142 years.
    const MOST_GENERATIONS: u64 = 1 << 52;

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.into()
    }

    /// The number of the generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// For how many more nanoseconds the breaker would have stayed open; zero if it wasn't open.
    #[must_use]
    pub fn left_open(&self) -> u64 {
        self.left_open
    }

    /// Refuses values that no breaker can have had.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check_saved("generation", self.generation, 0..=Self::MOST_GENERATIONS)?;
        let longest = match self.state {
            SavedKind::Open => Moment::LAST_NANOS,
            _ => 0,
        };
        ConfigError::check_saved("left_open", self.left_open, 0..=longest)?;
        ConfigError::check_saved("run", self.run, 0..=GenerationCounter::MOST)?;
        self.window.check(self.slower_than.is_some())?;
        self.evidence
            .as_ref()
            .map_or(Ok(()), SavedEvidence::check)?;
        self.recovery.check()?;
        self.usual
            .iter()
            .try_for_each(SavedPercentileBaseline::check)
    }

    /// The phase for the state word at `now`, `elapsed` nanoseconds after it was saved.
    fn phase(&self, elapsed: u64, now: u64) -> Phase {
        match self.state {
            SavedKind::Closed => Phase::Closed,
            SavedKind::Open => Phase::Open {
                until: Moment::at(now.saturating_add(self.left_open.saturating_sub(elapsed))),
            },
            // The probes ended with their process.
            SavedKind::HalfOpen => Phase::PROBING,
            SavedKind::ForcedOpen => Phase::ForcedOpen,
            SavedKind::Disabled => Phase::Disabled,
            SavedKind::MetricsOnly => Phase::MetricsOnly,
        }
    }
}

impl Core {
    /// The state to save. It belongs to one generation, like a snapshot.
    #[must_use]
    pub fn save(&self, context: &impl CallContext) -> SavedCore {
        let mut seen = self.state.load();
        let mut attempts = 0;
        loop {
            let saved = with_view!(self, |view| view.save(seen, context));
            attempts += 1;
            // If the generation has ended meanwhile, some counts may be gone. So this thread reads
            // again, at most twice.
            match self.state_after(seen) {
                Some(found) if attempts < 3 => seen = found,
                _ => return saved,
            }
        }
    }

    /// Restores what was saved `elapsed` nanoseconds ago, before any other thread knows the
    /// breaker.
    ///
    /// Leaves out what the settings have no use for. Examples are evidence that no policy judges
    /// by, and counts of a window of another shape.
    pub fn restore(&mut self, saved: &SavedCore, elapsed: u64, clock: &impl Now) {
        let now = clock.nanos();
        let generation = Generation::of_number(saved.generation);
        if let Some(listeners) = self.listeners() {
            listeners.go_on_after(saved.generation);
        }
        let Parts {
            ring,
            optional,
            settings,
        } = &mut self.parts;
        let limit = optional.as_ref().and_then(|it| it.timed.as_deref());
        let limit = limit.map(|timed| (true, timed.limit()));
        let (is_timed, limit) = limit.unwrap_or_default();
        // The current settings take precedence over the former ones.
        let phase = settings.switch.held_by_mode();
        let phase = phase.unwrap_or_else(|| saved.phase(elapsed, now));
        if phase == Phase::MetricsOnly {
            self.late.get_or_init(Box::default);
        }
        self.state = AtomicState::beginning(generation, phase, is_timed);
        let since = date_of(now).saturating_sub(saved.age.saturating_add(elapsed));
        self.history = History::restore(saved.generation, generation, since);
        // Calls that were slow by another limit, and therefore failed, say nothing under this
        // limit.
        let is_same_limit = saved.slower_than == limit.map(saturated);
        ring.start_generation(generation, || true);
        // A breaker that its settings switch off keeps no calls, here as when it runs.
        let has_window = is_same_limit && phase != Phase::Disabled;
        if has_window {
            ring.restore(&saved.window, generation, elapsed, clock);
        }
        if let Some(retry_after) = saved.recovery.retry_after {
            let longest = optional
                .as_ref()
                .and_then(|it| it.max_retry_after.as_deref());
            let longest = longest.copied().unwrap_or(MaxRetryAfter::DEFAULT);
            self.retry_after
                .note(retry_after.saturating_sub(elapsed), now, longest);
        }
        let own = optional.as_ref().and_then(|it| it.open_times.as_deref());
        if let Some(times) = settings.open_times(own) {
            let is_open = matches!(saved.state(), State::Open | State::HalfOpen);
            let by_hand = is_open.then(|| times.by_hand());
            let streak = saved.recovery.streak(by_hand);
            self.latest_opening.restore(generation, streak);
        }
        let mut has_evidence = false;
        if let Some(optional) = optional {
            if let Some(evidence) = &mut optional.evidence {
                evidence.start_generation(generation, || true);
                if let (Some(saved), true) = (&saved.evidence, is_same_limit) {
                    evidence.restore(saved, generation, date_of(now), elapsed);
                }
                has_evidence = evidence.has_any(generation);
            }
            if let (Some(outage), Some(adaptive)) = (saved.recovery.outage, &mut optional.recovery)
            {
                adaptive.outage.restore(outage, elapsed, now);
            }
            if let Some(timed) = &mut optional.timed {
                timed.restore(&saved.usual, &settings.policies);
            }
        }
        let run = if phase == Phase::Disabled {
            0
        } else {
            saved.run
        };
        self.run = GenerationCounter::counting(generation, run, has_evidence);
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    fn save(self, seen: StateWord, context: &impl CallContext) -> SavedCore {
        let (ring, timed) = (self.ring(), self.timed());
        let (reading, now) = ring.read_with_nanos(context);
        let generation = seen.generation();
        // The isolation belongs to the group. In the next process the group isolates it, or not.
        // The calls that it rejected are left out, since no call of the next generation is counted.
        let (phase, counted) = match self.state.phase_of(seen) {
            Phase::Isolated(interrupted) => {
                (self.after_isolation(interrupted, now), generation.next())
            }
            phase => (phase, generation),
        };
        let left_open = match phase {
            Phase::Open { until } => until.nanos().saturating_sub(now),
            _ => 0,
        };
        let evidence = self.evidence();
        let wished = self.max_retry_after().cut(self.retry_after.so_far(), now);
        let call = Call::new(generation, reading, context);
        let counts = ring.failures_and_slow(call);
        // A state that the settings hold isn't saved. The next settings decide about it.
        let phase = match self.settings().switch.held_by_mode() {
            Some(held) if held == phase => Phase::Closed,
            _ => phase,
        };
        SavedCore {
            state: phase.state().into(),
            generation: self.history.number(generation),
            age: saturated(self.age(generation, now)),
            left_open,
            run: ring.run_held(self.run.get(generation), &counts, call),
            slower_than: timed.and_then(Timed::limit).map(saturated),
            window: ring.save(Call::new(counted, reading, context)),
            evidence: evidence.map(|it| it.save(generation, date_of(now))),
            recovery: SavedRecovery {
                streak: self.open_times().map(|_| self.latest_opening.get().save()),
                retry_after: (wished > now).then(|| saturated(wished - now)),
                outage: self.adaptive().map(|it| it.outage.save(now).map(saturated)),
            },
            usual: timed.map_or_else(Vec::new, |timed| timed.save(&self.settings().policies)),
        }
    }
}

/// The largest number that every format can write.
fn saturated(number: u64) -> u64 {
    number.min(i64::MAX as u64)
}
