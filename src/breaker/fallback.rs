//! What to do without the dependency.

use crate::error::{CallError, Rejected};

/// Other answers for a call that has none.
///
/// Each alternative either has an answer, and then the ones after it are not asked, or `None`, and
/// then the error stays and the next one is asked. The end of a chain is one of `Result`'s own:
/// `unwrap_or_default`, `unwrap_or_else`, or `?`.
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

    /// Asks `alternative` if the breaker did not let the call through; an error of the call itself
    /// stays what it is.
    ///
    /// # Errors
    /// The call's error, if it is another one or the alternative has no answer either.
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
