//! A policy's phases over time, as a lane of columns.

use super::course::Course;
use crate::breaker::{Nanos, Phase};

/// The number of columns in a lane. A phase shorter than one column is drawn as wide as one.
pub(super) const COLUMNS: u32 = 1_000;

/// The phase of each column. If several phases share a column, it shows the one with the greatest
/// weight.
pub(super) fn columns(course: &Course, length: Nanos) -> Vec<Phase> {
    let mut columns = vec![Phase::Closed; COLUMNS as usize];
    let last = columns.len() - 1;
    let column = |at: Nanos| {
        let at = u128::from(at) * u128::from(COLUMNS) / u128::from(length.max(1));
        usize::try_from(at).map_or(last, |at| at.min(last))
    };
    for (index, &(from, phase)) in course.phases.iter().enumerate() {
        let until = course.phases.get(index + 1).map_or(length, |next| next.0);
        for drawn in &mut columns[column(from)..=column(until.saturating_sub(1).max(from))] {
            if weight(phase) > weight(*drawn) {
                *drawn = phase;
            }
        }
    }
    columns
}

fn weight(phase: Phase) -> u8 {
    match phase {
        Phase::Closed => 0,
        Phase::Recovering => 1,
        Phase::Open => 2,
    }
}

/// Runs of neighbouring columns with equal phases: begin, end and phase. Times are in seconds.
pub(super) fn runs(columns: &[Phase], length: f64) -> impl Iterator<Item = (f64, f64, Phase)> {
    let mut at = 0_u32;
    columns.chunk_by(PartialEq::eq).filter_map(move |run| {
        let from = at;
        at += u32::try_from(run.len()).ok()?;
        let second = |column: u32| length * f64::from(column) / f64::from(COLUMNS);
        Some((second(from), second(at), *run.first()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_trip_is_seen_in_the_lane() {
        let course = Course {
            phases: vec![
                (0, Phase::Closed),
                (500_000, Phase::Open),
                (500_001, Phase::Recovering),
                (500_002, Phase::Closed),
            ],
            ..Course::default()
        };
        let columns = columns(&course, 1_000_000);
        let open: Vec<_> = (0..columns.len())
            .filter(|&at| columns[at] == Phase::Open)
            .collect();
        assert_eq!(open, [500]);
        let runs: Vec<_> = runs(&columns, 10.0).collect();
        assert_eq!(
            runs,
            [
                (0.0, 5.0, Phase::Closed),
                (5.0, 5.01, Phase::Open),
                (5.01, 10.0, Phase::Closed)
            ]
        );
    }
}
