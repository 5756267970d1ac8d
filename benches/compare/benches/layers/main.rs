//! Compares tripcurve's layer for tower with the layers of tower-resilience and seatbelt, around a
//! service that is always ready and answers at once.
//!
//! All layers are timed by turns, a fraction of a millisecond each. So a change of the machine's speed
//! affects all of them. The result of a round is each layer's time as a multiple of tripcurve's.
//! The table has the median of the rounds, and their quartiles.
//!
//! This target has its own feature, so that the breaker's rows measure the crate with default
//! features: `cargo bench --manifest-path benches/compare/Cargo.toml --features layers --bench
//! layers`.

// The other benchmarks use more of these modules than this one.
#[allow(dead_code)]
#[path = "../compare/measure.rs"]
mod measure;
#[allow(dead_code)]
#[path = "../compare/peers.rs"]
mod peers;
#[path = "../compare/seatbelt.rs"]
mod seatbelt;
#[allow(dead_code)]
#[path = "../compare/subject.rs"]
mod subject;
mod tripcurve;

use std::time::{Duration, Instant};

use measure::{Failing, call_repeatedly};
use peers::{TowerResilience, Worker, poll_service};
use subject::{Answer, CALLS_A_WINDOW, Settings, Subject, Work};

/// The rounds of a full run, and of a first look: `-- --quick`.
const ROUNDS: usize = 10_001;
const QUICK_ROUNDS: usize = 1_001;

/// The least time of a layer in each round. Most turns fit between two of the scheduler's
/// interrupts.
const TURN: Duration = Duration::from_micros(200);

/// The service without a layer. Its open form is closed too: nothing can reject its calls.
#[derive(Clone)]
struct Bare(Worker);

impl Subject for Bare {
    const NAME: &'static str = "no layer";
    type Reply = Answer;

    fn closed(_: &Settings) -> Self {
        Self(Worker)
    }

    #[inline]
    fn call(&mut self, work: Work) -> Answer {
        poll_service(&mut self.0, work)
    }

    #[inline]
    fn admitted(_: &Answer) -> bool {
        true
    }
}

/// A layer in one state, and how to time it.
struct Row {
    name: &'static str,
    time: Box<dyn FnMut() -> f64>,
}

impl Row {
    fn new<S: Subject>(subject: S) -> Self {
        Self::named(S::NAME, subject)
    }

    /// Finds the number of calls that take a [`TURN`].
    fn named<S: Subject>(name: &'static str, mut subject: S) -> Self {
        let mut in_window = 0;
        let mut time = move |calls| {
            // As in the other benchmarks, a window holds at most so many calls. Emptying it isn't a
            // part of the time.
            in_window += calls;
            if in_window > CALLS_A_WINDOW {
                subject.empty_window();
                in_window = calls;
            }
            let begin = Instant::now();
            call_repeatedly(&mut subject, calls, Failing::NONE);
            begin.elapsed()
        };
        // The first full window: tripcurve's grows on the way.
        time(CALLS_A_WINDOW);
        let mut calls = 1;
        while time(calls) < TURN {
            calls *= 2;
        }
        Self {
            name,
            time: Box::new(move || {
                #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
                let number = calls as f64;
                time(calls).as_secs_f64() / number
            }),
        }
    }
}

fn main() {
    // A test run, such as `cargo test --all-targets`, must not take a minute.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if quick { QUICK_ROUNDS } else { ROUNDS };
    let settings = &Settings::USUAL;
    // As before a window has grown: all threads write to one word.
    let one_shard = &Settings {
        shards: Some(1),
        ..Settings::USUAL
    };

    println!("| layer | closed, success | open, rejected |\n|---|---:|---:|");
    let closed = ratios(
        rounds,
        vec![
            Row::new(tripcurve::Layered::closed(settings)),
            Row::named("tripcurve/one_shard", tripcurve::Layered::closed(one_shard)),
            Row::new(TowerResilience::closed(settings)),
            Row::new(seatbelt::Seatbelt::closed(settings)),
            Row::new(Bare::closed(settings)),
        ],
    );
    let open = ratios(
        rounds,
        vec![
            Row::new(tripcurve::Layered::open(settings)),
            Row::named("tripcurve/one_shard", tripcurve::Layered::open(one_shard)),
            Row::new(TowerResilience::open(settings)),
            Row::new(seatbelt::Seatbelt::open(settings)),
            Row::new(Bare::closed(settings)),
        ],
    );
    for ((name, closed), (_, open)) in closed.into_iter().zip(open) {
        println!("| `{name}` | {closed} | {open} |");
    }
}

/// Each row's name, and its time as a multiple of the first row's: the median of the rounds, and
/// the quartiles.
fn ratios(rounds: usize, mut rows: Vec<Row>) -> Vec<(&'static str, String)> {
    let mut times = vec![Vec::with_capacity(rounds); rows.len()];
    for _ in 0..rounds {
        let round: Vec<f64> = rows.iter_mut().map(|row| (row.time)()).collect();
        for (times, time) in times.iter_mut().zip(&round) {
            times.push(time / round[0]);
        }
    }
    let names = rows.iter().map(|row| row.name);
    names.zip(times.into_iter().map(quartiles)).collect()
}

fn quartiles(mut ratios: Vec<f64>) -> String {
    ratios.sort_by(f64::total_cmp);
    let at = |quarter| ratios[ratios.len() * quarter / 4];
    let (lower, median, upper) = (at(1), at(2), at(3));
    format!("**{median:.2}** ({lower:.2}–{upper:.2})")
}
