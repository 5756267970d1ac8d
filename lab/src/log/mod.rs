//! Logs of a user's own calls, read from CSV or JSON lines.

mod column;
mod csv_form;
mod gather;
mod json_form;
mod line;
mod unit;
mod value;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use jiff::Timestamp;
use thiserror::Error;

pub use self::line::{BadLine, Problem};
pub use self::unit::Unit;

use self::column::EXPECTED;
use self::gather::Gather;
use crate::breaker::Nanos;
use crate::words;

/// One call of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// When the call began, since the begin of the log's first call.
    pub began: Nanos,
    /// How long the call took.
    pub took: Nanos,
    /// Whether the call succeeded.
    pub succeeded: bool,
}

impl Call {
    /// When the call ended.
    #[must_use]
    pub fn ended(&self) -> Nanos {
        self.began + self.took
    }
}

/// A log: its calls in the order of their begins, and facts about its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The calls.
    pub calls: Vec<Call>,
    /// When the first call began, in nanoseconds since 1970.
    pub origin: i64,
    /// The columns that were read, and their meanings.
    pub columns: Vec<String>,
    /// A generated log's statements that it is generated.
    pub notes: Vec<String>,
    /// The number of lines that aren't calls.
    pub bad: u64,
    /// The first of these lines.
    pub first_bad: Vec<BadLine>,
    /// The number of calls that began before a call of an earlier line.
    pub out_of_order: u64,
    /// The units that were guessed for bare times.
    pub guessed: Vec<Unit>,
}

/// Why a log can't be read.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file is missing or unreadable.
    #[error("can't read {path}: {error}; expected a log as CSV or JSON lines")]
    Open {
        /// The file's path.
        path: String,
        /// The reason.
        error: io::Error,
    },
    /// Reading broke off.
    #[error("reading the log broke off: {0}")]
    Read(#[from] io::Error),
    /// Reading broke off.
    #[error("reading the log broke off: {0}")]
    Csv(#[from] csv::Error),
    /// The header lacks a column.
    #[error("the header has no column for the {part}; it has: {found}; expected {EXPECTED}")]
    Header {
        /// The missing part of a call.
        part: &'static str,
        /// The columns of the header.
        found: String,
    },
    /// The log is a JSON array.
    #[error(
        "the log is a JSON array; expected JSON lines, an object a line: jq -c '.[]' FILE makes them"
    )]
    Array,
    /// No line is a call.
    #[error(
        "there is no call in the log; expected a header and a line for each call, or JSON lines"
    )]
    Empty,
    /// Most lines aren't calls.
    #[error(
        "{bad} of {lines} lines are no calls, more than half; the first of them:{}",
        listed(first)
    )]
    MostlyBad {
        /// The number of bad lines.
        bad: u64,
        /// The number of lines.
        lines: u64,
        /// The first of the bad lines.
        first: Vec<BadLine>,
    },
    /// The first and the last call are more than ten years apart.
    #[error(
        "the log spans {days} days, from {first} to {last}; expected at most ten years: is a time wrong, \
         or its unit? A column named time_ms holds milliseconds"
    )]
    TooLong {
        /// The number of days between the two.
        days: u64,
        /// The first call.
        first: Timestamp,
        /// The last call.
        last: Timestamp,
    },
}

fn listed(lines: &[BadLine]) -> String {
    lines.iter().fold(String::new(), |mut list, bad| {
        let _ = write!(list, "\n  {bad}");
        list
    })
}

impl Log {
    /// Reads a log from a file. `-` is the standard input.
    ///
    /// # Errors
    /// Returns an error if the file can't be read or isn't a log.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        if path == Path::new("-") {
            return Self::read(io::stdin().lock());
        }
        let file = File::open(path).map_err(|error| LogError::Open {
            path: path.display().to_string(),
            error,
        })?;
        Self::read(BufReader::with_capacity(1 << 18, file))
    }

    /// Reads a log. It is JSON lines if it begins with `{`, and CSV otherwise.
    ///
    /// Comments (lines that begin with `#`) and empty lines are skipped.
    ///
    /// # Errors
    /// Returns an error if reading fails or the source isn't a log.
    pub fn read(mut source: impl BufRead) -> Result<Self, LogError> {
        let mut gather = Gather::default();
        let mut number = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            number += 1;
            if source.read_until(b'\n', &mut line)? == 0 {
                return Err(LogError::Empty);
            }
            let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
            let text = text.trim_ascii();
            match text.first() {
                None => {}
                Some(b'#') => {
                    let comment = String::from_utf8_lossy(&text[1..]);
                    if comment.trim_start().starts_with("generated") {
                        gather.note(&comment);
                    }
                }
                Some(b'{') => {
                    let text = text.to_vec();
                    json_form::read(text, number, source, &mut gather)?;
                    break;
                }
                Some(b'[') => return Err(LogError::Array),
                Some(_) => {
                    let header = String::from_utf8_lossy(text);
                    csv_form::read(&header, number, source, &mut gather)?;
                    break;
                }
            }
        }
        gather.finish()
    }

    /// The time from the first begin to the last end.
    #[must_use]
    pub fn length(&self) -> Nanos {
        self.calls.iter().map(Call::ended).max().unwrap_or(0)
    }

    /// Converts a time of the log to a calendar time.
    #[must_use]
    pub fn calendar(&self, since_begin: Nanos) -> Timestamp {
        timestamp(self.origin.saturating_add_unsigned(since_begin))
    }

    /// Writes what was read, and what could not be read.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    pub fn describe(&self, to: &mut impl Write) -> io::Result<()> {
        for note in &self.notes {
            writeln!(to, "This log says of itself: {note}")?;
        }
        let failures = self.calls.iter().filter(|call| !call.succeeded).count();
        writeln!(
            to,
            "{} calls, {} failed ({:.2} %), {} to {}; {}",
            words::count(self.calls.len() as u64),
            words::count(failures as u64),
            words::percent(failures as u64, self.calls.len() as u64),
            words::moment(self.calendar(0)),
            words::moment(self.calendar(self.length())),
            self.columns.join(", "),
        )?;
        if !self.guessed.is_empty() {
            let units: Vec<_> = self.guessed.iter().map(ToString::to_string).collect();
            writeln!(
                to,
                "Times are bare numbers, taken for {} since 1970 by their size; a column named time_ms \
                 would say it.",
                units.join(" and ")
            )?;
        }
        if self.out_of_order > 0 {
            writeln!(
                to,
                "{} calls began before one of an earlier line; they were sorted.",
                words::count(self.out_of_order)
            )?;
        }
        if self.bad > 0 {
            writeln!(
                to,
                "{} lines are no calls and were left out; the first of them:",
                words::count(self.bad)
            )?;
            for bad in &self.first_bad {
                writeln!(to, "  {bad}")?;
            }
        }
        Ok(())
    }
}

/// Converts nanoseconds since 1970 to a calendar time. All of them are in its range.
pub(crate) fn timestamp(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or_default()
}
