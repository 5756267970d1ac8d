//! The time axis that the panels of the picture share.

use std::ops::Range;

use jiff::Timestamp;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;

use crate::breaker::Nanos;
use crate::log;
use crate::words;

/// The seconds since a log began, with labels at round times of the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// When the log began, in nanoseconds since 1970.
    pub(super) origin: i64,
    /// The log's length.
    pub(super) length: Nanos,
}

/// The possible times between two labels, in milliseconds: from 1 ms to a year.
const STEPS: [u64; 24] = [
    1,
    10,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    604_800_000,
    2_592_000_000,
    31_536_000_000,
];

/// The largest number of labels.
const LABELS: u64 = 12;

impl Axis {
    pub(super) fn calendar(self, since_begin: Nanos) -> Timestamp {
        log::timestamp(self.origin.saturating_add_unsigned(since_begin))
    }

    /// Round times of the clock, since the log began.
    pub(super) fn points(self) -> Vec<Nanos> {
        let step = STEPS
            .into_iter()
            .map(|millis| millis * 1_000_000)
            .find(|&step| self.length / step < LABELS)
            .unwrap_or(Nanos::MAX / LABELS);
        let after_round = self
            .origin
            .rem_euclid(step.try_into().unwrap_or(i64::MAX))
            .unsigned_abs();
        (0..=LABELS)
            .map(|index| (step - after_round) % step + index * step)
            .take_while(|&at| at <= self.length)
            .collect()
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, seconds: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(seconds, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.points().into_iter().map(words::seconds).collect()
    }

    fn range(&self) -> Range<f64> {
        0.0..words::seconds(self.length)
    }
}

impl ValueFormatter<f64> for Axis {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a label lies in the log; to the microsecond, so that 1.0 s is not 0.999… s"
    )]
    fn format_ext(&self, seconds: &f64) -> String {
        let at = self.calendar((seconds.max(0.0) * 1e6).round() as Nanos * 1_000);
        let form = match self.length {
            0..30_000_000_000 => "%H:%M:%S%.3f",
            30_000_000_000..7_200_000_000_000 => "%H:%M:%S",
            7_200_000_000_000..172_800_000_000_000 => "%H:%M",
            _ => "%m-%d %H:%M",
        };
        at.strftime(form).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_at_round_times_of_the_clock() {
        // A day from 00:00:03.5 on.
        let axis = Axis {
            origin: 3_500_000_000,
            length: 86_400_000_000_000,
        };
        let labels: Vec<_> = axis
            .points()
            .into_iter()
            .map(|at| axis.format_ext(&words::seconds(at)))
            .collect();
        assert_eq!(
            labels,
            [
                "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "00:00"
            ]
        );
    }

    #[test]
    fn no_log_has_more_labels_than_there_is_room_for() {
        for seconds in [0, 1, 59, 3_600, 90_000, 3_000_000, 315_360_000] {
            let axis = Axis {
                origin: -1,
                length: seconds * 1_000_000_000 + 1,
            };
            assert!(axis.points().len() <= 13, "{seconds} s: {axis:?}");
        }
    }
}
