//! Real servers: what a client of hyper counts, over HTTP/1 and h2.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tower::{Layer, Service, ServiceExt};
use tripcurve::tower::{CircuitBreakerLayer, CircuitBreakerService, GuardedBody, HttpCalls, Typed};
use tripcurve::{CircuitBreaker, State};

use super::server::{BOTH, Served, Version, client, listen, serve};
use super::{FAILURE, IGNORED, NONE, SUCCESS, Scripted, Step, breaker, counted, response};
use crate::runtime::on_loopback;

type Layered = CircuitBreakerService<Client<HttpConnector, Empty<Bytes>>, Typed, HttpCalls>;

fn layered(breaker: &CircuitBreaker, version: Version) -> Layered {
    CircuitBreakerLayer::http(breaker).layer(client(version))
}

async fn send(
    client: &mut Layered,
    method: &str,
    address: SocketAddr,
) -> Response<GuardedBody<Incoming>> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}/books"))
        .body(Empty::new())
        .unwrap();
    client.ready().await.unwrap().call(request).await.unwrap()
}

fn books() -> Scripted {
    Scripted::of([Step::Data("Emma, "), Step::Data("Dune")])
}

#[test]
fn a_response_with_a_length_is_a_success_with_its_last_byte() {
    on_loopback(async {
        for version in BOTH {
            let breaker = breaker();
            let address = serve(version, |_| response(200, &[], Served(books().sized(10)))).await;
            let mut client = layered(&breaker, version);
            for call in 1..=10 {
                let mut body = send(&mut client, "GET", address).await.into_body();
                let mut bytes = 0;
                // Like hyper, this stops at the last byte.
                while bytes < 10 {
                    let frame = body.frame().await.unwrap().unwrap();
                    bytes += frame.data_ref().map_or(0, Bytes::len);
                }
                assert_eq!(counted(&breaker), [call, 0, 0, 0], "{version:?}");
            }
        }
    });
}

#[test]
fn a_response_without_a_length_is_a_success_at_its_end() {
    on_loopback(async {
        for version in BOTH {
            let breaker = breaker();
            let address = serve(version, |_| response(200, &[], Served(books()))).await;
            let response = send(&mut layered(&breaker, version), "GET", address).await;
            assert_eq!(counted(&breaker), NONE, "{version:?}");
            let text = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(text, "Emma, Dune");
            assert_eq!(counted(&breaker), SUCCESS, "{version:?}");
        }
    });
}

#[test]
fn a_length_that_the_server_does_not_keep_is_a_failure() {
    on_loopback(async {
        for version in BOTH {
            let breaker = breaker();
            let short = |_| {
                let body = Scripted::of([Step::Data("Emma, "), Step::Yield]);
                response(200, &[("content-length", "100")], Served(body))
            };
            let address = serve(version, short).await;
            let response = send(&mut layered(&breaker, version), "GET", address).await;
            assert_eq!(counted(&breaker), NONE, "{version:?}");
            response.into_body().collect().await.unwrap_err();
            assert_eq!(counted(&breaker), FAILURE, "{version:?}");
        }
    });
}

#[test]
fn a_body_that_the_server_breaks_off_is_a_failure() {
    on_loopback(async {
        for version in BOTH {
            let breaker = breaker();
            let breaks = |_| {
                let body = Scripted::of([Step::Data("Emma, "), Step::Yield, Step::Error]);
                response(200, &[], Served(body))
            };
            let address = serve(version, breaks).await;
            let response = send(&mut layered(&breaker, version), "GET", address).await;
            response.into_body().collect().await.unwrap_err();
            assert_eq!(counted(&breaker), FAILURE, "{version:?}");
        }
    });
}

/// Answers one request of HTTP/1 with some bytes. Resets the connection when `reset` says so.
async fn resets_after(bytes: &'static str, reset: oneshot::Receiver<()>) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(bytes.as_bytes()).await.unwrap();
        reset.await.unwrap();
        stream.set_zero_linger().unwrap();
    });
    address
}

#[test]
fn a_chunked_body_that_is_reset_is_a_failure() {
    on_loopback(async {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nEmma, \r\n";
        let (reset, when) = oneshot::channel();
        let address = resets_after(head, when).await;
        let breaker = breaker();
        let response = send(&mut layered(&breaker, Version::Http1), "GET", address).await;
        // A reset may overtake bytes that the client has not read.
        let mut body = response.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        reset.send(()).unwrap();
        assert!(body.frame().await.unwrap().is_err());
        assert_eq!(counted(&breaker), FAILURE);
    });
}

#[test]
fn a_connection_that_is_reset_before_the_headers_is_a_failure() {
    on_loopback(async {
        let (reset, when) = oneshot::channel();
        let address = resets_after("", when).await;
        reset.send(()).unwrap();
        let breaker = breaker();
        let mut client = layered(&breaker, Version::Http1);
        let request = Request::get(format!("http://{address}/"));
        let request = request.body(Empty::new()).unwrap();
        let call = client.ready().await.unwrap().call(request);
        assert!(call.await.is_err());
        assert_eq!(counted(&breaker), FAILURE);
    });
}

#[test]
fn a_server_that_is_not_there_is_a_failure() {
    on_loopback(async {
        for version in BOTH {
            let (listener, address) = listen().await;
            drop(listener);
            let breaker = breaker();
            let mut client = layered(&breaker, version);
            for _ in 0..3 {
                let request = Request::get(format!("http://{address}/"));
                let request = request.body(Empty::new()).unwrap();
                let call = client.ready().await.unwrap().call(request);
                assert!(call.await.is_err());
            }
            assert_eq!(breaker.state(), State::Open);
            let opening = breaker.snapshot().latest_opening().unwrap();
            assert_eq!(opening.label().unwrap().as_str(), "no_response");
        }
    });
}

/// A time limit for the response says nothing about its body. One for the body ends it, and then
/// the caller drops it.
#[test]
fn a_body_that_stalls_after_the_headers_counts_when_the_caller_gives_up() {
    on_loopback(async {
        for version in BOTH {
            let breaker = breaker();
            let stalls = |_| {
                let body = Scripted::of([Step::Data("Emma, "), Step::Pending]);
                response(200, &[], Served(body))
            };
            let address = serve(version, stalls).await;
            let response = send(&mut layered(&breaker, version), "GET", address).await;
            let mut body = response.into_body();
            assert!(body.frame().await.unwrap().is_ok());
            tokio::time::pause();
            let limit = Duration::from_secs(60);
            let stalled = tokio::time::timeout(limit, body.frame()).await;
            assert!(stalled.is_err());
            tokio::time::resume();
            assert_eq!(counted(&breaker), NONE, "{version:?}");
            drop(body);
            assert_eq!(counted(&breaker), IGNORED, "{version:?}");
        }
    });
}

#[test]
fn trailers_end_a_response() {
    on_loopback(async {
        for version in BOTH {
            let breaker = breaker();
            let with_trailers = |_| {
                let mut trailers = HeaderMap::new();
                trailers.insert("checksum", "42".parse().unwrap());
                let body = Scripted::of([Step::Data("Emma"), Step::Trailers(trailers)]);
                response(200, &[("trailer", "checksum")], Served(body))
            };
            let address = serve(version, with_trailers).await;
            let request = Request::get(format!("http://{address}/"));
            let request = request.header("te", "trailers").body(Empty::new()).unwrap();
            let client = layered(&breaker, version);
            let mut body = client.oneshot(request).await.unwrap().into_body();
            loop {
                let frame = body.frame().await.unwrap().unwrap();
                if let Some(trailers) = frame.trailers_ref() {
                    assert_eq!(trailers["checksum"], "42");
                    break;
                }
                assert_eq!(counted(&breaker), NONE, "{version:?}");
            }
            assert_eq!(counted(&breaker), SUCCESS, "{version:?}");
        }
    });
}

/// Nobody polls such a body, and dropping it must not count as a cancelled call.
#[test]
fn a_response_without_a_body_is_a_success_with_its_headers() {
    on_loopback(async {
        for version in BOTH {
            for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 200)] {
                let breaker = breaker();
                let answer = move |_| match status {
                    200 if method == "HEAD" => response(200, &[], Served(books().sized(10))),
                    200 => response(200, &[], Served(Scripted::default().sized(0))),
                    _ => response(status, &[], Served(Scripted::default().telling_end())),
                };
                let address = serve(version, answer).await;
                let mut client = layered(&breaker, version);
                for call in 1..=10 {
                    let response = send(&mut client, method, address).await;
                    assert_eq!(counted(&breaker), [call, 0, 0, 0], "{version:?} {status}");
                    drop(response);
                }
                assert_eq!(counted(&breaker), [10, 0, 0, 0], "{version:?} {status}");
            }
        }
    });
}

#[test]
fn a_failure_of_the_server_is_one_with_its_headers() {
    on_loopback(async {
        for version in BOTH {
            let breaker = breaker();
            let address = serve(version, |_| response(502, &[], Served(books()))).await;
            let mut client = layered(&breaker, version);
            for _ in 0..3 {
                drop(send(&mut client, "GET", address).await);
            }
            assert_eq!(breaker.state(), State::Open, "{version:?}");
            let opening = breaker.snapshot().latest_opening().unwrap();
            assert_eq!(opening.label().unwrap().as_str(), "http_502");
        }
    });
}

/// The layer around a server's handler: hyper drops the body once it has what it announced.
#[test]
fn a_server_counts_each_response_that_it_has_sent() {
    use hyper::server::conn::http1;
    use hyper_util::rt::TokioIo;
    use hyper_util::service::TowerToHyperService;

    on_loopback(async {
        for (method, status) in [("GET", 200), ("HEAD", 200), ("GET", 204), ("GET", 304)] {
            let breaker = breaker();
            let handler = tower::service_fn(move |_: Request<Incoming>| async move {
                let body = if status == 200 {
                    books().sized(10)
                } else {
                    Scripted::default()
                };
                Ok::<_, std::convert::Infallible>(response(status, &[], body))
            });
            let service = CircuitBreakerLayer::http(&breaker).layer(handler);
            let (listener, address) = listen().await;
            tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(service);
                let connection = http1::Builder::new();
                let _ = connection
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
            let client = client::<Empty<Bytes>>(Version::Http1);
            for _ in 0..10 {
                let request = Request::builder().method(method);
                let request = request.uri(format!("http://{address}/"));
                let request = request.body(Empty::new()).unwrap();
                let response = client.request(request).await.unwrap();
                let length = response.headers().get("content-length").cloned();
                if status == 200 {
                    assert_eq!(length.unwrap(), "10", "{method}: not chunked");
                }
                response.into_body().collect().await.unwrap();
            }
            // The last response is sent before the server has dropped its body.
            while counted(&breaker).iter().sum::<u64>() < 10 {
                tokio::task::yield_now().await;
            }
            assert_eq!(counted(&breaker), [10, 0, 0, 0], "{method} {status}");
        }
    });
}

/// A probe's body that has ended closes the breaker.
#[test]
fn a_breaker_closes_by_real_responses() {
    on_loopback(async {
        for version in BOTH {
            let breaker = CircuitBreaker::builder("exchange")
                .start_in(State::HalfOpen)
                .probes(3)
                .build()
                .unwrap();
            let address = serve(version, |_| response(200, &[], Served(books().sized(10)))).await;
            let mut client = layered(&breaker, version);
            for _ in 0..3 {
                assert_eq!(breaker.state(), State::HalfOpen);
                let response = send(&mut client, "GET", address).await;
                response.into_body().collect().await.unwrap();
            }
            assert_eq!(breaker.state(), State::Closed, "{version:?}");
        }
    });
}
