//! The dependency's own wish when to be asked again.

use std::time::Duration;

use crate::clock::saturating_nanos;
use crate::error::ConfigError;
use crate::sync::{AtomicU64, Ordering};

/// Until when the dependency wants to be left alone.
#[derive(Debug)]
pub struct RetryAfter {
    longest: u64,
    /// In nanoseconds of the breaker's clock; never goes back.
    until: AtomicU64,
}

impl RetryAfter {
    pub(crate) const DEFAULT: Duration = Duration::from_secs(300);

    /// Nothing wished. Wishes beyond `longest` are cut.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self {
            longest: saturating_nanos(longest),
            until: AtomicU64::new(0),
        }
    }

    pub(crate) fn check(longest: Duration) -> Result<(), ConfigError> {
        ConfigError::check_duration(
            "longest_retry_after",
            longest,
            Duration::from_secs(365 * 86_400),
            "in 1ms..=365 days",
            "5 min suit most services: what is wished once is not taken back",
        )
    }

    /// Whether both were made by the same settings.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        self.longest == other.longest
    }

    /// Heeds what another one was told, but no longer than its own settings allow from `now` on.
    pub fn inherit(&self, other: &Self, now: u64) {
        let wished = other.until().saturating_sub(now);
        if wished > 0 {
            self.note(wished, now);
        }
    }

    /// Notes a wish for so many nanoseconds from `now` on, and returns until when it is.
    ///
    /// Before the state is looked at: of who wishes and who opens the breaker, the second to come here
    /// sees what the first had done before, and lengthens the open time.
    pub fn note(&self, nanos: u64, now: u64) -> u64 {
        let until = now.saturating_add(nanos.min(self.longest));
        // AcqRel: pairs with itself in `until`.
        self.until.fetch_max(until, Ordering::AcqRel);
        until
    }

    /// Until when is wished; asked after the breaker was opened.
    pub fn until(&self) -> u64 {
        // AcqRel: a read-modify-write, so that it has a place among those of `note`. A wish that it
        // doesn't see comes after it, and finds the breaker open.
        self.until.fetch_max(0, Ordering::AcqRel)
    }

    /// How many nanoseconds after `now` there is still something wished.
    #[cfg(feature = "serde")]
    pub(crate) fn left(&self, now: u64) -> u64 {
        self.so_far().saturating_sub(now)
    }

    /// Until when is wished so far, before the breaker is opened.
    #[must_use]
    pub fn so_far(&self) -> u64 {
        // Relaxed: asked again by `until`.
        self.until.load(Ordering::Relaxed)
    }
}
