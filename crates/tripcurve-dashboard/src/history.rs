//! The last hour of a breaker, in points of ten seconds.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a chart needs three digits"
)]

use std::collections::VecDeque;

use serde::Serialize;
use tripcurve::snapshot::Totals;

use crate::clock::Millis;

/// The time between two points, in milliseconds.
pub(crate) const STEP: Millis = 10_000;

/// The number of points in an hour.
const MOST: usize = 360;

/// A breaker at one time. It is serialized as an array, because an hour has many points.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Point(
    /// When, in milliseconds since 1970.
    pub(crate) Millis,
    /// The failure rate of the window, if it holds calls.
    pub(crate) Option<f32>,
    /// How near the breaker came to a trip: 0 to 1.
    pub(crate) f32,
    /// Calls a second.
    pub(crate) f32,
    /// Rejected calls a second.
    pub(crate) f32,
    /// The 99th percentile of durations in seconds, if the breaker records them.
    pub(crate) Option<f32>,
);

/// The points of the last hour, and what the next one needs.
#[derive(Debug, Default)]
pub(crate) struct History {
    points: VecDeque<Point>,
    next_at: Millis,
    began_at: Millis,
    began_with: Totals,
    peak: f64,
    generation: u64,
}

/// What a history notes of a breaker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) generation: u64,
    pub(crate) failure_rate: Option<f64>,
    pub(crate) fill: f64,
    pub(crate) p99: Option<f64>,
    pub(crate) totals: Totals,
}

impl History {
    /// Notes how a breaker is at `now`. Once in ten seconds it makes a point.
    pub(crate) fn note(&mut self, now: Millis, seen: Seen) {
        // What came before a change of the state isn't how near the next trip is.
        let is_same = self.generation == seen.generation;
        self.peak = if is_same { self.peak } else { 0.0 }.max(seen.fill);
        self.generation = seen.generation;
        if self.next_at == 0 {
            // The chart begins with the first look.
            (self.began_with, self.began_at) = (seen.totals, now);
        } else if now < self.next_at {
            return;
        }
        let seconds = (now - self.began_at) as f64 / 1e3;
        let (before, after) = (self.began_with, seen.totals);
        let a_second = |before: u64, after: u64| {
            rounded(after.saturating_sub(before) as f64 / seconds.max(1e-3))
        };
        if self.points.len() == MOST {
            self.points.pop_front();
        }
        self.points.push_back(Point(
            now,
            seen.failure_rate.map(rounded),
            rounded(self.peak),
            a_second(before.calls(), after.calls()),
            a_second(before.rejected, after.rejected),
            seen.p99.map(|seconds| seconds as f32),
        ));
        self.peak = seen.fill;
        self.began_with = after;
        self.began_at = now;
        self.next_at = now + STEP;
    }

    /// The points, the oldest first.
    pub(crate) fn points(&self) -> Vec<Point> {
        self.points.iter().copied().collect()
    }
}

/// To three decimals.
fn rounded(value: f64) -> f32 {
    ((value * 1e3).round() / 1e3) as f32
}

#[cfg(test)]
mod tests {
    use super::{History, STEP, Seen};
    use tripcurve::snapshot::Totals;

    fn seen(calls: u64, fill: f64) -> Seen {
        let mut totals = Totals::default();
        totals.successes = calls;
        Seen {
            generation: 1,
            failure_rate: Some(0.25),
            fill,
            p99: None,
            totals,
        }
    }

    #[test]
    fn a_point_has_the_peak_and_the_calls_of_its_ten_seconds() {
        let mut history = History::default();
        history.note(1_000, seen(100, 0.2));
        history.note(5_000, seen(150, 0.9));
        history.note(1_000 + STEP, seen(200, 0.1));
        let points = history.points();
        assert_eq!(points.len(), 2);
        assert!((points[0].2 - 0.2).abs() < 1e-6);
        assert!((points[1].2 - 0.9).abs() < 1e-6);
        assert!((points[1].3 - 10.0).abs() < 1e-6);
    }

    #[test]
    fn it_keeps_an_hour() {
        let mut history = History::default();
        for step in 0..1_000 {
            history.note(1 + step * STEP, seen(step, 0.0));
        }
        let points = history.points();
        assert_eq!(points.len(), 360);
        assert!(points[0].0 < points[359].0);
    }
}
