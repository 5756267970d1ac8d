//! The layer for gRPC: which status counts as what, and where it is.
//!
//! Scripted responses show each row of the table. A server of tonic on loopback shows what a real
//! one sends.
#![cfg(all(feature = "grpc", feature = "registry", feature = "tokio"))]

mod grpc_servers;
mod grpc_status;
mod shop;
