//! A user's own log of calls, read from CSV or JSON lines.

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
    /// When it began, since the first call of the log began.
    pub began: Nanos,
    /// How long it took.
    pub took: Nanos,
    /// Whether it succeeded.
    pub succeeded: bool,
}

impl Call {
    /// When it ended.
    #[must_use]
    pub fn ended(&self) -> Nanos {
        self.began + self.took
    }
}

/// A log: its calls in the order in which they began, and what there is to say of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The calls.
    pub calls: Vec<Call>,
    /// When the first one began, in nanoseconds since 1970.
    pub origin: i64,
    /// Which columns were read for what.
    pub columns: Vec<String>,
    /// What a generated log says of itself.
    pub notes: Vec<String>,
    /// How many lines were no calls.
    pub bad: u64,
    /// The first of them.
    pub first_bad: Vec<BadLine>,
    /// How many calls began before one of an earlier line.
    pub out_of_order: u64,
    /// What bare times were taken for.
    pub guessed: Vec<Unit>,
}

/// Why a log can't be read.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file is not there or not readable.
    #[error("can't read {path}: {error}; expected a log as CSV or JSON lines")]
    Open {
        /// Which.
        path: String,
        /// Why.
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
        /// What for.
        part: &'static str,
        /// The columns that it has.
        found: String,
    },
    /// A JSON array.
    #[error(
        "the log is a JSON array; expected JSON lines, an object a line: jq -c '.[]' FILE makes them"
    )]
    Array,
    /// No line is a call.
    #[error(
        "there is no call in the log; expected a header and a line for each call, or JSON lines"
    )]
    Empty,
    /// Most lines are no calls.
    #[error(
        "{bad} of {lines} lines are no calls, more than half; the first of them:{}",
        listed(first)
    )]
    MostlyBad {
        /// How many.
        bad: u64,
        /// How many lines there are.
        lines: u64,
        /// The first of the bad ones.
        first: Vec<BadLine>,
    },
    /// The first and the last call are more than ten years apart.
    #[error(
        "the log spans {days} days, from {first} to {last}; expected at most ten years: is a time wrong, \
         or its unit? A column named time_ms holds milliseconds"
    )]
    TooLong {
        /// How many days.
        days: u64,
        /// The first call.
        first: Timestamp,
        /// The last one.
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
    /// Reads a file; `-` is the standard input.
    ///
    /// # Errors
    /// It can't be read, or is no log.
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

    /// Reads a log. It is JSON lines if it begins with `{`, else CSV.
    ///
    /// Comments, lines that begin with `#`, and empty lines are skipped.
    ///
    /// # Errors
    /// Reading broke off, or it is no log.
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

    /// How long it lasts, from the first begin to the last end.
    #[must_use]
    pub fn length(&self) -> Nanos {
        self.calls.iter().map(Call::ended).max().unwrap_or(0)
    }

    /// A moment of the log on the calendar.
    #[must_use]
    pub fn calendar(&self, since_begin: Nanos) -> Timestamp {
        timestamp(self.origin.saturating_add_unsigned(since_begin))
    }

    /// Says what was read, and what could not be.
    ///
    /// # Errors
    /// It can't be written.
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

/// Nanoseconds since 1970 as a time of the calendar; all of them are in its range.
pub(crate) fn timestamp(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or_default()
}
