//! The program that the browser's test looks at. It plays what the test asks for.
//!
//! ```text
//! cargo run --package tripcurve-dashboard --example browser_stage -- --port 0 --act --breakers 100
//! ```
//!
//! `--act` authorizes the user whom the header `x-user` names, or `ann`. `POST /stage/fail/{name}`
//! makes calls that fail, until the breaker opens. `--fleet` lets `search` join a fleet of twenty
//! members. `POST /stage/fleet/{number}` lets all calls of this many others fail. It prints its
//! address.

mod others;

// Compiled once for all examples.
use example_http as _;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;
use tripcurve::outcome::Report;
use tripcurve::registry::{ControlGroup, HealthRule, Registry, Roster};
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, Recovery, TripPolicy};
use tripcurve_dashboard::{Attempt, Dashboard};

use others::{Others, fail_others};

type Failure = Box<dyn Error + Send + Sync>;

/// What the command line asks for.
struct Args {
    port: u16,
    acts: bool,
    breakers: usize,
    fleet: bool,
}

fn args() -> Result<Args, Failure> {
    let mut args = Args {
        port: 0,
        acts: false,
        breakers: 0,
        fleet: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().ok_or(format!("{word} needs a number"));
        match word.as_str() {
            "--act" => args.acts = true,
            "--fleet" => args.fleet = true,
            "--port" => args.port = number()?.parse()?,
            "--breakers" => args.breakers = number()?.parse()?,
            _ => return Err(format!("{word} is not known").into()),
        }
    }
    Ok(args)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = args()?;
    let roster = Roster::new();
    let group = ControlGroup::new();
    let mut all = named(&roster)?;
    group.add(&all[0]);
    for number in 0..args.breakers {
        let name = format!("shard-{number:04}.eu-west.example");
        let policy = TripPolicy::failure_rate(0.5).min_calls(20);
        let builder = CircuitBreaker::builder(name).trip_when(policy).shards(1);
        all.push(builder.enlist(&roster).build()?);
    }
    let mut dashboard = Dashboard::new(&roster)
        .title("stage")
        .health_rule(HealthRule::new().down_if_open("payments"))
        .in_flight("payments", || 3)
        .group("bank", &group);
    if args.acts {
        dashboard = dashboard.authorize(|attempt: &Attempt<'_>| {
            let user = attempt.request.headers.get("x-user");
            match user.and_then(|it| it.to_str().ok()).unwrap_or("ann") {
                "mallory" => Err("mallory may only look".to_owned()),
                user => Ok(user.to_owned()),
            }
        });
    }
    let others = Others::default();
    let _fleet = if args.fleet {
        let fleet = others.start(&all[1]).await?;
        dashboard = dashboard.fleet(fleet.for_dashboard());
        Some(fleet)
    } else {
        None
    };
    let template = CircuitBreaker::builder("tenants").on_transition(dashboard.listener());
    let tenants = Registry::<u32>::builder(template)
        .name_with(|tenant| format!("tenant-{tenant}"))
        .enlist(&roster)
        .build()?;
    for tenant in 0..40 {
        tenants.get_or_create(&tenant);
    }
    tenants.get_or_create(&7).trip(Duration::from_secs(3_600));
    let all = Arc::new(all);
    tokio::spawn(traffic(Arc::clone(&all)));
    let app = Router::new()
        .route("/stage/fail/{name}", post(fail))
        .with_state(all)
        .route(
            "/stage/fleet/{failing}",
            post(fail_others).with_state(others),
        )
        .nest("/tools/breakers", dashboard.router());
    let listener = TcpListener::bind(("127.0.0.1", args.port)).await?;
    println!("http://{}/tools/breakers", listener.local_addr()?);
    axum::serve(listener, app).await?;
    drop(tenants);
    Ok(())
}

/// Breakers of each kind, one with markup in its name.
fn named(roster: &Roster) -> Result<Vec<CircuitBreaker>, Failure> {
    let builders = [
        CircuitBreaker::builder("payments")
            .trip_when(TripPolicy::classic())
            .latency(Recording::ByOutcome)
            .recovery(Recovery::fixed(Duration::from_secs(20), 1)),
        CircuitBreaker::builder("search")
            .trip_when(TripPolicy::adaptive().slower_than(Duration::from_secs(1)))
            .latency(Recording::Combined),
        CircuitBreaker::builder("recommendations")
            .window(Window::count(100))
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(20)),
        CircuitBreaker::builder(
            "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
        ),
        CircuitBreaker::builder("stock").trip_when(TripPolicy::consecutive_failures(8)),
    ];
    let build = |builder: tripcurve::CircuitBreakerBuilder| builder.enlist(roster).build();
    let all: Result<Vec<_>, _> = builders.into_iter().map(build).collect();
    Ok(all?)
}

/// Makes some calls a second, a few of which fail.
async fn traffic(all: Arc<Vec<CircuitBreaker>>) {
    let mut turn = 0_u64;
    loop {
        for (place, breaker) in all.iter().enumerate() {
            turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let draw = turn >> 33;
            // Most breakers of a large wall have calls now and then.
            if place > 10 && !draw.is_multiple_of(8) {
                continue;
            }
            if let Ok(permit) = breaker.try_acquire() {
                let took = Duration::from_micros(2_000 + draw % 9_000);
                let failed = draw.is_multiple_of(50);
                let report = if failed {
                    Report::failure()
                } else {
                    Report::success()
                };
                permit.record(report.took(took));
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Makes calls that fail, until the breaker opens.
async fn fail(State(all): State<Arc<Vec<CircuitBreaker>>>, Path(name): Path<String>) -> StatusCode {
    let Some(breaker) = all.iter().find(|it| it.name() == name) else {
        return StatusCode::NOT_FOUND;
    };
    for _ in 0..1_000 {
        if breaker
            .call(|| Err::<(), _>("refused"))
            .is_err_and(|it| it.rejected().is_some())
        {
            return StatusCode::OK;
        }
    }
    StatusCode::CONFLICT
}
