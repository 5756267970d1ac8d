//! How long calls take: call times, calls in flight, usual percentiles, and the report.

pub(crate) mod times;
pub(crate) mod in_flight;
pub(crate) mod baseline;
pub(crate) mod report;
pub(crate) mod odds;
