//! The state word: the one place where a state changes.

pub(crate) mod history;
mod interrupted;
mod machine;
mod round;
mod word;

pub use interrupted::Interrupted;
#[cfg(test)]
pub(crate) use interrupted::tests as interrupted_tests;
pub use machine::{Admission, AtomicState, ProbeReport, ProbeVerdict, Probes, StateChange};
#[cfg(test)]
pub(crate) use round::tests as round_tests;
pub use round::{PackedRound, RampMode, Round, Share};
pub use word::{Generation, Judgement, Moment, Phase, ProbeCounts, StateWord};

/// What a breaker does with the calls that ask for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Lets calls through and judges their outcomes.
    Closed,
    /// Rejects calls until the open time is over. The first call after that becomes the first
    /// probe.
    Open,
    /// Lets a few calls through, the probes, and rejects the others until the probes decide.
    ///
    /// With an [adaptive](crate::Recovery::adaptive) recovery, a growing share of the calls
    /// follows.
    HalfOpen,
    /// Rejects all calls until a command ends it.
    ForcedOpen,
    /// Lets all calls through and records nothing.
    Disabled,
    /// Lets all calls through and records them, but never trips.
    MetricsOnly,
}

impl State {
    /// The state's name: `closed`, `open`, `half-open`, `forced-open`, `disabled` or
    /// `metrics-only`.
    ///
    /// Configuration files, saved states, log lines and labels all spell it this way.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::ForcedOpen => "forced-open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics-only",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
