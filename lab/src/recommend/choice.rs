//! Which policy did best, and on what.

use std::ops::Range;
use std::time::Duration;

use rayon::prelude::*;
use tripcurve::error::ConfigError;

use super::grid;
use super::outages::Outage;
use crate::breaker::Nanos;
use crate::log::Call;
use crate::replay::{Bad, Policy, Tally, run_policy};

/// How calls are weighed: bad calls that were made, plus so much for each good call that was lost.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// Which calls are bad.
    pub bad: Bad,
    /// What a lost good call weighs, against a bad one that was made.
    pub lost_weighs: f64,
}

impl Score {
    /// The score of a tally; the lower, the better.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "numbers of calls are far below 2⁵³"
    )]
    pub fn of(&self, tally: &Tally) -> f64 {
        tally.bad_made as f64 + self.lost_weighs * tally.good_lost as f64
    }

    /// Two scores that differ by less say nothing: what chance makes of a number, its square root.
    #[must_use]
    pub fn noise(score: f64) -> f64 {
        score.max(1.0).sqrt()
    }
}

/// The parts of a log: one to choose on, one to check the choice on, if there is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Choose on these calls.
    pub choose: Range<usize>,
    /// Check on these.
    pub check: Option<Range<usize>>,
}

impl Split {
    /// Cuts in the middle of the health between the outages of the first half and the others.
    #[must_use]
    pub fn new(calls: &[Call], outages: &[Outage]) -> Self {
        let (first, rest) = outages.split_at(outages.len().div_ceil(2));
        let (Some(last), Some(next)) = (first.last(), rest.first()) else {
            return Self {
                choose: 0..calls.len(),
                check: None,
            };
        };
        let cut = usize::midpoint(last.calls.end, next.calls.start);
        Self {
            choose: 0..cut,
            check: Some(cut..calls.len()),
        }
    }
}

/// A policy and how it did.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The policy.
    pub policy: Policy,
    /// What became of the calls to choose on.
    pub chosen: Tally,
    /// What became of those to check on.
    pub checked: Tally,
    /// How often it tripped in all.
    pub trips: usize,
    /// How long after the begin of each outage it tripped, on average, if it tripped in all.
    pub delay: Option<Nanos>,
}

/// Tries a policy; it sees the whole log once, and what it did is counted for both parts.
///
/// # Errors
/// The crate refuses it.
pub(super) fn attempt(
    policy: &Policy,
    calls: &[Call],
    split: &Split,
    outages: &[Outage],
    score: &Score,
) -> Result<Tried, ConfigError> {
    let course = run_policy(policy, calls)?;
    let tally = |range: Range<usize>| {
        Tally::of(&calls[range.clone()], &course.admitted[range], |call| {
            score.bad.is(call)
        })
    };
    let delays: Option<Vec<_>> = outages
        .iter()
        .map(|outage| {
            let begin = calls[outage.calls.start].began;
            let trip = course
                .trips
                .iter()
                .find(|trip| trip.closed.is_none_or(|closed| closed > begin))?;
            (trip.calls.start < outage.calls.end).then(|| trip.at.saturating_sub(begin))
        })
        .collect();
    let delay = delays
        .filter(|delays| !delays.is_empty())
        .map(|delays| delays.iter().sum::<Nanos>() / delays.len() as u64);
    Ok(Tried {
        policy: policy.clone(),
        chosen: tally(split.choose.clone()),
        checked: split.check.clone().map(tally).unwrap_or_default(),
        trips: course.trips.len(),
        delay,
    })
}

/// Tries policies at once; `done` is told of each.
///
/// # Errors
/// The crate refuses one.
pub(super) fn attempt_all(
    policies: &[Policy],
    calls: &[Call],
    split: &Split,
    outages: &[Outage],
    score: &Score,
    done: impl Fn() + Sync,
) -> Result<Vec<Tried>, ConfigError> {
    policies
        .par_iter()
        .map(|policy| {
            let tried = attempt(policy, calls, split, outages, score);
            done();
            tried
        })
        .collect()
}

/// The first of those whose score is as good as the best, chance aside.
#[must_use]
pub fn best<'a>(tried: &'a [Tried], score: &Score) -> Option<&'a Tried> {
    let of = |tried: &Tried| score.of(&tried.chosen);
    let lowest = tried.iter().map(of).fold(f64::INFINITY, f64::min);
    tried
        .iter()
        .find(|tried| of(tried) <= lowest + Score::noise(lowest))
}

/// How many policies will be tried.
#[must_use]
pub(super) fn number(slower_than: Option<Duration>) -> u64 {
    let rules = grid::rules(slower_than);
    (rules.len() + grid::recoveries(&Policy::default()).len()) as u64
}
