//! Times as the page shows them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time in milliseconds since 1970, or a span of milliseconds.
pub(crate) type Millis = u64;

/// The time now.
pub(crate) fn now() -> Millis {
    since_1970(SystemTime::now())
}

/// A time of the system's clock.
pub(crate) fn since_1970(time: SystemTime) -> Millis {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A span of time.
pub(crate) fn millis(span: Duration) -> Millis {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
