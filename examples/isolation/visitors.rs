//! The visitors of the service, and the answers that they get.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long a visitor waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The time between two visitors. Each visitor asks for a page and for a report.
const SPACING: Duration = Duration::from_millis(10);

/// Longer than any answer of the service.
const LONGEST_BODY: usize = 1 << 16;

/// The state of the backend during a phase.
#[derive(Clone, Copy)]
pub(crate) enum Phase {
    Well,
    Hangs,
    WellAgain,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Well => "backend is well",
            Self::Hangs => "backend hangs",
            Self::WellAgain => "backend is well again",
        })
    }
}

pub(crate) struct Visitors {
    client: Client<HttpConnector, Body>,
    service: SocketAddr,
    runtime: Runtime,
}

impl Visitors {
    pub(crate) fn new(service: SocketAddr) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            service,
            runtime,
        })
    }

    /// Visitors come for this long. Returns their figures, once the last visitor has an answer or
    /// has left.
    pub(crate) fn come_for(&self, length: Duration) -> Figures {
        self.runtime.block_on(async {
            let mut ticks = interval(SPACING);
            // The number of visitors doesn't depend on the machine's load.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut visits = Vec::new();
            for _ in 0..length.as_millis() / SPACING.as_millis() {
                ticks.tick().await;
                let page = tokio::spawn(self.ask("/page"));
                visits.push((page, tokio::spawn(self.ask("/report"))));
            }
            let mut figures = Figures::default();
            for (page, report) in visits {
                figures.pages.add(page.await.unwrap_or(Visit::Refused));
                figures.reports.add(report.await.unwrap_or(Visit::Refused));
            }
            figures.pages.times.sort();
            figures.reports.times.sort();
            figures
        })
    }

    fn ask(&self, path: &str) -> impl Future<Output = Visit> + Send + use<> {
        let request = Request::get(format!("http://{}{path}", self.service))
            .body(Body::empty())
            .map(|request| self.client.request(request));
        async move {
            let begin = Instant::now();
            let exchange = async {
                let response = request.ok()?.await.ok()?;
                let status = response.status();
                to_bytes(Body::new(response.into_body()), LONGEST_BODY)
                    .await
                    .ok()?;
                Some(status.is_success())
            };
            match timeout(PATIENCE, exchange).await {
                Ok(Some(true)) => Visit::Answered(begin.elapsed()),
                Ok(_) => Visit::Refused,
                Err(_) => Visit::Left,
            }
        }
    }
}

/// How a visit ended.
#[derive(Clone, Copy)]
enum Visit {
    Answered(Duration),
    /// With an error, at once or nearly so.
    Refused,
    /// The visitor gave up.
    Left,
}

/// The figures of one route.
#[derive(Default)]
pub(crate) struct Route {
    asked: u32,
    left: u32,
    /// How long the answered visitors waited, in order.
    times: Vec<Duration>,
}

impl Route {
    fn add(&mut self, visit: Visit) {
        self.asked += 1;
        match visit {
            Visit::Answered(time) => self.times.push(time),
            Visit::Refused => {}
            Visit::Left => self.left += 1,
        }
    }

    fn answered(&self) -> u32 {
        u32::try_from(self.times.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn answered_share(&self) -> f64 {
        f64::from(self.answered()) / f64::from(self.asked.max(1))
    }

    pub(crate) fn left_share(&self) -> f64 {
        f64::from(self.left) / f64::from(self.asked.max(1))
    }

    pub(crate) fn median(&self) -> Option<Duration> {
        self.times.get(self.times.len() / 2).copied()
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: Option<Duration>| match time {
            Some(time) => format!("{:.1} ms", time.as_secs_f64() * 1e3),
            None => "-".to_owned(),
        };
        let refused = self.asked - self.answered() - self.left;
        write!(
            f,
            "{:>5} {:>8} {refused:>8} {:>5} {:>10} {:>10}",
            self.asked,
            self.answered(),
            self.left,
            time(self.median()),
            time(self.times.last().copied()),
        )
    }
}

/// The answers to the visitors of a phase.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) pages: Route,
    pub(crate) reports: Route,
}

impl Figures {
    pub(crate) const HEADING: &str =
        "                             asked answered  refused  left     median    longest";
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  pages {}\n{:>20}reports {}",
            self.pages, "", self.reports
        )
    }
}
