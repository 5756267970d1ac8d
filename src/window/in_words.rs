//! The size of a window in words.

use std::time::Duration;

use super::Ring;
use crate::clock::Now;

impl Ring {
    /// The size of the window in words.
    #[must_use]
    pub fn in_words(&self, clock: &impl Now) -> String {
        let span = self.span(clock);
        // The clock's units are rounded to nanoseconds.
        let length = Duration::from_millis(span.saturating_add(500_000) / 1_000_000);
        match self {
            Self::Time(ring) => format!("{length:?} in {} buckets", ring.shards.buckets),
            Self::Count(ring) if span == u64::MAX => format!("the last {} calls", ring.length),
            Self::Count(ring) => {
                format!("the last {} calls, within about {length:?}", ring.length)
            }
        }
    }
}
