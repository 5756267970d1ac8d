//! No request makes the dashboard panic, and no request of another site acts on a breaker.
#![no_main]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Builder;
use tokio::time::timeout;
use tower::ServiceExt as _;
use tripcurve::CircuitBreaker;
use tripcurve::registry::{ControlGroup, Registry, Roster};
use tripcurve_dashboard::{Attempt, Dashboard};

const LONGEST_RUN: usize = 16;

/// No answer of the API to a few breakers is nearly this long.
const LONGEST_BODY: usize = 1 << 20;

fuzz_target!(|data: &[u8]| -> Corpus {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let stage = Stage::new();
    let ran = match data.split_first() {
        Some((0, raw)) => {
            runtime.block_on(stage.send_raw(raw));
            Ok(())
        }
        Some((_, rest)) => runtime.block_on(stage.send_all(&mut Unstructured::new(rest))),
        None => return Corpus::Reject,
    };
    ran.map_or(Corpus::Reject, |()| Corpus::Keep)
});

struct Stage {
    app: Router,
    breakers: Vec<CircuitBreaker>,
    keys: Registry<String>,
    /// How often the program was asked for its permission.
    asked: Arc<AtomicU64>,
}

impl Stage {
    fn new() -> Self {
        let (roster, group) = (Roster::new(), ControlGroup::new());
        let breakers: Vec<_> = ["payments", "stock of \"x\"/\u{7}<b>"]
            .into_iter()
            .map(|name| {
                CircuitBreaker::builder(name)
                    .shards(1)
                    .enlist(&roster)
                    .build()
                    .unwrap()
            })
            .collect();
        group.add(&breakers[0]);
        let asked = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&asked);
        let dashboard = Dashboard::new(&roster).group("bank", &group).authorize(
            move |attempt: &Attempt<'_>| {
                counted.fetch_add(1, Ordering::Relaxed);
                let may = !attempt.request.headers.contains_key("x-refused");
                may.then(|| "ann".to_owned())
                    .ok_or_else(|| "log in".to_owned())
            },
        );
        let template = CircuitBreaker::builder("keys")
            .shards(1)
            .on_transition(dashboard.listener());
        let keys = Registry::builder(template).enlist(&roster).build().unwrap();
        keys.get_or_create("one").reset();
        Self {
            app: Router::new().nest("/at/breakers", dashboard.router()),
            breakers,
            keys,
            asked,
        }
    }

    /// The generations, which change with each action.
    fn generations(&self) -> Vec<u64> {
        let key = self.keys.get("one");
        let all = self.breakers.iter().chain(&key);
        all.map(|it| it.snapshot().generation()).collect()
    }

    async fn send_all(&self, bytes: &mut Unstructured<'_>) -> Result<()> {
        for _ in 0..LONGEST_RUN {
            if bytes.is_empty() {
                break;
            }
            let Some(request) = request(bytes)? else {
                continue;
            };
            if bytes.ratio(1, 4)? {
                let failing = &self.breakers[usize::from(bytes.arbitrary::<bool>()?)];
                for _ in 0..20 {
                    let _ = failing.call(|| Err::<(), _>("refused"));
                }
            }
            self.send(request).await;
        }
        Ok(())
    }

    async fn send(&self, request: Request<Body>) {
        let may_act = is_own_page(request.method(), request.headers());
        let is_refused = request.headers().contains_key("x-refused");
        let (before, asked) = (self.generations(), self.asked.load(Ordering::Relaxed));
        let is_head = request.method() == Method::HEAD;
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        assert!(!status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE);
        let kind = response.headers().get("content-type").cloned();
        let kind = kind
            .as_ref()
            .and_then(|it| it.to_str().ok())
            .unwrap_or_default();
        if is_head {
            let body = to_bytes(response.into_body(), LONGEST_BODY).await;
            assert!(body.unwrap().is_empty());
        } else if kind == "text/event-stream" {
            // It doesn't end by itself.
            let body = to_bytes(response.into_body(), LONGEST_BODY);
            assert!(timeout(Duration::from_secs(3), body).await.is_err());
        } else {
            let body = to_bytes(response.into_body(), LONGEST_BODY).await.unwrap();
            if kind == "application/json" {
                let answer: Value = serde_json::from_slice(&body).unwrap();
                assert!(answer.is_object());
            }
        }
        if !may_act {
            assert_eq!(self.asked.load(Ordering::Relaxed), asked);
        }
        if !may_act || is_refused {
            assert_eq!(self.generations(), before);
        }
    }

    /// Sends bytes as a client over a connection may.
    async fn send_raw(&self, raw: &[u8]) {
        let (mut client, server) = tokio::io::duplex(64 << 10);
        let service = TowerToHyperService::new(self.app.clone());
        let serving = hyper::server::conn::http1::Builder::new();
        let serving = serving.serve_connection(TokioIo::new(server), service);
        let asking = async {
            client.write_all(raw).await?;
            client.shutdown().await?;
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.map(|_| answer)
        };
        let both = async { tokio::join!(asking, serving) };
        if let Ok((Ok(answer), _)) = timeout(Duration::from_secs(3), both).await {
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."));
        }
    }
}

/// Whether a page of the dashboard itself may have made this request.
fn is_own_page(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    let is_same = match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), ..) => site == "same-origin",
        (None, Some(origin), Some(host)) => {
            !host.is_empty()
                && origin
                    .split_once("://")
                    .is_some_and(|it| it.1.eq_ignore_ascii_case(host))
        }
        _ => false,
    };
    let kind = text("content-type").unwrap_or_default();
    let is_json = kind.split(';').next().map(str::trim) == Some("application/json");
    *method == Method::POST && is_same && is_json
}

/// Returns `None` if the numbers make no valid request of HTTP.
fn request(bytes: &mut Unstructured<'_>) -> Result<Option<Request<Body>>> {
    let method = bytes.choose(&[
        Method::GET,
        Method::POST,
        Method::POST,
        Method::HEAD,
        Method::PUT,
    ])?;
    let mut path = String::from("/at/breakers");
    path.push_str(bytes.choose(&[
        "",
        "/",
        "/app.js",
        "/health",
        "/api/about",
        "/api/breakers",
        "/api/breakers/payments",
        "/api/breakers/payments/actions",
        "/api/breakers/keys",
        "/api/breakers/keys/one",
        "/api/groups/bank/actions",
        "/api/events",
        "/api/stream",
        "/api/breakers/",
        "/api/events?breaker=",
        "/api/events?limit=",
        "/api/events?before=",
        "/api/stream?show=",
        "/api/stream?last=",
        "/../",
    ])?);
    if bytes.arbitrary()? {
        path.push_str(bytes.arbitrary()?);
    }
    let mut request = Request::builder().method(method).uri(path);
    let values: [&[u8]; 9] = [
        b"same-origin",
        b"cross-site",
        b"application/json",
        b"application/json; charset=utf-8",
        b"text/plain",
        b"http://shop.test",
        b"http://evil.test",
        b"shop.test",
        b"",
    ];
    if bytes.arbitrary()? {
        request = request.header("content-type", "application/json");
        request = request.header("sec-fetch-site", "same-origin");
    }
    for _ in 0..bytes.int_in_range(0..=4_u8)? {
        let name = *bytes.choose(&[
            "sec-fetch-site",
            "origin",
            "host",
            "content-type",
            "last-event-id",
            "x-refused",
        ])?;
        let value = if bytes.ratio(3, 4)? {
            *bytes.choose(&values)?
        } else {
            bytes.arbitrary()?
        };
        request = request.header(name, value);
    }
    let body = match bytes.int_in_range(0..=3_u8)? {
        0 => Body::from(bytes.arbitrary::<&[u8]>()?.to_vec()),
        1 => Body::empty(),
        _ => {
            let action = *bytes.choose(&[
                "trip",
                "force-open",
                "disable",
                "metrics-only",
                "reset",
                "isolate",
                "release",
            ])?;
            let mut body = json!({ "action": action });
            if action == "trip" || bytes.ratio(1, 8)? {
                body["seconds"] = json!(bytes.arbitrary::<f64>()?);
            }
            if bytes.arbitrary()? {
                body["id"] = json!(bytes.arbitrary::<u8>()?);
            }
            Body::from(body.to_string())
        }
    };
    Ok(request.body(body).ok())
}
