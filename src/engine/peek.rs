//! How a breaker looks to a caller that doesn't ask for a permit yet. Nothing is counted.

#[cfg(feature = "async")]
use super::Settings;
#[cfg(feature = "async")]
use super::view::with_view;
use super::{Core, Refusal};
#[cfg(feature = "async")]
use crate::clock::context::CallContext;
#[cfg(feature = "async")]
use crate::engine::probe_queue::ProbeQueue;
#[cfg(feature = "async")]
use crate::sync::wait_queue::EventQueue;
use crate::{state::Phase, state::history::moment_of};

#[cfg(feature = "retry")]
impl Core {
    /// Since when the breaker has admitted all calls, in nanoseconds. Writes nothing.
    ///
    /// # Errors
    /// The breaker doesn't admit all calls. If it is open, the refusal says for how long.
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
        let state = seen.phase().state();
        Err(Refusal {
            state,
            opened_in: self.opened_in(state, seen.generation()),
            retry_after,
        })
    }
}

#[cfg(feature = "async")]
/// The answer to expect for a call that asks now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// The call would be rejected, because all places for probes are taken.
    Verdict {
        /// In how many nanoseconds the places are free if the probes don't report; `u64::MAX`:
        /// never.
        overdue_in: u64,
    },
    /// A ramp decides about the call, once for each call.
    Ramp,
    /// The call may be admitted, or rejected for a reason that no probe will change soon.
    Answer,
}

#[cfg(feature = "async")]
impl Core {
    /// The queue of callers that wait for the verdict of the probes, if callers may wait.
    #[inline]
    pub fn probe_queue(&self) -> Option<&ProbeQueue<EventQueue>> {
        self.parts.optional.as_ref()?.probe_queue.as_deref()
    }

    /// The answer to expect for a call that asks now.
    ///
    /// Counts nothing, and reads the clock only if there are probes.
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
            // A part of a call can't wait: the outer call would decide the verdict, and waits for
            // this part.
            return Prospect::Answer;
        }
        let now = context.nanos();
        let overdue_in = with_view!(self, |view| {
            let Settings {
                probes,
                probe_timeout,
                ..
            } = *view.settings();
            let overdue_in = self
                .state
                .awaits_verdict(now, probes.permitted(), probe_timeout);
            // After the limit the next call that asks ends the half-open state.
            overdue_in
                .and_then(|overdue_in| view.wait_half_open(Some(overdue_in), now))
                .filter(|overdue_in| *overdue_in > 0)
        });
        overdue_in.map_or(Prospect::Answer, |overdue_in| Prospect::Verdict {
            overdue_in,
        })
    }

    /// Wakes all waiting callers, after the state has changed.
    #[inline]
    pub(super) fn wake_all(&self) {
        if let Some(probe_queue) = self.probe_queue() {
            probe_queue.wake_all();
        }
    }

    /// Wakes one waiting caller, after a probe has given its place back.
    pub(super) fn wake_one(&self) {
        if let Some(probe_queue) = self.probe_queue() {
            probe_queue.wake_one();
        }
    }
}
