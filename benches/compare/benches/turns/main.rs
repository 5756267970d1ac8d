//! Compares tripcurve with its peers by turns, which holds on a noisy machine.
//!
//! Each subject runs in each turn, for a fraction of a millisecond. So a change of the machine's
//! speed affects all of them, and the ratio of two subjects is taken turn by turn. A table has the
//! median of the ratios, their quartiles, and an interval of 95 % for the median.
//!
//! ```text
//! cargo bench --manifest-path benches/compare/Cargo.toml --features turns --bench turns
//! ```
//!
//! `-- --quick` takes ten seconds instead of three minutes. `-- --write FILE` writes the tables
//! into a file, whose path begins at the repository's root.

mod alone;
// The groups of criterion use more of these modules than this target.
#[allow(dead_code)]
#[path = "../compare/measure.rs"]
mod measure;
#[allow(dead_code)]
#[path = "../compare/ours.rs"]
mod ours;
#[allow(dead_code)]
#[path = "../compare/peers.rs"]
mod peers;
#[path = "../compare/seatbelt.rs"]
mod seatbelt;
mod sections;
#[allow(dead_code)]
#[path = "../compare/subject.rs"]
mod subject;
mod timed;

use std::error::Error;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use tripcurve_compare::statistics::{Digits, Summary};
use tripcurve_compare::turns::Limit;

use sections::{Measured, Section};

/// How long the turns of all tables take together, and in how many rounds. Each round makes new
/// subjects, which takes some seconds more.
#[derive(Clone, Copy)]
struct Plan {
    time: Duration,
    rounds: u32,
}

const WHOLE: Plan = Plan {
    time: Duration::from_secs(110),
    rounds: 20,
};

/// So many rounds are the least that have an interval of 95 %. On a very busy machine, a table has
/// no more when its time is over.
const LEAST_ROUNDS: u32 = 6;

const QUICK: Plan = Plan {
    time: Duration::from_secs(3),
    rounds: LEAST_ROUNDS,
};

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
    let mut arguments = env::args().skip(1);
    let (mut is_bench, mut plan, mut file) = (false, WHOLE, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--quick" => plan = QUICK,
            "--write" => file = Some(arguments.next().ok_or("`--write` needs a file")?),
            other => return Err(format!("`{other}` isn't known: `--quick`, `--write FILE`").into()),
        }
    }
    // A test run, such as `cargo test --all-targets`, must not take minutes.
    if !is_bench {
        return Ok(());
    }

    let mut tables = String::new();
    for section in sections::ALL {
        let measured = measure(&section, plan)?;
        let table = table(&section, &measured)?;
        if file.is_none() {
            print!("{table}");
        }
        tables.push_str(&table);
    }
    if let Some(file) = file {
        // Cargo runs a benchmark in its package's folder.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        fs::write(root.join(&file), tables).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

fn measure(section: &Section, plan: Plan) -> Result<Measured, &'static str> {
    let begin = Instant::now();
    let time = plan.time * section.share / 100;
    let limit = Limit {
        time: time / plan.rounds,
        most: usize::MAX,
        least: 1,
    };
    let measure = section.measure;
    let is_in_time = |&round: &u32| round < LEAST_ROUNDS || begin.elapsed() < time;
    let rounds = (0..plan.rounds).take_while(is_in_time).map(|round| {
        let round = round as usize;
        // In a thread of its own, because a crew binds the thread to a core.
        let thread = thread::spawn(move || {
            // These move the subjects to other addresses.
            let _before: Vec<Vec<u8>> = (0..=round).map(|step| vec![1; 48 + 80 * step]).collect();
            measure(round, limit)
        });
        thread.join().map_err(|_| "a subject has failed")
    });
    rounds
        .reduce(|all, round| {
            let mut all = all?;
            all.times.append(round?.times);
            Ok(all)
        })
        .ok_or("no rounds")?
}

fn table(section: &Section, measured: &Measured) -> Result<String, fmt::Error> {
    let Measured {
        times,
        threads,
        calls,
    } = measured;
    let mut table = format!("### {}\n\n", section.title);
    let plural = if *threads == 1 { "" } else { "s" };
    let turns = times.turns();
    write!(
        table,
        "{threads} thread{plural}, {turns} turns of {calls} calls a thread, in {} rounds",
        times.rounds()
    )?;
    for (number, what) in [
        (times.left_out(), "left out"),
        (times.doubtful(), "doubtful"),
    ] {
        if number > 0 {
            write!(table, ", {number} {what}")?;
        }
    }
    table.push_str(".\n\n");
    table.push_str("| row | ns |");
    for base in section.bases {
        write!(table, " ÷ `{base}` | quartiles | 95 % |")?;
    }
    let cells = 1 + 3 * section.bases.len();
    writeln!(table, "\n|---|{}", "---:|".repeat(cells))?;
    for name in times.names() {
        let nanos = Digits(times.nanos(name).median);
        write!(table, "| `{name}` | {nanos} |")?;
        for base in section.bases {
            let Summary {
                median,
                quartiles,
                interval,
            } = times.ratios(name, base);
            let median = Digits(median);
            write!(
                table,
                " **{median}** | {} | {} |",
                Range(quartiles),
                Range(interval)
            )?;
        }
        table.push('\n');
    }
    table.push('\n');
    Ok(table)
}

/// From a number to another.
struct Range((f64, f64));

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self((lower, upper)) = *self;
        write!(f, "{}–{}", Digits(lower), Digits(upper))
    }
}
