//! The limit of detection: the failed calls that the best possible rule lets through.
//!
//! The best rule knows both failure rates. Among all rules with equally rare false trips, Page's
//! CUSUM with the true rates has the shortest worst mean delay (Moustakides 1986, "Optimal stopping
//! times for detecting changes in distributions").
//!
//! CUSUM is a walk that restarts whenever it returns to zero. Within one such cycle, the position
//! after n calls depends only on the number of failures. So this module sums exactly how cycles
//! end. By renewal, the sums give the number of calls until the trip.

use crate::traffic::Latency;

/// Two failure rates that a rule must tell apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// The failure rate while nothing is wrong.
    pub null: f64,
    /// The failure rate in the outage.
    pub outage: f64,
    /// The mean number of calls between two false trips.
    pub between_false_trips: f64,
}

impl Question {
    /// The mean number of calls until the best rule trips.
    #[must_use]
    pub fn calls(&self) -> f64 {
        self.best().cycle(self.outage).run_length()
    }

    /// The best rule: the smallest threshold whose false trips are rare enough.
    fn best(&self) -> Walk {
        let up = (self.outage / self.null).ln();
        // For an outage without successes, a success moves so far down that no failures make up for
        // it.
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

    /// Failed calls that the best rule lets through at `rate` calls per second.
    ///
    /// DECISION.md counts them so: the failed calls until the trip, plus those that begin during
    /// the latency of one call. This is no bound where many calls are in flight at once, because
    /// the fastest of them fail first and trip the rule.
    #[must_use]
    pub fn failed_calls(&self, rate: f64, latency: Latency) -> f64 {
        (self.calls() + rate * latency.mean()) * self.outage
    }

    /// Failed calls until the best rule has seen enough of them end, the fastest first.
    ///
    /// The rule ignores calls that began before the outage, which no breaker can do.
    #[must_use]
    pub fn failed_calls_fastest_first(&self, rate: f64, latency: Latency) -> f64 {
        let takes = self.best().cycle(self.outage).numbers_of_calls();
        let come_in = takes.iter().zip(1_u32..).map(|(probability, calls)| {
            probability * rate * latency.time_until_ended(f64::from(calls) / rate)
        });
        come_in.sum::<f64>() * self.outage
    }
}

/// The statistic: up by one step with a failure, down by another with a success, never below zero.
#[derive(Clone, Copy, Debug)]
struct Walk {
    up: f64,
    down: f64,
    threshold: f64,
}

/// How a cycle from zero ends, indexed by its number of calls.
#[derive(Clone, Debug, Default)]
struct Cycle {
    at_zero: Vec<f64>,
    at_threshold: Vec<f64>,
}

impl Walk {
    /// How the walk's cycles end when calls fail at the rate `failing`.
    fn cycle(self, failing: f64) -> Cycle {
        let mut cycle = Cycle::default();
        // The probability of each number of failures among the unfinished cycles, from `fewest` on.
        let mut alive = vec![1.0];
        let mut fewest = 0_u32;
        let mut reaches = 0.0;
        for calls in 1_u32.. {
            // The remaining probability can't change the tenth digit of the mean.
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

    /// The probability of each number of calls until a cycle ends at the threshold.
    fn numbers_of_calls(&self) -> Vec<f64> {
        // The probability that a cycle begins after each number of calls.
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
        // The mean wait for k failures in a row at rate p is (p^-k - 1) / (1 - p).
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
