//! Carries the calls of a window over to a window of another size.

use super::Ring;
use crate::clock::Now;
use crate::state::Generation;

impl Ring {
    /// Starts generation `to` with the calls that `former` holds of generation `from`, as far as
    /// this window reaches. No other thread knows of this window yet.
    ///
    /// Returns whether it could. Both windows must be of one kind, and this one must not need ages
    /// that the former doesn't know.
    ///
    /// The uncounted calls and the latencies aren't carried over.
    pub fn carry_over(
        &self,
        former: &Self,
        (from, to): (Generation, Generation),
        clock: &impl Now,
    ) -> bool {
        match (self, former) {
            (Self::Time(own), Self::Time(former)) => {
                own.carry_over(former, (from, to), clock);
                true
            }
            (Self::Count(own), Self::Count(former)) if own.knows_ages() <= former.knows_ages() => {
                own.carry_over(former, (from, to), clock.nanos());
                true
            }
            _ => false,
        }
    }

    /// The number of nanoseconds after which a call has left the window for sure. It is `u64::MAX`
    /// if calls don't leave the window by their age.
    pub fn span(&self, clock: &impl Now) -> u64 {
        match self {
            Self::Time(ring) => ring.span(clock),
            Self::Count(ring) => ring.span(),
        }
    }
}
