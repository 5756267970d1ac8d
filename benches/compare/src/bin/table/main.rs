//! Makes the tables and the chart of BENCHMARKS.md from criterion's results of the last `cargo
//! bench`.
//!
//! ```text
//! cargo run --manifest-path benches/compare/Cargo.toml -- [--write] [target/criterion]
//! ```
//!
//! Prints the tables. With `--write`, it puts them into BENCHMARKS.md, between the two comments
//! there, and the chart into docs/benchmarks.svg.
//!
//! Every number is a ratio of two medians of one run. Its interval uses criterion's 95 % bounds of
//! the medians. It goes from the numerator's lower bound over the denominator's upper bound to the
//! reverse. It covers the noise within the run, not between runs.

mod chart;
mod measured;
mod tables;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

/// The marks before and after the tables in BENCHMARKS.md.
const BEGIN: &str = "<!-- The tables are written by benches/compare/src/bin/table -->\n";
const END: &str = "<!-- Up to here -->\n";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<_> = env::args_os().skip(1).collect();
    let given = arguments.len();
    arguments.retain(|argument| argument != "--write");
    let write = arguments.len() < given;

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let criterion = match arguments.pop() {
        Some(directory) => PathBuf::from(directory),
        None => root.join("target/criterion"),
    };
    let measured = measured::all(&criterion)?;
    let tables = tables::all(&measured)?;
    if write {
        put_into(&root.join("BENCHMARKS.md"), &tables)?;
        fs::write(root.join("docs/benchmarks.svg"), chart::of(&measured)?)?;
    } else {
        print!("{tables}");
    }
    Ok(())
}

fn put_into(document: &Path, tables: &str) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(document)?;
    let around = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = around.ok_or("BENCHMARKS.md has no place for the tables")?;
    fs::write(document, format!("{before}{BEGIN}\n{tables}{END}{after}"))?;
    Ok(())
}
