//! The meaning of a log's column, found by its name.

use super::Unit;

/// The meaning of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Began,
    Ended,
    Duration,
    Outcome(Sense),
}

/// How to read an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// The outcome is a word or a code: `ok`, `error`, 503.
    Words,
    /// The column's name asks whether the call succeeded.
    Succeeded,
    /// The column's name asks whether it failed.
    Failed,
}

/// A column with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) meaning: Meaning,
    /// The unit of bare numbers, if the column's name contains it.
    pub(super) unit: Option<Unit>,
    /// If two columns have one meaning, the log is read from the one with the lower rank.
    pub(super) rank: usize,
}

/// The names of each meaning, the plainest first.
const NAMES: [(Meaning, &[&str]); 6] = [
    (
        Meaning::Began,
        &[
            "time",
            "began",
            "start",
            "started",
            "start_time",
            "started_at",
            "timestamp",
            "ts",
            "date",
            "datetime",
        ],
    ),
    (
        Meaning::Ended,
        &[
            "ended",
            "end",
            "end_time",
            "ended_at",
            "finished",
            "finished_at",
            "completed",
            "completed_at",
        ],
    ),
    (
        Meaning::Duration,
        &[
            "duration",
            "took",
            "latency",
            "elapsed",
            "response_time",
            "request_time",
        ],
    ),
    (
        Meaning::Outcome(Sense::Words),
        &[
            "outcome",
            "result",
            "status",
            "status_code",
            "http_status",
            "code",
        ],
    ),
    (
        Meaning::Outcome(Sense::Succeeded),
        &["success", "succeeded", "ok"],
    ),
    (
        Meaning::Outcome(Sense::Failed),
        &["failure", "failed", "error"],
    ),
];

/// The names to write where a column is missing.
pub(super) const EXPECTED: &str = "a time (time, timestamp, started_at, ended, …), a duration (duration, duration_ms, took, \
     latency_s, …) and an outcome (outcome, status, success, error, …)";

impl Column {
    /// The column with this name, or `None` if the name means nothing.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = snake(name);
        let (base, unit) = name
            .rsplit_once('_')
            .and_then(|(base, ending)| Some((base, Unit::named(ending)?)))
            .map_or((name.as_str(), None), |(base, unit)| (base, Some(unit)));
        NAMES.iter().find_map(|&(meaning, names)| {
            let rank = names.iter().position(|known| *known == base)?;
            (unit.is_none() || !matches!(meaning, Meaning::Outcome(_))).then_some(Self {
                meaning,
                unit,
                rank,
            })
        })
    }
}

/// Converts to snake case: `@startTime`, `start-time` and `Start Time` become `start_time`.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    let mut after_lower = false;
    for letter in name.trim().trim_start_matches('@').chars() {
        if letter.is_uppercase() && after_lower {
            snake.push('_');
        }
        after_lower = letter.is_lowercase();
        match letter {
            '-' | ' ' | '.' => snake.push('_'),
            _ => snake.extend(letter.to_lowercase()),
        }
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_known_however_its_name_is_written() {
        for name in ["start_time", "startTime", "Start Time", "@start-time"] {
            let column = Column::named(name).unwrap_or_else(|| panic!("{name} is not known"));
            assert_eq!(column.meaning, Meaning::Began, "{name}");
        }
    }

    #[test]
    fn the_end_of_a_name_tells_the_unit() {
        for (name, unit) in [
            ("duration_ms", Some(Unit::Milliseconds)),
            ("latencySeconds", Some(Unit::Seconds)),
            ("took_us", Some(Unit::Microseconds)),
            ("elapsed_nanos", Some(Unit::Nanoseconds)),
            ("duration", None),
        ] {
            assert_eq!(Column::named(name).unwrap().unit, unit, "{name}");
        }
    }

    #[test]
    fn a_column_of_no_meaning_is_left_alone() {
        for name in ["user", "status_ms", "durations", ""] {
            assert_eq!(Column::named(name), None, "{name}");
        }
    }
}
