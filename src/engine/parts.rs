//! What a breaker is fitted out with, and what another configuration has put in the place of some of it.

use std::fmt;
use std::sync::Arc;

use crate::adaptive::Evidence;
use crate::engine::beside::Beside;
use crate::latency::times::Timed;
use crate::name::Name;
use crate::outcome::Outcome;
use crate::policy::Policies;
use crate::recovery::{AdaptiveRecovery, MaxRetryAfter, OpenTimes};
use crate::state::{Generation, Phase, Probes, State};
use crate::sync::{AtomicU64, Ordering};
use crate::window::Ring;

/// What a builder has found fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The breaker's name.
    pub name: Name,
    /// Any of them trips.
    pub policies: Policies,
    /// How long the breaker stays open after a trip, in nanoseconds, if it has no open times that grow;
    /// [zero](Self::DEFAULT_OPEN_TIMES) for the default ones.
    pub open_for: u64,
    /// Places for probes, and what they must come to.
    pub probes: Probes,
    /// After how many nanoseconds a probe that hasn't reported loses its place; `u64::MAX`: never.
    pub probe_timeout: u64,
    /// What a cancelled call counts as.
    pub on_cancel: Outcome,
    /// What they say of the state.
    pub switch: Switch,
}

/// Whether the breaker takes part, as the settings say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It records calls, trips and rejects.
    #[default]
    Normal,
    /// It records calls and never trips.
    MetricsOnly,
    /// It lets all calls through and records none.
    Disabled,
}

impl Mode {
    /// The state in which it holds the breaker, if it does.
    #[must_use]
    pub fn held(self) -> Option<Phase> {
        match self {
            Self::Normal => None,
            Self::MetricsOnly => Some(Phase::MetricsOnly),
            Self::Disabled => Some(Phase::Disabled),
        }
    }

    /// The state that a breaker rests in.
    #[must_use]
    pub fn rest(self) -> Phase {
        self.held().unwrap_or(Phase::Closed)
    }
}

/// What the settings say of the breaker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Whether it takes part.
    pub mode: Mode,
    /// The state in which it starts, if it takes part.
    pub start_in: State,
}

impl Default for Switch {
    fn default() -> Self {
        Self {
            mode: Mode::Normal,
            start_in: State::Closed,
        }
    }
}

impl Switch {
    /// The state in which the settings hold the breaker until they change, if they do.
    #[must_use]
    pub fn held(self) -> Option<Phase> {
        self.mode.held().or(match self.start_in {
            State::ForcedOpen => Some(Phase::ForcedOpen),
            State::Disabled => Some(Phase::Disabled),
            State::MetricsOnly => Some(Phase::MetricsOnly),
            State::Closed | State::Open | State::HalfOpen => None,
        })
    }

    /// The state in which a breaker starts.
    #[must_use]
    pub fn start(self) -> State {
        self.mode.held().map_or(self.start_in, Phase::state)
    }
}

impl Settings {
    /// What stands for the [default](OpenTimes::DEFAULT) open times.
    pub const DEFAULT_OPEN_TIMES: u64 = 0;

    /// The open times that grow, of which these are the settings' `own`.
    pub(crate) fn open_times<'a>(&self, own: Option<&'a OpenTimes>) -> Option<&'a OpenTimes> {
        let has_default = self.open_for == Self::DEFAULT_OPEN_TIMES;
        own.or(has_default.then_some(OpenTimes::DEFAULT))
    }
}

/// What a builder makes for a breaker.
#[derive(Debug)]
pub struct Outfit {
    /// See there.
    pub settings: Settings,
    /// The window.
    pub ring: Ring,
    /// What only some breakers have.
    pub beside: Beside,
}

/// What came of another configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reconfigured {
    /// Nothing: it says what the one before said.
    Unchanged,
    /// The window was carried over with all that it holds.
    WindowKept,
    /// The window has another shape, and holds the newest calls of the former one.
    WindowResized,
    /// The window began anew: it has another shape, and could not hold what the former one counted.
    WindowReset,
    /// The breaker entered this state, with an empty window: it was [switched off or
    /// on](crate::CircuitBreakerBuilder::enabled).
    StateChanged(State),
}

impl fmt::Display for Reconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "unchanged",
            Self::WindowKept => "reconfigured, window kept",
            Self::WindowResized => "reconfigured, newest calls kept",
            Self::WindowReset => "reconfigured, window begun anew",
            Self::StateChanged(state) => return write!(f, "reconfigured, now {state}"),
        })
    }
}

/// A window that has taken over the newest calls of the one before it.
#[derive(Debug)]
pub(crate) struct Carried {
    /// The generation that the calls were taken from.
    pub(crate) from: Generation,
    /// Since when the calls have come, as a date.
    pub(crate) since: u64,
    /// How many failures in a row there were.
    pub(crate) run: u64,
    /// Whether the thread that brings the window has entered the generation that holds the calls. Until
    /// then another thread may have entered it, for which the window has to be empty.
    is_entered: AtomicU64,
}

impl Carried {
    pub(crate) fn new(from: Generation, since: u64, run: u64) -> Self {
        Self {
            from,
            since,
            run,
            is_entered: AtomicU64::new(0),
        }
    }

    /// Notes that its generation is entered.
    pub(crate) fn enter(&self) {
        // Release: pairs with the Acquire in `is_entered`, for the exchange of the state word that came
        // before. Otherwise a call of the former generation could find that generation current, and
        // overwrite what was taken over.
        self.is_entered.store(1, Ordering::Release);
    }

    /// Whether its generation is entered.
    pub(crate) fn is_entered(&self) -> bool {
        // Acquire: pairs with the Release in `enter`. A thread that finds 1 here, and then loads the state,
        // finds the former generation over.
        self.is_entered.load(Ordering::Acquire) == 1
    }

    /// Whether calls of `generation` can still be counted. Those of the generation whose calls were taken
    /// over can't.
    pub(crate) fn counts(&self, generation: Generation) -> bool {
        generation != self.from || self.is_entered()
    }

    /// Whether the calls that were taken over count in `generation`.
    pub(crate) fn is_in(&self, generation: Generation) -> bool {
        generation == self.from.next()
    }

    /// Since when the calls of `generation` have come, if it has taken over some; as a date.
    pub(crate) fn counted_since(&self, generation: Generation) -> Option<u64> {
        (self.is_in(generation) && self.is_entered()).then_some(self.since)
    }

    /// Whether `generation` may be judged.
    pub(crate) fn may_judge(&self, generation: Generation) -> bool {
        !self.is_in(generation) || self.is_entered()
    }
}

/// A part with words of its own, under the present configuration.
#[derive(Debug)]
pub(crate) enum Override<T> {
    /// That which the breaker was built with, if it was built with one.
    Inherit,
    /// There is none.
    Removed,
    /// Another one.
    Replaced(Arc<T>),
}

impl<T> Override<T> {
    /// The part, where `built` is that which the breaker was built with.
    #[must_use]
    pub(crate) fn of<'a>(&'a self, built: Option<&'a T>) -> Option<&'a T> {
        match self {
            Self::Inherit => built,
            Self::Removed => None,
            Self::Replaced(part) => Some(part),
        }
    }

    /// What comes after this one when another is offered: this one still, if they are alike; or else the
    /// other, which inherits from this one.
    #[must_use]
    pub(crate) fn succeeded_by(
        &self,
        built: Option<&T>,
        offer: Option<&Arc<T>>,
        same_config: impl FnOnce(&T, &T) -> bool,
        inherit: impl FnOnce(&T, &T),
    ) -> Self {
        match (self.of(built), offer) {
            (None, None) => self.clone(),
            (Some(_), None) => Self::Removed,
            (None, Some(new)) => Self::Replaced(Arc::clone(new)),
            (Some(old), Some(new)) if same_config(old, new) => self.clone(),
            (Some(old), Some(new)) => {
                inherit(new, old);
                Self::Replaced(Arc::clone(new))
            }
        }
    }

    /// Whether the parts are one, and nothing begins anew.
    #[must_use]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inherit, Self::Inherit) | (Self::Removed, Self::Removed) => true,
            (Self::Replaced(own), Self::Replaced(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }
}

impl<T> Clone for Override<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Inherit => Self::Inherit,
            Self::Removed => Self::Removed,
            Self::Replaced(part) => Self::Replaced(Arc::clone(part)),
        }
    }
}

/// What another configuration has put in the place of what the breaker was built with. All of it is
/// replaced at once.
#[derive(Clone, Debug)]
pub(crate) struct Overrides {
    /// See [`Settings`].
    pub(crate) settings: Settings,
    /// Whether it was given them alone, and not as one of a registry's.
    pub(crate) are_its_own: bool,
    /// The window.
    pub(crate) ring: Override<Ring>,
    /// Since when there is that window, in nanoseconds, unless the breaker was built with it.
    pub(crate) ring_since: Option<u64>,
    /// What that window has taken over from the one before it, if it has.
    pub(crate) carried: Option<Arc<Carried>>,
    /// See [`Beside::timed`](crate::engine::beside::Beside::timed).
    pub(crate) timed: Override<Timed>,
    /// See [`Beside::evidence`](crate::engine::beside::Beside::evidence).
    pub(crate) evidence: Override<Evidence>,
    /// See [`Beside::recovery`](crate::engine::beside::Beside::recovery).
    pub(crate) recovery: Override<AdaptiveRecovery>,
    /// See [`Beside::open_times`](crate::engine::beside::Beside::open_times).
    pub(crate) open_times: Override<OpenTimes>,
    /// See [`Beside::max_retry_after`](crate::engine::beside::Beside::max_retry_after).
    pub(crate) max_retry_after: Override<MaxRetryAfter>,
}
