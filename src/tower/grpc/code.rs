//! Codes of gRPC, and the headers that contain them.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::tower::http::retry_after::{digits, retry_after};

/// A code of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok,
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

impl Code {
    /// In the order of their numbers.
    const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The code of `grpc-status`, if it is there. A code that nobody knows is `UNKNOWN`.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get("grpc-status")?;
        let number = value.to_str().ok().and_then(digits);
        let known = number.and_then(|number| Self::ALL.get(usize::try_from(number).ok()?));
        Some(known.copied().unwrap_or(Self::Unknown))
    }

    /// The code that stands for a status of HTTP, where a proxy or a server without gRPC has
    /// answered.
    ///
    /// This is the table of gRPC, `doc/http-grpc-status-mapping.md`.
    pub(super) fn of_http(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502 | 503 | 504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// The label of a call that failed with the code.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Ok => "grpc_ok",
            Self::Cancelled => "grpc_cancelled",
            Self::Unknown => "grpc_unknown",
            Self::InvalidArgument => "grpc_invalid_argument",
            Self::DeadlineExceeded => "grpc_deadline_exceeded",
            Self::NotFound => "grpc_not_found",
            Self::AlreadyExists => "grpc_already_exists",
            Self::PermissionDenied => "grpc_permission_denied",
            Self::ResourceExhausted => "grpc_resource_exhausted",
            Self::FailedPrecondition => "grpc_failed_precondition",
            Self::Aborted => "grpc_aborted",
            Self::OutOfRange => "grpc_out_of_range",
            Self::Unimplemented => "grpc_unimplemented",
            Self::Internal => "grpc_internal",
            Self::Unavailable => "grpc_unavailable",
            Self::DataLoss => "grpc_data_loss",
            Self::Unauthenticated => "grpc_unauthenticated",
        }
    }
}

/// Whether the message is the one with which tonic ends a call whose time is over.
pub(super) fn says_timeout_expired(headers: &HeaderMap) -> bool {
    let Some(message) = headers.get("grpc-message") else {
        return false;
    };
    percent_decoded(message.as_bytes()).eq(*b"Timeout expired")
}

/// The bytes of a text in which some are written as `%` and two hexadecimal digits.
fn percent_decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        rest = after;
        if let (b'%', [high, low, after @ ..]) = (*first, after)
            && let Some(high) = char::from(*high).to_digit(16)
            && let Some(low) = char::from(*low).to_digit(16)
        {
            rest = after;
            return u8::try_from(high * 16 + low).ok();
        }
        Some(*first)
    })
}

/// How long the server asks its callers to stay away: `grpc-retry-pushback-ms`, or the
/// `Retry-After` of a proxy.
///
/// A negative pushback means no retry at all, so it is no time.
pub(super) fn pushback(headers: &HeaderMap) -> Option<Duration> {
    match headers.get("grpc-retry-pushback-ms") {
        Some(millis) => {
            let millis = digits(millis.to_str().ok()?.trim())?;
            Some(Duration::from_millis(millis))
        }
        None => retry_after(headers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table is that of gRPC, `doc/http-grpc-status-mapping.md`.
    #[test]
    fn a_status_of_http_stands_for_the_code_of_the_table() {
        for (status, code) in [
            (400, Code::Internal),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::Unimplemented),
            (429, Code::Unavailable),
            (502, Code::Unavailable),
            (503, Code::Unavailable),
            (504, Code::Unavailable),
            (500, Code::Unknown),
        ] {
            let found = Code::of_http(StatusCode::from_u16(status).unwrap());
            assert_eq!(found.label(), code.label(), "{status}");
        }
    }
}
