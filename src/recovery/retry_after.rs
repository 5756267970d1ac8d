//! `Retry-After`: until when a dependency wants to be left alone.

use std::time::Duration;

use crate::clock::saturating_nanos;
use crate::error::ConfigError;
use crate::sync::{AtomicU64, Ordering};

/// The longest `Retry-After` that a breaker honours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxRetryAfter(u64);

impl MaxRetryAfter {
    /// The bound of a breaker whose settings name none.
    pub const DEFAULT: Self = Self(300_000_000_000);

    /// Creates a bound. With a duration of zero, the breaker honours no `Retry-After`.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self(saturating_nanos(longest))
    }

    pub(crate) fn check(longest: Duration) -> Result<(), ConfigError> {
        if longest.is_zero() {
            return Ok(());
        }
        ConfigError::check_duration(
            "max_retry_after",
            longest,
            Duration::from_secs(365 * 86_400),
            "0 (to honour none) or in 1ms..=365 days",
            "5 min suit most services: what is wished once is not taken back",
        )
    }

    /// Cuts `until` to what the bound allows from `now` on.
    #[must_use]
    pub fn cut(self, until: u64, now: u64) -> u64 {
        until.min(now.saturating_add(self.0))
    }
}

/// Until when the dependency wants to be left alone.
///
/// The word is in nanoseconds of the breaker's clock and never goes back. Every breaker has it,
/// because a caller may report a `Retry-After` at any time.
#[derive(Debug, Default)]
pub struct RetryAfter(AtomicU64);

impl RetryAfter {
    /// Notes a `Retry-After` of `nanos` nanoseconds from `now` on, and returns when it ends.
    ///
    /// The caller looks at the state after this. The thread that opens the breaker calls
    /// [`until`](Self::until) after the opening. So the second of the two sees what the first has
    /// done, and lengthens the open time.
    pub fn note(&self, nanos: u64, now: u64, longest: MaxRetryAfter) -> u64 {
        let until = longest.cut(now.saturating_add(nanos), now);
        // Acquire: pairs with the Release in `until`. If this comes second, the caller finds the
        // breaker open. Otherwise neither thread would lengthen the open time.
        self.0.fetch_max(until, Ordering::Acquire);
        until
    }

    /// When the latest `Retry-After` ends. The caller asks after it has opened the breaker.
    pub fn until(&self) -> u64 {
        // Release: pairs with the Acquire in `note`. This is a read-modify-write, so it has a place
        // among those of `note`. A `note` that it doesn't see comes after it, and its caller finds
        // the breaker open. Otherwise neither thread would lengthen the open time.
        self.0.fetch_max(0, Ordering::Release)
    }

    /// When the latest `Retry-After` so far ends. The caller asks before it opens the breaker.
    #[must_use]
    pub fn so_far(&self) -> u64 {
        // Relaxed: a value that is missed here does no harm, since `until` reads the word again
        // after the opening.
        self.0.load(Ordering::Relaxed)
    }
}
