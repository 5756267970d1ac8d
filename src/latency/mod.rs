//! How long calls take: call times, calls in flight, usual percentiles, and the report.

pub(crate) mod times;
pub(crate) mod in_flight;
pub(crate) mod baseline;
pub(crate) mod report;
/// No breaker uses it yet. Decision 0090 says what is missing.
#[cfg(any(test, feature = "__model"))]
pub(crate) mod odds;
