//! The totals of a breaker: those of all its windows. A reader never sees them fall.

use std::ops::Deref;
use std::sync::Arc;

use super::Core;
use super::view::{Configuration, View, with_view};
use crate::snapshot::Totals;
use crate::sync::SelfContained;
use crate::window::{Ring, RingTotals, Total};

/// The totals of the windows that were replaced.
#[derive(Debug, Default)]
pub(super) struct ReplacedTotals([SelfContained; Total::KINDS]);

impl ReplacedTotals {
    fn add(&self, totals: &RingTotals) {
        for (own, kind) in self.0.iter().zip(Total::ALL) {
            own.add(totals.get(kind));
        }
    }

    fn get(&self) -> RingTotals {
        let mut totals = RingTotals::default();
        for (own, kind) in self.0.iter().zip(Total::ALL) {
            totals.set(kind, own.load());
        }
        totals
    }
}

/// A window that came after the breaker was built. It leaves its totals when it goes.
#[derive(Debug)]
pub(crate) struct LaterRing {
    ring: Ring,
    replaced: Arc<ReplacedTotals>,
}

impl LaterRing {
    /// A window that comes after `former`, if that isn't the window that the breaker was built
    /// with.
    pub(super) fn new(ring: Ring, former: Option<&Self>) -> Self {
        let replaced = former.map(|it| Arc::clone(&it.replaced));
        let replaced = replaced.unwrap_or_default();
        Self { ring, replaced }
    }
}

impl Deref for LaterRing {
    type Target = Ring;

    #[inline]
    fn deref(&self) -> &Ring {
        &self.ring
    }
}

impl Drop for LaterRing {
    fn drop(&mut self) {
        // Nobody records in this window any more.
        self.replaced.add(&self.ring.totals());
    }
}

/// The totals that readers have seen.
///
/// A reader may miss calls that are on their way from a word to a total, or a window that has been
/// replaced and is still in use. It then reports what was seen before.
#[derive(Debug, Default)]
pub(super) struct SeenTotals([SelfContained; 6]);

impl SeenTotals {
    fn raise(&self, totals: [u64; 6]) -> [u64; 6] {
        let mut seen = totals;
        for (own, total) in self.0.iter().zip(&mut seen) {
            let before = own.load();
            *total = if *total > before {
                own.raise(*total).max(*total)
            } else {
                before
            };
        }
        seen
    }
}

impl Core {
    /// How many calls were counted since the breaker was made.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let totals = with_view!(self, |view| view.totals());
        let late = self.late.get_or_init(Box::default);
        let [successes, failures, timed_out, ignored, rejected, slow] = late.totals.raise([
            totals.without(Total::Success, None),
            totals.without(Total::Failure, Some(Total::TimedOut)),
            totals.without(Total::TimedOut, None),
            totals.without(Total::Ignored, None),
            totals.without(Total::Uncounted, Some(Total::Ignored)),
            totals.without(Total::Slow, None),
        ]);
        Totals {
            successes,
            failures,
            timed_out,
            ignored,
            rejected,
            slow,
        }
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    fn totals(self) -> RingTotals {
        let built = self.parts.ring.totals();
        match self.later_ring() {
            // The later window can't be replaced completely meanwhile, because this view keeps it.
            // So its totals aren't found twice.
            Some(later) => built.plus(later.replaced.get()).plus(later.totals()),
            None => built,
        }
    }
}
