//! Runs each client against a real server on loopback, with a breaker and without one.

mod difference;
mod grpc;
mod http;
mod phases;
mod program;
mod redis;
mod shop;
