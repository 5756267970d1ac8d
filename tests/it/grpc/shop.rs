//! A server of tonic that does as its requests say, and a client for it.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use tokio_stream::iter;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::{Layer, Service, service_fn};
use tripcurve::CircuitBreaker;
use tripcurve::tower::{CircuitBreakerLayer, CircuitBreakerService, GrpcCalls, Typed};

use crate::http::server::listen;

/// Messages are texts.
#[derive(Clone, Copy, Default)]
pub(super) struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(String::from_utf8(bytes.to_vec()).unwrap()))
    }
}

/// The status with this number, or a price for 0.
fn status(number: &str) -> Result<Response<String>, Status> {
    match Code::from(number.parse::<i32>().unwrap()) {
        Code::Ok => Ok(Response::new("9.99".to_string())),
        code => Err(Status::new(code, "as ordered")),
    }
}

/// Answers a request with a status, hangs, or pushes back.
async fn price(request: Request<String>) -> Result<Response<String>, Status> {
    match request.get_ref().as_str() {
        "hang" => pending().await,
        "push back" => {
            let mut status = Status::unavailable("too many");
            let millis = "60000".parse().unwrap();
            status
                .metadata_mut()
                .insert("grpc-retry-pushback-ms", millis);
            Err(status)
        }
        number => status(number),
    }
}

type Items = tokio_stream::Iter<std::vec::IntoIter<Result<String, Status>>>;

/// Sends three prices, and then a status.
async fn prices(request: Request<String>) -> Result<Response<Items>, Status> {
    let three = ["9.99", "7.50", "12.00"].map(|price| Ok(price.to_string()));
    let last = status(request.get_ref()).err().map(Err);
    let items: Vec<_> = three.into_iter().chain(last).collect();
    Ok(Response::new(iter(items)))
}

#[derive(Clone, Copy)]
struct Shop;

impl NamedService for Shop {
    const NAME: &'static str = "test.Shop";
}

impl Service<http::Request<Body>> for Shop {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut server = tonic::server::Grpc::new(Text);
            Ok(if request.uri().path() == "/test.Shop/Price" {
                server.unary(service_fn(price), request).await
            } else {
                server.server_streaming(service_fn(prices), request).await
            })
        })
    }
}

/// Starts a shop whose calls may take this long.
pub(super) async fn open_shop(limit: Option<Duration>) -> SocketAddr {
    let (listener, address) = listen().await;
    let mut server = Server::builder();
    if let Some(limit) = limit {
        server = server.timeout(limit);
    }
    let router = server.add_service(Shop);
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

type Guarded = CircuitBreakerService<Channel, Typed, GrpcCalls>;

/// A client of a shop, with a breaker around its channel.
pub(super) struct Shopper(tonic::client::Grpc<Guarded>);

pub(super) fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}")).unwrap()
}

impl Shopper {
    pub(super) fn new(breaker: &CircuitBreaker, endpoint: &Endpoint) -> Self {
        Self::with(&CircuitBreakerLayer::grpc(breaker), endpoint)
    }

    pub(super) fn with(layer: &CircuitBreakerLayer<Typed, GrpcCalls>, endpoint: &Endpoint) -> Self {
        let channel = layer.layer(endpoint.connect_lazy());
        Self(tonic::client::Grpc::new(channel))
    }

    pub(super) async fn price(&mut self, order: &str) -> Result<String, Status> {
        let path = PathAndQuery::from_static("/test.Shop/Price");
        self.0.ready().await.unwrap();
        let response = self.0.unary(Request::new(order.to_string()), path, Text);
        Ok(response.await?.into_inner())
    }

    pub(super) async fn prices(&mut self, order: &str) -> Result<Streaming<String>, Status> {
        let path = PathAndQuery::from_static("/test.Shop/Prices");
        self.0.ready().await.unwrap();
        let request = Request::new(order.to_string());
        let response = self.0.server_streaming(request, path, Text);
        Ok(response.await?.into_inner())
    }
}
