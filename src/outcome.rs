//! Outcomes of calls, and the classifiers that decide them.

use std::{num::NonZero, time::Duration};

pub use crate::name::label::Label;
use crate::{clock::saturating_nanos, error::ConfigError};

/// How a call ended, as the breaker counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The dependency did its work.
    Success,
    /// The dependency did not do its work.
    Failure,
    /// The call was given up after its time.
    ///
    /// It counts as a failure. Where there is a [limit](crate::TripPolicy::slow_rate) for slow
    /// calls, it also counts as slow, however short the time was.
    /// [`call_timeout`](crate::CircuitBreaker::call_timeout) records it. A classifier can return it
    /// for a client's own time limit.
    TimedOut,
    /// The dependency says that it is down, as some 503s do.
    ///
    /// It counts as a failure. A closed or half-open breaker also opens at once for its
    /// [`open_for`](crate::CircuitBreakerBuilder::open_for), whatever the policies say.
    Trip,
    /// The call says nothing about the dependency's health, such as a cancelled call or a wrong
    /// input.
    ///
    /// It is counted separately, and never trips or closes a breaker.
    ///
    /// A call that is recorded as ignored stays ignored, however long it took. A call that is
    /// [dropped](crate::CircuitBreakerBuilder::on_cancel) after the limit for slow calls counts as
    /// slow instead.
    Ignored,
}

impl Outcome {
    /// Whether the outcome counts against the dependency.
    #[inline]
    pub(crate) fn counts_against(self) -> bool {
        matches!(self, Self::Failure | Self::TimedOut | Self::Trip)
    }

    /// Refuses an outcome that a cancelled call can't have.
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

/// The outcome of a call, and what else its caller knows about it; see [`Permit::record`].
///
/// An [`Outcome`] alone is a report too.
///
/// [`Permit::record`]: crate::Permit::record
///
/// ```
/// use std::time::Duration;
/// use tripcurve::CircuitBreaker;
/// use tripcurve::outcome::Report;
///
/// let breaker = CircuitBreaker::new("payments");
/// let permit = breaker.try_acquire()?;
/// permit.record(
///     Report::failure()
///         .took(Duration::from_millis(80))
///         .retry_after(Duration::from_secs(30)),
/// );
/// assert_eq!(breaker.snapshot().failures(), 1);
/// # Ok::<(), tripcurve::Rejected>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a report does nothing until a permit records it"]
pub struct Report {
    pub(crate) outcome: Outcome,
    /// How long the call took, in nanoseconds.
    pub(crate) took: Option<NonZero<u64>>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) label: Option<Label>,
}

impl Report {
    /// Reports [`Outcome::Success`].
    #[inline]
    pub fn success() -> Self {
        Outcome::Success.into()
    }

    /// Reports [`Outcome::Failure`].
    #[inline]
    pub fn failure() -> Self {
        Outcome::Failure.into()
    }

    /// Reports [`Outcome::TimedOut`].
    #[inline]
    pub fn timed_out() -> Self {
        Outcome::TimedOut.into()
    }

    /// Reports [`Outcome::Ignored`].
    #[inline]
    pub fn ignored() -> Self {
        Outcome::Ignored.into()
    }

    /// Reports [`Outcome::Trip`].
    #[inline]
    pub fn trip() -> Self {
        Outcome::Trip.into()
    }

    /// Adds how long the call took, at least a nanosecond.
    ///
    /// Without it, the time counts from when the breaker gave the permit to when the caller records
    /// the report. A breaker that doesn't [time](crate::CircuitBreakerBuilder::latency) its calls
    /// ignores it.
    #[inline]
    pub fn took(mut self, duration: Duration) -> Self {
        self.took = NonZero::new(saturating_nanos(duration).max(1));
        self
    }

    /// Adds the `Retry-After` of the dependency: how long it asks its callers to stay away; see
    /// [`CircuitBreakerBuilder::retry_after`](crate::CircuitBreakerBuilder::retry_after).
    ///
    /// The breaker ignores it if
    ///
    /// - the outcome doesn't count against the dependency (`Success`, `Ignored`),
    /// - the breaker was disabled when it gave the permit, or
    /// - the breaker [honours none](crate::CircuitBreakerBuilder::max_retry_after).
    #[inline]
    pub fn retry_after(mut self, duration: Duration) -> Self {
        self.retry_after = Some(duration);
        self
    }

    /// Adds what kind of failure it was.
    ///
    /// If this failure opens the breaker, the label is part of
    /// [`Snapshot::latest_opening`](crate::Snapshot::latest_opening) and of the
    /// [`Transition`](crate::Transition). The breaker ignores it if the outcome doesn't count
    /// against the dependency (`Success`, `Ignored`). An empty label is none.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::outcome::{Label, Report};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// breaker.try_acquire()?.record(Report::trip().label(Label::new("http_503")));
    /// let opening = breaker.snapshot().latest_opening().unwrap();
    /// assert_eq!(opening.label(), Some(Label::new("http_503")));
    /// # Ok::<(), tripcurve::Rejected>(())
    /// ```
    #[inline]
    pub fn label(mut self, label: Label) -> Self {
        self.label = Some(label);
        self
    }
}

/// Reports the outcome alone.
impl From<Outcome> for Report {
    #[inline]
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            took: None,
            retry_after: None,
            label: None,
        }
    }
}

/// Decides how a finished call counts.
///
/// Every `Fn(&Result<T, E>) -> Outcome` is a classifier. Implement the trait for your own type
/// where the breaker's type must be named, such as in a struct's field. A plain function pointer
/// also works: `CircuitBreaker<fn(&Result<Response, Error>) -> Outcome>`.
///
/// ```
/// use tripcurve::outcome::Classify;
/// use tripcurve::{CircuitBreaker, Outcome};
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
    /// Returns how `result` counts.
    ///
    /// The breaker calls it once for each finished call, on the caller's thread. A panic here
    /// reaches the caller, and the call counts as [`Outcome::Ignored`].
    fn classify(&self, result: &Result<T, E>) -> Outcome;

    /// Returns how long the dependency wants no calls from now on, if `result` says so; see
    /// [`CircuitBreakerBuilder::retry_after`](crate::CircuitBreakerBuilder::retry_after).
    ///
    /// The default is `None`. The breaker calls it after `classify`, and only if `result` counted
    /// against the dependency: as [`Outcome::Failure`], [`Outcome::TimedOut`] or [`Outcome::Trip`].
    #[inline]
    fn retry_after(&self, _: &Result<T, E>) -> Option<Duration> {
        None
    }

    /// Returns what kind of failure `result` is, for people who ask why the breaker is open; see
    /// [`Snapshot::latest_opening`](crate::Snapshot::latest_opening).
    ///
    /// The default is `None`. The breaker calls it after `classify`, and only if `result` counted
    /// against the dependency. Of all labels, it keeps that of the failure that opened it. So a
    /// label should name a kind, such as `timeout`, and no single request.
    ///
    /// A call costs nothing for it while this returns `None`. A failure with a label costs a few
    /// instructions more.
    ///
    /// ```
    /// use tripcurve::outcome::{Classify, Label};
    /// use tripcurve::{CircuitBreaker, Outcome};
    ///
    /// #[derive(Clone, Copy)]
    /// struct ByStatus;
    ///
    /// impl<E> Classify<u16, E> for ByStatus {
    ///     fn classify(&self, result: &Result<u16, E>) -> Outcome {
    ///         match result {
    ///             Ok(503) => Outcome::Trip,
    ///             Ok(500..) | Err(_) => Outcome::Failure,
    ///             Ok(_) => Outcome::Success,
    ///         }
    ///     }
    ///
    ///     fn label(&self, result: &Result<u16, E>) -> Option<Label> {
    ///         match result {
    ///             Ok(status) => Some(Label::new(&format!("http_{status}"))),
    ///             Err(_) => Some(Label::new("no_answer")),
    ///         }
    ///     }
    /// }
    ///
    /// let breaker = CircuitBreaker::new("payments").with_classifier(ByStatus);
    /// let _ = breaker.call(|| Ok::<_, std::io::Error>(503));
    /// let opening = breaker.snapshot().latest_opening();
    /// let label = opening.and_then(|opening| opening.label());
    /// assert_eq!(label.unwrap().as_str(), "http_503");
    /// ```
    #[inline]
    fn label(&self, _: &Result<T, E>) -> Option<Label> {
        None
    }
}

/// A classifier that also extracts `Retry-After`; made by
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

    #[inline]
    fn label(&self, result: &Result<T, E>) -> Option<Label> {
        self.outcome.label(result)
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
