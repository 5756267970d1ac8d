//! Makes the tables of BENCHMARKS.md from what criterion left of the last `cargo bench`.
//!
//! ```text
//! cargo run --manifest-path benches/compare/Cargo.toml -- [--write] [target/criterion]
//! ```
//!
//! Prints them; with `--write` puts them into BENCHMARKS.md, between the two comments there.
//!
//! Every number is a ratio of two medians of the same run. The interval behind it goes from the
//! lower bound of the one over the upper bound of the other to the reverse, with criterion's 95 %
//! bounds of the medians: it holds the noise within the run, not that between runs.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use std::{env, fs};

use serde_json::Value;

/// The groups, with the row that is their limit.
const GROUPS: [(&str, &str); 3] = [
    ("closed", "limit/private_increment"),
    ("open", "limit/clock_read"),
    ("contended", "limit/private_increment"),
];

/// The peer that the others are measured by.
const PEER: &str = "recloser";

/// Further apart than this, two rows are not of one run.
const LONGEST_RUN: Duration = Duration::from_secs(30 * 60);

/// In BENCHMARKS.md, before the tables and after them.
const BEGIN: &str = "<!-- The tables are written by benches/compare/src/bin/table.rs -->\n";
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
    let tables = tables(&criterion)?;
    if write {
        put_into(&root.join("BENCHMARKS.md"), &tables)
    } else {
        print!("{tables}");
        Ok(())
    }
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

fn tables(criterion: &Path) -> Result<String, Box<dyn Error>> {
    let mut measured = Vec::new();
    collect(criterion, &mut measured).map_err(|error| {
        format!(
            "{error} in {}; `cargo bench` comes first",
            criterion.display()
        )
    })?;

    let mut tables = String::new();
    for (name, limit) in GROUPS {
        let group = Group::new(name, &measured)?;
        if !group.rows.is_empty() {
            writeln!(tables, "{}", group.table(limit)?)?;
        }
    }
    if tables.is_empty() {
        return Err(format!("no measurement in {}", criterion.display()).into());
    }
    Ok(tables)
}

/// One benchmark, as criterion left it.
struct Measured {
    group: String,
    /// The library, and the variant after a slash.
    row: String,
    /// The number of threads; 1 in the groups that have no number.
    threads: u32,
    median: Median,
    at: SystemTime,
}

/// A median of nanoseconds with the bounds of its confidence interval; a ratio of two of them, too.
#[derive(Clone, Copy)]
struct Median {
    lower: f64,
    point: f64,
    upper: f64,
}

impl std::ops::Div for Median {
    type Output = Self;

    fn div(self, by: Self) -> Self {
        Self {
            lower: self.lower / by.upper,
            point: self.point / by.point,
            upper: self.upper / by.lower,
        }
    }
}

impl fmt::Display for Median {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Three digits are more than the spread leaves meaning to.
        let digits = if self.point < 10.0 { 2 } else { 1 };
        let Self {
            lower,
            point,
            upper,
        } = self;
        write!(
            f,
            "**{point:.digits$}** ({lower:.digits$}–{upper:.digits$})"
        )
    }
}

/// Every `new` directory below `directory` is a benchmark: `benchmark.json` says which, and
/// `estimates.json` what was measured.
fn collect(directory: &Path, measured: &mut Vec<Measured>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if path.file_name().is_some_and(|name| name == "new") {
            measured.push(read(&path)?);
        } else {
            collect(&path, measured)?;
        }
    }
    Ok(())
}

fn read(directory: &Path) -> Result<Measured, Box<dyn Error>> {
    let json = |name: &str| -> Result<Value, Box<dyn Error>> {
        let path = directory.join(name);
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    };
    let benchmark = json("benchmark.json")?;
    let estimates = json("estimates.json")?;

    let text = |key: &str| benchmark[key].as_str();
    let number = |pointer: &str| {
        estimates
            .pointer(pointer)
            .and_then(Value::as_f64)
            .ok_or_else(|| format!("no number at {pointer} in {}", directory.display()))
    };
    Ok(Measured {
        group: text("group_id").unwrap_or_default().to_owned(),
        row: text("function_id").unwrap_or_default().to_owned(),
        threads: text("value_str").map_or(Ok(1), str::parse)?,
        median: Median {
            lower: number("/median/confidence_interval/lower_bound")?,
            point: number("/median/point_estimate")?,
            upper: number("/median/confidence_interval/upper_bound")?,
        },
        at: fs::metadata(directory.join("estimates.json"))?.modified()?,
    })
}

/// The rows of a group, each with its medians by the number of threads.
struct Group<'a> {
    name: &'static str,
    rows: BTreeMap<&'a str, BTreeMap<u32, Median>>,
}

impl<'a> Group<'a> {
    fn new(name: &'static str, measured: &'a [Measured]) -> Result<Self, String> {
        let of_group = || measured.iter().filter(|one| one.group == name);
        let oldest = of_group().min_by_key(|one| one.at);
        let newest = of_group().max_by_key(|one| one.at);
        if let (Some(oldest), Some(newest)) = (oldest, newest)
            && newest.at.duration_since(oldest.at).unwrap_or_default() > LONGEST_RUN
        {
            return Err(format!(
                "{name}/{} is of another run than {name}/{}, and a ratio of two runs says nothing; \
                 `cargo bench -- {name}` measures the group again",
                oldest.row, newest.row,
            ));
        }

        let mut rows: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for one in of_group() {
            rows.entry(one.row.as_str())
                .or_default()
                .insert(one.threads, one.median);
        }
        Ok(Self { name, rows })
    }

    fn table(&self, limit: &str) -> Result<String, Box<dyn Error>> {
        let row = |name: &str| {
            self.rows
                .get(name)
                .ok_or_else(|| format!("{}/{name} wasn't measured", self.name))
        };
        let (limit_row, peer_row) = (row(limit)?, row(PEER)?);
        let threads: Vec<u32> = limit_row.keys().copied().collect();
        let one_count = threads == [1];

        let mut header = format!("| `{}` |", self.name);
        for &count in &threads {
            let who = match count {
                _ if one_count => String::new(),
                1 => "1 thread ".to_owned(),
                _ => format!("{count} threads "),
            };
            write!(header, " {who}÷ `{limit}` | {who}÷ `{PEER}` |")?;
        }
        if let [first, .., last] = threads.as_slice() {
            write!(header, " calls per second: {last} threads ÷ {first} |")?;
        }
        let columns = header.matches('|').count() - 2;
        let mut table = format!("{header}\n|---|{}\n", "---:|".repeat(columns));

        for (name, medians) in self.ordered(limit) {
            write!(table, "| `{name}` |")?;
            let at = |count: u32| {
                medians
                    .get(&count)
                    .copied()
                    .ok_or_else(|| format!("{}/{name}/{count} wasn't measured", self.name))
            };
            for count in &threads {
                let median = at(*count)?;
                write!(
                    table,
                    " {} | {} |",
                    median / limit_row[count],
                    median / peer_row[count]
                )?;
            }
            if let [first, .., last] = threads.as_slice() {
                // The time of a call is that of all over the calls of all, so the pace is its
                // inverse.
                write!(table, " {} |", at(*first)? / at(*last)?)?;
            }
            table.push('\n');
        }
        Ok(table)
    }

    /// Ours first, then the peers from fast to slow, then the limit.
    fn ordered(&self, limit: &str) -> Vec<(&'a str, &BTreeMap<u32, Median>)> {
        let rank = |name: &str| match name.split('/').next() {
            Some("tripcurve") => 0,
            Some("limit") => 2,
            _ => 1,
        };
        let mut rows: Vec<_> = self
            .rows
            .iter()
            .map(|(name, medians)| (*name, medians))
            .collect();
        rows.sort_by(|(one, one_medians), (other, other_medians)| {
            let first = |medians: &BTreeMap<u32, Median>| {
                medians
                    .values()
                    .next()
                    .map_or(f64::NAN, |median| median.point)
            };
            rank(one)
                .cmp(&rank(other))
                .then((*one == limit).cmp(&(*other == limit)))
                .then(first(one_medians).total_cmp(&first(other_medians)))
        });
        rows
    }
}
