//! The policies of a breaker.

use std::ops::Deref;

use super::{FailureRate, Rule, TripPolicy};

/// The policies of a breaker. Any of them trips it. The classic pair takes no memory of its own.
#[derive(Clone, Debug)]
pub struct Policies(Option<Box<[TripPolicy]>>);

/// The [classic](TripPolicy::classic) pair, unless its window holds too few calls.
static CLASSIC: [TripPolicy; 2] = [
    TripPolicy(Rule::ConsecutiveFailures { limit: 5 }),
    TripPolicy(Rule::FailureRate {
        threshold: 0.5,
        min_calls: FailureRate::DEFAULT_MIN_CALLS,
    }),
];

impl Deref for Policies {
    type Target = [TripPolicy];

    #[inline]
    fn deref(&self) -> &[TripPolicy] {
        self.0.as_deref().unwrap_or(&CLASSIC)
    }
}

impl From<Vec<TripPolicy>> for Policies {
    fn from(policies: Vec<TripPolicy>) -> Self {
        Self((policies != CLASSIC).then(|| policies.into()))
    }
}

impl<P: Into<TripPolicy>, const N: usize> From<[P; N]> for Policies {
    fn from(policies: [P; N]) -> Self {
        let policies: Vec<TripPolicy> = policies.into_iter().map(Into::into).collect();
        policies.into()
    }
}

impl PartialEq for Policies {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
