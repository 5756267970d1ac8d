//! The percentiles of a backend that slows down and then hangs, as its breaker sees them.
//!
//! ```text
//! cargo run --release --example percentiles
//! ```
//!
//! An axum server on loopback ([`backend`]) follows a script of four phases ([`script`]). Requests
//! come at a fixed rate ([`client`]), all through one breaker ([`breaker`]). Its window is shown
//! twice a second ([`screen`]), and written to a log and a chart at the end ([`report`]).
//!
//! It fails with exit status 1 if the breaker didn't trip in time: before the first request of the
//! hang returned or timed out ([`witness`]).

mod args;
mod backend;
mod breaker;
mod chart;
mod client;
// This module belongs to the other example.
#[path = "../storefront/dice.rs"]
mod dice;
mod log;
mod report;
mod screen;
mod script;
mod witness;

// Compiled once for all examples.
use example_http as _;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval_at, sleep_until};
use tripcurve::CircuitBreaker;
use tripcurve::events::Transition;

use args::Args;
use client::Client;
use report::Notes;
use screen::Screen;
use script::Script;
use witness::Witness;

/// How often the percentiles are read: once per bucket of the window, at full length.
const REFRESH: Duration = Duration::from_millis(500);

/// A request has an open file at both of its ends. In the hang, a few hundred requests are open
/// before the breaker trips, and twice as many if it doesn't.
const FEWEST_FILES: u64 = 1_000;
const FILES: u64 = 2_048;

fn main() -> ExitCode {
    let result = match args::parse(std::env::args_os().skip(1)) {
        Ok(Args::Run { out, quick }) => run(&out, quick),
        Ok(Args::Help) => writeln!(io::stdout(), "{}", args::USAGE).map_err(Into::into),
        Err(error) => {
            eprintln!("percentiles: {error}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("percentiles: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(out: &Path, quick: bool) -> Result<(), Box<dyn Error>> {
    report::create(out)?;
    let files = rlimit::increase_nofile_limit(FILES)?;
    if files < FEWEST_FILES {
        return Err(format!(
            "this process may open {files} files, it needs {FEWEST_FILES}; see ulimit -n"
        )
        .into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(play(out, quick));
    // This stops the server without waiting for its last calls.
    runtime.shutdown_background();
    result
}

async fn play(out: &Path, quick: bool) -> Result<(), Box<dyn Error>> {
    let script = Script::start(quick);
    let backend = backend::start(script)
        .await
        .map_err(|error| format!("cannot serve on loopback: {error}"))?;
    let witness = Arc::new(Witness::new(script.hang()));
    let (happened, events) = mpsc::channel();
    let listener = {
        let witness = Arc::clone(&witness);
        // It runs on the path of the call that changed the state, so it only passes the news on.
        move |transition: &Transition| {
            let at = script.elapsed();
            witness.transition(at, transition);
            // It fails when the receiver is gone.
            _ = happened.send((at, transition.clone()));
        }
    };
    let breaker = breaker::new(&script, listener)?;
    let client = Arc::new(Client::new(
        script,
        backend,
        breaker.clone(),
        Arc::clone(&witness),
    ));
    tokio::spawn(Arc::clone(&client).run());

    let mut notes = Notes::new(script.scaled(breaker::WINDOW));
    let ended = watch(&script, &breaker, &client, &events, &mut notes).await?;
    write!(io::stdout(), "\n{}", notes.write(out)?)?;
    match ended {
        Ended::Stopped => Err("stopped by Ctrl-C, so there is no verdict on the hang".into()),
        Ended::ByItself => Ok(writeln!(io::stdout(), "\n{}", witness.verdict()?)?),
    }
}

enum Ended {
    ByItself,
    Stopped,
}

type Events = Receiver<(Duration, Transition)>;

/// Shows and notes the breaker's window, until the script is over or the user stops it.
async fn watch(
    script: &Script,
    breaker: &CircuitBreaker,
    client: &Client,
    events: &Events,
    notes: &mut Notes,
) -> Result<Ended, Box<dyn Error>> {
    let mut screen = Screen::open(script.scaled(breaker::WINDOW))?;
    let mut tick = interval_at(script.instant(REFRESH), REFRESH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut over = std::pin::pin!(sleep_until(script.instant(script.length())));
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    let mut snapshot = breaker.snapshot();
    let (mut before, mut sent_before) = (Duration::ZERO, 0);
    let mut playing = None;
    loop {
        let ended = tokio::select! {
            biased;
            _ = tick.tick() => None,
            () = &mut over => Some(Ended::ByItself),
            stopped = &mut stop => Some(stopped.map(|()| Ended::Stopped)?),
        };
        let at = script.elapsed();
        let phase = script.phase_at(at);
        let mut news: Vec<_> = events
            .try_iter()
            .map(|(at, t)| (at, describe(&t)))
            .collect();
        if playing != Some(phase.mood) {
            playing = Some(phase.mood);
            news.push((phase.from, phase.mood.what_happens().to_owned()));
        }
        news.sort();
        for (at, what) in news {
            screen.tell(&format!("{:>5.1}  {what}", at.as_secs_f64()))?;
        }
        if let Some(ended) = ended {
            screen.close()?;
            return Ok(ended);
        }
        breaker.snapshot_into(&mut snapshot);
        let sent = client.sent();
        let rate = a_second(sent - sent_before, at.saturating_sub(before));
        (before, sent_before) = (at, sent);
        screen.show(at, &snapshot, rate)?;
        notes.add(at, phase.mood, &snapshot);
    }
}

/// Like its `Display`, without the name and the generation. There is one breaker, and 80 columns
/// are few.
fn describe(transition: &Transition) -> String {
    let (from, to) = (transition.from(), transition.to());
    format!("* {from} -> {to}: {}", transition.cause())
}

fn a_second(calls: u64, time: Duration) -> f64 {
    f64::from(u32::try_from(calls).unwrap_or(u32::MAX)) / time.as_secs_f64()
}
