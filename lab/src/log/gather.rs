//! Collects the lines of a log, the good and the bad.

use std::collections::BTreeSet;

use super::line::{BadLine, Entry, Problem};
use super::{Call, Log, LogError, Unit};

/// How many bad lines are kept for the report.
const SHOWN: usize = 5;

/// Ten years. A log that spans more has mixed units or a line from 1970.
const LONGEST: u64 = 10 * 365 * 86_400 * 1_000_000_000;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Gather {
    entries: Vec<Entry>,
    columns: Vec<String>,
    notes: Vec<String>,
    first_bad: Vec<BadLine>,
    bad: u64,
    latest: Option<i64>,
    out_of_order: u64,
    guessed: BTreeSet<Unit>,
}

impl Gather {
    pub(super) fn note(&mut self, note: &str) {
        self.notes.push(note.trim().to_owned());
    }

    pub(super) fn needs_columns(&self) -> bool {
        self.columns.is_empty()
    }

    pub(super) fn columns(&mut self, names: Vec<String>) {
        self.columns = names;
    }

    pub(super) fn add(&mut self, line: u64, entry: Result<Entry, Problem>) {
        match entry {
            Ok(entry) => {
                if self.latest.is_some_and(|latest| entry.began < latest) {
                    self.out_of_order += 1;
                }
                self.latest = self.latest.max(Some(entry.began));
                self.guessed.extend(entry.guessed);
                self.entries.push(entry);
            }
            Err(problem) => {
                self.bad += 1;
                if self.first_bad.len() < SHOWN {
                    self.first_bad.push(BadLine { line, problem });
                }
            }
        }
    }

    /// Sorts the calls by their begin. Calls that began at the same time stay in the order of their
    /// lines.
    pub(super) fn finish(mut self) -> Result<Log, LogError> {
        let good = self.entries.len() as u64;
        if self.bad > good {
            return Err(LogError::MostlyBad {
                bad: self.bad,
                lines: self.bad + good,
                first: self.first_bad,
            });
        }
        self.entries.sort_by_key(|entry| entry.began);
        let (Some(first), Some(last)) = (self.entries.first(), self.entries.last()) else {
            return Err(LogError::Empty);
        };
        let origin = first.began;
        if last.began.abs_diff(origin) > LONGEST {
            return Err(LogError::TooLong {
                days: last.began.abs_diff(origin) / 86_400_000_000_000,
                first: super::timestamp(origin),
                last: super::timestamp(last.began),
            });
        }
        let calls = self
            .entries
            .iter()
            .map(|entry| Call {
                began: entry.began.abs_diff(origin),
                took: entry.took,
                succeeded: entry.succeeded,
            })
            .collect();
        Ok(Log {
            calls,
            origin,
            columns: self.columns,
            notes: self.notes,
            bad: self.bad,
            first_bad: self.first_bad,
            out_of_order: self.out_of_order,
            guessed: self.guessed.into_iter().collect(),
        })
    }
}
