//! How long calls take: the times of calls, those still in flight, the usual percentiles, the report.

pub(crate) mod times;
pub(crate) mod in_flight;
pub(crate) mod baseline;
pub(crate) mod report;
