//! What a rejection becomes: a typed error, a boxed error, or a response.

use std::{error::Error, fmt};

use crate::error::{CallError, Rejected};

/// The error type of many services of tower, such as `Buffer` and `Timeout`.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Decides what a rejected call returns, and so the error type of the service.
///
/// | choice | a rejection becomes | the service's error |
/// |---|---|---|
/// | [`Typed`], the default | [`CallError::Rejected`] | [`CallError<E>`](CallError) |
/// | [`Boxed`] | a boxed [`Rejected`] | [`BoxError`] |
/// | [`respond`] | a response | `E`, that of the inner service |
///
/// Implement the trait for an error type of your own:
///
/// ```
/// use std::io;
/// use tower::{Layer, ServiceExt};
/// use tripcurve::tower::{CircuitBreakerLayer, RejectWith};
/// use tripcurve::{CircuitBreaker, Rejected};
///
/// #[derive(Debug, PartialEq)]
/// enum ShopError {
///     TryLater,
///     Broken,
/// }
///
/// #[derive(Clone)]
/// struct AsShopError;
///
/// impl<Response> RejectWith<Response, io::Error> for AsShopError {
///     type Error = ShopError;
///
///     fn reject(&self, _: Rejected) -> Result<Response, ShopError> {
///         Err(ShopError::TryLater)
///     }
///
///     fn inner_error(&self, _: io::Error) -> ShopError {
///         ShopError::Broken
///     }
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let breaker = CircuitBreaker::new("shop");
/// let fetch = tower::service_fn(|book: u32| async move { Ok::<_, io::Error>(book) });
/// let shop = CircuitBreakerLayer::new(&breaker).reject_with(AsShopError).layer(fetch);
/// assert_eq!(shop.clone().oneshot(7).await, Ok(7));
/// breaker.force_open();
/// assert_eq!(shop.oneshot(7).await, Err(ShopError::TryLater));
/// # });
/// ```
pub trait RejectWith<Response, E> {
    /// The error type of the service.
    type Error;

    /// Returns the answer to a call that the breaker has rejected.
    ///
    /// # Errors
    /// Whatever the implementation chooses. It may answer with a response instead.
    fn reject(&self, rejected: Rejected) -> Result<Response, Self::Error>;

    /// Turns an error of the inner service into the service's error.
    fn inner_error(&self, error: E) -> Self::Error;
}

/// A rejection is [`CallError::Rejected`], and an error of the inner service is
/// [`CallError::Inner`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Typed;

impl<Response, E> RejectWith<Response, E> for Typed {
    type Error = CallError<E>;

    #[inline]
    fn reject(&self, rejected: Rejected) -> Result<Response, CallError<E>> {
        Err(CallError::Rejected(rejected))
    }

    #[inline]
    fn inner_error(&self, error: E) -> CallError<E> {
        CallError::Inner(error)
    }
}

/// A rejection is a [`Rejected`] in a [`BoxError`].
///
/// Use it for a service under `buffer`, `balance` or `timeout`, whose errors are boxed. An error of
/// the inner service that is boxed already stays in its box. Another is boxed as it is.
///
/// # Cost
/// One allocation for a rejection, and one for an error that isn't boxed yet. A call that passes
/// allocates nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boxed;

impl<Response, E: Into<BoxError>> RejectWith<Response, E> for Boxed {
    type Error = BoxError;

    fn reject(&self, rejected: Rejected) -> Result<Response, BoxError> {
        Err(rejected.into())
    }

    #[inline]
    fn inner_error(&self, error: E) -> BoxError {
        error.into()
    }
}

/// A rejection is a response; made by [`respond`].
#[derive(Clone, Copy)]
pub struct Respond<F>(F);

/// Answers a rejected call with a response, such as a 503. The service's error stays the inner one.
///
/// In axum the inner error is `Infallible`. It stays so, and the router needs no error handler:
///
/// ```
/// use axum::http::StatusCode;
/// use axum::response::IntoResponse;
/// use axum::{Router, routing::get};
/// use tripcurve::CircuitBreaker;
/// use tripcurve::tower::{CircuitBreakerLayer, respond};
///
/// let breaker = CircuitBreaker::new("shop");
/// let answer = respond(|rejected| {
///     (StatusCode::SERVICE_UNAVAILABLE, format!("{rejected}")).into_response()
/// });
/// let router: Router = Router::new()
///     .route("/books", get(|| async { "Emma" }))
///     .route("/authors", get(|| async { "Austen" }))
///     .layer(CircuitBreakerLayer::new(&breaker).reject_with(answer));
/// ```
pub fn respond<F, Response>(response: F) -> Respond<F>
where
    F: Fn(Rejected) -> Response,
{
    Respond(response)
}

impl<Response, E, F: Fn(Rejected) -> Response> RejectWith<Response, E> for Respond<F> {
    type Error = E;

    #[inline]
    fn reject(&self, rejected: Rejected) -> Result<Response, E> {
        Ok((self.0)(rejected))
    }

    #[inline]
    fn inner_error(&self, error: E) -> E {
        error
    }
}

impl<F> fmt::Debug for Respond<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Respond").finish_non_exhaustive()
    }
}
