//! The way a call goes: admit, then settle, which records, judges, moves the state and tells.
//!
//! Time and lane come from the caller, so that a model can drive all of it.

use crate::caller::Caller;
use crate::history::History;
use crate::listeners::{Entry, Listeners};
use crate::name::Name;
use crate::outcome::Outcome;
use crate::policy::TripPolicy;
use crate::snapshot::{Reading, Snapshot};
use crate::state::{
    Admission, AtomicState, Generation, Kind, Moment, Moved, ProbeReport, ProbeVerdict, State,
    StateWord,
};
use crate::transition::Cause;
use crate::window::{ClockReading, Counts, GenerationCounter, Ring, Tally};

/// What a builder has found fit.
#[derive(Debug)]
pub struct Settings {
    /// The breaker's name.
    pub name: Name,
    /// Any of them trips.
    pub policies: Box<[TripPolicy]>,
    /// How long the breaker stays open after a trip, in nanoseconds.
    pub open_for: u64,
    /// Places for probes.
    pub probes: u32,
    /// After how many nanoseconds a probe that hasn't reported loses its place; `u64::MAX`: never.
    pub probe_timeout: u64,
}

/// The right to one call, as the core knows it: the state that has let it through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(StateWord);

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
    settings: Settings,
    history: History,
    listeners: Option<Box<Listeners>>,
}

impl Core {
    /// A breaker that starts in `state` at `now`.
    #[must_use]
    pub fn new(
        settings: Settings,
        ring: Ring,
        listeners: Option<Box<Listeners>>,
        state: State,
        now: u64,
    ) -> Self {
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
            state: AtomicState::new(kind),
            run: GenerationCounter::new(),
            ring,
            settings,
            history: History::new(now),
            listeners,
        }
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

    /// Decides whether a call is let through. A breaker that is closed or only measures reads no clock
    /// for it.
    ///
    /// # Errors
    /// The call is rejected.
    #[inline]
    pub fn admit(&self, caller: &impl Caller) -> Result<Ticket, Refusal> {
        let seen = self.state.load();
        if seen.lets_through_and_records() {
            Ok(Ticket(seen))
        } else {
            self.admit_by_the_clock(seen, caller)
        }
    }

    #[inline(never)]
    fn admit_by_the_clock(&self, seen: StateWord, caller: &impl Caller) -> Result<Ticket, Refusal> {
        let (reading, now) = self.ring.read_with_nanos(caller);
        // What an open breaker does most, apart from the rest, so that it stays short.
        if let Kind::Open { until } = seen.kind()
            && now < until.nanos()
        {
            let wait = until.nanos() - now;
            return Err(self.refuse(State::Open, seen.generation(), Some(wait), reading, caller));
        }
        self.admit_rarely(reading, now, caller)
    }

    #[inline(never)]
    fn admit_rarely(
        &self,
        reading: ClockReading,
        now: u64,
        caller: &impl Caller,
    ) -> Result<Ticket, Refusal> {
        let Settings {
            probes,
            probe_timeout,
            ..
        } = self.settings;
        match self.state.admit(now, probes, probe_timeout) {
            Admission::Recorded(generation) => Ok(Ticket(StateWord::new(generation, Kind::Closed))),
            Admission::Unrecorded => Ok(Ticket(StateWord::new(Generation::FIRST, Kind::Disabled))),
            Admission::Probe {
                generation,
                moved,
                overdue,
            } => {
                if let Some(moved) = moved {
                    let cause = match moved.from {
                        State::HalfOpen => Cause::ProbesOverdue { probes: overdue },
                        _ => Cause::OpenTimeOver,
                    };
                    self.entered(moved, now, cause);
                }
                Ok(Ticket(StateWord::new(generation, Kind::PROBING)))
            }
            Admission::Rejected {
                state,
                generation,
                retry_after,
            } => Err(self.refuse(state, generation, retry_after, reading, caller)),
        }
    }

    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- open` shows a slower path"
    )]
    #[inline(always)]
    fn refuse(
        &self,
        state: State,
        generation: Generation,
        retry_after: Option<u64>,
        reading: ClockReading,
        caller: &impl Caller,
    ) -> Refusal {
        self.record_at(reading, Tally::Aside, generation, caller);
        Refusal { state, retry_after }
    }

    /// Takes the outcome of a call that was let through.
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub fn settle(&self, ticket: Ticket, outcome: Outcome, caller: &impl Caller) {
        if ticket.0.lets_through_and_records() && outcome == Outcome::Success {
            let generation = ticket.0.generation();
            self.record(Tally::Success, generation, caller);
            self.run.clear(generation);
        } else {
            self.settle_rarely(ticket, outcome, caller);
        }
    }

    #[inline(never)]
    fn settle_rarely(&self, Ticket(admitted): Ticket, outcome: Outcome, caller: &impl Caller) {
        let generation = admitted.generation();
        match (admitted.kind(), outcome) {
            (Kind::HalfOpen { .. }, _) => self.settle_probe(generation, outcome, caller),
            (Kind::Disabled, _) => {}
            (_, Outcome::Failure | Outcome::Trip) => {
                self.record_failure(generation, outcome, caller);
            }
            // What succeeded has been recorded without coming here.
            (_, Outcome::Ignored | Outcome::Success) => {
                self.record(Tally::Aside, generation, caller);
            }
        }
    }

    /// Counts a call in its generation's window. If the generation is over, then so is its window,
    /// and what is counted there is read by nobody.
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    fn record(&self, tally: Tally, generation: Generation, caller: &impl Caller) {
        self.ring.record(tally, generation, caller, move || {
            self.is_current(generation)
        });
    }

    /// The same, of a call that ended when the clock was read.
    #[inline]
    fn record_at(
        &self,
        reading: ClockReading,
        tally: Tally,
        generation: Generation,
        caller: &impl Caller,
    ) {
        self.ring
            .record_at(reading, tally, generation, caller, move || {
                self.is_current(generation)
            });
    }

    fn record_failure(&self, generation: Generation, outcome: Outcome, caller: &impl Caller) {
        let reading = self.ring.read(caller);
        self.record_at(reading, Tally::Failure, generation, caller);
        // No trip is lost: all failures add to one word, after they were written to the window, and
        // each addition acquires what the ones before it have released (see `stamped::update`). Of
        // two threads that each write a failure and then sum, the second to add sees the other's.
        let Some(run) = self.run.add(generation, || self.is_current(generation)) else {
            return;
        };
        let seen = self.state.load();
        if seen.generation() != generation || seen.kind() != Kind::Closed {
            return;
        }
        let judge = |reading| match outcome {
            Outcome::Trip => Some(Cause::DependencySaidSo),
            _ => self.judge(generation, run, reading, caller),
        };
        if judge(reading).is_none() {
            return;
        }
        // This thread may have slept since it has read the clock, and a bucket may have ended while
        // it summed. Then some of the failures may be too old, and of the successes beside them
        // some may be gone; so what trips is judged by the time at which it trips.
        let reading = self.ring.read(caller);
        if let Some(cause) = judge(reading) {
            let now = caller.nanos_at(reading.raw);
            let until = Moment::not_before(now.saturating_add(self.settings.open_for));
            // An error means that somebody else has ended the generation; nothing is left to do.
            if let Ok(moved) = self.state.change(seen, Kind::Open { until }) {
                self.entered(moved, now, cause);
            }
        }
    }

    /// Whether the failure that this thread has just recorded is reason enough to trip.
    fn judge(
        &self,
        generation: Generation,
        run: u64,
        reading: ClockReading,
        caller: &impl Caller,
    ) -> Option<Cause> {
        let policies = &self.settings.policies;
        let counts = if policies.iter().any(TripPolicy::looks_at_window) {
            let worth = |counts| policies.iter().any(|policy| policy.may_trip(run, &counts));
            self.ring.counts_if(generation, reading, caller, worth)?
        } else {
            Counts::default()
        };
        policies
            .iter()
            .find_map(|policy| policy.judge(run, &counts))
    }

    fn settle_probe(&self, generation: Generation, outcome: Outcome, caller: &impl Caller) {
        let now = caller.nanos();
        let Settings {
            probes, open_for, ..
        } = self.settings;
        let report = match outcome {
            Outcome::Success => ProbeReport::Succeeded,
            Outcome::Ignored => ProbeReport::Withdrawn,
            Outcome::Failure | Outcome::Trip => ProbeReport::Failed {
                open_until: Moment::not_before(now.saturating_add(open_for)),
            },
        };
        if let ProbeVerdict::Decided(moved) = self.state.settle(generation, report, probes) {
            let cause = match outcome {
                Outcome::Success => Cause::ProbesSucceeded { probes },
                Outcome::Trip => Cause::DependencySaidSo,
                // What is withdrawn decides nothing.
                Outcome::Failure | Outcome::Ignored => Cause::ProbeFailed,
            };
            self.entered(moved, now, cause);
        }
    }

    /// Closes the breaker, whatever it was, with an empty window.
    pub fn reset(&self, now: u64) {
        self.entered(self.state.force(Kind::Closed), now, Cause::ByHand);
    }

    /// Opens the breaker, whatever it was, for `nanos` nanoseconds.
    pub fn trip(&self, nanos: u64, now: u64) {
        let until = Moment::not_before(now.saturating_add(nanos));
        self.entered(self.state.force(Kind::Open { until }), now, Cause::ByHand);
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
        let number = self.history.begin(generation, now, is_current);
        if let Some(listeners) = &self.listeners {
            let entry = Entry {
                generation: number,
                from,
                to,
                at: now,
                cause,
            };
            listeners.tell(&self.settings.name, &entry);
        }
    }

    #[inline]
    fn is_current(&self, generation: Generation) -> bool {
        self.state.load().generation() == generation
    }

    /// One picture of the breaker at the caller's time.
    #[must_use]
    pub fn snapshot(&self, caller: &impl Caller) -> Snapshot {
        let (reading, now) = self.ring.read_with_nanos(caller);
        let mut seen = self.state.load();
        let mut attempts = 0;
        loop {
            let generation = seen.generation();
            let counts = self.ring.counts(generation, reading, caller);
            let asides = self.ring.asides(generation, reading);
            let run = self.run.get(generation);
            let since = self.history.since(generation);
            let number = self.history.number(generation);
            let found = self.state.load();
            attempts += 1;
            // The counts are this generation's in any case. If it has ended meanwhile, some may be
            // gone, so the picture is taken anew; but not for ever.
            if found.generation() == generation || attempts == 3 {
                return Snapshot::from(Reading {
                    name: self.settings.name.clone(),
                    kind: seen.kind(),
                    generation: number,
                    now,
                    since: since.unwrap_or(now).min(now),
                    counts,
                    asides,
                    run,
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
            probes: 1,
            probe_timeout: u64::MAX,
        };
        let ring = Ring::Time(TimeRing::new(10, 1, 1));
        Core::new(settings, ring, None, State::Closed, 0)
    }

    fn call(core: &Core, outcome: Outcome, caller: &impl Caller) {
        let ticket = core.admit(caller).unwrap();
        core.settle(ticket, outcome, caller);
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
