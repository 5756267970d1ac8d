//! A timed call and the number of calls that it stands for.

use super::{Latencies, Took};

/// A timed call, as a time window counts it.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    pub(super) took: Took,
    pub(super) weight: u32,
    pub(super) latencies: Option<&'a Latencies>,
}

impl<'a> Sample<'a> {
    /// A call that stands for 2^`weight` calls. It goes into the histograms, if the window keeps
    /// some outside of its ring.
    #[must_use]
    #[inline]
    pub fn new(took: Took, weight: u32, latencies: Option<&'a Latencies>) -> Self {
        Self {
            took,
            weight,
            latencies,
        }
    }
}
