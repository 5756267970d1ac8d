//! The settings of a breaker, as a builder has checked them.

use crate::state::{Phase, Probes, State};
use crate::{name::Name, outcome::Outcome, policy::Policies, recovery::OpenTimes};

/// The settings that a builder has checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The breaker's name.
    pub name: Name,
    /// The policies, any of which trips the breaker.
    pub policies: Policies,
    /// How long the breaker stays open after a trip, in nanoseconds.
    ///
    /// It counts only for open times that don't grow. [Zero](Self::DEFAULT_OPEN_TIMES) stands for
    /// the default open times, which grow.
    pub open_for: u64,
    /// The number of places for probes, and how many probes must succeed.
    pub probes: Probes,
    /// After how many nanoseconds a probe that hasn't reported loses its place; `u64::MAX`: never.
    pub probe_timeout: u64,
    /// The outcome of a cancelled call.
    pub on_cancel: Outcome,
    /// The mode, and the state to start in.
    pub switch: Switch,
}

/// The settings that decide the state of the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The state that a breaker which doesn't act stays in: disabled or metrics only. `None` if the
    /// breaker acts.
    pub mode: Option<State>,
    /// The state in which the breaker starts, if it acts.
    pub start_in: State,
}

impl Default for Switch {
    fn default() -> Self {
        Self {
            mode: None,
            start_in: State::Closed,
        }
    }
}

impl Switch {
    /// The phase that the settings hold the breaker in until they change, if any.
    #[must_use]
    pub fn held(self) -> Option<Phase> {
        match self.start() {
            State::ForcedOpen => Some(Phase::ForcedOpen),
            State::Disabled => Some(Phase::Disabled),
            State::MetricsOnly => Some(Phase::MetricsOnly),
            State::Closed | State::Open | State::HalfOpen => None,
        }
    }

    #[cfg(any(feature = "registry", feature = "serde"))]
    /// The phase that the mode holds the breaker in, if any.
    pub(super) fn held_by_mode(mut self) -> Option<Phase> {
        self.start_in = State::Closed;
        self.held()
    }

    /// The state in which a breaker starts.
    #[must_use]
    pub fn start(self) -> State {
        self.mode.unwrap_or(self.start_in)
    }
}

impl Settings {
    /// The value of [`open_for`](Self::open_for) that stands for the [default](OpenTimes::DEFAULT)
    /// open times.
    pub const DEFAULT_OPEN_TIMES: u64 = 0;

    /// The open times that grow, if any: `own`, or the default ones.
    pub(crate) fn open_times<'a>(&self, own: Option<&'a OpenTimes>) -> Option<&'a OpenTimes> {
        let has_default = self.open_for == Self::DEFAULT_OPEN_TIMES;
        own.or(has_default.then_some(OpenTimes::DEFAULT))
    }
}
