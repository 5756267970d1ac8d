//! A service with blocking work in async code, through an outage of its backend: first without a
//! bulkhead and a breaker, then with them.
//!
//! ```text
//! cargo run --release --features bulkhead --example isolation
//! ```
//!
//! The service has two routes ([`service`]). Reports come from a backend, through a client that
//! blocks. Pages come from a file and don't need the backend ([`backend`]). Visitors ask for both
//! at a steady rate ([`visitors`]).
//!
//! When the backend hangs, the reports of the bare service take one blocking thread after another,
//! until none is left for the pages. With a bulkhead, the reports have their own threads. With a
//! breaker, they don't even wait for these.
//!
//! The exit status tells whether the run went like this.

mod backend;
mod service;
mod visitors;

// Compiled once for all examples.
use example_http as _;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use backend::Backend;
use service::{BARE_THREADS, Reports, Service, THREADS};
use visitors::{Figures, Phase, Visitors};

/// How long the backend is healthy, hangs, and is healthy again.
struct Script {
    well: Duration,
    hangs: Duration,
    well_again: Duration,
}

const FULL: Script = Script {
    well: Duration::from_secs(2),
    hangs: Duration::from_secs(8),
    well_again: Duration::from_secs(5),
};

const QUICK: Script = Script {
    well: Duration::from_millis(500),
    hangs: Duration::from_secs(2),
    well_again: Duration::from_millis(1_500),
};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let script = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => FULL,
        ["--quick"] => QUICK,
        _ => {
            eprintln!("isolation: takes --quick or nothing");
            return ExitCode::from(2);
        }
    };
    match both(&script) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("isolation: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs both services through the script, one after the other. Returns whether all results were as
/// expected.
fn both(script: &Script) -> Result<bool, Box<dyn Error>> {
    println!("without: reports on the runtime's pool of {BARE_THREADS} threads");
    let bare = run(script, |backend| Ok(Reports::bare(backend)))?;
    println!("\nwith: reports on {THREADS} threads of their own, behind a breaker");
    let guarded = run(script, Reports::guarded)?;
    let [_, while_bare, _] = &bare;
    let [_, while_guarded, after] = &guarded;
    println!();
    let verdicts = [
        (
            "without, most pages fail while the backend hangs",
            while_bare.pages.answered_share() < 0.5,
        ),
        (
            "with, pages are answered while the backend hangs",
            while_guarded.pages.answered_share() >= 0.95,
        ),
        (
            "and half of them within 50 ms",
            (while_guarded.pages.median()).is_some_and(|time| time <= Duration::from_millis(50)),
        ),
        (
            "and reports are rejected sooner than their callers leave",
            while_guarded.reports.left_share() < 0.5,
        ),
        (
            "afterwards there are reports again",
            after.reports.answered_share() >= 0.5,
        ),
    ];
    for (what, holds) in verdicts {
        println!("{} {what}", if holds { "yes" } else { "NO " });
    }
    Ok(verdicts.iter().all(|(_, holds)| *holds))
}

fn run(
    script: &Script,
    reports: impl Fn(std::net::SocketAddr) -> Result<Reports, Box<dyn Error>>,
) -> Result<[Figures; 3], Box<dyn Error>> {
    let backend = Backend::start()?;
    let service = Service::start(reports(backend.address)?)?;
    let visitors = Visitors::new(service.address)?;
    println!("{}", Figures::HEADING);
    let phase = |phase: Phase, length| {
        let figures = visitors.come_for(length);
        println!("{phase:<20} {figures}");
        figures
    };
    let well = phase(Phase::Well, script.well);
    backend.hang();
    let hangs = phase(Phase::Hangs, script.hangs);
    backend.recover();
    let well_again = phase(Phase::WellAgain, script.well_again);
    Ok([well, hangs, well_again])
}
