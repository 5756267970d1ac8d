//! The part of a breaker that all its clones and permits share.

use std::{num::NonZero, time::Duration};

use crate::breaker::nested::{self, OuterCall};
use crate::clock::{Clock, Now, saturating_nanos};
use crate::engine::{Core, Refusal, Ticket};
use crate::{
    clock::context::{CallContext, Labelled},
    error::Rejected,
    name::label::Label,
    outcome::Outcome,
    state::Generation,
    sync::thread_slot::ThreadSlot,
};

/// The core with its clock.
pub(crate) struct SharedBreaker {
    pub(crate) core: Core,
    pub(crate) clock: Clock,
}

impl Now for SharedBreaker {
    #[inline]
    fn raw(&self) -> u64 {
        self.clock.raw()
    }

    #[inline]
    fn nanos_at(&self, raw: u64) -> u64 {
        self.clock.nanos_at(raw)
    }

    #[inline]
    fn nanos_between(&self, begin: u64, end: u64) -> u64 {
        self.clock.nanos_between(begin, end)
    }

    #[inline]
    fn random_bits(&self, raw: u64) -> u64 {
        self.clock.random_bits(raw)
    }

    #[inline]
    fn raw_and_nanos(&self) -> (u64, u64) {
        self.clock.raw_and_nanos()
    }
}

impl CallContext for SharedBreaker {
    #[inline]
    fn thread_slot(&self) -> ThreadSlot {
        ThreadSlot::of_this_thread()
    }

    #[inline]
    fn known_thread_slot(&self) -> ThreadSlot {
        ThreadSlot::of_this_thread_so_far()
    }

    #[inline]
    fn is_within(&self, generation: Generation) -> bool {
        OuterCall::of(self, generation).is_running()
    }

    #[inline]
    fn enter_call(&self, generation: Generation) -> Option<u32> {
        OuterCall::of(self, generation).push()
    }

    #[inline]
    fn leave_call(&self, place: u32) {
        nested::pop(place);
    }
}

impl SharedBreaker {
    /// Asks for a call. With `IS_CALL`, this thread runs it until it is settled.
    #[inline]
    pub(crate) fn admit<const IS_CALL: bool>(&self) -> Result<Ticket, Rejected> {
        self.core
            .admit_as::<IS_CALL>(self)
            .map_err(|refusal| self.rejected(refusal))
    }

    /// Asks again for a call that was let through and then withdrawn.
    ///
    /// It is inline, so the crate itself has no copy of the admission. Callers would share that
    /// copy, and `try_acquire` would take 9 instructions more to reject (`.ci/run instructions`).
    #[cfg(feature = "bulkhead")]
    #[inline]
    pub(crate) fn admit_again(&self, withdrawn: Option<Ticket>) -> Result<Ticket, Rejected> {
        let ticket = match withdrawn {
            Some(ticket) => self.core.admit_again(ticket, self),
            None => self.core.admit(self),
        };
        ticket.map_err(|refusal| self.rejected(refusal))
    }

    #[inline]
    pub(crate) fn rejected(&self, refusal: Refusal) -> Rejected {
        self.core.rejected(refusal)
    }

    /// Notes how long the dependency wants no calls, whatever the call.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_retry_after(&self, retry_after: Duration) {
        self.core
            .note_retry_after(saturating_nanos(retry_after), self.nanos());
    }

    /// Records the outcome of a call that has failed with a label.
    #[cold]
    #[inline(never)]
    pub(crate) fn record_labelled(
        &self,
        ticket: Ticket,
        outcome: Outcome,
        took: Option<NonZero<u64>>,
        label: Label,
    ) -> bool {
        let context = Labelled {
            context: self,
            label,
        };
        self.core.record(ticket, outcome, took, &context)
    }
}
