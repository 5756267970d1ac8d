//! What all clones and permits of a breaker share.

use std::num::NonZero;
use std::time::Duration;

use crate::breaker::nested::{self, OuterCall};
use crate::clock::context::Caller;
use crate::clock::{Clock, Now, saturating_nanos};
use crate::engine::{Core, Refusal, Ticket};
use crate::error::Rejected;
use crate::outcome::Outcome;
use crate::state::Generation;
use crate::sync::thread_slot::Lane;

/// The core with its clock.
pub(crate) struct Shared {
    pub(crate) core: Core,
    pub(crate) clock: Clock,
}

impl Now for Shared {
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
    fn dice(&self, raw: u64) -> u64 {
        self.clock.dice(raw)
    }

    #[inline]
    fn raw_and_nanos(&self) -> (u64, u64) {
        self.clock.raw_and_nanos()
    }
}

impl Caller for Shared {
    #[inline]
    fn lane(&self) -> Lane {
        Lane::of_this_thread()
    }

    #[inline]
    fn lane_so_far(&self) -> Lane {
        Lane::of_this_thread_so_far()
    }

    #[inline]
    fn is_within(&self, generation: Generation) -> bool {
        OuterCall::of(self, generation).is_running()
    }

    #[inline]
    fn begin(&self, generation: Generation) -> Option<u32> {
        OuterCall::of(self, generation).begin()
    }

    #[inline]
    fn end(&self, place: u32) {
        nested::end(place);
    }
}

impl Shared {
    #[inline]
    pub(crate) fn admit(&self) -> Result<Ticket, Rejected> {
        self.core
            .admit(self)
            .map_err(|refusal| self.rejected(refusal))
    }

    /// Like [`admit`](Self::admit), for a call that this thread runs until it is settled.
    #[inline]
    pub(crate) fn admit_call(&self) -> Result<Ticket, Rejected> {
        self.core
            .admit_call(self)
            .map_err(|refusal| self.rejected(refusal))
    }

    /// Asks for a call that was let through, and withdrawn since.
    #[cfg(feature = "bulkhead")]
    pub(crate) fn admit_again(&self, withdrawn: Option<Ticket>) -> Result<Ticket, Rejected> {
        let ticket = match withdrawn {
            Some(ticket) => self.core.admit_again(ticket, self),
            None => self.core.admit(self),
        };
        ticket.map_err(|refusal| self.rejected(refusal))
    }

    #[inline]
    pub(crate) fn rejected(&self, refusal: Refusal) -> Rejected {
        Rejected {
            name: self.core.name().clone(),
            state: refusal.state,
            retry_after: refusal.retry_after,
        }
    }

    /// Notes the `Retry-After` of a call, if the breaker records this call.
    #[cold]
    #[inline(never)]
    pub(crate) fn wish_of(&self, ticket: Ticket, wish: Duration) {
        if ticket.is_recorded() {
            self.wish(wish);
        }
    }

    /// Heeds how long the dependency wants to be left alone.
    #[cold]
    #[inline(never)]
    pub(crate) fn wish(&self, wish: Duration) {
        self.core.wish(saturating_nanos(wish), self.nanos());
    }

    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub(crate) fn settle(&self, ticket: Ticket, outcome: Outcome, took: Option<NonZero<u64>>) {
        self.core.settle(ticket, outcome, took, self);
    }
}
