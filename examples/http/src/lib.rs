//! The HTTP server and client of the examples, compiled once.
//!
//! `axum::serve` and hyper's client are generic, so each program that calls them compiles them
//! again: two seconds for each example. A development build takes the code of a generic function
//! from a crate that the program uses, if that crate has it. So the examples use this one.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::serve::Serve;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use std::future::IntoFuture;
use tokio::net::TcpListener;

/// Serves `app`, as `axum::serve(listener, app)` does.
pub fn serve(
    listener: TcpListener,
    app: Router,
) -> <Serve<TcpListener, Router, Router> as IntoFuture>::IntoFuture {
    axum::serve(listener, app).into_future()
}

/// Sends a request, as `client.request(request)` does.
pub fn request(client: &Client<HttpConnector, Body>, request: Request<Body>) -> ResponseFuture {
    client.request(request)
}
