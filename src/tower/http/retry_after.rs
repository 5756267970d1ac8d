//! The header `Retry-After`.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

use crate::clock::system_time;

/// How long a response asks its callers to stay away, by its header `Retry-After`.
///
/// The header is a number of seconds or a date. A date in the past is zero. It counts from the
/// response's own `Date`, if there is one, so the two clocks needn't agree. A number that is too
/// large is the longest time there is, which
/// [`max_retry_after`](crate::CircuitBreakerBuilder::max_retry_after) then bounds.
pub(in crate::tower) fn retry_after(head: &HeaderMap) -> Option<Duration> {
    let value = head.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Some(seconds) = digits(value) {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let sent = head.get(DATE).and_then(|date| date.to_str().ok());
    let sent = sent.and_then(|date| httpdate::parse_http_date(date).ok());
    let left = until.duration_since(sent.unwrap_or_else(system_time));
    Some(left.unwrap_or_default())
}

/// A number of decimal digits. One that is too large is the largest there is.
pub(in crate::tower) fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}
