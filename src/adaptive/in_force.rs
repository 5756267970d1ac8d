//! Which of two tolerated shares is in force.

use crate::sync::SelfContained;
use crate::sync::field::Field;

/// The fields of the word.
///
/// ```text
///  63                                                   1      0
/// +------------------------------------------------------+------+
/// |            date of the latest opening, 63            |more,1|
/// +------------------------------------------------------+------+
/// ```
mod layout {
    use super::Field;

    pub(super) const MORE: Field = Field::lowest(1);
    pub(super) const DATE: Field = MORE.then(63);

    const _: () = assert!(DATE.end_bit() == 64);
}

/// Whether the larger of two tolerated shares is in force.
///
/// A bad shard above the tolerated share trips the breaker, though most calls succeed. The ramp
/// finds that the load isn't the cause, and may close the breaker. Then the next trip comes. So the
/// larger share is in force from the second opening on. An opening on an outage ends it, and so
/// does an hour without an opening.
#[derive(Debug)]
pub(super) struct InForce(SelfContained);

impl InForce {
    /// An opening on this share of failed calls shows an outage, not a bad shard.
    const OUTAGE: f64 = 0.65;
    /// A ramp that was cut so long ago has nothing to do with an opening.
    const CUT: u64 = 600 * 1_000_000_000;
    /// The larger share ends after so long a time without openings.
    const LASTS: u64 = 3_600 * 1_000_000_000;

    pub(super) fn new() -> Self {
        Self(SelfContained::new(0))
    }

    /// Whether the larger share is in force.
    #[inline]
    pub(super) fn is_more(&self) -> bool {
        layout::MORE.get(self.0.load()) == 1
    }

    /// Ends the larger share if the latest opening was long before `now`.
    pub(super) fn expire(&self, now: u64) {
        let seen = self.0.load();
        let lasts = now.saturating_sub(layout::DATE.get(seen)) < Self::LASTS;
        if layout::MORE.get(seen) == 1 && !lasts {
            // If the exchange fails, an opening has just been noted.
            let _noted = self
                .0
                .exchange(seen, layout::DATE.of(layout::DATE.get(seen)));
        }
    }

    /// Takes over what `other` knows.
    pub(super) fn inherit(&self, other: &Self) {
        self.0.store(other.0.load());
    }

    /// Notes an opening at the date `now`, before which the share `failing` of the calls failed. A
    /// ramp was last cut at the date `cut`, or never if it is zero.
    ///
    /// The thread that opens the breaker notes this afterwards. Calls that come before the note go
    /// by the former share.
    pub(super) fn opened(&self, failing: f64, cut: u64, now: u64) {
        let now = now.min(layout::DATE.max());
        let mut seen = self.0.load();
        loop {
            let before = layout::DATE.get(seen);
            // A thread that slept notes its opening late. The later opening has decided.
            if before > now {
                return;
            }
            let is_more = if failing >= Self::OUTAGE {
                false
            } else {
                let stays = layout::MORE.get(seen) == 1 && now - before < Self::LASTS;
                stays || (cut > 0 && now.saturating_sub(cut) < Self::CUT)
            };
            let new = layout::DATE.of(now) | layout::MORE.of(is_more.into());
            match self.0.exchange(seen, new) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const DAY: u64 = 86_400 * SECOND;

    /// A word after an opening on 40 % at the date of a day.
    fn more() -> InForce {
        let word = InForce::new();
        assert!(!word.is_more());
        word.opened(0.4, DAY - SECOND, DAY);
        assert!(word.is_more());
        word
    }

    #[test]
    fn the_larger_share_is_in_force_after_an_opening_soon_after_a_cut() {
        more();
        let word = InForce::new();
        word.opened(0.4, DAY - 601 * SECOND, DAY);
        assert!(!word.is_more(), "the cut is too old");
        word.opened(0.65, DAY, DAY + SECOND);
        assert!(!word.is_more(), "it is an outage");
    }

    /// Fails when: `expire` does nothing, or looks at no date.
    #[test]
    fn an_hour_without_an_opening_ends_it() {
        let word = more();
        word.expire(DAY + 3_599 * SECOND);
        assert!(word.is_more());
        word.expire(DAY + 3_600 * SECOND);
        assert!(!word.is_more());
    }

    #[test]
    fn an_outage_or_an_opening_an_hour_later_ends_it() {
        let word = more();
        word.opened(0.64, 0, DAY + 3_599 * SECOND);
        assert!(word.is_more());
        word.opened(0.64, 0, DAY + 7_199 * SECOND);
        assert!(!word.is_more());
        let word = more();
        word.opened(0.65, DAY, DAY + SECOND);
        assert!(!word.is_more());
    }

    /// Fails when: a late note replaces a later one.
    #[test]
    fn an_opening_that_is_noted_late_changes_nothing() {
        let word = more();
        word.opened(1.0, 0, DAY - 1);
        assert!(word.is_more());
    }

    #[test]
    fn dates_at_the_end_of_the_clock_do_no_harm() {
        let word = more();
        word.opened(0.4, u64::MAX, u64::MAX);
        assert!(word.is_more());
        word.opened(1.0, 0, u64::MAX);
        assert!(!word.is_more());
    }
}
