//! The cost of breakers by key, from one key to a million: bytes, lookup time, snapshot time.
//!
//! `cargo bench -- keys` runs only this benchmark. It prints a table and draws the times. For the
//! picture of BENCHMARKS.md:
//!
//! ```text
//! cargo bench --manifest-path benches/compare/Cargo.toml --bench keys -- --out docs/keys.svg
//! ```
//!
//! The breakers are compact, with the default window of ten buckets and the classic policies. A
//! lookup is compared with one in a plain map of the same kind, with equally many keys, the same
//! hasher, and values of the registry's size.

mod chart;
mod measure;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use measure::{Row, measure};

const KEYS: [u32; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

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
    let arguments: Vec<_> = env::args().skip(1).collect();
    let out = arguments.iter().position(|argument| argument == "--out");
    let out = out.and_then(|at| arguments.get(at + 1)).map(PathBuf::from);
    // Arguments that criterion takes for filters are filters here, too. Without `--bench`, this is
    // part of a test run.
    let mut filters = arguments.iter().filter(|it| !it.starts_with('-'));
    let is_wanted = out.is_some()
        || filters
            .next()
            .is_none_or(|filter| "keys".contains(filter.as_str()));
    if !is_wanted || !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }

    println!("{}", Row::HEAD);
    let mut rows = Vec::new();
    for keys in KEYS {
        let row = measure(keys)?;
        println!("{row}");
        rows.push(row);
    }
    if let Some(out) = out {
        fs::write(&out, chart::draw(&rows)?)?;
    }
    Ok(())
}
