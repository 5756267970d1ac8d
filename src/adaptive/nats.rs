//! Evidence as a number: how much better an outage explains the outcomes than usual behaviour does.
//!
//! All values are natural logarithms, *nats*, in fixed point. So sums are exact and equal on every
//! machine. Evidence depends only on what was counted.

/// The units in one nat.
pub(super) const UNITS: f64 = 8192.0;
/// The units in one nat, as a whole number.
pub(super) const WHOLE_UNITS: i64 = 8_192;

/// Evidence in units of 1/8,192 nat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nats(pub(super) i64);

impl Nats {
    /// No evidence.
    pub(super) const ZERO: Self = Self(0);

    /// A whole number of nats.
    pub(super) const fn whole(nats: u32) -> Self {
        Self(nats as i64 * WHOLE_UNITS)
    }

    /// Rounds to the nearest unit. A value that isn't finite becomes zero.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the logarithm of any float is some thousand units"
    )]
    pub(super) fn new(nats: f64) -> Self {
        if nats.is_finite() {
            Self((nats * UNITS).round() as i64)
        } else {
            Self::ZERO
        }
    }

    /// The value in nats.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "evidence is far below 2⁵³ units"
    )]
    pub(super) fn get(self) -> f64 {
        self.0 as f64 / UNITS
    }
}

impl std::ops::Add for Nats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for Nats {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::ops::Mul<u32> for Nats {
    type Output = Self;

    fn mul(self, times: u32) -> Self {
        Self(self.0 * i64::from(times))
    }
}

/// How many calls failed, and how many succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    pub(super) failed: u32,
    pub(super) succeeded: u32,
}

impl Outcomes {
    /// Halves both counts so that evidence is lost. If no failure is left, no success is either.
    pub(super) fn halved(self) -> Self {
        match self.failed / 2 {
            0 => Self::default(),
            failed => Self {
                failed,
                succeeded: self.succeeded.div_ceil(2),
            },
        }
    }
}

/// How surprising an outcome is if a given share of calls fails: the negative logarithm of its
/// chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Surprise {
    pub(super) failure: Nats,
    pub(super) success: Nats,
}

impl Surprise {
    pub(super) fn at(share: f64) -> Self {
        Self {
            failure: Nats::new(-share.ln()),
            success: Nats::new(-(-share).ln_1p()),
        }
    }

    pub(super) fn of(self, outcomes: Outcomes) -> Nats {
        self.failure * outcomes.failed + self.success * outcomes.succeeded
    }
}

/// The failure rates that an outage may have: three shares, the smallest first, and always 100 %.
///
/// Evidence is that for the share which explains the outcomes best. Each share but the first has a
/// handicap, because the best of several is chosen. With the handicap, a sum of chances, of which
/// the best is the largest term, stays a chance. This is a mixture of sequential tests (Wald 1945).
/// It restarts whenever no share has evidence left (Lorden 1971).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outages {
    shares: [Surprise; 3],
    handicap: Nats,
}

impl Outages {
    pub(super) fn new(shares: [f64; 3], handicap: f64) -> Self {
        Self {
            shares: shares.map(Surprise::at),
            handicap: Nats::new(handicap),
        }
    }

    /// The evidence for the smallest outage.
    ///
    /// Against a tolerated share it is the last to be used up, because all outages are larger.
    pub(super) fn least(&self, usual: Nats, outcomes: Outcomes) -> Nats {
        usual - self.shares[0].of(outcomes)
    }

    /// The evidence for any outage. At zero or below, no evidence is worth keeping.
    ///
    /// The smallest outage isn't enough for this. Where failures usually follow one another, they
    /// may be likelier than in the smallest outage, and yet far less likely than in a larger one.
    pub(super) fn any(&self, usual: Nats, outcomes: Outcomes) -> Nats {
        let others = self.shares[1..].iter();
        let others = others.map(|share| usual - share.of(outcomes));
        others.fold(self.least(usual, outcomes), Nats::max)
    }

    /// The evidence for the outage that explains the outcomes best.
    ///
    /// `usual` is how surprising all outcomes would usually be. `run` is how surprising the latest
    /// ones would be, which have all failed.
    pub(super) fn best(&self, usual: Nats, outcomes: Outcomes, run: Nats) -> Nats {
        let others = self.shares[1..].iter();
        let others = others.map(|share| usual - share.of(outcomes) - self.handicap);
        let least = self.least(usual, outcomes);
        others.fold(least, Nats::max).max(run - self.handicap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_finite_is_no_evidence() {
        for nats in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0] {
            assert_eq!(Nats::new(nats), Nats::ZERO);
        }
        assert_eq!(Surprise::at(0.0).failure, Nats::ZERO);
    }

    proptest! {
        #[test]
        fn evidence_is_the_nearest_number_of_units(nats in -1e6..1e6_f64) {
            prop_assert!((Nats::new(nats).get() - nats).abs() <= 0.5 / UNITS);
        }

        #[test]
        fn sums_are_exact_in_any_order(one in -1e6..1e6_f64, other in -1e6..1e6_f64, times in 0..10_000_u32) {
            let (one, other) = (Nats::new(one), Nats::new(other));
            prop_assert_eq!(one + other - one, other);
            let added = (0..times).fold(Nats::ZERO, |sum, _| sum + one);
            prop_assert_eq!(one * times, added);
        }

        #[test]
        fn a_failure_is_as_surprising_as_a_success_where_as_many_succeed(share in 0.001..0.999_f64) {
            let (own, other) = (Surprise::at(share), Surprise::at(1.0 - share));
            prop_assert!((own.failure - other.success).0.abs() <= 1);
            prop_assert!((own.success - other.failure).0.abs() <= 1);
        }

        #[test]
        fn where_more_fail_a_failure_surprises_less_and_a_success_more(
            share in 0.001..0.9_f64, more in 0.001..0.099_f64,
        ) {
            let (few, many) = (Surprise::at(share), Surprise::at(share + more));
            prop_assert!(many.failure < few.failure && many.success > few.success);
        }

        #[test]
        fn the_best_explanation_is_no_worse_than_any(
            usual in 0.001..0.25_f64, failures in 0..500_u32, successes in 0..500_u32, run in 0..128_u32,
            handicap in 0.0..2.0_f64,
        ) {
            let shares = [0.3, 0.5, 0.8];
            let outages = Outages::new(shares, handicap);
            let null = Surprise::at(usual);
            let outcomes = Outcomes { failed: failures, succeeded: successes };
            let surprise = null.of(outcomes);
            let run = null.failure * run;
            let best = outages.best(surprise, outcomes, run);
            let handicap = Nats::new(handicap);
            let mut explanations = shares.map(|share| {
                surprise - Surprise::at(share).of(outcomes) - handicap
            }).to_vec();
            explanations[0] = outages.least(surprise, outcomes);
            explanations.push(run - handicap);
            prop_assert_eq!(Some(best), explanations.into_iter().max());
        }
    }
}
