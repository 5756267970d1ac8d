//! Breakers that follow a file while calls run.
//!
//! ```text
//! cargo run --release --package tripcurve-config --example reload
//! cargo run --release --package tripcurve-config --example reload -- --watch FILE
//! ```
//!
//! Sixteen callers call a real HTTP server on loopback all the time. They use two breakers by name
//! and some of a registry. Meanwhile the file changes, and the changes are [applied](breakers):
//! limits, a window, a template. Three times the file has a mistake. Then it is refused, and all
//! breakers stay as they were.
//!
//! In the end all calls are counted: the calls that were made, the calls that reached the server,
//! and the calls in the breakers' windows. The example takes about five seconds. Its exit code
//! tells whether a call was lost or answered wrongly.
//!
//! With `--watch` it follows your file until it is interrupted, and reports each change. Copy
//! `breakers.toml` from this example's folder to begin with.

mod backend;
mod breakers;
mod load;
#[allow(
    unreachable_pub,
    reason = "as the page about following a file prints it"
)]
mod recipe;
mod story;
mod watch;

// Compiled once for all examples.
use example_http as _;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use backend::{Backend, Client};
use breakers::Breakers;
use load::Load;
use tokio::sync::mpsc;
use tripcurve::persist::Reconfigured;
use watch::Watched;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let result = match &args[..] {
        [] => story::play().await,
        [flag, file] if flag == "--watch" => stay(Path::new(file)).await,
        _ => Err(format!("{args:?} is neither nothing nor --watch FILE").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reload: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The effect of a change of the file, or the mistake in it.
type Report = Result<String, String>;

/// Applies each change of the file. A service needs only this, [`Breakers`] and [`Watched`].
fn follow(mut file: Watched, breakers: &Arc<Breakers>) -> mpsc::UnboundedReceiver<Report> {
    let (send, reports) = mpsc::unbounded_channel();
    let breakers = Arc::clone(breakers);
    tokio::spawn(async move {
        loop {
            let report = match file.changed().await {
                Ok(text) => breakers.apply(text).map(|came| describe(&came)),
                Err(error) => Err(error),
            };
            if send.send(report).is_err() {
                return;
            }
        }
    });
    reports
}

fn describe(came: &[(&str, Reconfigured)]) -> String {
    let all: Vec<_> = came
        .iter()
        .map(|(name, what)| format!("{name} {what}"))
        .collect();
    all.join("; ")
}

/// Follows a file of the user.
async fn stay(path: &Path) -> Result<(), Failure> {
    let backend = Backend::start().await?;
    let file = Watched::start(path)?;
    let breakers = Arc::new(Breakers::new(file.text())?);
    let mut reports = follow(file, &breakers);
    let mut load = Load::start(&breakers, &Client::new(backend.address));
    println!("watching {}, interrupt to end", path.display());
    loop {
        for breaker in [&breakers.payments, &breakers.search] {
            println!("  {}", breaker.snapshot());
        }
        tokio::select! {
            report = reports.recv() => match report {
                Some(Ok(came)) => println!("\nthe file is applied: {came}"),
                Some(Err(error)) => println!("\nthe file is refused, all stays as it was: {error}"),
                None => return Err("nobody follows the file any more".into()),
            },
            _ = tokio::signal::ctrl_c() => break,
        }
        for name in breakers.unused(&std::fs::read_to_string(path).unwrap_or_default()) {
            println!("  nobody here asks for the breaker {name}");
        }
    }
    load.stop().await?;
    println!("\npayments: {}", load.payments.sums());
    println!("search: {}", load.search.sums());
    Ok(())
}
