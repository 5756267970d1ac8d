//! Fallbacks for calls without a result.

use crate::error::{CallError, Rejected};

/// Gives a call without a result another answer.
///
/// Alternatives chain. One that returns an answer ends the chain. One that returns `None` keeps the
/// error, and the next one is asked. End a chain with a method of `Result`: `unwrap_or_default`,
/// `unwrap_or_else`, or `?`.
///
/// ```
/// use tripcurve::{CircuitBreaker, Fallback};
///
/// let breaker = CircuitBreaker::new("recommendations");
/// let cached: Option<Vec<&str>> = None;
/// let popular: Option<Vec<&str>> = Some(vec!["umbrella"]);
///
/// let books = breaker
///     .call(|| Err("connection refused"))
///     .or_fallback(|_| cached)
///     .or_fallback(|_| popular)
///     .unwrap_or_default();
/// assert_eq!(books, ["umbrella"]);
/// ```
pub trait Fallback<T, E> {
    /// Asks `alternative` if there is no result, whatever the reason.
    ///
    /// # Errors
    /// The call's error, if the alternative has no answer either.
    fn or_fallback(
        self,
        alternative: impl FnOnce(&CallError<E>) -> Option<T>,
    ) -> Result<T, CallError<E>>;

    /// Asks `alternative` if the breaker rejected the call. Any other error stays.
    ///
    /// # Errors
    /// The call's error, if it isn't a rejection or the alternative has no answer either.
    fn or_if_rejected(
        self,
        alternative: impl FnOnce(&Rejected) -> Option<T>,
    ) -> Result<T, CallError<E>>;
}

impl<T, E> Fallback<T, E> for Result<T, CallError<E>> {
    fn or_fallback(
        self,
        alternative: impl FnOnce(&CallError<E>) -> Option<T>,
    ) -> Result<T, CallError<E>> {
        self.or_else(|error| alternative(&error).ok_or(error))
    }

    fn or_if_rejected(
        self,
        alternative: impl FnOnce(&Rejected) -> Option<T>,
    ) -> Result<T, CallError<E>> {
        self.or_else(|error| error.rejected().and_then(alternative).ok_or(error))
    }
}
