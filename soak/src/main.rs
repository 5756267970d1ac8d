//! All features at full speed for as long as asked, with balanced books and flat memory.
//!
//! ```text
//! cargo soak --minutes 60
//! ```
//!
//! The run has rounds. Each one plays the storefront's script of faults once, in 35 seconds: real
//! HTTP to the storefront's backend on loopback ([`tasks`]), and invented calls by threads that
//! make no pause ([`threads`]). The breakers stay ([`parts`]). Meanwhile [`onlookers`] command,
//! save, reconfigure and watch them. They also check that no total falls or runs ahead of the
//! callers.
//!
//! After each round everything rests. Then each breaker and the metrics must have counted exactly
//! what the callers counted ([`books`]), and nothing may be in flight. The first fault ends the run
//! with exit code 1. So does a heap that is larger in the second half of the run than in the first.

mod books;
mod faults;
mod memory;
mod onlookers;
mod parts;
mod tasks;
mod threads;

#[allow(dead_code, reason = "the storefront's own program uses the rest")]
#[path = "../../examples/storefront/backend.rs"]
mod backend;
#[allow(dead_code, reason = "the storefront's own program uses the rest")]
#[path = "../../examples/storefront/client.rs"]
mod client;
#[path = "../../examples/storefront/dice.rs"]
mod dice;
#[path = "../../examples/storefront/files.rs"]
mod files;
#[allow(dead_code, reason = "the storefront's own program uses the rest")]
#[path = "../../examples/storefront/script.rs"]
mod script;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tower::BoxError;

use backend::Backend;
use faults::Faults;
use onlookers::{Desk, Scrape};
use parts::Parts;
use script::Script;

const USAGE: &str = "usage: tripcurve-soak [--minutes N]   (default 1; a round takes 35 seconds)";

/// Threads that call without a pause. There are more than places in their bulkhead.
const THREADS: usize = 4;

/// Tasks that call over HTTP, wait for probes, and have blocking work.
const SHOPPERS: u32 = 100;
const PATIENT: usize = 150;
const BLOCKING: usize = 12;

/// Pages of the dashboard.
const VISITORS: u64 = 4;

/// How much more than in the first half of the run the heap may have at rest later, in KiB. The
/// dashboard's history of an hour goes on filling up.
const SLACK_KIB: u64 = 1_024;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let minutes = match words[..] {
        [] => Some(1.0),
        ["--minutes", minutes] => minutes.parse().ok(),
        _ => None,
    };
    let length = minutes.and_then(|it: f64| Duration::try_from_secs_f64(it * 60.0).ok());
    let Some(length) = length else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(length) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(length: Duration) -> Result<(), BoxError> {
    let begun = Instant::now();
    let parts = Arc::new(Parts::new()?);
    let connections = files::connections_each()?;
    // The dashboard and its visitors stay from round to round.
    let lasting = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let page = lasting.block_on(onlookers::serve(&parts))?;
    let scrape = Scrape::new(&parts);
    let mut heaps = Vec::new();
    for number in 0.. {
        let desk = Arc::new(Desk::default());
        round(
            number,
            &parts,
            &scrape,
            &desk,
            connections,
            (&lasting, page),
        )?;
        parts.check()?;
        scrape.check(&parts)?;
        if let Some(complaint) = desk.complaint() {
            return Err(complaint.into());
        }
        // How many breakers there are by key is a matter of chance.
        parts.keys.retain(|_, _| false);
        let heap = memory::heap_kib();
        report(number, begun, &parts, &desk, heap);
        heaps.push(heap);
        if begun.elapsed() >= length {
            break;
        }
    }
    println!("the books balanced in all rounds");
    let (first, second) = heaps.split_at(heaps.len().div_ceil(2));
    let [first, second] = [first, second].map(|it| it.iter().copied().max().unwrap_or(0));
    println!("the heap at rest: at most {first} KiB in the first half, {second} KiB in the second");
    if second > first + SLACK_KIB {
        return Err("the heap grows".into());
    }
    Ok(())
}

/// Plays the script once. All callers have ended when this returns.
fn round(
    number: usize,
    parts: &Arc<Parts>,
    scrape: &Scrape,
    desk: &Arc<Desk>,
    connections: usize,
    (lasting, page): (&Runtime, std::net::SocketAddr),
) -> Result<(), BoxError> {
    let seed = number as u64;
    // A runtime of its own, so that the backend and all threads end with the round.
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    let script = Script::start();
    let faults = Faults::new(script, seed);
    let backend = runtime.block_on(Backend::start(script, seed))?;
    let remotes = tasks::remotes(parts, backend.address, connections);
    let mut callers = JoinSet::new();
    for shopper in 0..SHOPPERS {
        let parts = Arc::clone(parts);
        callers.spawn(tasks::shop(
            parts,
            remotes.clone(),
            faults.another(),
            shopper,
        ));
    }
    for _ in 0..PATIENT {
        callers.spawn(tasks::wait(Arc::clone(parts), faults.another()));
    }
    for _ in 0..BLOCKING {
        callers.spawn(tasks::block(Arc::clone(parts), faults.another()));
    }
    drop(remotes);
    runtime.spawn(tasks::check_health(Arc::clone(parts), faults.another()));
    let visitors: Vec<_> = (0..VISITORS)
        .map(|visitor| lasting.spawn(onlookers::visit(page, Arc::clone(desk), visitor)))
        .collect();
    thread::scope(|scope| {
        let onlookers = [
            scope.spawn(|| onlookers::look(parts, desk)),
            scope.spawn(|| onlookers::command(parts, desk)),
            scope.spawn(|| scrape.go_on(desk)),
        ];
        for _ in 0..THREADS {
            let faults = faults.another();
            scope.spawn(move || threads::call_all(parts, &faults));
        }
        let called = runtime.block_on(async {
            while let Some(ended) = callers.join_next().await {
                ended?;
            }
            Ok(())
        });
        desk.stop();
        drop(onlookers);
        called
    })
    .map_err(|error: tokio::task::JoinError| error.to_string())?;
    for visitor in visitors {
        lasting.block_on(visitor)?;
    }
    onlookers::release(parts);
    Ok(())
}

fn report(number: usize, begun: Instant, parts: &Parts, desk: &Desk, heap: u64) {
    let mut rejected = 0;
    for (_, books) in parts.pairs() {
        rejected += books.ends()[books::End::Rejected as usize];
    }
    println!(
        "round {number}, {} s: {} calls asked for, {rejected} rejected, {} transitions; \
         {} looks, {} commands, {} requests in this round; {heap} KiB allocated, {} resident",
        begun.elapsed().as_secs(),
        parts.asked(),
        parts.transitions.load(Ordering::Relaxed),
        desk.looks.load(Ordering::Relaxed),
        desk.commands.load(Ordering::Relaxed),
        desk.requests.load(Ordering::Relaxed),
        memory::resident_kib(),
    );
}
