//! The limit of detection: what the best rule would let through that knows both shares.
//!
//! Page's CUSUM with the true shares has the shortest worst mean delay of all rules that trip falsely
//! as seldom (Moustakides 1986, "Optimal stopping times for detecting changes in distributions"). It is
//! a walk that begins again whenever it comes back to zero. Within one of these cycles the position
//! after n calls depends on the number of failures alone, so how cycles end is summed exactly; and from
//! that, by renewal, how many calls it takes.

use crate::traffic::Latency;

/// A share of failures that is to be told from another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// The share that fails while nothing is wrong.
    pub null: f64,
    /// The share that fails in the outage.
    pub outage: f64,
    /// How many calls should pass between two false trips, on average.
    pub between_false_trips: f64,
}

impl Question {
    /// The mean number of calls until the best rule trips.
    #[must_use]
    pub fn calls(&self) -> f64 {
        self.best().cycle(self.outage).run_length()
    }

    /// The best rule: that with the smallest threshold that trips falsely seldom enough.
    fn best(&self) -> Walk {
        let up = (self.outage / self.null).ln();
        // So far down that no number of failures comes back, for an outage without successes.
        let down = ((1.0 - self.outage) / (1.0 - self.null)).ln().max(-1e9);
        let walk = |threshold| Walk {
            up,
            down,
            threshold,
        };
        let (mut low, mut high) = (0.0, self.between_false_trips.ln().max(1.0) + 2.0 * up);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if walk(middle).cycle(self.null).run_length() < self.between_false_trips {
                low = middle;
            } else {
                high = middle;
            }
        }
        walk(high)
    }

    /// Failed calls that the best rule lets through at so many calls a second, as DECISION.md counts
    /// them: those that it takes, and as many more as come in while one call lasts.
    ///
    /// No bound where many calls are under way at once: of those the fastest fail first, and tell.
    #[must_use]
    pub fn failed_calls(&self, rate: f64, latency: Latency) -> f64 {
        (self.calls() + rate * latency.mean()) * self.outage
    }

    /// Failed calls that come in until as many of them have ended as the best rule takes, the fastest
    /// first. Calls from before the outage are told apart, which no breaker can do.
    #[must_use]
    pub fn failed_calls_fastest_first(&self, rate: f64, latency: Latency) -> f64 {
        let takes = self.best().cycle(self.outage).numbers_of_calls();
        let come_in = takes.iter().zip(1_u32..).map(|(probability, calls)| {
            probability * rate * latency.time_until_ended(f64::from(calls) / rate)
        });
        come_in.sum::<f64>() * self.outage
    }
}

/// The statistic: so far up with a failure, down with a success, never below zero.
#[derive(Clone, Copy, Debug)]
struct Walk {
    up: f64,
    down: f64,
    threshold: f64,
}

/// How a cycle from zero ends, after one call, two, and so on.
#[derive(Clone, Debug, Default)]
struct Cycle {
    at_zero: Vec<f64>,
    at_threshold: Vec<f64>,
}

impl Walk {
    /// How its cycles end when a share of `failing` fails.
    fn cycle(self, failing: f64) -> Cycle {
        let mut cycle = Cycle::default();
        // Of the cycles that have not ended: how likely each number of failures is, from `fewest` on.
        let mut alive = vec![1.0];
        let mut fewest = 0_u32;
        let mut reaches = 0.0;
        for calls in 1_u32.. {
            // What is left can't change the mean in the tenth digit.
            let left: f64 = alive.iter().sum();
            if left <= 1e-12 * reaches || left < 1e-300 {
                break;
            }
            let mut next = vec![0.0; alive.len() + 1];
            for (index, probability) in alive.iter().enumerate() {
                next[index] += probability * (1.0 - failing);
                next[index + 1] += probability * failing;
            }
            let (mut at_zero, mut at_threshold) = (0.0, 0.0);
            for (failures, probability) in (fewest..).zip(&mut next) {
                let successes = f64::from(calls - failures);
                let position = f64::from(failures) * self.up + successes * self.down;
                if position >= self.threshold {
                    at_threshold += std::mem::take(probability);
                } else if position <= 0.0 {
                    at_zero += std::mem::take(probability);
                }
            }
            reaches += at_threshold;
            cycle.at_zero.push(at_zero);
            cycle.at_threshold.push(at_threshold);
            while next.last() == Some(&0.0) {
                next.pop();
            }
            let empty = next.iter().take_while(|probability| **probability == 0.0);
            let empty = empty.count();
            next.drain(..empty);
            fewest += u32::try_from(empty).unwrap_or(u32::MAX);
            alive = next;
        }
        cycle
    }
}

impl Cycle {
    /// The mean number of calls until a cycle ends at the threshold (Wald).
    fn run_length(&self) -> f64 {
        let ends = self.at_zero.iter().zip(&self.at_threshold);
        let length: f64 = ends
            .zip(1_u32..)
            .map(|((zero, threshold), calls)| (zero + threshold) * f64::from(calls))
            .sum();
        length / self.at_threshold.iter().sum::<f64>()
    }

    /// How likely it is that it takes one call, two, and so on until a cycle ends at the threshold.
    fn numbers_of_calls(&self) -> Vec<f64> {
        // How likely it is that a cycle begins after so many calls.
        let mut begins = vec![1.0];
        let mut takes = Vec::new();
        let mut left = 1.0;
        while left > 1e-9 {
            let calls = begins.len();
            let sum = |ends: &[f64]| -> f64 {
                let lengths = 1..=calls.min(ends.len());
                lengths
                    .map(|length| ends[length - 1] * begins[calls - length])
                    .sum()
            };
            let (again, done) = (sum(&self.at_zero), sum(&self.at_threshold));
            begins.push(again);
            takes.push(done);
            left -= done;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_take_as_long_as_the_formula_says() {
        // k in a row at share p: (p^-k - 1) / (1 - p).
        let walk = Walk {
            up: 1.0,
            down: -1e9,
            threshold: 4.5,
        };
        let exact = (0.25_f64.powi(-5) - 1.0) / 0.75;
        assert!((walk.cycle(0.25).run_length() / exact - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_mean_of_the_numbers_of_calls_is_the_run_length() {
        let question = Question {
            null: 0.25,
            outage: 0.5,
            between_false_trips: 120_000.0,
        };
        let takes = question.best().cycle(0.5).numbers_of_calls();
        let mean: f64 = takes
            .iter()
            .zip(1_u32..)
            .map(|(probability, calls)| probability * f64::from(calls))
            .sum();
        assert!((mean / question.calls() - 1.0).abs() < 1e-4);
    }

    #[test]
    fn with_little_traffic_it_makes_no_difference_which_calls_end_first() {
        let question = Question {
            null: 0.01,
            outage: 0.8,
            between_false_trips: 86_400.0,
        };
        let latency = Latency::USUAL;
        let ratio =
            question.failed_calls_fastest_first(1.0, latency) / question.failed_calls(1.0, latency);
        assert!((ratio - 1.0).abs() < 1e-3, "{ratio}");
        let ratio = question.failed_calls_fastest_first(10_000.0, latency)
            / question.failed_calls(10_000.0, latency);
        assert!(ratio < 0.8, "{ratio}");
    }
}
