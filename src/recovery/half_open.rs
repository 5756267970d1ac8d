//! How long a breaker may stay half-open, and what follows.

use std::time::Duration;

use crate::clock::saturating_nanos;
use crate::error::ConfigError;
use crate::sync::Payload;

/// What a breaker does when it has been half-open for too long; for
/// [`Recovery::half_open_limit`](crate::Recovery::half_open_limit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HalfOpenVerdict {
    /// It opens again, as if a probe had failed.
    Reopen,
    /// It closes, as if the probes had succeeded.
    Close,
}

/// The longest stay in half-open.
#[derive(Debug)]
pub struct HalfOpenLimit {
    limit: u64,
    verdict: HalfOpenVerdict,
    /// When the breaker last was about to become half-open, in nanoseconds. It never goes back.
    ///
    /// A thread raises it before it asks an open breaker for a probe's place, so the state word
    /// publishes it.
    began: Payload,
}

impl HalfOpenLimit {
    /// Creates a limit. The stay begins at [`begin`](Self::begin).
    #[must_use]
    pub fn new(limit: Duration, verdict: HalfOpenVerdict) -> Self {
        Self {
            limit: saturating_nanos(limit),
            verdict,
            began: Payload::new(0),
        }
    }

    pub(super) fn check(limit: Duration) -> Result<(), ConfigError> {
        ConfigError::check_duration(
            "half_open_limit",
            limit,
            Duration::from_secs(10 * 365 * 86_400),
            "in 1ms..=10 years",
            "choose it longer than the probes take; leave it out for no limit",
        )
    }

    /// Whether both have equal settings.
    #[must_use]
    pub fn same_config(&self, other: &Self) -> bool {
        (self.limit, self.verdict) == (other.limit, other.verdict)
    }

    /// Notes that the breaker may become half-open at `now`.
    pub fn begin(&self, now: u64) {
        self.began.raise(now);
    }

    /// When the stay is over. The caller has loaded the state word before.
    #[must_use]
    pub fn ends_at(&self) -> u64 {
        self.began.load().saturating_add(self.limit)
    }

    /// What follows then.
    #[must_use]
    pub fn verdict(&self) -> HalfOpenVerdict {
        self.verdict
    }
}
