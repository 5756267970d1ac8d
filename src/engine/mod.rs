//! The path of a call: admit, record, judge, transition.
//!
//! The caller brings the time and its thread slot, so a model can drive all of it.

mod call;
mod admit;
mod record;
mod evidence;
mod judge;
mod would_trip;
mod recover;
mod transition;
mod command;
mod reconfigure;
mod view;
mod parts;
mod carried;
mod listen;
mod why_open;
mod settings;
mod settings_in_words;
mod snapshot;
mod totals;
#[cfg(feature = "metrics")]
mod thresholds;
mod trip_levels;
mod peek;
#[cfg(feature = "async")]
pub(crate) mod probe_queue;
#[cfg(feature = "async")]
mod watch;
#[cfg(feature = "registry")]
mod eviction;
#[cfg(feature = "fleet")]
mod learned;
#[cfg(feature = "fleet")]
mod orders;
#[cfg(feature = "registry")]
mod open_share;
#[cfg(feature = "async")]
mod health;
#[cfg(feature = "serde")]
mod persist;
#[cfg(feature = "tracing")]
mod traced;

use self::parts::LateParts;
use self::view::with_view;
use crate::error::{PackedCause, Rejected};
use crate::events::slot::Slot;
use crate::events::{WouldTripListener, listeners::Listeners};
use crate::latency::odds::Odds;
use crate::recovery::{LatestOpening, RetryAfter};
use crate::state::history::{History, date_of};
use crate::state::{AtomicState, Generation, Moment, Phase, State};
use crate::{name::Name, sync::LateBox, window::GenerationCounter};
pub use call::{Refusal, Ticket};
#[cfg(feature = "registry")]
pub use eviction::EvictionRank;
#[cfg(feature = "async")]
pub use health::NextCheck;
#[cfg(feature = "fleet")]
pub(crate) use learned::UsualTraffic;
#[cfg(feature = "registry")]
pub use open_share::OpenShare;
pub(crate) use parts::WarmUp;
pub use parts::{OptionalParts, Parts};
#[cfg(feature = "async")]
pub use peek::Prospect;
#[cfg(feature = "serde")]
pub use persist::SavedCore;
pub use reconfigure::Reconfigured;
pub use settings::{Settings, Switch};

/// A breaker without its clock and without the types of the calls.
#[derive(Debug)]
pub struct Core {
    state: AtomicState,
    /// Failures since the last success.
    run: GenerationCounter,
    retry_after: RetryAfter,
    latest_opening: LatestOpening,
    parts: Parts,
    history: History,
    /// The latest transition into a state that rejects all calls.
    opening: Slot,
    /// The parts that the breaker may get later. They are allocated when the first one comes.
    late: LateBox<LateParts>,
}

impl Core {
    /// A breaker that starts in `state` at `now`.
    #[must_use]
    pub fn new(parts: Parts, listeners: Option<Box<Listeners>>, state: State, now: u64) -> Self {
        let Parts {
            settings, optional, ..
        } = &parts;
        let own = optional.as_ref().and_then(|it| it.open_times.as_deref());
        let open_times = settings.open_times(own);
        let latest_opening = LatestOpening::new(0);
        if let (State::Open | State::HalfOpen, Some(times)) = (state, open_times) {
            latest_opening.note(Generation::FIRST, times.by_hand());
        }
        let open_for = open_times.map_or(settings.open_for, |it| it.first);
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
        if let Some(limit) = optional.as_ref().and_then(|it| it.half_open_limit.as_ref()) {
            limit.begin(now);
        }
        let is_timed = optional.as_ref().is_some_and(|it| it.timed.is_some());
        let late = LateBox::<LateParts>::new();
        if let Some(listeners) = listeners {
            let parts = late.get_or_init(Box::<LateParts>::default);
            parts.listeners.publish(*listeners);
        }
        let warms_up = optional.as_ref().is_some_and(|it| it.warm_up.is_some());
        if state == State::MetricsOnly || warms_up {
            late.get_or_init(Box::default);
        }
        Self {
            state: AtomicState::beginning(Generation::FIRST, phase, is_timed),
            run: GenerationCounter::default(),
            retry_after: RetryAfter::default(),
            latest_opening,
            parts,
            history: History::new(date_of(now)),
            opening: Slot::default(),
            late,
        }
    }

    /// Sets the functions to tell of trips that would have been.
    pub(crate) fn tell_would_trips(&self, listeners: Vec<WouldTripListener>) {
        if !listeners.is_empty() {
            let late = self.late.get_or_init(Box::default);
            late.would_trips.listen(listeners);
        }
    }

    /// Gives the jitter a seed, so that breakers of different seeds jitter differently.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.latest_opening = self.latest_opening.with_seed(seed);
        self
    }

    /// The mode and the start state that the current settings give.
    pub(crate) fn switch(&self) -> Switch {
        with_view!(self, |view| view.settings().switch)
    }

    /// The start state of the settings that the breaker was built with.
    pub(crate) fn started_in(&self) -> State {
        self.parts.settings.switch.start_in
    }

    /// How long the breaker warms up after it was built, in nanoseconds.
    pub(crate) fn warm_up(&self) -> u64 {
        let optional = self.parts.optional.as_ref();
        let warm_up = optional.and_then(|it| it.warm_up.as_deref());
        warm_up.map_or(0, |it| it.length)
    }

    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.parts.settings.name
    }

    /// The current state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.load().phase().state()
    }

    /// The cause of the opening because of which a call was refused; none if its winner hasn't
    /// noted it yet.
    #[inline]
    pub fn cause_of(&self, refusal: Refusal) -> PackedCause {
        self.opening.cause_of(refusal.opened_in)
    }

    /// The error of a caller whose call was refused.
    #[inline]
    pub(crate) fn rejected(&self, refusal: Refusal) -> Rejected {
        Rejected {
            cause: self.cause_of(refusal),
            name: self.name().clone(),
            state: refusal.state,
            opened_in: refusal.opened_in.in_place(),
            retry_after: refusal.retry_after,
        }
    }

    /// The generation of the opening because of which `state` rejects calls in `generation`.
    #[inline]
    pub(super) fn opened_in(&self, state: State, generation: Generation) -> Generation {
        match state {
            State::HalfOpen => Generation::of_number(self.opening.generation()),
            _ => generation,
        }
    }

    fn listeners(&self) -> Option<&Listeners> {
        self.late.get()?.listeners.get()
    }

    /// The odds by which calls are timed. Only breakers that were built with extra parts have some.
    #[inline]
    fn odds(&self) -> Option<&Odds> {
        Some(&self.parts.optional.as_ref()?.odds)
    }

    #[inline]
    fn is_current(&self, generation: Generation) -> bool {
        self.state.load().generation() == generation
    }

    /// Nanoseconds since `generation` began; zero until the thread that began it has noted the
    /// date.
    fn age(&self, generation: Generation, now: u64) -> u64 {
        self.history.age(generation, now).unwrap_or(0)
    }

    /// The date on which the generation began, or `now` if it isn't known.
    fn began_at(&self, generation: Generation, now: u64) -> u64 {
        self.history.since(generation).unwrap_or(now).min(now)
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::clock::context::{CallContext, FixedContext};
    use crate::outcome::Outcome;
    use crate::policy::TripPolicy;
    use crate::state::Probes;
    use crate::sync::thread_slot::ThreadSlot;
    use crate::window::{Ring, TimeRing};
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
            switch: Switch::default(),
        };
        let ring = Ring::Time(TimeRing::new(width, 1, 1, false));
        let parts = Parts {
            settings,
            ring,
            optional: None,
        };
        Core::new(parts, None, State::Closed, 0)
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
        // While the thread sleeps, a later success replaces the bucket's successes. No other call
        // fails.
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
