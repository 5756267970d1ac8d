//! Compares tripcurve's layer for tower with the layers of tower-resilience and seatbelt, around a
//! service that is always ready and answers at once.
//!
//! All layers are timed by turns, a fraction of a millisecond each. So a change of the machine's speed
//! affects all of them. The result of a turn is each layer's time as a multiple of tripcurve's.
//! The table has the median of the turns, and their quartiles.
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

use tripcurve_compare::statistics::Digits;
use tripcurve_compare::turns::{self, Limit, Row};

use measure::{Failing, call_repeatedly};
use peers::{TowerResilience, Worker, poll_service};
use subject::{Answer, CALLS_A_WINDOW, Settings, Subject, Work};

/// The turns of a full run, and of a first look: `-- --quick`.
const TURNS: usize = 10_001;
const QUICK_TURNS: usize = 1_001;
/// They are enough for quartiles.
const LEAST_TURNS: usize = 11;

/// On a busy machine, fewer turns must do.
const LONGEST: Duration = Duration::from_mins(2);

/// The least time of a layer in each turn. Most fit between two of the scheduler's interrupts.
const TURN: Duration = Duration::from_micros(200);

const OURS: &str = tripcurve::Layered::NAME;
const ONE_SHARD: &str = "tripcurve/one_shard";

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

/// A layer in one state, which makes as many calls as take a [`TURN`].
fn row<S: Subject>(name: &str, mut subject: S) -> Row {
    let mut in_window = 0;
    let mut time = move |calls: u32| {
        // As in criterion's groups, a window holds at most so many calls. Emptying it isn't a part
        // of the time.
        in_window += u64::from(calls);
        if in_window > CALLS_A_WINDOW {
            subject.empty_window();
            in_window = calls.into();
        }
        let begin = Instant::now();
        call_repeatedly(&mut subject, calls.into(), Failing::NONE);
        begin.elapsed()
    };
    let mut calls = 1;
    while time(calls) < TURN {
        calls *= 2;
    }
    Row::new(name, calls, move || time(calls))
}

fn main() {
    // A test run, such as `cargo test --all-targets`, must not take a minute.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let limit = Limit {
        time: LONGEST,
        most: if quick { QUICK_TURNS } else { TURNS },
        least: LEAST_TURNS,
    };
    let settings = &Settings::USUAL;
    // As before a window has grown: all threads write to one word.
    let one_shard = &Settings {
        shards: Some(1),
        ..Settings::USUAL
    };

    let mut closed = [
        row(OURS, tripcurve::Layered::closed(settings)),
        row(ONE_SHARD, tripcurve::Layered::closed(one_shard)),
        row(TowerResilience::NAME, TowerResilience::closed(settings)),
        row(
            seatbelt::Seatbelt::NAME,
            seatbelt::Seatbelt::closed(settings),
        ),
        row(Bare::NAME, Bare::closed(settings)),
    ];
    let mut open = [
        row(OURS, tripcurve::Layered::open(settings)),
        row(ONE_SHARD, tripcurve::Layered::open(one_shard)),
        row(TowerResilience::NAME, TowerResilience::open(settings)),
        row(seatbelt::Seatbelt::NAME, seatbelt::Seatbelt::open(settings)),
        row(Bare::NAME, Bare::closed(settings)),
    ];
    let closed = turns::take(&mut closed, 0, limit);
    let open = turns::take(&mut open, 0, limit);

    println!("| layer | closed, success | open, rejected |\n|---|---:|---:|");
    for name in closed.names() {
        print!("| `{name}` |");
        for times in [&closed, &open] {
            let ratios = times.ratios(name, OURS);
            let (lower, upper) = ratios.quartiles;
            let (median, lower, upper) = (Digits(ratios.median), Digits(lower), Digits(upper));
            print!(" **{median}** ({lower}–{upper}) |");
        }
        println!();
    }
}
