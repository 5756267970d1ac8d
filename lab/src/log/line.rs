//! One line of a log, and the errors that it can have.

use std::borrow::Cow;

use thiserror::Error;

use super::Unit;
use super::column::{Column, EXPECTED, Meaning};
use super::value::{self, Expected};

/// Why a line isn't a call.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// A cell holds an unexpected value.
    #[error("`{column}` is {found:?}; expected {expected}")]
    Value {
        /// The column's name.
        column: String,
        /// The value, cut off if it is long.
        found: String,
        /// The expected form.
        expected: &'static str,
    },
    /// A part of a call is missing.
    #[error("there is no {part}; expected {EXPECTED}")]
    Missing {
        /// The part that is missing.
        part: &'static str,
    },
    /// The call ended before it began.
    #[error("it ends {by_nanos} ns before it begins; expected a begin and an end in this order")]
    EndsFirst {
        /// The time between end and begin.
        by_nanos: u64,
    },
    /// The line has another number of cells than the header.
    #[error("it has {found} cells; expected {expected}, as in the header{hint}")]
    Cells {
        /// The number of cells in the line.
        found: usize,
        /// The number of cells in the header.
        expected: usize,
        /// The likely reason.
        hint: &'static str,
    },
    /// The line isn't a JSON object.
    #[error(
        "no JSON object: {0}; expected one such as {{\"time\":…,\"duration\":…,\"outcome\":…}}"
    )]
    Json(String),
}

/// A line that isn't a call.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct BadLine {
    /// The line's number, from 1.
    pub line: u64,
    /// The error.
    pub problem: Problem,
}

/// A cell and its column.
#[derive(Clone, Debug)]
pub(super) struct Cell<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) column: Column,
    pub(super) text: Cow<'a, str>,
}

impl Cell<'_> {
    fn read<T>(
        &self,
        read: impl Fn(&str, Option<Unit>) -> Result<T, Expected>,
    ) -> Result<T, Problem> {
        read(self.text.trim(), self.column.unit).map_err(|expected| self.refuse(expected))
    }

    fn refuse(&self, expected: Expected) -> Problem {
        Problem::Value {
            column: self.name.clone().into_owned(),
            found: cut_off(self.text.trim()),
            expected,
        }
    }
}

/// Cuts a text off after 60 characters.
pub(super) fn cut_off(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The cells of a line that have a meaning.
#[derive(Clone, Debug, Default)]
pub(super) struct Line<'a> {
    began: Option<Cell<'a>>,
    ended: Option<Cell<'a>>,
    duration: Option<Cell<'a>>,
    outcome: Option<Cell<'a>>,
}

/// One call, as a line describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Nanoseconds since 1970.
    pub(super) began: i64,
    pub(super) took: u64,
    pub(super) succeeded: bool,
    /// The unit that was guessed for a bare time.
    pub(super) guessed: Option<Unit>,
}

impl<'a> Line<'a> {
    /// Adds a cell, unless the line has one with the same meaning and a plainer name.
    pub(super) fn put(&mut self, cell: Cell<'a>) {
        let place = match cell.column.meaning {
            Meaning::Began => &mut self.began,
            Meaning::Ended => &mut self.ended,
            Meaning::Duration => &mut self.duration,
            Meaning::Outcome(_) => &mut self.outcome,
        };
        if place
            .as_ref()
            .is_none_or(|taken| taken.column.rank > cell.column.rank)
        {
            *place = Some(cell);
        }
    }

    /// The names of the columns that are read, for the report.
    pub(super) fn names(&self) -> Vec<String> {
        let duration = self
            .duration
            .as_ref()
            .or(self.ended.as_ref().filter(|_| self.began.is_some()));
        [
            ("time", self.began.as_ref().or(self.ended.as_ref())),
            ("duration", duration),
            ("outcome", self.outcome.as_ref()),
        ]
        .into_iter()
        .filter_map(|(part, cell)| Some(format!("{part} from `{}`", cell?.name)))
        .collect()
    }

    /// The first part of a call that is missing, if any.
    pub(super) fn missing(&self) -> Option<&'static str> {
        match (&self.began, &self.ended, &self.duration, &self.outcome) {
            (None, None, ..) => Some("time"),
            (None, _, None, _) | (_, None, None, _) => Some("duration"),
            (.., None) => Some("outcome"),
            _ => None,
        }
    }

    /// Converts the line to a call. A missing begin or duration is computed from the other cells.
    pub(super) fn entry(&self) -> Result<Entry, Problem> {
        let part = |part| Problem::Missing { part };
        let time = |cell: &Cell<'_>| cell.read(value::time);
        let (began, guessed, took) = match (&self.began, &self.ended, &self.duration) {
            (Some(began), _, Some(duration)) => {
                let (nanos, guessed) = time(began)?;
                (nanos, guessed, duration.read(value::duration)?)
            }
            (None, Some(ended), Some(duration)) => {
                let (end, guessed) = time(ended)?;
                let took = duration.read(value::duration)?;
                (end.saturating_sub_unsigned(took), guessed, took)
            }
            (Some(began), Some(ended), None) => {
                let (nanos, guessed) = time(began)?;
                let (end, _) = time(ended)?;
                let took = u64::try_from(i128::from(end) - i128::from(nanos)).map_err(|_| {
                    Problem::EndsFirst {
                        by_nanos: nanos.abs_diff(end),
                    }
                })?;
                if took > value::LONGEST {
                    return Err(ended.refuse("an end at most 30 days after the begin"));
                }
                (nanos, guessed, took)
            }
            _ => return Err(part(self.missing().unwrap_or("time"))),
        };
        let outcome = self.outcome.as_ref().ok_or_else(|| part("outcome"))?;
        let Meaning::Outcome(sense) = outcome.column.meaning else {
            return Err(part("outcome"));
        };
        let succeeded = outcome.read(|text, _| value::succeeded(text, sense))?;
        Ok(Entry {
            began,
            took,
            succeeded,
            guessed,
        })
    }
}
