//! Draws: which calls a histogram counts where it doesn't count each call.

use std::cell::Cell;

use crate::util::random::{GOLDEN_RATIO, first_place, mixed};

thread_local! {
    /// The point on the circle that the thread draws next. A constant, so a read needs no check for
    /// initialization.
    static PLACE: Cell<u64> = const { Cell::new(0) };
}

/// The point on a circle that one call has drawn. It decides whether the call is one of the counted
/// ones, one in 2^scale. Calls draw only where the count is no longer exact.
///
/// Each thread goes round the circle in steps of the golden ratio. Calls on a part of 1/2^scale of
/// the circle are counted (see [`GOLDEN_RATIO`]). No other step spreads more evenly. A periodic
/// part of a thread's calls also goes round evenly. An example is every other call of a thread that
/// alternates between two breakers. Random numbers would err by a quarter of a percent and cost
/// more.
///
/// A call draws once, however often it tries to write. Suppose that a call is to be counted and
/// loses an exchange. The call is still to be counted at the same scale. At the next scale it is
/// half as likely to be counted, and a counted call counts twice as much. A second draw would
/// nearly always drop the call, because only calls that are to be counted try to write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    /// Draws for the next call of this thread.
    #[inline]
    pub(super) fn new() -> Self {
        let place = match PLACE.get() {
            0 => first_place(),
            place => place,
        };
        PLACE.set(place.wrapping_add(GOLDEN_RATIO));
        Self(place)
    }

    /// The latest draw of this thread, for a call that tries to write again.
    pub(super) fn latest() -> Self {
        Self(PLACE.get().wrapping_sub(GOLDEN_RATIO))
    }

    /// Makes this thread's next draw repeat its latest draw.
    pub(super) fn take_back() {
        PLACE.set(PLACE.get().wrapping_sub(GOLDEN_RATIO));
    }

    /// Whether the call is counted at `scale`, which is above zero.
    #[inline]
    pub(super) fn is_counted(self, scale: u64) -> bool {
        self.0 >> (64 - scale) == 0
    }

    /// Bits that are independent of each other and of whether the call is counted.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        mixed(self.0)
    }
}

/// Draws for the next call of this thread. Returns whether it is counted at `scale`, which is above
/// zero.
#[inline]
pub(super) fn is_counted(scale: u64) -> bool {
    Draw::new().is_counted(scale)
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_call_in_two_to_the_scale_is_counted_whatever_the_rhythm() {
        for scale in [1, 2, 3, 5, 8_u64] {
            for period in [1, 2, 3, 5, 8, 21, 64] {
                let calls = 200 << scale;
                let counted = (0..calls * period)
                    .map(|_| Draw::new().is_counted(scale))
                    .step_by(period)
                    .filter(|counted| *counted)
                    .count();
                assert!(
                    (180..=220).contains(&counted),
                    "{counted} at {scale}, every {period}"
                );
            }
        }
    }

    #[test]
    fn a_call_that_is_to_be_counted_stays_so_and_is_half_as_likely_to_be_at_the_next_scale() {
        let draws: Vec<_> = (0..1 << 16).map(|_| Draw::new()).collect();
        for scale in 1..8 {
            let counted = |scale| draws.iter().filter(move |draw| draw.is_counted(scale));
            let next = counted(scale).filter(|draw| draw.is_counted(scale + 1));
            let (now, next) = (counted(scale).count(), next.count());
            assert_eq!(
                next,
                counted(scale + 1).count(),
                "none is counted only there"
            );
            assert!(now.abs_diff(2 * next) <= 16, "{next} of {now} at {scale}");
        }
    }
}
