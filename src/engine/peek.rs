//! What a call may expect that is patient enough to wait for the verdict of the probes.

use super::Core;
use super::view::at_present;
use crate::clock::context::Caller;
use crate::engine::probe_queue::Anteroom;
use crate::state::Kind;
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
    pub fn anteroom(&self) -> Option<&Anteroom<EventQueue>> {
        self.built.beside.as_ref()?.anteroom.as_deref()
    }

    /// What becomes of a call that asks now. Nothing is counted, and no clock read unless there are probes.
    #[inline]
    pub fn prospect(&self, caller: &impl Caller) -> Prospect {
        match self.state.load().kind() {
            Kind::HalfOpen { .. } => self.prospect_of_probes(caller),
            Kind::Ramp(_) => Prospect::Ramp,
            _ => Prospect::Answer,
        }
    }

    #[inline(never)]
    fn prospect_of_probes(&self, caller: &impl Caller) -> Prospect {
        if caller.is_within(self.state.load().generation()) {
            // It can't wait: its outer call, whose verdict it would wait for, waits for it.
            return Prospect::Answer;
        }
        let (probes, timeout) = at_present!(self, |present| {
            let settings = present.settings();
            (settings.probes, settings.probe_timeout)
        });
        let overdue_in = self
            .state
            .awaits_verdict(caller.nanos(), probes.permitted(), timeout);
        overdue_in.map_or(Prospect::Answer, |overdue_in| Prospect::Verdict {
            overdue_in,
        })
    }

    /// Wakes all who wait, after the state has changed.
    #[inline]
    pub(super) fn announce_verdict(&self) {
        if let Some(anteroom) = self.anteroom() {
            anteroom.announce_verdict();
        }
    }

    /// Wakes one who waits, after a probe has given its place back.
    pub(super) fn announce_place(&self) {
        if let Some(anteroom) = self.anteroom() {
            anteroom.announce_place();
        }
    }
}
