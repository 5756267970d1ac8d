//! Events of `tracing` for rejections.
//!
//! An open breaker first asks for the level, a load of a static word. While no subscriber takes that
//! level, the rejection goes its usual way. Otherwise it goes out of line, where it may make an
//! event. A closed breaker comes to none of it.

use std::borrow::Borrow;

use tracing::{Level, enabled, level_enabled};

use super::{Core, Refusal};
use crate::clock::Now;
use crate::error::Rejected;
use crate::events::{shielded, traced};
use crate::util::event_limit::EventLimit;

/// Whether any subscriber takes events at the level of rejections. Costs a load.
#[inline]
pub(super) fn is_listening() -> bool {
    level_enabled!(Level::DEBUG)
}

impl Core {
    /// Bounds the events of rejections, before any other thread knows of the breaker.
    pub(crate) fn limit_rejection_events(&self, limit: EventLimit) {
        let late = self.late.get_or_init(Box::default);
        late.rejection_events.publish(limit);
    }

    /// Makes an event for a call that was refused and counted, where one was asked for.
    #[cold]
    #[inline(never)]
    pub(super) fn trace_refusal(&self, refusal: Refusal, clock: &impl Now) {
        self.trace_rejection(clock, || self.rejected(refusal));
    }

    /// Makes an event for a rejection that was counted, where one was asked for.
    pub(crate) fn trace_rejected(&self, rejected: &Rejected, clock: &impl Now) {
        self.trace_rejection(clock, || rejected);
    }

    fn trace_rejection<R>(&self, clock: &impl Now, rejected: impl FnOnce() -> R)
    where
        R: Borrow<Rejected>,
    {
        let Some(limit) = self.late.get().and_then(|it| it.rejection_events.get()) else {
            return;
        };
        // A subscriber that panics harms no call.
        shielded(|| {
            if enabled!(target: "tripcurve", Level::DEBUG)
                && let Some(left_out) = limit.admit(clock.nanos())
            {
                traced::tell_rejection(rejected().borrow(), left_out);
            }
        });
    }
}
