//! How a breaker looks to a caller that doesn't ask for a permit yet. Nothing is counted.

#[cfg(feature = "async")]
use super::view::with_view;
use super::{Core, Refusal};
#[cfg(feature = "async")]
use crate::clock::context::CallContext;
#[cfg(feature = "async")]
use crate::engine::probe_queue::ProbeQueue;
use crate::state::Phase;
use crate::state::history::moment_of;
#[cfg(feature = "async")]
use crate::sync::wait_queue::EventQueue;

impl Core {
    /// Since when, in nanoseconds, all calls are let through. Writes nothing.
    ///
    /// # Errors
    /// They are not; where the state has a time, with how long it lasts.
    pub fn lets_all_through_since(&self, now: u64) -> Result<u64, Refusal> {
        let seen = self.state.load();
        let retry_after = match self.state.phase_of(seen) {
            Phase::Closed | Phase::Disabled | Phase::MetricsOnly => {
                let since = self.history.since(seen.generation());
                return Ok(since.map_or(now, moment_of).min(now));
            }
            Phase::Open { until } => Some(until.nanos().saturating_sub(now)),
            Phase::HalfOpen { .. } | Phase::Ramp(_) | Phase::ForcedOpen => None,
        };
        Err(Refusal {
            state: seen.phase().state(),
            retry_after,
        })
    }
}

#[cfg(feature = "async")]
/// What becomes of a call that asks now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// All places for probes are taken, and it would be rejected.
    Verdict {
        /// In how many nanoseconds they are free again if the probes don't report; `u64::MAX`: never.
        overdue_in: u64,
    },
    /// A ramp decides, once for each call.
    Ramp,
    /// It may be let through, or rejected for something that no probe will change soon.
    Answer,
}

#[cfg(feature = "async")]
impl Core {
    /// Where callers wait for the verdict of the probes, if they may.
    #[inline]
    pub fn probe_queue(&self) -> Option<&ProbeQueue<EventQueue>> {
        self.parts.optional.as_ref()?.probe_queue.as_deref()
    }

    /// What becomes of a call that asks now. Nothing is counted, and no clock read unless there are probes.
    #[inline]
    pub fn prospect(&self, context: &impl CallContext) -> Prospect {
        match self.state.load().phase() {
            Phase::HalfOpen { .. } => self.prospect_of_probes(context),
            Phase::Ramp(_) => Prospect::Ramp,
            _ => Prospect::Answer,
        }
    }

    #[inline(never)]
    fn prospect_of_probes(&self, context: &impl CallContext) -> Prospect {
        if context.is_within(self.state.load().generation()) {
            // It can't wait: its outer call, whose verdict it would wait for, waits for it.
            return Prospect::Answer;
        }
        let (probes, timeout) = with_view!(self, |view| {
            let settings = view.settings();
            (settings.probes, settings.probe_timeout)
        });
        let overdue_in = self
            .state
            .awaits_verdict(context.nanos(), probes.permitted(), timeout);
        overdue_in.map_or(Prospect::Answer, |overdue_in| Prospect::Verdict {
            overdue_in,
        })
    }

    /// Wakes all who wait, after the state has changed.
    #[inline]
    pub(super) fn wake_all(&self) {
        if let Some(probe_queue) = self.probe_queue() {
            probe_queue.wake_all();
        }
    }

    /// Wakes one who waits, after a probe has given its place back.
    pub(super) fn wake_one(&self) {
        if let Some(probe_queue) = self.probe_queue() {
            probe_queue.wake_one();
        }
    }
}
