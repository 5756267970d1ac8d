//! How errors of a client count, by what has caused them.

use std::error::Error;
use std::fmt::{self, Write};
use std::{io, iter};

use http::header::{InvalidHeaderName, InvalidHeaderValue};
use http::method::InvalidMethod;
use http::uri::{InvalidUri, InvalidUriParts};

use crate::outcome::Outcome;
use crate::tower::rejection::BoxError;

/// Decides how an error of a service counts.
///
/// Every `Fn(&E) -> Outcome` does. [`ByCause`] is the default.
///
/// `M` says where the error is: [`Unboxed`] or [`InBox`]. The compiler infers it from the service.
pub trait ClassifyError<E, M = Unboxed> {
    /// Returns how a call with this error counts.
    fn classify_error(&self, error: &E) -> Outcome;
}

/// The errors of a service are of a type that is an [`Error`], or one that a function of the user
/// classifies.
#[derive(Clone, Copy, Debug)]
pub struct Unboxed;

/// The errors of a service are [`BoxError`]s, which are no [`Error`]s. [`ByCause`] looks into the
/// box.
#[derive(Clone, Copy, Debug)]
pub struct InBox;

impl<E, F: Fn(&E) -> Outcome> ClassifyError<E> for F {
    #[inline]
    fn classify_error(&self, error: &E) -> Outcome {
        self(error)
    }
}

/// Counts an error by its chain of [`source`](Error::source)s, and so by what has caused it. This
/// is the default of [`ByStatus`](super::ByStatus) and `ByGrpcStatus`.
///
/// | an error of the chain | the call counts as |
/// |---|---|
/// | an [`io::Error`] of the kind [`TimedOut`](io::ErrorKind::TimedOut) | [`TimedOut`](Outcome::TimedOut) |
/// | the elapsed time of tower, tokio, reqwest or tonic | [`TimedOut`](Outcome::TimedOut) |
/// | an error of the crate `http` in building a request, or in its URI | [`Ignored`](Outcome::Ignored) |
/// | reqwest's errors in building a request or in following redirects | [`Ignored`](Outcome::Ignored) |
/// | hyper's errors in a request that the user made: its body, method, version or URI | [`Ignored`](Outcome::Ignored) |
/// | none of these: no connection, a reset, a broken protocol | [`Failure`](Outcome::Failure) |
///
/// The first that matches decides, from the outermost error inwards.
///
/// This crate depends on none of these libraries except `http`. So it knows the others' errors by
/// the beginnings of their messages, and tests check them. Where the error's type is at hand,
/// `errors_with` is exact:
///
/// ```
/// use tripcurve::Outcome;
/// use tripcurve::tower::ByStatus;
///
/// # mod reqwest {
/// #     pub struct Error;
/// #     impl Error {
/// #         pub fn is_timeout(&self) -> bool { true }
/// #         pub fn is_builder(&self) -> bool { true }
/// #         pub fn is_redirect(&self) -> bool { true }
/// #     }
/// # }
/// let by_status = ByStatus::new().errors_with(|error: &reqwest::Error| {
///     if error.is_timeout() {
///         Outcome::TimedOut
///     } else if error.is_builder() || error.is_redirect() {
///         Outcome::Ignored
///     } else {
///         Outcome::Failure
///     }
/// });
/// # let _ = by_status;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByCause;

impl<E: Error + 'static> ClassifyError<E> for ByCause {
    #[cold]
    fn classify_error(&self, error: &E) -> Outcome {
        outcome_of(error)
    }
}

impl ClassifyError<BoxError, InBox> for ByCause {
    #[cold]
    fn classify_error(&self, error: &BoxError) -> Outcome {
        outcome_of(&**error)
    }
}

fn outcome_of(outermost: &(dyn Error + 'static)) -> Outcome {
    /// So many errors of a chain are looked at. A chain that never ends does no harm.
    const MOST: usize = 32;
    let chain = iter::successors(Some(outermost), |error| next(*error)).take(MOST);
    let mut known = chain.filter_map(|error| by_type(error).or_else(|| by_message(error)));
    known.next().unwrap_or(Outcome::Failure)
}

/// The next error of a chain.
///
/// The `source` of an I/O error passes over the error that it was made of.
fn next<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn by_type(error: &(dyn Error + 'static)) -> Option<Outcome> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return (error.kind() == io::ErrorKind::TimedOut).then_some(Outcome::TimedOut);
    }
    let is_users_request = error.is::<http::Error>()
        || error.is::<InvalidUri>()
        || error.is::<InvalidUriParts>()
        || error.is::<InvalidMethod>()
        || error.is::<InvalidHeaderName>()
        || error.is::<InvalidHeaderValue>();
    is_users_request.then_some(Outcome::Ignored)
}

/// How the messages of other libraries begin, and what they stand for.
const MESSAGES: [(&str, Outcome); 9] = [
    // `tower::timeout::error::Elapsed`
    ("request timed out", Outcome::TimedOut),
    // `tokio::time::error::Elapsed`
    ("deadline has elapsed", Outcome::TimedOut),
    // The source of a `reqwest::Error` for which `is_timeout` holds.
    ("operation timed out", Outcome::TimedOut),
    // `tonic::TimeoutExpired`
    ("Timeout expired", Outcome::TimedOut),
    // A `reqwest::Error` for which `is_builder` holds.
    ("builder error", Outcome::Ignored),
    // A `reqwest::Error` for which `is_redirect` holds.
    ("error following redirect", Outcome::Ignored),
    // `UserUnsupportedRequestMethod` and its like, of hyper-util's legacy client.
    ("client error (User", Outcome::Ignored),
    // A `hyper::Error` for which `is_user` holds.
    ("error from user's Body stream", Outcome::Ignored),
    ("user sent CONNECT", Outcome::Ignored),
];

fn by_message(error: &(dyn Error + 'static)) -> Option<Outcome> {
    let mut start = Start::default();
    // An error says only that the message is longer.
    let _ = write!(start, "{error}");
    let start = &start.bytes[..start.length];
    let found = MESSAGES
        .iter()
        .find(|(beginning, _)| start.starts_with(beginning.as_bytes()));
    found.map(|(_, outcome)| *outcome)
}

/// The beginning of a message, without an allocation.
#[derive(Default)]
struct Start {
    bytes: [u8; 32],
    length: usize,
}

impl Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = &mut self.bytes[self.length..];
        let fits = free.len().min(text.len());
        free[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.length += fits;
        if fits < text.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}
