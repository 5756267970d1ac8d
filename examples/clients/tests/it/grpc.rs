//! The client of gRPC.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::Pending;
use tonic::transport::{Server as Tonic, server::TcpIncoming};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::phases::{Answer, Server, with_a_breaker, without_a_breaker};
use crate::program::Program;

/// Says that it is well, or `UNAVAILABLE`.
#[derive(Default)]
struct Clinic {
    calls: AtomicU64,
    fails: AtomicBool,
}

#[tonic::async_trait]
impl Health for Clinic {
    type WatchStream = Pending<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(Status::unavailable("as ordered"));
        }
        let status = ServingStatus::Serving.into();
        Ok(Response::new(HealthCheckResponse { status }))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("no program watches"))
    }
}

impl Server for Clinic {
    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }
}

/// Runs a program with a breaker, and the same program without one.
fn compare(with: &str, without: &str) {
    let clinic = Arc::new(Clinic::default());
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let health = HealthServer::from_arc(clinic.clone());
    let server = Tonic::builder().add_service(health);
    runtime.spawn(server.serve_with_incoming(TcpIncoming::from(listener)));

    let by_lines = |path| {
        let mut program = Program::start(path, &[&url]);
        move || {
            let answer = program.ask("prices");
            Answer::of(&answer, answer == "SERVING")
        }
    };
    with_a_breaker(&*clinic, by_lines(with));
    without_a_breaker(&*clinic, by_lines(without));
}

#[test]
fn tonic_as_a_service() {
    let with = env!("CARGO_BIN_EXE_with-tonic");
    compare(with, env!("CARGO_BIN_EXE_without-tonic"));
}

#[test]
fn tonic_by_a_classifier() {
    let with = env!("CARGO_BIN_EXE_with-tonic-status");
    compare(with, env!("CARGO_BIN_EXE_without-tonic-status"));
}
