//! A ramp whose steps the user chose, and how it judges each step.

use std::time::Duration;

use super::verdict::{Test, Verdict};
use crate::clock::saturating_nanos;
use crate::error::ConfigError;
use crate::state::{RampMode, Round, Share};

/// The user's steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Steps {
    shares: [f64; Self::MOST],
    count: usize,
    each: Duration,
}

impl Steps {
    const MOST: usize = 16;

    /// Keeps the first `MOST` shares. Those beyond are only counted, so that `check` finds them.
    pub(super) const fn new(shares: &[f64], each: Duration) -> Self {
        let mut kept = [1.0; Self::MOST];
        let mut step = 0;
        while step < shares.len() && step < Self::MOST {
            kept[step] = shares[step];
            step += 1;
        }
        Self {
            shares: kept,
            count: shares.len(),
            each,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(1..=Self::MOST).contains(&self.count) {
            return Err(ConfigError::new(
                "steps",
                format!("{} steps", self.count),
                format!("1 to {} of them", Self::MOST),
                "[0.1, 0.25, 0.5, 1.0] suit most services",
            ));
        }
        let shares = &self.shares[..self.count];
        let is_share = |share: &f64| *share > 0.0 && *share <= 1.0;
        let grows = shares.windows(2).all(|pair| pair[0] < pair[1]);
        if !shares.iter().all(is_share) || !grows {
            return Err(ConfigError::new(
                "steps",
                format!("{shares:?}"),
                "shares above 0 and up to 1, each larger than the one before",
                "[0.1, 0.25, 0.5, 1.0] suit most services",
            ));
        }
        ConfigError::check_duration(
            "steps.each",
            self.each,
            Duration::from_secs(86_400),
            "in 1ms..=1 day",
            "choose it longer than calls take, since a step is judged by those that come back in it",
        )
    }
}

/// The steps in the form that a ramp uses.
#[derive(Debug, PartialEq)]
pub(super) struct Ladder {
    shares: Box<[Share]>,
    /// The shortest time that a step lasts, in nanoseconds.
    pub(super) each: u64,
    max_failure_rate: f64,
    test: Test,
}

impl Ladder {
    pub(super) fn new(steps: &Steps, max_failure_rate: f64) -> Self {
        let shares = steps.shares.iter().take(steps.count);
        let borne = max_failure_rate.clamp(0.01, 0.9);
        Self {
            shares: shares.map(|share| Share::nearest(*share)).collect(),
            each: saturating_nanos(steps.each),
            max_failure_rate,
            test: Test::new(borne, borne + 0.2 * (1.0 - borne)),
        }
    }

    pub(super) fn first(&self) -> Round {
        self.step(0)
            .unwrap_or(Round::first(Share::ALL, RampMode::Fast))
    }

    fn step(&self, number: u8) -> Option<Round> {
        let share = self.shares.get(usize::from(number))?;
        Some(Round {
            number,
            ..Round::first(*share, RampMode::Fast)
        })
    }

    /// The largest step that admits no more than `share`, or the first.
    #[cfg(feature = "fleet")]
    pub(super) fn within(&self, share: Share) -> Round {
        let past = self.shares.iter().filter(|it| **it <= share).count();
        let number = u8::try_from(past.saturating_sub(1)).unwrap_or(0);
        self.step(number).unwrap_or_else(|| self.first())
    }

    /// Judges a step that has lasted for `lasted` nanoseconds.
    pub(super) fn judge(&self, round: Round, lasted: u64) -> Verdict {
        if self.test.finds_too_many(round, 1.0) {
            return Verdict::Failed;
        }
        if lasted < self.each {
            return Verdict::Undecided;
        }
        if round.failing() > self.max_failure_rate {
            return Verdict::Failed;
        }
        self.step(round.number + 1)
            .map_or(Verdict::Back, Verdict::Next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::ACCEPTABLE;

    const SECOND: u64 = 1_000_000_000;

    fn ladder() -> Ladder {
        Ladder::new(
            &Steps::new(&[0.25, 1.0], Duration::from_secs(1)),
            ACCEPTABLE,
        )
    }

    fn round(number: u8, good: u8, bad: u8) -> Round {
        let step = ladder().step(number).unwrap();
        Round { bad, good, ..step }
    }

    #[test]
    fn a_step_lasts_its_time_and_the_last_one_leads_back() {
        let first = ladder().first();
        assert_eq!((first.number, first.share), (0, Share::nearest(0.25)));
        assert_eq!(
            ladder().judge(round(0, 9, 0), SECOND - 1),
            Verdict::Undecided
        );
        let second = round(1, 0, 0);
        assert_eq!(
            ladder().judge(round(0, 9, 0), SECOND),
            Verdict::Next(second)
        );
        assert_eq!(ladder().judge(round(1, 9, 0), SECOND), Verdict::Back);
    }

    #[test]
    fn a_step_of_which_too_many_fail_fails_at_its_end_or_as_soon_as_it_is_clear() {
        let few = round(0, 2, 1);
        assert_eq!(ladder().judge(few, SECOND - 1), Verdict::Undecided);
        assert_eq!(ladder().judge(few, SECOND), Verdict::Failed);
        assert_eq!(
            ladder().judge(round(0, 3, 1), SECOND),
            Verdict::Next(round(1, 0, 0))
        );
        assert_eq!(ladder().judge(round(0, 0, 6), 0), Verdict::Failed);
        assert_eq!(ladder().judge(round(0, 0, 3), 0), Verdict::Undecided);
    }
}
