//! What only some breakers have, apart from the rest so that the others stay small.

use crate::evidence::Evidence;
use crate::recovery::{AdaptiveRecovery, OpenTimes};
use crate::timed::Timed;

/// What a breaker has beside what all have.
#[derive(Debug)]
pub struct Beside {
    /// If it takes the time of calls.
    pub timed: Option<Timed>,
    /// If it decides by evidence.
    pub evidence: Option<Box<Evidence>>,
    /// If its recovery is adaptive.
    pub recovery: Option<Box<AdaptiveRecovery>>,
    /// If its open times grow.
    pub open_times: Option<Box<OpenTimes>>,
}

impl Beside {
    /// Nothing, if there is nothing.
    #[must_use]
    pub fn new(
        timed: Option<Timed>,
        evidence: Option<Box<Evidence>>,
        recovery: Option<Box<AdaptiveRecovery>>,
        open_times: Option<Box<OpenTimes>>,
    ) -> Option<Box<Self>> {
        let has_any =
            timed.is_some() || evidence.is_some() || recovery.is_some() || open_times.is_some();
        has_any.then(|| {
            Box::new(Self {
                timed,
                evidence,
                recovery,
                open_times,
            })
        })
    }
}
