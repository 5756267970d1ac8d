//! Weakens tripcurve in one place at a time, and checks that a loom model fails.
//!
//! A model that passes for any code shows nothing. There are two ways to weaken:
//!
//! - An *ordering* of an atomic's access. One build of the models serves for all of them, because
//!   tripcurve's shim can weaken any site at run time. Each site is tried with each weaker
//!   ordering, against the models that execute it. If all of these models pass, the weaker ordering
//!   is a survivor. A survivor must be justified in `loom-tests/survivors.txt`.
//! - The *logic*. Each file in `loom-tests/weakenings` is a patch. Its header says why it breaks
//!   the code, and names the models that must fail.
//!
//! ```text
//! cargo weaken                     orderings and logic; takes hours
//! cargo weaken list [WORD…]        every site, and which models execute it
//! cargo weaken orderings [WORD…]   weakens the sites with all these words in their names
//! cargo weaken table               writes the table of orderings in docs/verification.md
//! cargo weaken logic [NAME…]       applies these patches, or all
//! cargo weaken logic --check       looks whether each patch applies and its models exist
//! ```
//!
//! `--jobs N` runs N models at once. The default is 2. `--models WORD` takes only the models with
//! this word in their names. That is quick, but what survives them isn't noted as a survivor.
//!
//! A run over the orderings may be stopped. The next run takes the results from `target/weaken`, as
//! long as the models' executable is the same. Each result goes into `loom-tests/orderings.txt` at
//! once.
#![forbid(unsafe_code)]

mod callers;
mod comments;
mod files;
mod logic;
mod models;
mod orderings;
mod parallel;
mod profile;
mod records;
mod sources;
mod survivors;
mod table;
mod trials;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// An error, in words.
type Failure = String;

/// The repository's folder.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().nth(2);
    root.expect("the package lies two folders deep").to_owned()
}

struct Arguments {
    command: Option<String>,
    words: Vec<String>,
    only_check: bool,
    models: Option<String>,
    jobs: usize,
}

const USAGE: &str =
    "usage: cargo weaken [list|orderings|logic|table] [--check] [--jobs N] [--models WORD] [WORD…]";

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut arguments = Self {
            command: None,
            words: Vec::new(),
            only_check: false,
            models: None,
            jobs: 2,
        };
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--check" => arguments.only_check = true,
                "--models" => arguments.models = Some(given.next().ok_or(USAGE)?),
                "--jobs" => {
                    let number = given.next().and_then(|number| number.parse().ok());
                    arguments.jobs = number.filter(|jobs| *jobs > 0).ok_or(USAGE)?;
                }
                option if option.starts_with('-') => return Err(USAGE.to_owned()),
                _ if arguments.command.is_none() => arguments.command = Some(argument),
                _ => arguments.words.push(argument),
            }
        }
        Ok(arguments)
    }
}

fn run() -> Result<(), Failure> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let (words, jobs) = (&arguments.words, arguments.jobs);
    let only = arguments.models.as_deref();
    match arguments.command.as_deref() {
        Some("list") => orderings::list(words, only, jobs),
        Some("orderings") => orderings::try_all(words, only, jobs),
        Some("table") => table::write(&root()),
        Some("logic") if arguments.only_check => logic::check(words),
        Some("logic") => logic::try_all(words, jobs),
        None if arguments.only_check => Err(USAGE.to_owned()),
        None => {
            let orderings = orderings::try_all(words, only, jobs);
            let logic = logic::try_all(words, jobs);
            match (orderings, logic) {
                (Err(first), Err(second)) => Err(format!("{first}\n{second}")),
                (first, second) => first.and(second),
            }
        }
        Some(_) => Err(USAGE.to_owned()),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
