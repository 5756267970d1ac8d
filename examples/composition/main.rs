//! Retries, breaker, bulkhead, time limit and fallback around the calls of a backend: in the right
//! order and in two wrong ones, in parallel through one outage.
//!
//! ```text
//! cargo run --release --features bulkhead,retry,tokio --example composition
//! ```
//!
//! Each order ([`orders`]) has its own backend ([`backend`]) and gets fifty calls per second. The
//! backend is healthy for two seconds, hangs for five, and is healthy for three more. The exit
//! status tells whether the run went as `tripcurve::guide::composition` says.

mod backend;
mod orders;

// Compiled once for all examples.
use example_http as _;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use backend::Backend;
use orders::{Answer, LIMIT, Order, Parts};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// The time from one call to the next.
const EVERY: Duration = Duration::from_millis(20);
const HANGS_FROM: Duration = Duration::from_secs(2);
const HANGS_UNTIL: Duration = Duration::from_secs(7);
const END: Duration = Duration::from_secs(10);

/// The result of one order.
struct Outcome {
    attempts: u64,
    most_at_once: u64,
    trips: u64,
    /// The durations of the calls that began while the backend hung, the shortest first.
    took: Vec<Duration>,
    calls: usize,
    fallbacks: usize,
    /// The fallbacks of calls that began while the backend was healthy.
    fallbacks_while_well: usize,
}

impl Outcome {
    fn percentile(&self, percent: usize) -> Duration {
        let last = self.took.len().saturating_sub(1);
        let at = (self.took.len() * percent / 100).min(last);
        self.took.get(at).copied().unwrap_or_default()
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let run = runtime
        .map_err(Into::into)
        .and_then(|it| it.block_on(side_by_side()));
    match run {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("composition: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all three orders at the same time. Returns whether all results were as expected.
async fn side_by_side() -> Result<bool, Box<dyn Error>> {
    let (right, within, around) = tokio::try_join!(
        through_the_outage(Order::Right),
        through_the_outage(Order::RetryWithinTheBreaker),
        through_the_outage(Order::LimitAroundTheBreaker),
    )?;
    println!("{:45} {:>8} {:>10} {:>10}", "", "right", "retry", "limit");
    println!("{:45} {:>8} {:>10} {:>10}", "", "order", "within", "around");
    let row = |what: &str, figure: &dyn Fn(&Outcome) -> String| {
        let [right, within, around] = [&right, &within, &around].map(figure);
        println!("{what:45} {right:>8} {within:>10} {around:>10}");
    };
    row("attempts that reached the hanging backend", &|it| {
        it.attempts.to_string()
    });
    row("requests there at once, at most", &|it| {
        it.most_at_once.to_string()
    });
    row("times the breaker tripped", &|it| it.trips.to_string());
    for percent in [50, 90, 99] {
        let what = format!("calls in the outage, {percent}th percentile, ms");
        row(&what, &|it| it.percentile(percent).as_millis().to_string());
    }
    row("calls", &|it| it.calls.to_string());
    row("answered by the fallback", &|it| it.fallbacks.to_string());
    row("of those, begun while the backend was well", &|it| {
        it.fallbacks_while_well.to_string()
    });

    println!();
    let verdicts = [
        ("in the right order the breaker trips", right.trips >= 1),
        (
            "with the retries within, at least twice as many attempts reach the backend",
            within.trips >= 1 && within.attempts >= 2 * right.attempts,
        ),
        (
            "with the limit around, the breaker never trips, and at least five times as many do",
            around.trips == 0 && around.attempts >= 5 * right.attempts,
        ),
        (
            "in the right order nine of ten calls in the outage don't wait",
            right.percentile(90) < LIMIT / 5,
        ),
        (
            "with the retries within, a tenth of them waits for longer than the limit",
            within.percentile(90) > LIMIT,
        ),
        (
            "with the limit around, half of them wait for a limit or more",
            around.percentile(50) >= LIMIT,
        ),
    ];
    for (verdict, holds) in verdicts {
        println!("{} {verdict}", if holds { "yes:" } else { "NO: " });
    }
    Ok(verdicts.iter().all(|(_, holds)| *holds))
}

async fn through_the_outage(order: Order) -> Result<Outcome, Box<dyn Error>> {
    let backend = Backend::start().await?;
    let parts = Arc::new(Parts::new(backend.client())?);
    let told = backend.clone();
    tokio::spawn(async move {
        sleep(HANGS_FROM).await;
        told.set_hanging(true);
        sleep(HANGS_UNTIL.saturating_sub(HANGS_FROM)).await;
        told.set_hanging(false);
    });

    let begin = Instant::now();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut calls = JoinSet::new();
    while begin.elapsed() < END {
        ticks.tick().await;
        let parts = Arc::clone(&parts);
        calls.spawn(async move {
            let called = Instant::now();
            let answer = parts.call(order).await;
            (called - begin, called.elapsed(), answer)
        });
    }
    let calls = calls.join_all().await;

    let in_outage = |at: Duration| (HANGS_FROM..HANGS_UNTIL).contains(&at);
    let fell_back = |answer: Answer| answer == Answer::Fallback;
    let in_outage_took = calls.iter().filter(|(at, ..)| in_outage(*at));
    let mut took: Vec<_> = in_outage_took.map(|(_, took, _)| *took).collect();
    took.sort();
    Ok(Outcome {
        attempts: backend.requests_while_it_hung(),
        most_at_once: backend.most_at_once(),
        trips: parts.trips(),
        took,
        calls: calls.len(),
        fallbacks: calls
            .iter()
            .filter(|(.., answer)| fell_back(*answer))
            .count(),
        fallbacks_while_well: calls
            .iter()
            .filter(|(at, _, answer)| fell_back(*answer) && !in_outage(*at))
            .count(),
    })
}
