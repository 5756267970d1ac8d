//! Counts the instructions of a call, and fails when a count has grown.
//!
//! ```text
//! cargo run --release --manifest-path benches/instructions/Cargo.toml [-- --write]
//! cargo run --release --manifest-path benches/instructions/Cargo.toml --features all -- --within 5
//! ```
//!
//! Compares the counts with `baseline.txt`. `--write` writes a new baseline. `--within` allows a
//! number of hundredths more, which bounds the cost of the features. `--walk` prints the files that
//! the calls of `docs/walk.md` pass through.
//!
//! This program runs itself under valgrind with 20,000 calls and with 40,000. The difference is the
//! cost of 20,000 calls of a warm breaker. It contains neither the program's start nor a thread's
//! first calls. The loop and the guarded work are subtracted from it.

mod paths;
mod walk;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use paths::{CLOCK, NOTHING, PATHS, WITH_ALL};
use walk::{WALKS, files_in};

/// Makes this program run a path this many times instead of counting.
const RUN: &str = "--run";

/// The function that valgrind counts, with all its callees.
const COUNTED: &str = "*counted_calls*";

/// A multiple of all periods: of the count window's length and of its groups.
const CALLS: u64 = 20_000;

/// A difference of this size isn't growth. The mean of a path that varies may be rounded up or
/// down.
const TOLERANCE: i64 = 1;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.txt");
const ACCEPT: &str =
    "cargo run --release --manifest-path benches/instructions/Cargo.toml -- --write";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        [RUN, path, calls] => run(path, calls),
        ["--write"] => write(),
        ["--walk"] => walk(),
        ["--within", hundredths] => hundredths
            .parse()
            .map_err(|error| format!("--within {hundredths}: {error}").into())
            .and_then(check),
        [] => check(0),
        _ => Err("the arguments are --write, --walk, or --within and a number".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &str, calls: &str) -> Result<(), Box<dyn Error>> {
    let paths = PATHS.iter().chain(WITH_ALL).chain(WALKS);
    let (_, repeat) = paths
        .chain([&NOTHING])
        .find(|(name, _)| *name == path)
        .ok_or("no such path")?;
    repeat(calls.parse()?);
    Ok(())
}

/// Prints the files in which each walked call runs instructions.
fn walk() -> Result<(), Box<dyn Error>> {
    for (path, _) in WALKS {
        let out = callgrind(path, 1)?;
        let files = files_in(&fs::read_to_string(out)?);
        println!("{path}: {} files", files.len());
        for file in files {
            println!("  {file}");
        }
    }
    Ok(())
}

fn write() -> Result<(), Box<dyn Error>> {
    let mut text = format!(
        "# Instructions of one call, see BENCHMARKS.md. Written by\n# {ACCEPT}\n# with {}\n",
        toolchain()?
    );
    for (path, count) in counts()? {
        writeln!(text, "{path} {count}")?;
    }
    print!("{text}");
    fs::write(BASELINE, text)?;
    Ok(())
}

fn check(hundredths: i64) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(BASELINE).map_err(|error| format!("{BASELINE}: {error}"))?;
    let baseline: BTreeMap<&str, i64> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (path, count) = line.split_once(' ').ok_or("a line without a count")?;
            Ok((path, count.parse()?))
        })
        .collect::<Result<_, Box<dyn Error>>>()?;

    let counts = counts()?;
    for (path, count) in &counts {
        let was = baseline
            .get(path)
            .map_or("new".to_owned(), |old| format!("was {old}"));
        println!("{path}: {count}, {was}");
    }
    if let Some(reason) = incomparable(&text, &baseline, &counts)? {
        println!("not compared: {reason}");
        return Ok(());
    }
    let grown: Vec<_> = counts
        .iter()
        .filter(|(path, count)| {
            let is_of_all = WITH_ALL.iter().any(|(name, _)| name == path);
            baseline.get(path).map_or(!is_of_all, |old| {
                *count > old + old * hundredths / 100 + tolerance(path)
            })
        })
        .map(|(path, count)| format!("  {path}: {count}"))
        .collect();
    if grown.is_empty() {
        return Ok(());
    }
    let grown = grown.join("\n");
    Err(format!("more instructions than in {BASELINE}:\n{grown}\nTo accept it: {ACCEPT}").into())
}

/// A call's real duration decides which bins of a histogram it takes, and so which path.
fn tolerance(path: &str) -> i64 {
    if path.ends_with("latency") {
        8 * TOLERANCE
    } else {
        TOLERANCE
    }
}

/// Why these counts can't be compared with the baseline, if they can't.
fn incomparable(
    text: &str,
    baseline: &BTreeMap<&str, i64>,
    counts: &[(&str, i64)],
) -> Result<Option<String>, Box<dyn Error>> {
    let toolchain = toolchain()?;
    if !text.contains(&toolchain) {
        return Ok(Some(format!(
            "the baseline is of another toolchain than {toolchain}"
        )));
    }
    let clock = counts.iter().find(|(path, _)| *path == CLOCK);
    Ok(clock
        .filter(|(path, count)| baseline.get(path).is_some_and(|old| old != count))
        .map(|(_, count)| {
            format!("this machine has another clock, whose reading takes {count} instructions")
        }))
}

/// The breaker's own instructions in each path.
fn counts() -> Result<Vec<(&'static str, i64)>, Box<dyn Error>> {
    let nothing = count(NOTHING.0)?;
    PATHS
        .iter()
        .chain(WITH_ALL)
        .map(|(path, _)| Ok((*path, count(path)? - nothing)))
        .collect()
}

/// The instructions of one call, rounded.
fn count(path: &str) -> Result<i64, Box<dyn Error>> {
    let more = total(path, 2 * CALLS)? - total(path, CALLS)?;
    let calls = i64::try_from(CALLS)?;
    Ok((more + calls / 2) / calls)
}

/// The instructions of this many calls from the first one on, as callgrind counts them.
fn total(path: &str, calls: u64) -> Result<i64, Box<dyn Error>> {
    let out = callgrind(path, calls)?;
    summary(&out).map_err(|error| format!("{}: {error}", out.display()).into())
}

/// Runs this many calls under callgrind, and returns the file of its records.
fn callgrind(path: &str, calls: u64) -> Result<PathBuf, Box<dyn Error>> {
    let program = env::current_exe()?;
    // The file stays there, for `callgrind_annotate`.
    let out = program.with_file_name(format!("{}.callgrind", path.replace('/', "-")));
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(&program)
        .args([RUN, path, &calls.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind: {error}; apt-get install valgrind"))?;
    if output.status.success() {
        return Ok(out);
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(format!("{path}: {}\n{message}", output.status).into())
}

fn summary(out: &Path) -> Result<i64, Box<dyn Error>> {
    let text = fs::read_to_string(out)?;
    let total = text.lines().find_map(|line| line.strip_prefix("summary: "));
    match total.ok_or("no summary")?.trim().parse()? {
        0 => Err(format!("{COUNTED} wasn't called").into()),
        total => Ok(total),
    }
}

/// The compiler's version, because other compilers give other counts.
fn toolchain() -> Result<String, Box<dyn Error>> {
    let output = Command::new("rustc").arg("--version").output()?;
    let version = String::from_utf8(output.stdout)?;
    Ok(format!("{}, {}", version.trim(), env::consts::ARCH))
}
