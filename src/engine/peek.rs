//! What a call may expect that is patient enough to wait for the verdict of the probes.

use super::Core;
use super::view::with_view;
use crate::clock::context::CallContext;
use crate::engine::probe_queue::ProbeQueue;
use crate::state::Phase;
use crate::sync::wait_queue::EventQueue;

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

impl Core {
    /// Where callers wait for the verdict of the probes, if they may.
    #[inline]
    pub fn probe_queue(&self) -> Option<&ProbeQueue<EventQueue>> {
        self.built.beside.as_ref()?.probe_queue.as_deref()
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
