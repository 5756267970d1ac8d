//! The totals of a breaker, each counted when it happens.

use tripcurve::Outcome;
use tripcurve::snapshot::Snapshot;
use tripcurve::window::Recording;

use super::{Model, ModelPermit, Phase};

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

/// What a breaker learns of the duration of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// It knows when the call began.
    Timed,
    /// It timed no calls when this one began.
    Untimed,
    /// It timed no calls then, and had the window that it was built with. A success of such a call
    /// takes the shortest way, which asks for no duration.
    ShortestWay,
    /// It times a sample of its calls, and this one is left out.
    LeftOut,
}

impl Model {
    /// What the breaker will learn of the duration of a call that begins now.
    pub(super) fn timing(&self) -> Timing {
        let is_half_open = matches!(self.phase, Phase::HalfOpen { .. } | Phase::Ramp(_));
        let is_timed = self.config.limit().is_some() || self.config.recording != Recording::Off;
        match is_half_open || is_timed {
            true => Timing::Timed,
            false if self.has_first_window => Timing::ShortestWay,
            false => Timing::Untimed,
        }
    }

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
        let took = match permit.timing {
            Timing::Timed => reported.unwrap_or(self.now - permit.begin),
            Timing::LeftOut => 0,
            Timing::ShortestWay if outcome == Outcome::Success => 0,
            Timing::Untimed | Timing::ShortestWay => reported.unwrap_or(0),
        };
        let is_slow = match outcome {
            Outcome::Ignored => false,
            Outcome::TimedOut => self.config.limit().is_some() && permit.timing != Timing::LeftOut,
            _ => self.is_slow(took),
        };
        self.totals.slow += u64::from(is_slow) << permit.weight;
    }
}
