//! A limit on how many breakers of a group or registry are open at once.
//!
//! The share is one word: its members, and how many of them hold a place. A breaker that is open or
//! half-open holds a place. Each member has a word too, with a generation and whether the member
//! holds a place in it.
//!
//! - A policy that is to open a breaker first takes a place for the next generation. Then the
//!   breaker changes its state. So never more breakers are opened by policies than may be.
//! - The winner of each transition writes to the member's word whether the new state holds a place.
//!   A thread that comes too late finds a later generation there, and changes nothing. So two
//!   threads never take or return one place twice.
//! - A thread that took a place may lose the exchange of the state. The winner then settles the
//!   same generation afterwards. A place is refused for a generation that was settled.
//!
//! Commands are not limited, but they count: a breaker that is opened by hand takes a place even if
//! none is free. An isolated breaker keeps the place that it had.

use std::sync::Arc;

use super::Core;
use crate::state::{Generation, StateChange, StateWord};
use crate::sync::field::Field;
use crate::sync::{Ordering, SelfContained, fence};

/// ```text
///  63                32 31                 0
/// +--------------------+--------------------+
/// |    members, 32     |      open, 32      |
/// +--------------------+--------------------+
/// ```
mod counts {
    use super::Field;

    pub(super) const OPEN: Field = Field::lowest(32);
    pub(super) const MEMBERS: Field = OPEN.then(32);

    const _: () = assert!(MEMBERS.end_bit() == 64);
}

/// ```text
///  63          23 22                   2  1      0
/// +--------------+----------------------+------+-------+
/// |  unused, 41  |    generation, 21    |left,1|holds,1|
/// +--------------+----------------------+------+-------+
/// ```
///
/// *Holds*: whether the member holds a place in this generation. *Left*: whether it has left, and
/// counts no longer.
mod place {
    use super::{Field, Generation};

    pub(super) const HOLDS: Field = Field::lowest(1);
    pub(super) const LEFT: Field = HOLDS.then(1);
    pub(super) const GENERATION: Field = LEFT.then(Generation::BITS);
}

/// At most this share of the members is opened by policies at once.
#[derive(Debug)]
pub struct OpenShare {
    share: f64,
    counts: SelfContained,
}

impl OpenShare {
    /// A share, more than 0 and at most 1, without members.
    #[must_use]
    pub fn new(share: f64) -> Self {
        Self {
            share,
            counts: SelfContained::new(0),
        }
    }

    /// The share.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share
    }

    /// How many members hold a place.
    #[must_use]
    pub fn open(&self) -> u64 {
        counts::OPEN.get(self.counts.load())
    }

    /// How many of so many members may be open: the share, rounded down, but at least one.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "32 bits; a share such as 0.29 is not exact, and a millionth is no breaker"
    )]
    fn limit(&self, members: u64) -> u64 {
        let limit = self.share * members as f64 + 1e-6;
        (limit as u64).max(1)
    }

    /// Takes a place, if one is free.
    fn take(&self) -> bool {
        let mut seen = self.counts.load();
        while counts::OPEN.get(seen) < self.limit(counts::MEMBERS.get(seen)) {
            match self.counts.exchange(seen, seen + counts::OPEN.of(1)) {
                Ok(()) => return true,
                Err(found) => seen = found,
            }
        }
        false
    }

    fn add(&self, members: u64, open: u64) {
        self.counts
            .add(counts::MEMBERS.of(members) + counts::OPEN.of(open));
    }

    fn subtract(&self, members: u64, open: u64) {
        let less = counts::MEMBERS.of(members) + counts::OPEN.of(open);
        self.counts.add(0_u64.wrapping_sub(less));
    }
}

/// A breaker's membership in a share. It ends when it is dropped, at the latest.
#[derive(Debug)]
pub(crate) struct Membership {
    share: Arc<OpenShare>,
    word: SelfContained,
}

/// What came of taking a place for an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    /// The breaker may open.
    Granted,
    /// The share is used up: no further member may open.
    Full,
    /// The generation that is to end is over already.
    Over,
}

impl Membership {
    /// Joins with a breaker in this generation.
    fn new(share: &Arc<OpenShare>, generation: Generation, is_open: bool) -> Self {
        share.add(1, is_open.into());
        Self {
            share: Arc::clone(share),
            word: SelfContained::new(Self::pack(generation, is_open)),
        }
    }

    fn pack(generation: Generation, holds: bool) -> u64 {
        place::GENERATION.of(generation.bits()) | place::HOLDS.of(holds.into())
    }

    /// Takes a place for the generation `next`, in which the breaker is to be open.
    ///
    /// The caller must then try to enter that generation. The thread that enters it
    /// [settles](Self::settle) what comes of the place.
    fn reserve(&self, next: Generation) -> Reserved {
        let new = Self::pack(next, true);
        let mut seen = self.word.load();
        loop {
            let own = Generation::standing_in(seen, place::GENERATION);
            let holds = place::HOLDS.get(seen) == 1;
            if place::LEFT.get(seen) == 1 || (own == next && holds) {
                // In the second case another thread is about to open the breaker too.
                return Reserved::Granted;
            }
            if own == next || own.is_after(next) {
                return Reserved::Over;
            }
            // A place that was not returned yet goes over to the next generation.
            if !holds && !self.share.take() {
                return Reserved::Full;
            }
            match self.word.exchange(seen, new) {
                Ok(()) => return Reserved::Granted,
                Err(found) => {
                    if !holds {
                        self.share.subtract(0, 1);
                    }
                    seen = found;
                }
            }
        }
    }

    /// Takes or returns the place, so that the breaker holds one if `is_open`.
    ///
    /// Does nothing if a later generation was settled.
    fn settle(&self, generation: Generation, is_open: bool) {
        let new = Self::pack(generation, is_open);
        let mut seen = self.word.load();
        loop {
            let own = Generation::standing_in(seen, place::GENERATION);
            if place::LEFT.get(seen) == 1 || own.is_after(generation) || seen == new {
                return;
            }
            let holds = place::HOLDS.get(seen) == 1;
            // A place is counted before the word shows it, and until the word no longer does.
            if is_open && !holds {
                self.share.add(0, 1);
            }
            let settled = self.word.exchange(seen, new);
            if holds != is_open && holds == settled.is_ok() {
                self.share.subtract(0, 1);
            }
            match settled {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// Ends the membership, and returns the place.
    fn leave(&self) {
        let mut seen = self.word.load();
        while place::LEFT.get(seen) == 0 {
            match self.word.exchange(seen, seen | place::LEFT.of(1)) {
                Ok(()) => return self.share.subtract(1, place::HOLDS.get(seen)),
                Err(found) => seen = found,
            }
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Core {
    fn membership(&self) -> Option<&Membership> {
        self.late.get()?.membership.get()
    }

    /// Joins a share, unless the breaker has joined one before. It counts if it is open.
    pub fn join_share(&self, share: &Arc<OpenShare>) {
        let late = self.late.get_or_init(Box::default);
        if late.membership.get().is_some() {
            return;
        }
        let seen = self.state.load();
        let is_open = seen.phase().is_open();
        // A membership that comes second is dropped, and counts no more.
        late.membership
            .publish(Membership::new(share, seen.generation(), is_open));
        // SeqCst: pairs with the fence in `entered_for`. Either this thread finds the state that
        // another thread has entered, or that thread finds the membership. Without it both could
        // miss, and the count would be wrong for good.
        fence(Ordering::SeqCst);
        if let Some(membership) = late.membership.get() {
            let found = self.state.load();
            membership.settle(found.generation(), found.phase().is_open());
        }
    }

    /// Leaves the share. From then on the breaker doesn't count, and isn't limited.
    pub fn leave_share(&self) {
        if let Some(membership) = self.membership() {
            membership.leave();
        }
    }

    /// Takes a place for an opening that ends the generation of `seen`.
    pub(super) fn reserve_place(&self, seen: StateWord) -> Reserved {
        let membership = self.membership();
        membership.map_or(Reserved::Granted, |it| it.reserve(seen.generation().next()))
    }

    /// Settles a transition that this thread has won. A fence stands between the two.
    pub(super) fn settle_share(&self, moved: StateChange) {
        if let Some(membership) = self.membership() {
            membership.settle(moved.generation, moved.is_open);
        }
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_rounded_down_but_at_least_one() {
        for (share, members, limit) in [
            (0.5, 0, 1),
            (0.5, 1, 1),
            (0.5, 3, 1),
            (0.5, 4, 2),
            (0.1, 5, 1),
            (0.29, 100, 29),
            (1.0 / 3.0, 6, 2),
            (0.999, 20, 19),
            (1.0, 20, 20),
        ] {
            assert_eq!(
                OpenShare::new(share).limit(members),
                limit,
                "{share} of {members}"
            );
        }
    }
}
