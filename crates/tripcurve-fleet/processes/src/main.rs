//! Real processes of a fleet, with a real server, and all that can go wrong between them.
//!
//! `cargo fleet-processes` starts `redis-server`, a backend, and 50 processes that call it under
//! load. Each has its own proxy in front of the server. Then one scenario after the other breaks
//! something. For each, the program prints what opened and when, what was lost, and whether members
//! said that they had lost the store. It fails if a scenario went wrong.
//!
//! ```text
//! fleet-processes [--processes N] [--rate CALLS_PER_SECOND] [--quick] [SCENARIO…]
//! ```
//!
//! What is checked are counts and orders, because a busy machine delays everything. Times are
//! printed.

mod backend;
mod event;
mod member;
mod proxy;
mod report;
mod scenarios;
mod server;
mod stage;

use std::process::ExitCode;
use std::time::Instant;

use report::HEAD;
use stage::Stage;

/// The namespace of all members.
const NAMESPACE: &str = "processes";

/// The breaker that all members have.
const BREAKER: &str = "payments";

/// What a run is.
struct Options {
    processes: u16,
    rate: u32,
    quick: bool,
    scenarios: Vec<String>,
}

fn options(words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        processes: 50,
        rate: 20,
        quick: false,
        scenarios: Vec::new(),
    };
    let mut words = words;
    while let Some(word) = words.next() {
        match &*word {
            "--processes" => options.processes = words.next()?.parse().ok()?,
            "--rate" => options.rate = words.next()?.parse().ok()?,
            "--quick" => options.quick = true,
            it if it.starts_with('-') => return None,
            _ => options.scenarios.push(word),
        }
    }
    ((6..=500).contains(&options.processes) && (1..=1_000).contains(&options.rate))
        .then_some(options)
}

fn member(words: &[String]) -> Option<member::Settings> {
    let [number, store, backend, rate, classifier] = words else {
        return None;
    };
    Some(member::Settings {
        number: number.parse().ok()?,
        store: store.clone(),
        backend: backend.clone(),
        rate: rate.parse().ok()?,
        classifier: classifier.clone(),
    })
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|it| it == "member") {
        member::run(member(&words[1..]).expect("what the coordinator passes"));
        return ExitCode::SUCCESS;
    }
    let Some(options) = options(words.into_iter()) else {
        eprintln!("usage: [--processes 6..=500] [--rate 1..=1000] [--quick] [SCENARIO…]");
        return ExitCode::FAILURE;
    };
    let begun = Instant::now();
    let stage = Stage::new(options.processes, options.rate);
    stage.recover();
    println!(
        "{} processes, {} calls a second each; ready after {:.0} s\n\n{HEAD}",
        options.processes,
        options.rate,
        begun.elapsed().as_secs_f64()
    );
    let mut script = scenarios::Script::new(stage, options.quick);
    let mut wrong = 0;
    for (name, act) in scenarios::ALL {
        let is_named = options.scenarios.iter().any(|it| it == name);
        if !(is_named || options.scenarios.is_empty() && script.plays(name)) {
            continue;
        }
        let row = script.play(name, *act);
        println!("{}", row.text());
        wrong += row.wrong.len();
    }
    let (calls, slow, longest) = script.stage.totals();
    println!(
        "\n{calls} calls. The breaker's part of a call took {longest} µs at most, and 100 ms or more \
         in {slow} calls. {:.0} s.",
        begun.elapsed().as_secs_f64()
    );
    // A call that waited for the store would take 250 ms, and in each scenario hundreds fail.
    if wrong > 0 || slow > calls / 1_000 {
        println!("{wrong} faults");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
