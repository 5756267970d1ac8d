//! How near a fleet is to a trip.

use crate::judge::{Evidence, Test, number};
use crate::message::Sums;

/// The evidence of one test, against what a trip takes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TestStanding {
    /// The failures since there was last no evidence for an outage.
    pub failures: u64,
    /// The calls that all members were expected to make in that time: 0.0 or more.
    pub expected_calls: f64,
    /// The evidence of all members, in nats. A trip takes at least [`needed`](Self::needed).
    pub evidence: f64,
    /// The evidence without the loudest members, in nats. A trip takes two thirds of
    /// [`needed`](Self::needed). `None` if it wasn't asked for, because `evidence` is too little.
    pub without_loudest: Option<f64>,
    /// The evidence that a trip takes, in nats.
    pub needed: f64,
}

/// How near a fleet is to a trip, by the sums in a store's last answer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Standing {
    /// The test against the usual failure rate.
    pub usual: TestStanding,
    /// The test against the tolerated failure rate. `None` if none is tolerated.
    pub beyond_tolerated: Option<TestStanding>,
    /// How many members are left out as too loud: with them there is enough evidence for a trip,
    /// and without them there isn't.
    pub left_out: usize,
}

impl TestStanding {
    pub(crate) fn of(sums: &Sums, it: Evidence, has_loudest: bool, test: &Test) -> Self {
        Self {
            failures: sums.failures,
            expected_calls: number(sums.expected) / 1e6,
            evidence: it.all,
            without_loudest: has_loudest.then_some(it.remaining),
            needed: test.needed,
        }
    }
}
