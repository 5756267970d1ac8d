//! Reasons to refuse a retry.

use std::{error::Error, fmt, time::Duration};

use crate::{error::Rejected, name::Name};

/// Why a budget refuses a retry.
///
/// ```
/// use std::time::Duration;
/// use tripcurve::retry::{RetryBudget, RetryRefused};
/// use tripcurve::time::Clock;
/// use tripcurve::{CircuitBreaker, State};
///
/// let payments = CircuitBreaker::builder("payments").clock(Clock::mock().0).build()?;
/// let budget = RetryBudget::builder(&payments).burst(1).build()?;
/// assert_eq!(budget.try_withdraw(), Ok(()));
/// assert_eq!(
///     budget.try_withdraw().unwrap_err().to_string(),
///     "no retry: the retry budget of payments is exhausted, the next is due in 1.0s"
/// );
///
/// payments.trip(Duration::from_millis(2_000));
/// match budget.try_withdraw().unwrap_err() {
///     RetryRefused::NotClosed(rejected) => assert_eq!(rejected.state(), State::Open),
///     other => panic!("{other}"),
/// }
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryRefused {
    /// The breaker is open, half-open or forced open.
    NotClosed(Rejected),
    /// More calls have failed than the budget has retries for.
    Exhausted(RetryBudgetExhausted),
}

/// The error of a retry for which a [`RetryBudget`](crate::RetryBudget) has nothing left.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryBudgetExhausted {
    pub(super) name: Name,
    pub(super) due_in: Option<u64>,
}

impl RetryBudgetExhausted {
    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// How long until the [floor](crate::RetryBudgetBuilder::floor) has added the next retry.
    /// `None` without a floor.
    ///
    /// Successes may add it earlier, and another caller may take it.
    #[must_use]
    pub fn due_in(&self) -> Option<Duration> {
        self.due_in.map(Duration::from_nanos)
    }
}

impl fmt::Display for RetryBudgetExhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the retry budget of {} is exhausted", self.name)?;
        match self.due_in() {
            Some(wait) => write!(f, ", the next is due in {wait:.1?}"),
            None => f.write_str(" until more calls have succeeded"),
        }
    }
}

impl Error for RetryBudgetExhausted {}

impl fmt::Display for RetryRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotClosed(rejected) => write!(f, "no retry: {rejected}"),
            Self::Exhausted(exhausted) => write!(f, "no retry: {exhausted}"),
        }
    }
}

/// The message contains the cause's own, so there is no further source.
impl Error for RetryRefused {}
