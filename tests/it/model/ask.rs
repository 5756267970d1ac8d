//! What a breaker says to a caller that only asks, and rejections that are made later.

use std::time::Duration;

use super::{Model, Phase, Refused};

impl Model {
    /// Whether a call would be let through now. A ramp draws for each call, so it is no reason.
    pub(crate) fn would_admit(&self) -> Result<(), Refused> {
        let until = match self.phase {
            Phase::Closed | Phase::MetricsOnly | Phase::Disabled | Phase::Ramp(_) => return Ok(()),
            Phase::ForcedOpen | Phase::Isolated(_) => None,
            Phase::Open { until } => Some(until),
            Phase::HalfOpen(probing) => {
                let timeout = self.probe_timeout();
                if probing.taken() < self.config.verdicts().probes {
                    return Ok(());
                }
                let overdue =
                    (timeout < u64::MAX).then(|| self.last_admission.saturating_add(timeout));
                // After its limit the next call ends the half-open state.
                let ends = self.half_open_ends();
                [overdue, ends].into_iter().flatten().min()
            }
        };
        if until.is_some_and(|until| until <= self.now) {
            return Ok(());
        }
        Err(Refused {
            state: self.state(),
            retry_after: until.map(|until| Duration::from_nanos(until - self.now)),
        })
    }

    /// A call is rejected because of what the breaker said earlier.
    pub(crate) fn reject_later(&mut self) {
        self.totals.rejected += 1;
        let rejects = !matches!(
            self.phase,
            Phase::Closed | Phase::MetricsOnly | Phase::Disabled
        );
        if rejects {
            self.set_aside.push(self.now);
        }
    }
}
