//! Calls of HTTP: which responses count as failures, and when a call ends.
//!
//! - `calls`: the layer's settings, and one call until its head is there
//! - `body`: the body that owns the permit, and ends the call
//! - `by_status`: the table of status codes
//! - `by_cause`: the table of errors
//! - `retry_after`: the header `Retry-After`

pub(super) mod body;
mod by_cause;
mod by_status;
pub(super) mod calls;
pub(super) mod retry_after;

pub use body::{GuardedBody, SuccessAtEnd};
pub use by_cause::{ByCause, ClassifyError, InBox, Unboxed};
pub use by_status::ByStatus;
#[cfg(feature = "grpc")]
pub(super) use by_status::error_label;
pub use calls::HttpCalls;
