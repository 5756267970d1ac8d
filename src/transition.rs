//! A change of state, as listeners are told of it.

use std::fmt;
use std::time::Duration;

use crate::name::Name;
use crate::state::State;
use crate::window::rate;

/// Why a breaker changed its state, with the numbers that were seen.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// So many calls in a row had failed.
    ConsecutiveFailures {
        /// Length of the run.
        failures: u64,
        /// What the policy allows less than.
        limit: u32,
    },
    /// So many calls of the window had failed.
    FailureCount {
        /// Failed calls in the window.
        failures: u64,
        /// Calls in the window.
        calls: u64,
        /// What the policy allows less than.
        limit: u32,
    },
    /// Too large a share of the window's calls had failed.
    ErrorRate {
        /// Failed calls in the window.
        failures: u64,
        /// Calls in the window.
        calls: u64,
        /// What the policy allows less than.
        threshold: f64,
    },
    /// A call came back with [`Outcome::Trip`](crate::Outcome::Trip).
    DependencySaidSo,
    /// The breaker had been open for its time, and a call asked.
    OpenTimeOver,
    /// All probes had succeeded.
    ProbesSucceeded {
        /// How many.
        probes: u32,
    },
    /// A probe had failed.
    ProbeFailed,
    /// Probes had not reported within their time; their places were taken back.
    ProbesOverdue {
        /// How many.
        probes: u32,
    },
    /// By command: `reset()`, `trip()`, `force_open()`, `disable()` or `metrics_only()`.
    ByHand,
}

impl Cause {
    /// The cause as words that fit into the listeners' log.
    pub(crate) fn encode(self) -> [u64; 4] {
        match self {
            Self::ConsecutiveFailures { failures, limit } => [0, failures, limit.into(), 0],
            Self::FailureCount {
                failures,
                calls,
                limit,
            } => [1, failures, calls, limit.into()],
            Self::ErrorRate {
                failures,
                calls,
                threshold,
            } => [2, failures, calls, threshold.to_bits()],
            Self::DependencySaidSo => [3, 0, 0, 0],
            Self::OpenTimeOver => [4, 0, 0, 0],
            Self::ProbesSucceeded { probes } => [5, probes.into(), 0, 0],
            Self::ProbeFailed => [6, 0, 0, 0],
            Self::ProbesOverdue { probes } => [7, probes.into(), 0, 0],
            Self::ByHand => [8, 0, 0, 0],
        }
    }

    /// What [`encode`](Self::encode) made words of.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "each was a u32 when it was encoded"
    )]
    pub(crate) fn decode([code, a, b, c]: [u64; 4]) -> Self {
        match code {
            0 => Self::ConsecutiveFailures {
                failures: a,
                limit: b as u32,
            },
            1 => Self::FailureCount {
                failures: a,
                calls: b,
                limit: c as u32,
            },
            2 => Self::ErrorRate {
                failures: a,
                calls: b,
                threshold: f64::from_bits(c),
            },
            3 => Self::DependencySaidSo,
            4 => Self::OpenTimeOver,
            5 => Self::ProbesSucceeded { probes: a as u32 },
            6 => Self::ProbeFailed,
            7 => Self::ProbesOverdue { probes: a as u32 },
            _ => Self::ByHand,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsecutiveFailures { failures, limit } => {
                write!(f, "{failures} calls in a row failed (limit {limit})")
            }
            Self::FailureCount {
                failures,
                calls,
                limit,
            } => write!(
                f,
                "{failures} of {calls} calls in the window failed (limit {limit})"
            ),
            Self::ErrorRate {
                failures,
                calls,
                threshold,
            } => write!(
                f,
                "{failures} of {calls} calls in the window failed, {:.1} % (limit {:.1} %)",
                100.0 * rate(*failures, *calls),
                100.0 * threshold
            ),
            Self::DependencySaidSo => f.write_str("the dependency said so"),
            Self::OpenTimeOver => f.write_str("its open time is over"),
            Self::ProbesSucceeded { probes } => write!(f, "{probes} of {probes} probes succeeded"),
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::ProbesOverdue { probes } => {
                write!(f, "{probes} probes did not report in time")
            }
            Self::ByHand => f.write_str("by hand"),
        }
    }
}

/// A change of state.
///
/// ```
/// use tripcurve::{CircuitBreaker, TripPolicy};
/// use std::sync::mpsc;
///
/// let (sender, told) = mpsc::channel();
/// let breaker = CircuitBreaker::builder("payments")
///     .trip_when(TripPolicy::consecutive_failures(2))
///     .on_transition(move |transition| drop(sender.send(transition.to_string())))
///     .build()?;
/// for _ in 0..2 {
///     let _ = breaker.call(|| Err::<(), _>("timeout"));
/// }
/// assert_eq!(
///     told.recv()?,
///     "payments: closed -> open, generation 1: 2 calls in a row failed (limit 2)"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Transition {
    pub(crate) name: Name,
    pub(crate) from: State,
    pub(crate) to: State,
    pub(crate) generation: u64,
    pub(crate) at: Duration,
    pub(crate) cause: Cause,
    pub(crate) missed: u64,
}

impl Transition {
    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The state that was left. A reset of a closed breaker leaves and enters the same state.
    #[must_use]
    pub fn from(&self) -> State {
        self.from
    }

    /// The state that was entered.
    #[must_use]
    pub fn to(&self) -> State {
        self.to
    }

    /// The generation that was entered: one more for each transition.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When, on the breaker's clock; see [`Clock::now`](crate::Clock::now).
    #[must_use]
    pub fn at(&self) -> Duration {
        self.at
    }

    /// Why.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// How many transitions just before this one the listeners were not told of, because one of
    /// them, or a thread that had made a transition, was held up for 32 transitions. Otherwise 0.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            from,
            to,
            generation,
            cause,
            missed,
            ..
        } = self;
        write!(
            f,
            "{name}: {from} -> {to}, generation {generation}: {cause}"
        )?;
        if *missed > 0 {
            write!(f, " ({missed} transitions before this one were not told)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_comes_back_from_the_log() {
        let causes = [
            Cause::ConsecutiveFailures {
                failures: 5,
                limit: 4,
            },
            Cause::FailureCount {
                failures: u64::MAX,
                calls: 7,
                limit: u32::MAX,
            },
            Cause::ErrorRate {
                failures: 1,
                calls: 3,
                threshold: 0.1,
            },
            Cause::DependencySaidSo,
            Cause::OpenTimeOver,
            Cause::ProbesSucceeded { probes: 3 },
            Cause::ProbeFailed,
            Cause::ProbesOverdue { probes: 2 },
            Cause::ByHand,
        ];
        for cause in causes {
            assert_eq!(Cause::decode(cause.encode()), cause);
        }
    }
}
