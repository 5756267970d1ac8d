//! The way a call goes: admit, then settle, which records, judges, moves the state and tells.
//!
//! Time and lane come from the caller, so that a model can drive all of it.

mod admit;
mod settle;
mod weigh;
mod judge;
mod recover;
#[cfg(feature = "wait")]
mod prospect;
#[cfg(feature = "health")]
mod check;
#[cfg(feature = "serde")]
mod saved;

use crate::audience::Audience;
use crate::beside::Beside;
use crate::caller::Caller;
use crate::evidence::Evidence;
use crate::history::{History, date_of};
use crate::listeners::{Entry, Listeners};
use crate::name::Name;
use crate::policy::TripPolicy;
use crate::recovery::{AdaptiveRecovery, OpenTimes, RetryAfter, Streak};
use crate::snapshot::{Reading, Snapshot};
use crate::state::{AtomicState, Generation, Kind, Moment, Moved, Probes, State, StateWord};
use crate::timed::Timed;
use crate::transition::Cause;
use crate::window::{BinCounts, Counts, GenerationCounter, Recording, Ring};
#[cfg(feature = "health")]
pub use check::NextCheck;
#[cfg(feature = "wait")]
pub use prospect::Prospect;
#[cfg(feature = "serde")]
pub use saved::SavedCore;

/// What a builder has found fit.
#[derive(Debug)]
pub struct Settings {
    /// The breaker's name.
    pub name: Name,
    /// Any of them trips.
    pub policies: Box<[TripPolicy]>,
    /// How long the breaker stays open after a trip, in nanoseconds.
    pub open_for: u64,
    /// Places for probes, and what they must come to.
    pub probes: Probes,
    /// After how many nanoseconds a probe that hasn't reported loses its place; `u64::MAX`: never.
    pub probe_timeout: u64,
}

/// The right to one call, as the core knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The state that has let it through.
    admitted: StateWord,
    /// When the call began, in the clock's units, if the breaker takes the time.
    begin: u64,
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
    ring: Ring,
    beside: Option<Box<Beside>>,
    settings: Settings,
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
        let open_times = beside.as_ref().and_then(|it| it.open_times.as_deref());
        if let (State::Open | State::HalfOpen, Some(times)) = (state, open_times) {
            times.note(Generation::FIRST, times.by_hand());
        }
        let kind = match state {
            State::Closed => Kind::Closed,
            State::Open => Kind::Open {
                until: Moment::not_before(now.saturating_add(settings.open_for)),
            },
            State::HalfOpen => Kind::PROBING,
            State::ForcedOpen => Kind::ForcedOpen,
            State::Disabled => Kind::Disabled,
            State::MetricsOnly => Kind::MetricsOnly,
        };
        Self {
            state: AtomicState::timed(kind, beside.as_ref().is_some_and(|it| it.timed.is_some())),
            run: GenerationCounter::new(),
            ring,
            beside,
            settings,
            history: History::new(date_of(now)),
            audience: Audience::new(listeners),
        }
    }

    #[inline]
    fn timed(&self) -> Option<&Timed> {
        self.beside.as_ref()?.timed.as_deref()
    }

    /// What decides by evidence, if it does.
    #[must_use]
    #[inline]
    pub fn evidence(&self) -> Option<&Evidence> {
        self.beside.as_ref()?.evidence.as_deref()
    }

    #[inline]
    fn adaptive(&self) -> Option<&AdaptiveRecovery> {
        self.beside.as_ref()?.recovery.as_deref()
    }

    #[inline]
    fn open_times(&self) -> Option<&OpenTimes> {
        self.beside.as_ref()?.open_times.as_deref()
    }

    #[inline]
    fn retry_after(&self) -> Option<&RetryAfter> {
        self.beside.as_ref()?.retry_after.as_deref()
    }

    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.settings.name
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.load().kind().state()
    }

    /// Closes the breaker, whatever it was, with an empty window.
    pub fn reset(&self, now: u64) {
        self.command(Kind::Closed, |_| Streak::NONE, now);
    }

    /// Opens the breaker, whatever it was, for `nanos` nanoseconds.
    pub fn trip(&self, nanos: u64, now: u64) {
        let until = Moment::not_before(now.saturating_add(nanos));
        if let Some(adaptive) = self.adaptive() {
            adaptive.outage.begin(now, 0, 0);
        }
        self.command(Kind::Open { until }, OpenTimes::by_hand, now);
    }

    /// Enters a state by hand, from which open times grow anew.
    fn command(&self, kind: Kind, streak: impl Fn(&OpenTimes) -> Streak, now: u64) {
        let times = self.open_times();
        // Before, for those that see the new state before it is noted; and then again, for what somebody
        // has noted meanwhile.
        times.inspect(|times| times.forget());
        let moved = self.state.force(kind);
        if let Some(times) = times {
            times.note(moved.generation, streak(times));
        }
        self.entered(moved, now, Cause::ByHand);
    }

    /// Holds the breaker in a state that time and outcomes don't change; does nothing if it is in
    /// that state already.
    pub fn hold(&self, kind: Kind, now: u64) {
        let mut seen = self.state.load();
        while seen.kind() != kind {
            match self.state.change(seen, kind) {
                Ok(moved) => return self.entered(moved, now, Cause::ByHand),
                Err(found) => seen = found,
            }
        }
    }

    /// Closes the breaker, with an empty window, if it was forced open; does nothing in any other state.
    pub fn let_go(&self, now: u64) {
        let mut seen = self.state.load();
        while seen.kind() == Kind::ForcedOpen {
            match self.state.change(seen, Kind::Closed) {
                Ok(moved) => return self.entered(moved, now, Cause::ByHand),
                Err(found) => seen = found,
            }
        }
    }

    /// Whether nothing would be lost with this breaker but the count of what went well: it is closed, and
    /// nothing that its policies look at speaks against the dependency.
    #[must_use]
    pub fn has_nothing_to_lose(&self, caller: &impl Caller) -> bool {
        let seen = self.state.load();
        if seen.kind() != Kind::Closed {
            return false;
        }
        let generation = seen.generation();
        let any = |looks: fn(&TripPolicy) -> bool| self.settings.policies.iter().any(looks);
        let has_run = || any(TripPolicy::looks_at_run) && self.run.get(generation) > 0;
        let has_evidence = || self.evidence().is_some_and(|it| it.has_any(generation));
        if has_run() || has_evidence() {
            return false;
        }
        let reading = self.ring.read(caller);
        let Counts {
            failures,
            slow,
            overdue,
            ..
        } = self.suspicions(generation, reading, caller);
        // How long a call took speaks for or against the dependency only beside the others.
        let has_times = || {
            any(TripPolicy::looks_at_percentiles)
                && self.ring.calls(generation, reading, caller) > 0
        };
        failures + slow + overdue == 0 && !has_times()
    }

    /// What the winner of a transition, and nobody else, has to do after it.
    fn entered(&self, moved: Moved, now: u64, cause: Cause) {
        let Moved {
            from,
            to,
            generation,
        } = moved;
        let is_current = || self.is_current(generation);
        self.ring.begin(generation, is_current);
        self.run.begin(generation, is_current);
        if let Some(evidence) = self.evidence() {
            evidence.begin(generation, is_current);
        }
        let number = self.history.begin(generation, date_of(now), is_current);
        #[cfg(feature = "wait")]
        self.announce_verdict();
        let entry = Entry {
            generation: number,
            from,
            to,
            at: now,
            cause,
        };
        self.audience.tell(&self.settings.name, &entry);
    }

    #[inline]
    fn is_current(&self, generation: Generation) -> bool {
        self.state.load().generation() == generation
    }

    /// One picture of the breaker at the caller's time.
    #[must_use]
    pub fn snapshot(&self, caller: &impl Caller) -> Snapshot {
        let mut snapshot = Snapshot::empty(self.settings.name.clone());
        self.snapshot_into(&mut snapshot, caller);
        snapshot
    }

    /// The same, put where there is another, of this breaker or of one like it.
    pub fn snapshot_into(&self, snapshot: &mut Snapshot, caller: &impl Caller) {
        let (reading, now) = self.ring.read_with_nanos(caller);
        let timed = self.timed();
        let recording = timed.map_or(Recording::Off, Timed::recording);
        let mut bins = BinCounts::default();
        let mut seen = self.state.load();
        let mut attempts = 0;
        loop {
            let generation = seen.generation();
            let suspicions = self.suspicions(generation, reading, caller);
            let counts = self
                .ring
                .all_counts(suspicions, generation, reading, caller);
            let asides = self.ring.asides(generation, reading);
            let run = self.run.get(generation);
            if recording != Recording::Off {
                let latencies = timed.and_then(|timed| timed.latencies());
                bins.clear();
                self.ring
                    .read_latencies(latencies, generation, reading, caller, &mut bins);
            }
            let age = self.age(generation, now);
            let number = self.history.number(generation);
            let found = self.state.load();
            attempts += 1;
            // The counts are this generation's in any case. If it has ended meanwhile, some may be
            // gone, so the picture is taken anew; but not for ever.
            if found.generation() == generation || attempts == 3 {
                return snapshot.set(&Reading {
                    name: &self.settings.name,
                    kind: seen.kind(),
                    generation: number,
                    now,
                    age,
                    counts,
                    asides,
                    run,
                    bins: (recording != Recording::Off).then_some((&bins, recording)),
                });
            }
            seen = found;
        }
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::caller::At;
    use crate::clock::Now;
    use crate::lane::Lane;
    use crate::outcome::Outcome;
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

    impl Caller for Sleeper {
        fn lane(&self) -> Lane {
            Lane(0)
        }
    }

    fn core(policy: TripPolicy) -> Core {
        let settings = Settings {
            name: "sleepy".into(),
            policies: [policy].into(),
            open_for: 5_000_000,
            probes: Probes::all(1),
            probe_timeout: u64::MAX,
        };
        let ring = Ring::Time(TimeRing::new(10, 1, 1, false));
        Core::new(settings, ring, None, None, State::Closed, 0)
    }

    fn call(core: &Core, outcome: Outcome, caller: &impl Caller) {
        let ticket = core.admit(caller).unwrap();
        core.settle(ticket, outcome, None, caller);
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
        let core = core(TripPolicy::error_rate(0.5).into());
        for call_of_many in 0..1_000 {
            let outcome = match call_of_many % 100 {
                0 => Outcome::Failure,
                _ => Outcome::Success,
            };
            call(&core, outcome, &At::on_one_lane(5));
        }
        // While it sleeps, the bucket's successes are replaced, and nothing has failed again.
        call(&core, Outcome::Success, &At::on_one_lane(25));
        call(&core, Outcome::Failure, &sleeper());
        assert_eq!(core.state(), State::Closed);
    }

    #[test]
    fn a_thread_that_slept_opens_for_the_whole_time() {
        let core = core(TripPolicy::consecutive_failures(1));
        let sleeper = Sleeper {
            end: 60_000_000_000,
            ..sleeper()
        };
        call(&core, Outcome::Failure, &sleeper);
        assert_eq!(core.state(), State::Open);
        assert!(core.admit(&At::on_one_lane(60_001_000_000)).is_err());
    }
}
