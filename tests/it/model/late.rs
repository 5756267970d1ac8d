//! Verdicts that take effect later than the outcome on which they rest.
//!
//! A breaker records an outcome and then judges. On many threads, other calls come in between.

use tripcurve::Outcome;
use tripcurve::events::Cause;
use tripcurve::persist::Reconfigured;

use super::{Config, Model, ModelPermit, Phase, Told};

/// A verdict that hasn't taken effect yet, and its generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LateVerdict {
    generation: u64,
    /// `None` if there was no cause to trip.
    cause: Option<Cause>,
}

#[allow(dead_code, reason = "only the histories of several threads need it")]
impl LateVerdict {
    /// Whether the transition is the trip of this verdict.
    pub(crate) fn explains(&self, told: &Told) -> bool {
        told.generation == self.generation + 1 && Some(told.cause) == self.cause
    }
}

/// Whether verdicts are held back, and the one that was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Late {
    #[default]
    Never,
    Waits,
    Held(LateVerdict),
}

impl Late {
    /// Keeps the verdict if verdicts are held back.
    pub(super) fn holds(&mut self, generation: u64, cause: Option<Cause>) -> bool {
        if matches!(self, Self::Never) {
            return false;
        }
        *self = Self::Held(LateVerdict { generation, cause });
        true
    }
}

#[allow(dead_code, reason = "only the histories of several threads need it")]
impl Model {
    /// Ends a call whose verdict isn't carried out yet. Returns whether the outcome counts, and the
    /// verdict if the outcome was judged.
    pub(crate) fn record_first(
        &mut self,
        permit: ModelPermit,
        outcome: Outcome,
    ) -> (bool, Option<LateVerdict>) {
        self.late = Late::Waits;
        let counts = self.settle(permit, outcome, None);
        match std::mem::take(&mut self.late) {
            Late::Held(verdict) => (counts, Some(verdict)),
            Late::Never | Late::Waits => (counts, None),
        }
    }

    /// Takes other settings whose window isn't judged yet.
    pub(crate) fn reconfigure_first(&mut self, config: Config) -> Reconfigured {
        self.late = Late::Waits;
        let came = self.reconfigure(config);
        self.late = Late::Never;
        came
    }

    /// Judges what the window holds now.
    pub(crate) fn judge_again(&mut self) {
        if matches!(self.phase, Phase::Closed) {
            self.judge(false);
        }
    }

    /// Carries out a verdict, unless its generation has ended.
    pub(crate) fn judge_later(&mut self, verdict: LateVerdict) {
        if verdict.generation != self.generation {
            return;
        }
        match (self.phase, verdict.cause) {
            (Phase::Closed, Some(cause)) => {
                self.open(cause);
            }
            (Phase::MetricsOnly, Some(cause)) => self.would_trip(0, Some(cause)),
            // Other threads may have recorded a cause since.
            (Phase::MetricsOnly, None) => self.satisfied[0] &= self.by_count().is_some(),
            _ => {}
        }
    }
}
