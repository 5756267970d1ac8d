//! Events of `tracing` for rejections.
//!
//! A breaker that makes them has a detour for its calls. Its end sees each rejection, and may make
//! an event of it. Other breakers, and closed calls, come to none of it.

use std::borrow::Borrow;

use tracing::{Level, enabled, level_enabled};

use super::{Core, Refusal};
use crate::clock::Now;
use crate::error::Rejected;
use crate::events::{shielded, traced};
use crate::util::event_limit::EventLimit;

impl Core {
    /// Whether calls that aren't simply closed take the detour: for rejections that make events, or
    /// for overrides.
    #[inline]
    pub(super) fn has_detour(&self) -> bool {
        self.late.get().is_some_and(|it| it.detour.get().is_some())
    }

    /// Bounds the events of rejections, before any other thread knows of the breaker.
    pub(crate) fn limit_rejection_events(&self, limit: EventLimit) {
        let late = self.late.get_or_init(Box::default);
        late.rejection_events.publish(limit);
        late.detour.publish(());
    }

    /// The bound on the events of rejections, if rejections make events and any subscriber takes
    /// their level.
    #[inline]
    pub(super) fn rejection_events(&self) -> Option<&EventLimit> {
        let limit = self.late.get()?.rejection_events.get();
        limit.filter(|_| level_enabled!(Level::DEBUG))
    }

    /// Makes an event for a call that was refused and counted, if the bound allows it.
    #[cold]
    #[inline(never)]
    pub(super) fn trace_refusal(&self, refusal: Refusal, limit: &EventLimit, clock: &impl Now) {
        trace_rejection(limit, clock, || self.rejected(refusal));
    }

    /// Makes an event for a rejection that was counted, where one was asked for.
    pub(crate) fn trace_rejected(&self, rejected: &Rejected, clock: &impl Now) {
        if let Some(limit) = self.rejection_events() {
            trace_rejection(limit, clock, || rejected);
        }
    }
}

fn trace_rejection<R>(limit: &EventLimit, clock: &impl Now, rejected: impl FnOnce() -> R)
where
    R: Borrow<Rejected>,
{
    // A subscriber that panics harms no call.
    shielded(|| {
        if enabled!(target: "tripcurve", Level::DEBUG)
            && let Some(left_out) = limit.admit(clock.nanos())
        {
            traced::tell_rejection(rejected().borrow(), left_out);
        }
    });
}
