//! What a window takes over from one of another size.

use super::Ring;
use crate::clock::Now;
use crate::state::Generation;

impl Ring {
    /// Begins generation `to` with what `former` holds of generation `from`, as far as this window
    /// reaches, before another thread knows of this one. Says whether it could: both must be of one kind,
    /// and this one must not ask for ages that the former doesn't know.
    ///
    /// Whether calls were counted aside, and how long they took, isn't taken over.
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

    /// After how many nanoseconds a call has left the window for sure; `u64::MAX` if calls don't leave it by
    /// their age.
    pub fn span(&self, clock: &impl Now) -> u64 {
        match self {
            Self::Time(ring) => ring.span(clock),
            Self::Count(ring) => ring.span(),
        }
    }
}
