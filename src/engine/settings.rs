//! The settings of a breaker, as a builder has checked them.

use crate::name::Name;
use crate::outcome::Outcome;
use crate::policy::Policies;
use crate::recovery::OpenTimes;
use crate::state::{Phase, Probes, State};

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
