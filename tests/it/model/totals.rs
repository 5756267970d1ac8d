//! The totals of a breaker, each counted when it happens.

use tripcurve::Outcome;
use tripcurve::snapshot::Snapshot;

use super::{Model, ModelPermit};

/// How many calls there were since the breaker was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    successes: u64,
    failures: u64,
    timed_out: u64,
    ignored: u64,
    pub(super) rejected: u64,
    slow: u64,
}

impl Totals {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let totals = snapshot.totals();
        Self {
            successes: totals.successes,
            failures: totals.failures,
            timed_out: totals.timed_out,
            ignored: totals.ignored,
            rejected: totals.rejected,
            slow: totals.slow,
        }
    }
}

impl Model {
    /// Counts a call that has come back, in whichever state. `reported` is its duration, if it
    /// reports one.
    pub(super) fn count_in_total(
        &mut self,
        permit: ModelPermit,
        outcome: Outcome,
        reported: Option<u64>,
    ) {
        if !permit.is_recorded {
            return;
        }
        match outcome {
            Outcome::Success => self.totals.successes += 1,
            Outcome::Failure | Outcome::Trip => self.totals.failures += 1,
            Outcome::TimedOut => self.totals.timed_out += 1,
            Outcome::Ignored => self.totals.ignored += 1,
            other => panic!("the model doesn't know {other:?}"),
        }
        let took = match permit.is_timed {
            true => reported.unwrap_or(self.now - permit.begin),
            // The breaker timed no calls when this one began. A success then takes the shortest way,
            // which doesn't ask for a duration.
            false if outcome == Outcome::Success && permit.has_first_window => 0,
            false => reported.unwrap_or(0),
        };
        let is_slow = match outcome {
            Outcome::Ignored => false,
            Outcome::TimedOut => self.config.limit().is_some(),
            _ => self.is_slow(took),
        };
        self.totals.slow += u64::from(is_slow);
    }
}
