//! The way a call goes: admit, then settle, which records, judges, moves the state and tells.
//!
//! Time and lane come from the caller, so that a model can drive all of it.

pub(crate) mod parts;
pub(crate) mod beside;
mod audience;
#[cfg(feature = "async")]
pub(crate) mod probe_queue;
mod admit;
mod record;
mod evidence;
mod judge;
mod recover;
mod retry;
mod reconfigure;
mod view;
#[cfg(feature = "async")]
mod peek;
#[cfg(feature = "registry")]
mod eviction;
#[cfg(feature = "async")]
mod health;
#[cfg(feature = "serde")]
mod persist;

use self::view::{Built, Fitted, View, with_view};
use crate::clock::context::CallContext;
use crate::engine::audience::Audience;
use crate::engine::beside::Beside;
pub use crate::engine::parts::Settings;
use crate::engine::parts::Switch;
use crate::events::Cause;
use crate::events::listeners::{Listeners, LogEntry};
use crate::latency::times::Timed;
use crate::name::Name;
use crate::recovery::{LatestOpening, OpenTimes, RetryAfter, Streak};
use crate::snapshot::{Reading, Snapshot};
use crate::state::history::{History, date_of};
use crate::state::{AtomicState, Generation, Moment, Phase, State, StateChange, StateWord};
use crate::sync::{Ordering, fence};
use crate::window::{BinCounts, Counts, GenerationCounter, Recording, Ring};
#[cfg(feature = "registry")]
pub use eviction::EvictionRank;
#[cfg(feature = "async")]
pub use health::NextCheck;
#[cfg(feature = "async")]
pub use peek::Prospect;
#[cfg(feature = "serde")]
pub use persist::SavedCore;

/// The right to one call, as the core knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The state that has let it through.
    admitted: StateWord,
    /// When the call began, in the clock's units, if the breaker takes the time.
    begin: u64,
}

impl Ticket {
    /// The generation in which this call was let through, if the breaker was half-open. Calls
    /// within this one are then parts of it.
    pub(crate) fn outer_generation(self) -> Option<Generation> {
        let generation = self.admitted.generation();
        match self.admitted.phase() {
            Phase::HalfOpen { .. } | Phase::Ramp(_) => Some(generation),
            // A part of a half-open call has a place, a call of a disabled breaker has none.
            Phase::Disabled => self.admitted.without_watch().1.map(|_| generation),
            _ => None,
        }
    }

    /// The ticket of a part of a call that was let through in `generation`. It is not recorded.
    fn part_of(generation: Generation, begin: u64) -> Self {
        Self {
            admitted: StateWord::new(generation, Phase::Disabled).watched_at(0),
            begin,
        }
    }

    /// Lists a half-open call with its thread, if `IS_CALL`. Calls within it are parts of it from
    /// now on.
    #[inline]
    fn begun<const IS_CALL: bool>(self, context: &impl CallContext) -> Self {
        let generation = self.admitted.generation();
        let place = IS_CALL.then(|| context.enter_call(generation)).flatten();
        let admitted = place.map_or(self.admitted, |place| self.admitted.watched_at(place));
        Self { admitted, ..self }
    }

    /// Takes the call off its thread's list. No call is a part of it any more.
    fn ended(self, context: &impl CallContext) -> Self {
        let (admitted, place) = self.admitted.without_watch();
        if let Some(place) = place {
            context.leave_call(place);
        }
        Self { admitted, ..self }
    }

    /// When a call began whose time isn't taken: no sooner than it ends.
    const UNTIMED: u64 = u64::MAX;

    /// Whether the breaker records this call: a disabled one records none.
    pub(crate) fn is_recorded(self) -> bool {
        self.admitted.phase() != Phase::Disabled
    }
}

/// A call that was not let through. Smaller than what the caller gets, which is therefore made where
/// it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The state that rejected it.
    pub state: State,
    /// How many nanoseconds until a call may be let through at the latest.
    pub retry_after: Option<u64>,
}

/// A breaker without its clock and without the types of the calls.
#[derive(Debug)]
pub struct Core {
    state: AtomicState,
    /// Failures since the last success.
    run: GenerationCounter,
    retry_after: RetryAfter,
    latest_opening: LatestOpening,
    built: Built,
    history: History,
    audience: Audience,
}

impl Core {
    /// A breaker that starts in `state` at `now`.
    #[must_use]
    pub fn new(
        settings: Settings,
        ring: Ring,
        beside: Option<Box<Beside>>,
        listeners: Option<Box<Listeners>>,
        state: State,
        now: u64,
    ) -> Self {
        let own = beside.as_ref().and_then(|it| it.open_times.as_deref());
        let open_times = settings.open_times(own);
        let latest_opening = LatestOpening::new(0);
        if let (State::Open | State::HalfOpen, Some(times)) = (state, open_times) {
            latest_opening.note(Generation::FIRST, times.by_hand());
        }
        let open_for = open_times.map_or(settings.open_for, OpenTimes::first);
        let phase = match state {
            State::Closed => Phase::Closed,
            State::Open => Phase::Open {
                until: Moment::at(now.saturating_add(open_for)),
            },
            State::HalfOpen => Phase::PROBING,
            State::ForcedOpen => Phase::ForcedOpen,
            State::Disabled => Phase::Disabled,
            State::MetricsOnly => Phase::MetricsOnly,
        };
        Self {
            state: AtomicState::timed(phase, beside.as_ref().is_some_and(|it| it.timed.is_some())),
            run: GenerationCounter::new(),
            retry_after: RetryAfter::new(),
            latest_opening,
            built: Built {
                ring,
                beside,
                settings,
            },
            history: History::new(date_of(now)),
            audience: Audience::new(listeners),
        }
    }

    /// Gives the jitter a seed, which tells it from that of other breakers.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        let latest_opening = self.latest_opening.with_seed(seed);
        Self {
            latest_opening,
            ..self
        }
    }

    /// The state that the settings hold the breaker in, if any, and the one that it starts in.
    pub(crate) fn switch(&self) -> Switch {
        with_view!(self, |view| view.settings().switch)
    }

    /// The state that the breaker has started in.
    pub(crate) fn started_in(&self) -> State {
        self.built.settings.switch.start_in
    }

    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.built.settings.name
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.load().phase().state()
    }

    /// Closes the breaker, whatever it was, with an empty window.
    pub fn reset(&self, now: u64) {
        self.command(Phase::Closed, |_| Streak::NONE, now);
    }

    /// Opens the breaker, whatever it was, for `nanos` nanoseconds.
    pub fn trip(&self, nanos: u64, now: u64) {
        let until = Moment::at(now.saturating_add(nanos));
        with_view!(self, |view| {
            if let Some(adaptive) = view.adaptive() {
                adaptive.outage.start(now, 0, 0);
            }
        });
        self.command(Phase::Open { until }, OpenTimes::by_hand, now);
    }

    /// Enters a state by hand, from which open times grow anew.
    fn command(&self, phase: Phase, streak: impl Fn(&OpenTimes) -> Streak, now: u64) {
        let moved = with_view!(self, |view| {
            let times = view.open_times();
            // Before, for those that see the new state before it is noted; and then again, for what somebody
            // has noted meanwhile.
            times.inspect(|_| self.latest_opening.forget());
            let moved = self.state.force(phase);
            if let Some(times) = times {
                self.latest_opening.note(moved.generation, streak(times));
            }
            moved
        });
        self.entered(moved, now, Cause::Manual);
    }

    /// Holds the breaker in a state that time and outcomes don't change; does nothing if it is in
    /// that state already.
    pub fn hold(&self, phase: Phase, now: u64) {
        let mut seen = self.state.load();
        while seen.phase() != phase {
            match self.state.change(seen, phase) {
                Ok(moved) => return self.entered(moved, now, Cause::Manual),
                Err(found) => seen = found,
            }
        }
    }

    /// Closes the breaker, with an empty window, if it was forced open; does nothing in any other state.
    /// If its settings hold it in a state, it enters that state instead of closed.
    pub fn release(&self, now: u64) {
        let mut seen = self.state.load();
        while seen.phase() == Phase::ForcedOpen {
            let rest = with_view!(self, |view| view.settings().switch.mode.rest());
            match self.state.change(seen, rest) {
                Ok(moved) => return self.entered(moved, now, Cause::Manual),
                Err(found) => seen = found,
            }
        }
    }

    /// What the winner of a transition, and nobody else, has to do after it.
    fn entered(&self, moved: StateChange, now: u64, cause: Cause) {
        let StateChange {
            from,
            to,
            generation,
        } = moved;
        let is_current = || self.is_current(generation);
        with_view!(self, |view| {
            view.ring().start_generation(generation, is_current);
            self.run.start_generation(generation, is_current);
            if let Some(evidence) = view.evidence() {
                evidence.start_generation(generation, is_current);
            }
        });
        let number = self
            .history
            .start_generation(generation, date_of(now), is_current);
        #[cfg(feature = "async")]
        self.wake_all();
        let entry = LogEntry {
            generation: number,
            from,
            to,
            at: now,
            cause,
        };
        self.audience.tell(&self.built.settings.name, &entry);
    }

    #[inline]
    fn is_current(&self, generation: Generation) -> bool {
        self.state.load().generation() == generation
    }

    /// The state, if the generation of the one that was seen has ended before all that was read meanwhile was read.
    fn state_after(&self, seen: StateWord) -> Option<StateWord> {
        // Acquire: pairs with the Release in `stamped::update`; who has read what a later generation wrote finds that it has
        // begun, although words that say whose they are are read relaxed.
        fence(Ordering::Acquire);
        let found = self.state.load();
        (found.generation() != seen.generation()).then_some(found)
    }

    /// One picture of the breaker at the caller's time.
    #[must_use]
    pub fn snapshot(&self, context: &impl CallContext) -> Snapshot {
        let mut snapshot = Snapshot::empty(self.name().clone());
        self.snapshot_into(&mut snapshot, context);
        snapshot
    }

    /// The same, put where there is another, of this breaker or of one like it.
    pub fn snapshot_into(&self, snapshot: &mut Snapshot, context: &impl CallContext) {
        let mut bins = BinCounts::default();
        let mut seen = self.state.load();
        // The counts are one generation's in any case. If it has ended meanwhile, some may be gone, so
        // the picture is taken anew; but not for ever.
        for is_last in [false, false, true] {
            let into = (&mut *snapshot, &mut bins);
            let found = with_view!(self, |view| view.picture(seen, is_last, into, context));
            match found {
                Some(found) => seen = found,
                None => return,
            }
        }
    }
}

impl<'a, F: Fitted<'a>> View<'a, F> {
    /// Takes a picture of the state that was seen. If its generation has ended meanwhile, and this isn't the last
    /// chance, takes none and returns the state that was found.
    fn picture(
        self,
        seen: StateWord,
        is_last: bool,
        (snapshot, bins): (&mut Snapshot, &mut BinCounts),
        context: &impl CallContext,
    ) -> Option<StateWord> {
        let generation = seen.generation();
        let (ring, timed) = (self.ring(), self.timed());
        let (reading, now) = ring.read_with_nanos(context);
        let suspicions = self.suspicions(generation, reading, context);
        let counts = ring.all_counts(suspicions, generation, reading, context);
        let uncounted = ring.uncounted(generation, reading);
        let run = self.run.get(generation);
        let run = ring.run_held(run, &counts, reading, context);
        // A state that another thread has entered first, while a window of another size took over calls, holds
        // none of them.
        let (counts, run) = if self.may_judge(generation) {
            (counts, run)
        } else {
            (Counts::default(), 0)
        };
        let recording = timed.map_or(Recording::Off, Timed::recording);
        if recording != Recording::Off {
            let latencies = timed.and_then(|timed| timed.latencies());
            bins.clear();
            ring.read_latencies(latencies, generation, reading, context, bins);
        }
        let age = self.age(generation, now);
        let number = self.history.number(generation);
        let found = self.state_after(seen);
        if found.is_some() && !is_last {
            return found;
        }
        snapshot.set(&Reading {
            name: self.name(),
            phase: self.state.phase_of(seen),
            generation: number,
            now,
            age,
            counts,
            uncounted,
            run,
            bins: (recording != Recording::Off).then_some((bins, recording)),
        });
        None
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::clock::context::FixedContext;
    use crate::outcome::Outcome;
    use crate::policy::TripPolicy;
    use crate::state::Probes;
    use crate::sync::thread_slot::ThreadSlot;
    use crate::window::TimeRing;
    use std::cell::Cell;

    /// A caller that sleeps after its first reading of the clock.
    struct Sleeper {
        begin: u64,
        end: u64,
        sleeps: Cell<bool>,
    }

    impl Now for Sleeper {
        fn raw(&self) -> u64 {
            if self.sleeps.replace(false) {
                self.begin
            } else {
                self.end
            }
        }

        fn nanos_at(&self, raw: u64) -> u64 {
            raw
        }
    }

    impl CallContext for Sleeper {
        fn thread_slot(&self) -> ThreadSlot {
            ThreadSlot(0)
        }
    }

    /// A window of ten nanoseconds.
    fn core(policy: TripPolicy) -> Core {
        core_in(10, policy)
    }

    /// A window of a single bucket, that many nanoseconds wide.
    fn core_in(width: u64, policy: TripPolicy) -> Core {
        let settings = Settings {
            name: "sleepy".into(),
            policies: [policy].into(),
            open_for: 5_000_000,
            probes: Probes::all(1),
            probe_timeout: u64::MAX,
            on_cancel: Outcome::Ignored,
            switch: crate::engine::parts::Switch::default(),
        };
        let ring = Ring::Time(TimeRing::new(width, 1, 1, false));
        Core::new(settings, ring, None, None, State::Closed, 0)
    }

    fn call(core: &Core, outcome: Outcome, context: &impl CallContext) {
        let ticket = core.admit(context).unwrap();
        core.record(ticket, outcome, None, context);
    }

    fn sleeper() -> Sleeper {
        Sleeper {
            begin: 5,
            end: 25,
            sleeps: Cell::new(true),
        }
    }

    #[test]
    fn a_thread_that_slept_trips_nothing_by_failures_whose_successes_are_gone() {
        let core = core(TripPolicy::failure_rate(0.5).into());
        for call_of_many in 0..1_000 {
            let outcome = match call_of_many % 100 {
                0 => Outcome::Failure,
                _ => Outcome::Success,
            };
            call(&core, outcome, &FixedContext::on_first_thread_slot(5));
        }
        // While it sleeps, the bucket's successes are replaced, and nothing has failed again.
        call(
            &core,
            Outcome::Success,
            &FixedContext::on_first_thread_slot(25),
        );
        call(&core, Outcome::Failure, &sleeper());
        assert_eq!(core.state(), State::Closed);
    }

    #[test]
    fn a_thread_that_slept_opens_for_the_whole_time() {
        let core = core_in(100_000_000_000, TripPolicy::consecutive_failures(1));
        let sleeper = Sleeper {
            end: 60_000_000_000,
            ..sleeper()
        };
        call(&core, Outcome::Failure, &sleeper);
        assert_eq!(core.state(), State::Open);
        assert!(
            core.admit(&FixedContext::on_first_thread_slot(60_001_000_000))
                .is_err()
        );
    }
}
