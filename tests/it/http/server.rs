//! Servers and clients on loopback, over HTTP/1 and h2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use super::{Broken, Scripted, Step};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    H2,
}

pub(crate) const BOTH: [Version; 2] = [Version::Http1, Version::H2];

/// A body that follows a script, and waits for good at [`Step::Pending`].
#[derive(Debug)]
pub(crate) struct Served(pub(crate) Scripted);

impl Body for Served {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.0.steps.front() == Some(&Step::Pending) {
            return Poll::Pending;
        }
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Starts a server of hyper that answers each request by `answer`.
pub(crate) async fn serve<F>(version: Version, answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> Response<Served> + Copy + Send + 'static,
{
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve_connection(version, stream, answer));
        }
    });
    address
}

/// Serves a connection until it breaks.
async fn serve_connection<F>(version: Version, stream: TcpStream, answer: F)
where
    F: Fn(Request<Incoming>) -> Response<Served> + Copy + Send + 'static,
{
    let service = service_fn(move |request| async move { Ok::<_, Infallible>(answer(request)) });
    let io = TokioIo::new(stream);
    // A body that breaks ends its connection with an error.
    let _ = match version {
        Version::Http1 => http1::Builder::new().serve_connection(io, service).await,
        Version::H2 => {
            let server = http2::Builder::new(TokioExecutor::new());
            server.serve_connection(io, service).await
        }
    };
}

pub(crate) fn client<B>(version: Version) -> Client<HttpConnector, B>
where
    B: Body + Send + 'static + Unpin,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Client::builder(TokioExecutor::new())
        .http2_only(version == Version::H2)
        .build_http()
}
