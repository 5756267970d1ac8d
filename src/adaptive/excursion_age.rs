//! How long calls have been failing more often than usual.

use crate::sync::{Payload, Publisher};

#[cfg(feature = "serde")]
use super::persist::Ages;

/// The age of an excursion, and of those shortly before it.
///
/// A share of failures between what is usual and what is tolerated makes a chain of excursions. By
/// chance one ends, and the next begins some calls later. An excursion that follows closely
/// inherits the age of those before it. Time without evidence takes off [four times](Self::REST) as
/// much.
///
/// All times are nanoseconds on the breaker's clock.
#[derive(Debug, Default)]
pub(super) struct ExcursionAge {
    /// When the latest excursion began. It never goes back, and the evidence publishes it.
    began: Payload,
    /// When the latest failed or slow call ended. It never goes back.
    latest: Publisher,
    /// How long excursions had lasted when the last of them ended. `ended` publishes it.
    lasted: Payload,
    /// When the last excursion ended.
    ended: Publisher,
}

impl ExcursionAge {
    const REST: u64 = 4;

    /// Saves when the latest excursion began, and when the latest failed call ended. Then come how
    /// long all excursions before had lasted, and when the last of them ended.
    #[cfg(feature = "serde")]
    pub(super) fn save(&self, ages: Ages) -> (Option<u64>, Option<u64>, u64, Option<u64>) {
        let (ended, lasted) = self.ended_and_lasted();
        let (began, latest) = (ages.of(self.began()), ages.of(self.latest()));
        (began, latest, lasted, ages.of(ended))
    }

    /// Restores the four values that [`save`](Self::save) returned.
    #[cfg(feature = "serde")]
    pub(super) fn restore(
        (began, latest, lasted, ended): (Option<u64>, Option<u64>, u64, Option<u64>),
        ages: Ages,
    ) -> Self {
        Self {
            began: Payload::new(ages.moment(began)),
            latest: Publisher::new(ages.moment(latest)),
            lasted: Payload::new(lasted),
            ended: Publisher::new(ages.moment(ended)),
        }
    }

    /// Notes that an excursion begins, before any other thread can find it.
    pub(super) fn start(&self, now: u64) {
        // A thread that slept may come late, after another thread has begun the excursion. The later
        // time stays. Otherwise a fresh excursion would look old, and a trip would take more
        // evidence.
        self.began.raise(now);
    }

    /// When the caller's excursion began. The caller has loaded its word with Acquire.
    pub(super) fn began(&self) -> u64 {
        self.began.load()
    }

    /// Notes that a failed call, which ended at `now`, is about to be weighed.
    ///
    /// The caller does this before it counts the call, and after it has dropped evidence that is
    /// too old.
    #[inline]
    pub(super) fn note(&self, now: u64) {
        // A reader that finds this date in `latest` and then loads the evidence finds the old
        // evidence dropped. Otherwise old evidence would look young.
        self.latest.raise(now);
    }

    /// When the latest failed call that was weighed ended.
    #[inline]
    pub(super) fn latest(&self) -> u64 {
        // The evidence that is loaded next no longer holds what was dropped before that date.
        // Otherwise old evidence would look young.
        self.latest.load()
    }

    #[inline]
    fn ended_and_lasted(&self) -> (u64, u64) {
        // A reader that finds when an excursion ended also finds how long all had lasted by then.
        // Otherwise it could find the age of excursions that are long forgotten. A reader may find
        // a new `lasted` with an old `ended`; it then computes a lower age.
        let ended = self.ended.load();
        let lasted = self.lasted.load();
        (ended, lasted)
    }

    /// How long the excursions before this one had lasted.
    ///
    /// This one began at `began`, in a generation that began at `since`.
    pub(super) fn before(&self, began: u64, since: u64) -> u64 {
        let (ended, lasted) = self.ended_and_lasted();
        // While the breaker was open or half-open, no calls could go well.
        let rest = began.saturating_sub(ended.max(since));
        lasted.saturating_sub(rest.saturating_mul(Self::REST))
    }

    /// Notes that an excursion ends at `now`. It began at `began`, in a generation that began at
    /// `since`.
    pub(super) fn end(&self, began: u64, now: u64, since: u64) {
        let lasted = now.saturating_sub(began);
        let lasted = lasted.saturating_add(self.before(began, since));
        // If two threads end excursions at once, one of the two is lost. `ended_and_lasted` finds
        // this `lasted` with this `ended`, or a later one.
        self.lasted.store(lasted);
        self.ended.publish(now);
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    /// Fails when: `end` doesn't add the age of excursions before.
    #[test]
    fn excursions_that_follow_each_other_closely_are_as_old_as_all_of_them() {
        let age = ExcursionAge::default();
        assert_eq!(age.before(0, 0), 0);
        age.end(1_000, 2_000, 0);
        assert_eq!(age.before(2_000, 0), 1_000);
        assert_eq!(age.before(2_100, 0), 600);
        age.end(2_100, 3_000, 0);
        assert_eq!(age.before(3_000, 0), 1_500);
    }

    #[test]
    fn a_quarter_of_their_time_without_evidence_makes_them_forgotten() {
        let age = ExcursionAge::default();
        age.end(1_000, 2_000, 0);
        assert_eq!(age.before(2_249, 0), 4);
        assert_eq!(age.before(2_250, 0), 0);
        assert_eq!(age.before(u64::MAX, 0), 0);
    }

    /// Fails when: time of another generation is counted.
    #[test]
    fn the_time_in_which_the_breaker_was_not_closed_does_not_count() {
        let age = ExcursionAge::default();
        age.end(1_000, 2_000, 0);
        assert_eq!(age.before(90_000, 90_000), 1_000);
        assert_eq!(age.before(90_100, 90_000), 600);
    }

    #[test]
    fn the_latest_beginning_stays_whoever_notes_it_last() {
        let age = ExcursionAge::default();
        age.start(20);
        age.start(10);
        assert_eq!(age.began(), 20);
    }
}
