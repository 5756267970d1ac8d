//! Twenty processes that call one backend, while the backend breaks and works again.
//!
//! ```text
//! cargo run --release --package tripcurve-fleet --example twenty_shops
//! ```
//!
//! Each [shop](shop) calls the [backend](backend) four times a second, twice each time: through a
//! breaker that has joined a fleet, and through one that decides alone. So both see the same. First
//! one shop loses its connection. Then the backend fails for all of them, and works again.
//!
//! If `redis-server` is installed, the shops are processes that share a [server](server) on a free
//! port. Otherwise, or with `--memory`, they share the memory of one process.
//!
//! The example takes less than 40 seconds. `--processes 200` starts more shops, and `--quick` takes
//! 15 seconds. The exit status tells whether the run went [as expected](report).

mod args;
mod backend;
mod event;
mod report;
mod server;
mod shop;
mod shops;
mod story;

use std::error::Error;
use std::process::ExitCode;

use args::{Args, Role};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let role = match args::parse(&arguments) {
        Ok(role) => role,
        Err(error) => {
            eprintln!("twenty_shops: {error}");
            return ExitCode::from(2);
        }
    };
    match run(role) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("twenty_shops: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the story, or one shop of it. Returns whether all went as expected.
fn run(role: Role) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match role {
        Role::Story(args) => runtime.block_on(play(&args)),
        Role::Shop(shop, store) => runtime.block_on(shops::be_process(shop, &store)),
    }
}

async fn play(args: &Args) -> Result<bool, Failure> {
    let figures = story::play(args).await?;
    println!("\n{figures}");
    Ok(figures.verdict())
}
