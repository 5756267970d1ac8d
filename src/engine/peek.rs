//! How a breaker looks to a caller that doesn't ask for a permit yet, and rejections counted later.

use super::call::Call;
use super::view::{Configuration, View, with_view};
use super::{Core, Refusal};
use crate::clock::context::CallContext;
#[cfg(feature = "async")]
use crate::engine::probe_queue::ProbeQueue;
#[cfg(feature = "retry")]
use crate::state::history::moment_of;
#[cfg(feature = "async")]
use crate::sync::{Ordering, fence, wait_queue::EventQueue};
use crate::{
    state::Admission,
    state::Phase,
    state::StateWord,
    window::{Tally, Total},
};

impl Core {
    /// The answer that a call would get now. Counts nothing and changes nothing.
    ///
    /// A ramp draws for each call, so it is never the reason of a refusal here. Reads the clock
    /// only while the breaker is open or half-open.
    ///
    /// # Errors
    /// The call would be rejected.
    #[inline]
    pub fn peek(&self, context: &impl CallContext) -> Result<(), Refusal> {
        let seen = self.state.load();
        match seen.phase() {
            Phase::Closed | Phase::MetricsOnly | Phase::Disabled | Phase::Ramp(_) => Ok(()),
            Phase::Open { .. } | Phase::HalfOpen(_) | Phase::ForcedOpen | Phase::Isolated(_) => {
                with_view!(self, |view| view.peek_slow(seen, context))
            }
        }
    }

    /// Counts a rejection that was decided earlier. Makes no transition.
    ///
    /// The window counts it only in a state that rejects calls. In other states, the same count
    /// stands for ignored calls. The totals count it in any state.
    #[inline(never)]
    pub fn reject(&self, context: &impl CallContext) {
        let seen = self.state.load();
        match seen.phase() {
            Phase::Closed | Phase::MetricsOnly | Phase::Disabled => {
                with_view!(self, |view| {
                    view.ring().add_to_total(Total::Uncounted, context);
                });
            }
            Phase::Open { .. }
            | Phase::HalfOpen(_)
            | Phase::Ramp(_)
            | Phase::ForcedOpen
            | Phase::Isolated(_) => {
                with_view!(self, |view| {
                    let call = Call {
                        generation: seen.generation(),
                        reading: view.ring().read(context),
                        context,
                    };
                    view.count_at(call, Tally::Uncounted);
                });
            }
        }
    }
}

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
            Phase::HalfOpen(_) | Phase::Ramp(_) | Phase::ForcedOpen | Phase::Isolated(_) => None,
        };
        let state = seen.phase().state();
        let opened_in = self.opened_in(state, seen.generation());
        Err(Refusal::new(state, opened_in, retry_after))
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    #[cold]
    #[inline(never)]
    fn peek_slow(self, seen: StateWord, context: &impl CallContext) -> Result<(), Refusal> {
        let state = seen.phase().state();
        let opened_in = self.opened_in(state, seen.generation());
        let refusal = |retry_after| Refusal::new(state, opened_in, retry_after);
        let settings = self.settings();
        match self.state.phase_of(seen) {
            Phase::Open { until } => {
                let (now, until) = (context.nanos(), until.nanos());
                // A health check holds calls off only after the open time.
                #[cfg(feature = "async")]
                let until = match self.checks() {
                    Some(checks) if until <= now => {
                        checks.hold_until(until, settings.probe_timeout)
                    }
                    _ => until,
                };
                if now < until {
                    return Err(refusal(Some(until - now)));
                }
                Ok(())
            }
            // The call that is being made has a place. A part of it needs none.
            Phase::HalfOpen(_) if context.is_within(seen.generation()) => Ok(()),
            phase @ Phase::HalfOpen(_) => {
                let probes = settings.probes.permitted();
                let now = context.nanos();
                let timeout = self.probe_timeout(now);
                let overdue_in = self.state.verdict_awaited_by(phase, now, probes, timeout);
                // After the limit the next call that asks ends the half-open state.
                match overdue_in.and_then(|it| self.wait_half_open(Some(it), now)) {
                    Some(u64::MAX) => Err(refusal(None)),
                    None | Some(0) => Ok(()),
                    Some(wait) => Err(refusal(Some(wait))),
                }
            }
            Phase::ForcedOpen => Err(refusal(None)),
            Phase::Isolated(_) => Err(refusal(Some(Admission::ISOLATED))),
            _ => Ok(()),
        }
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
            Phase::HalfOpen(_) => self.prospect_of_probes(context),
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
            let probes = view.settings().probes.permitted();
            let timeout = view.probe_timeout(now);
            let overdue_in = self.state.awaits_verdict(now, probes, timeout);
            // After the limit the next call that asks ends the half-open state.
            overdue_in
                .and_then(|overdue_in| view.wait_half_open(Some(overdue_in), now))
                .filter(|overdue_in| *overdue_in > 0)
        });
        overdue_in.map_or(Prospect::Answer, |overdue_in| Prospect::Verdict {
            overdue_in,
        })
    }

    /// Wakes all waiting callers, after a change and a fence.
    #[inline]
    pub(super) fn wake_all(&self) {
        if let Some(probe_queue) = self.probe_queue() {
            probe_queue.wake_all();
        }
        self.wake_watchers();
    }

    /// Wakes one waiting caller, after a probe has given its place back.
    pub(super) fn wake_one(&self) {
        if let Some(probe_queue) = self.probe_queue() {
            probe_queue.wake_one();
        }
        // SeqCst: pairs with the fence in `watch`. Either this thread finds the listener, or the
        // task sees that the place is free. Otherwise the task could wait for a change that has
        // already happened.
        fence(Ordering::SeqCst);
        self.wake_watchers();
    }
}
