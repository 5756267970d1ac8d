//! tripcurve's lab: tries a breaker's settings in simulations and on logs.

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tripcurve_lab::compare::Compare;
use tripcurve_lab::fleet::Fleet;
use tripcurve_lab::herd::Herd;
use tripcurve_lab::recommend::Recommend;
use tripcurve_lab::replay::Replay;
use tripcurve_lab::sample::Sample;
use tripcurve_lab::sweep::Sweep;

/// Try a breaker's settings in simulations and on your own logs
#[derive(Debug, Parser)]
#[command(version)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare breakers in scenarios, with each other and with the limit
    Compare(Compare),
    /// Vary one property of a fault or of the traffic
    Sweep(Sweep),
    /// Let many clients of one backend recover at once
    Herd(Herd),
    /// Let the members of a fleet judge and recover as one
    Fleet(Fleet),
    /// Run your own log through policies that you choose
    Replay(Replay),
    /// Find the policy that does best on your own log
    Recommend(Recommend),
    /// Write a log that looks real
    Sample(Sample),
}

fn main() -> ExitCode {
    let line = Line::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    let done = run(&line.command, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if has_been_left(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = out.flush();
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the reader of our output has closed it, as `head` does.
fn has_been_left(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(command: &Command, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Compare(compare) => compare.run(out)?,
        Command::Sweep(sweep) => sweep.run(out)?,
        Command::Herd(herd) => herd.run(out)?,
        Command::Fleet(fleet) => fleet.run(out)?,
        Command::Replay(replay) => replay.run(out)?,
        Command::Recommend(recommend) => recommend.run(out)?,
        Command::Sample(sample) => sample.run(out)?,
    }
    Ok(())
}
