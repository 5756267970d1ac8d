//! Calls of gRPC: which status counts as a failure, and where it is.
//!
//! - `calls`: the layer's settings
//! - `by_grpc_status`: the table of statuses, in headers and trailers
//! - `code`: the codes, their place in headers, and pushback

mod by_grpc_status;
mod calls;
mod code;

pub use by_grpc_status::{ByGrpcStatus, StatusAtEnd};
pub use calls::GrpcCalls;
