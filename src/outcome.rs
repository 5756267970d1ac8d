//! How a call ended, and who says so.

use std::time::Duration;

use crate::error::ConfigError;

/// How a call ended, as far as the breaker is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The dependency did its work.
    Success,
    /// The dependency did not do its work.
    Failure,
    /// The call was given up after its time: counts as a failure and, where there is a
    /// [limit](crate::TripPolicy::slow_rate) for slow calls, as slow too, however short the time was.
    /// [`call_timeout_with_timer`](crate::CircuitBreaker::call_timeout_with_timer) records it; a classifier can, for a
    /// client's own time limit.
    TimedOut,
    /// The dependency says itself that it is down (as some 503s do): counts as a failure and, while
    /// closed or half-open, opens the breaker at once for its
    /// [`open_for`](crate::CircuitBreakerBuilder::open_for), whatever the policies say.
    Trip,
    /// The call says nothing about the dependency's health: a cancelled call, an input that the
    /// caller got wrong. It is counted apart and never trips or closes anything.
    ///
    /// A call that is recorded as ignored stays so, however long it took. One that is
    /// [dropped](crate::CircuitBreakerBuilder::on_cancel) after the limit for slow calls counts as slow instead.
    Ignored,
}

impl Outcome {
    /// Whether the outcome speaks against the dependency.
    #[inline]
    pub(crate) fn counts_against(self) -> bool {
        match self {
            Self::Failure | Self::TimedOut | Self::Trip => true,
            Self::Success | Self::Ignored => false,
        }
    }

    /// Refuses what a cancelled call can't count as.
    pub(crate) fn check_for_cancelled(self) -> Result<(), ConfigError> {
        match self {
            Self::Ignored | Self::Failure => Ok(()),
            Self::Success | Self::TimedOut | Self::Trip => Err(ConfigError::new(
                "on_cancel",
                format!("Outcome::{self:?}"),
                "Outcome::Ignored or Outcome::Failure",
                "a cancelled call says at most that it failed",
            )),
        }
    }
}

/// Says how a finished call counts.
///
/// Every `Fn(&Result<T, E>) -> Outcome` is one. Implement it for a type of your own where the
/// breaker's type must be named, as in a struct's field; a plain function pointer will do as well:
/// `CircuitBreaker<fn(&Result<Response, Error>) -> Outcome>`.
///
/// ```
/// use tripcurve::{CircuitBreaker, Classify, Outcome};
///
/// #[derive(Clone, Copy)]
/// struct ByStatus;
///
/// impl<E> Classify<u16, E> for ByStatus {
///     fn classify(&self, result: &Result<u16, E>) -> Outcome {
///         match result {
///             Ok(500..) | Err(_) => Outcome::Failure,
///             Ok(_) => Outcome::Success,
///         }
///     }
/// }
///
/// struct Shop {
///     payments: CircuitBreaker<ByStatus>,
/// }
///
/// let shop = Shop {
///     payments: CircuitBreaker::new("payments").with_classifier(ByStatus),
/// };
/// let _ = shop.payments.call(|| Ok::<u16, std::io::Error>(503));
/// assert_eq!(shop.payments.snapshot().failures(), 1);
/// ```
pub trait Classify<T, E> {
    /// How `result` counts. Called once for each finished call, on the caller's thread; a panic
    /// here reaches the caller and the call counts as [`Outcome::Ignored`].
    fn classify(&self, result: &Result<T, E>) -> Outcome;

    /// How long the dependency wants to be left alone from now on, if `result` says so; see
    /// [`CircuitBreakerBuilder::retry_after`](crate::CircuitBreakerBuilder::retry_after). By default `None`.
    ///
    /// The breaker calls it after `classify`, and only if that counted `result` against the
    /// dependency: as [`Outcome::Failure`], [`Outcome::TimedOut`] or [`Outcome::Trip`].
    #[inline]
    fn retry_after(&self, _: &Result<T, E>) -> Option<Duration> {
        None
    }
}

/// A classifier that also says when the dependency wants to be asked again; made by
/// [`CircuitBreakerBuilder::retry_after`](crate::CircuitBreakerBuilder::retry_after).
#[derive(Clone, Copy, Debug)]
pub struct WithRetryAfter<C, F> {
    pub(crate) outcome: C,
    pub(crate) retry_after: F,
}

impl<T, E, C, F> Classify<T, E> for WithRetryAfter<C, F>
where
    C: Classify<T, E>,
    F: Fn(&Result<T, E>) -> Option<Duration>,
{
    #[inline]
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        self.outcome.classify(result)
    }

    #[inline]
    fn retry_after(&self, result: &Result<T, E>) -> Option<Duration> {
        (self.retry_after)(result)
    }
}

impl<T, E, F> Classify<T, E> for F
where
    F: Fn(&Result<T, E>) -> Outcome,
{
    #[inline]
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        self(result)
    }
}

/// The default classifier: `Ok` is a success and `Err` a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultClassifier;

impl<T, E> Classify<T, E> for DefaultClassifier {
    #[inline]
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        }
    }
}
