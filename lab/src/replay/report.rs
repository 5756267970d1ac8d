//! A replay as text and numbers.

use std::io::{self, Write};
use std::time::Duration;

use super::course::{Course, Tally, Trip};
use crate::log::{Call, Log};
use crate::table::Table;
use crate::words;

/// A policy and its results.
#[derive(Clone, Debug)]
pub struct Played {
    /// The policy's name.
    pub name: String,
    /// The policy's settings in words, if its name doesn't contain them.
    pub settings: Option<&'static str>,
    /// The policy's decisions.
    pub course: Course,
}

/// The rule by which a call of a log is bad.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bad {
    /// Calls that took longer are bad even if they succeeded.
    pub slower_than: Option<Duration>,
}

impl Bad {
    /// Whether the call is bad.
    #[must_use]
    pub fn is(&self, call: &Call) -> bool {
        let slow = |limit: Duration| u128::from(call.took) > limit.as_nanos();
        !call.succeeded || self.slower_than.is_some_and(slow)
    }

    /// The verb for bad calls, as in `12 of 20 calls failed`.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self.slower_than {
            Some(_) => "were bad",
            None => "failed",
        }
    }

    /// The adjective for bad calls.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.slower_than {
            Some(_) => "bad",
            None => "failed",
        }
    }
}

/// Writes the table of all policies and the trips of each.
///
/// # Errors
/// Returns an error if writing fails.
pub(super) fn write(
    to: &mut impl Write,
    log: &Log,
    results: &[Played],
    bad: Bad,
    most_trips: usize,
) -> io::Result<()> {
    if let Some(limit) = bad.slower_than {
        writeln!(
            to,
            "Bad are calls that failed or took longer than {limit:?}."
        )?;
    }
    writeln!(to)?;
    write!(to, "{}", table(log, results, bad).text())?;
    writeln!(
        to,
        "\nThe log shows what happened when all calls were made: a rejected call counts as saved if it was \
         {} there, as lost if not.\nWhat a spared dependency would have done better is not in it.",
        bad.word()
    )?;
    for result in results {
        match result.settings {
            Some(settings) => writeln!(to, "\n{} ({settings})", result.name)?,
            None => writeln!(to, "\n{}", result.name)?,
        }
        trips(to, log, &result.course, bad, most_trips)?;
    }
    Ok(())
}

/// What each policy would have done with the log.
pub(super) fn table(log: &Log, results: &[Played], bad: Bad) -> Table {
    let [made, saved] = match bad.slower_than {
        Some(_) => ["bad made", "bad saved"],
        None => ["failed made", "failed saved"],
    };
    let mut table = Table::new([
        "policy",
        "trips",
        made,
        saved,
        "saved %",
        "good lost",
        "lost %",
        "waiting saved",
        "not closed",
    ]);
    for result in results {
        table.row(row(log, result, bad));
    }
    table
}

fn row(log: &Log, result: &Played, bad: Bad) -> [String; 9] {
    let course = &result.course;
    let tally = Tally::of(&log.calls, &course.admitted, |call| bad.is(call));
    let length = log.length();
    let not_closed: u64 = course
        .trips
        .iter()
        .map(|trip| trip.closed.unwrap_or(length).saturating_sub(trip.at))
        .sum();
    [
        result.name.clone(),
        words::count(course.trips.len() as u64),
        words::count(tally.bad_made),
        words::count(tally.bad_saved),
        format!("{:.1}", words::percent(tally.bad_saved, tally.bad())),
        words::count(tally.good_lost),
        format!("{:.2}", words::percent(tally.good_lost, tally.good())),
        words::span(u64::try_from(tally.wait_saved).unwrap_or(u64::MAX)),
        words::span(not_closed),
    ]
}

fn trips(to: &mut impl Write, log: &Log, course: &Course, bad: Bad, most: usize) -> io::Result<()> {
    if course.trips.is_empty() {
        return writeln!(to, "  never trips");
    }
    for (index, trip) in course.trips.iter().enumerate().take(most) {
        writeln!(
            to,
            "  trip {} at {} ({}): {}",
            index + 1,
            words::since(trip.at),
            words::moment(log.calendar(trip.at)),
            trip.cause.as_deref().unwrap_or("by its rule"),
        )?;
        writeln!(to, "    {}", after(log, course, trip, bad))?;
    }
    if course.trips.len() > most {
        writeln!(
            to,
            "  and {} trips more (--trips {} shows them all)",
            words::count((course.trips.len() - most) as u64),
            course.trips.len()
        )?;
    }
    Ok(())
}

/// How a trip ended, and what it saved and lost.
pub(super) fn after(log: &Log, course: &Course, trip: &Trip, bad: Bad) -> String {
    let tally = Tally::of(
        &log.calls[trip.calls.clone()],
        &course.admitted[trip.calls.clone()],
        |call| bad.is(call),
    );
    format!(
        "{}; {} {} calls saved, {} good ones lost",
        ending(trip),
        words::count(tally.bad_saved),
        bad.word(),
        words::count(tally.good_lost)
    )
}

fn ending(trip: &Trip) -> String {
    let relapses = match trip.relapses {
        0 => String::new(),
        1 => ", after probing once in vain".to_owned(),
        relapses => format!(
            ", after probing {} times in vain",
            words::count(relapses.into())
        ),
    };
    match trip.closed {
        Some(closed) => format!("closed {} later{relapses}", words::span(closed - trip.at)),
        None => format!("not closed again before the log ends{relapses}"),
    }
}
