//! How responses of HTTP count, by their status.

use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};

use super::by_cause::{ByCause, ClassifyError, InBox, Unboxed};
use super::retry_after::retry_after;
use crate::outcome::{Classify, Label, Outcome, Report};

/// Counts responses of HTTP by their status, and errors by `X`; the default of
/// [`CircuitBreakerLayer::http`](crate::tower::CircuitBreakerLayer::http).
///
/// | response or error | counts as | because |
/// |---|---|---|
/// | 5xx, except 501 and 505 | [`Failure`](Outcome::Failure) | the server says that it failed |
/// | 503 with `Retry-After` | a failure, or [`Trip`](Outcome::Trip) with [`heed_503`](Self::heed_503) | one replica of twenty may say so |
/// | 501, 505, 1xx to 4xx | [`Success`](Outcome::Success) | the server answered |
/// | 408 | a success, or a failure with [`count_408`](Self::count_408) | a slow client may be the cause |
/// | 429 | a success, or a failure with [`count_429`](Self::count_429) | only you know whether the quota is one user's or yours |
/// | an error | as [`ByCause`] says: a failure, [`TimedOut`](Outcome::TimedOut) or [`Ignored`](Outcome::Ignored) | |
///
/// The header `Retry-After` of a response that counts as a failure is the call's
/// [retry-after](crate::CircuitBreakerBuilder::retry_after). It is a number of seconds or a date.
/// A date in the past is zero. [`max_retry_after`](crate::CircuitBreakerBuilder::max_retry_after)
/// bounds it.
///
/// A failure has a [label](Classify::label): `http_` and the status, `timeout` or `no_response`.
///
/// It also is a classifier for [`call_async`](crate::CircuitBreaker::call_async) and for
/// [`CircuitBreakerLayer::new`](crate::tower::CircuitBreakerLayer::new). Then the call ends with
/// its headers.
///
/// ```
/// use http::{Response, StatusCode};
/// use tripcurve::tower::ByStatus;
/// use tripcurve::{CircuitBreaker, State};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let breaker = CircuitBreaker::new("prices").with_classifier(ByStatus::new().heed_503());
/// let mut response = Response::new(());
/// *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
/// response.headers_mut().insert("retry-after", "30".parse().unwrap());
/// let _ = breaker.call_async(async || Ok::<_, std::io::Error>(response)).await;
/// assert_eq!(breaker.state(), State::Open);
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ByStatus<X = ByCause> {
    errors: X,
    heeds_503: bool,
    counts_408: bool,
    counts_429: bool,
}

impl ByStatus {
    /// Makes the table with its defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            errors: ByCause,
            heeds_503: false,
            counts_408: false,
            counts_429: false,
        }
    }
}

impl<X> ByStatus<X> {
    /// Opens the breaker at once for a 503 with `Retry-After`.
    ///
    /// Use it where a 503 speaks for the whole dependency. If twenty replicas stand behind one
    /// breaker, one of them would stop the calls to all.
    #[must_use]
    pub fn heed_503(mut self) -> Self {
        self.heeds_503 = true;
        self
    }

    /// Counts a 408 as a failure.
    #[must_use]
    pub fn count_408(mut self) -> Self {
        self.counts_408 = true;
        self
    }

    /// Counts a 429 as a failure, with its `Retry-After`.
    ///
    /// Use it where the quota is yours, and not that of one of your users.
    #[must_use]
    pub fn count_429(mut self) -> Self {
        self.counts_429 = true;
        self
    }

    /// Counts errors as `errors` says, in place of [`ByCause`].
    ///
    /// A closure names the type of its argument, such as `|error: &reqwest::Error| …`.
    #[must_use]
    pub fn errors_with<Y>(self, errors: Y) -> ByStatus<Y> {
        ByStatus {
            errors,
            heeds_503: self.heeds_503,
            counts_408: self.counts_408,
            counts_429: self.counts_429,
        }
    }

    #[inline]
    fn outcome<B, E, M>(&self, result: &Result<Response<B>, E>) -> Outcome
    where
        X: ClassifyError<E, M>,
    {
        match result {
            Ok(response) => self.of_head(response.status(), response.headers()),
            Err(error) => self.errors.classify_error(error),
        }
    }

    fn of_head(&self, status: StatusCode, head: &HeaderMap) -> Outcome {
        match status {
            StatusCode::SERVICE_UNAVAILABLE if self.heeds_503 && retry_after(head).is_some() => {
                Outcome::Trip
            }
            StatusCode::REQUEST_TIMEOUT if self.counts_408 => Outcome::Failure,
            StatusCode::TOO_MANY_REQUESTS if self.counts_429 => Outcome::Failure,
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => {
                Outcome::Success
            }
            status if status.is_server_error() => Outcome::Failure,
            _ => Outcome::Success,
        }
    }
}

/// Decides how a response of HTTP or an error counts, wherever the error is.
///
/// It is like [`Classify`], which is implemented for errors that are [`Unboxed`] alone. A
/// classifier for both would be implemented twice for one error, as far as the compiler knows.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't tell how the errors of this service count",
    label = "the service's errors are `{E}`",
    note = "for errors that are neither an `Error` nor a `BoxError`, say how they count: \
            `.classify(ByStatus::new().errors_with(|error: &{E}| …))`"
)]
pub trait ClassifyResponse<B, E, M> {
    /// Like [`Classify::classify`].
    fn outcome_of(&self, result: &Result<Response<B>, E>) -> Outcome;

    /// Adds what [`Classify::retry_after`] and [`Classify::label`] say of a failure.
    fn explain(&self, report: &mut Report, result: &Result<Response<B>, E>);
}

impl<B, E, C: Classify<Response<B>, E>> ClassifyResponse<B, E, Unboxed> for C {
    #[inline]
    fn outcome_of(&self, result: &Result<Response<B>, E>) -> Outcome {
        self.classify(result)
    }

    fn explain(&self, report: &mut Report, result: &Result<Response<B>, E>) {
        report.retry_after = self.retry_after(result);
        report.label = self.label(result);
    }
}

impl<B, E, X: ClassifyError<E, InBox>> ClassifyResponse<B, E, InBox> for ByStatus<X> {
    #[inline]
    fn outcome_of(&self, result: &Result<Response<B>, E>) -> Outcome {
        self.outcome(result)
    }

    fn explain(&self, report: &mut Report, result: &Result<Response<B>, E>) {
        report.retry_after = retry_after_of(result);
        report.label = Some(label_of(result, report.outcome));
    }
}

impl<B, E, X: ClassifyError<E>> Classify<Response<B>, E> for ByStatus<X> {
    #[inline]
    fn classify(&self, result: &Result<Response<B>, E>) -> Outcome {
        self.outcome(result)
    }

    fn retry_after(&self, result: &Result<Response<B>, E>) -> Option<Duration> {
        retry_after_of(result)
    }

    fn label(&self, result: &Result<Response<B>, E>) -> Option<Label> {
        Some(label_of(result, self.outcome(result)))
    }
}

fn retry_after_of<B, E>(result: &Result<Response<B>, E>) -> Option<Duration> {
    retry_after(result.as_ref().ok()?.headers())
}

fn label_of<B, E>(result: &Result<Response<B>, E>, outcome: Outcome) -> Label {
    match result {
        Ok(response) => status_label(response.status()),
        Err(_) => error_label(outcome),
    }
}

/// The label of a call that ended with an error.
pub(in crate::tower) fn error_label(outcome: Outcome) -> Label {
    match outcome {
        Outcome::TimedOut => const { Label::new("timeout") },
        _ => const { Label::new("no_response") },
    }
}

/// The label of a response with a status, such as `http_503`.
pub(in crate::tower) fn status_label(status: StatusCode) -> Label {
    let mut text = *b"http_000";
    text[5..].copy_from_slice(status.as_str().as_bytes());
    Label::new(std::str::from_utf8(&text).unwrap_or_default())
}
