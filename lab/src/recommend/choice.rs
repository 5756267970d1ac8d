//! The choice of the best policy, and the calls that it is based on.

use std::ops::Range;
use std::time::Duration;

use rayon::prelude::*;
use tripcurve::error::ConfigError;

use super::grid;
use super::outages::Outage;
use crate::breaker::Nanos;
use crate::log::Call;
use crate::replay::{Bad, Policy, Tally, run_policy};

/// The score: bad calls that were made, plus a weight for each good call that was lost.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// The calls that are bad.
    pub bad: Bad,
    /// The weight of a lost good call, relative to a bad call that was made.
    pub lost_weighs: f64,
}

impl Score {
    /// The score of a tally. Lower is better.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "numbers of calls are far below 2⁵³"
    )]
    pub fn of(&self, tally: &Tally) -> f64 {
        tally.bad_made as f64 + self.lost_weighs * tally.good_lost as f64
    }

    /// The least difference of two scores that counts: the square root of the score, which is its
    /// random variation.
    #[must_use]
    pub fn noise(score: f64) -> f64 {
        score.max(1.0).sqrt()
    }
}

/// The two parts of a log: one to choose a policy on, and one to check the choice on, if there is
/// enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The calls to choose on.
    pub choose: Range<usize>,
    /// The calls to check on.
    pub check: Option<Range<usize>>,
}

impl Split {
    /// Splits the log between the outages of its first half and the others, in the middle of the
    /// healthy calls.
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

/// A policy and its results.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The policy.
    pub policy: Policy,
    /// The tally of the calls to choose on.
    pub chosen: Tally,
    /// The tally of the calls to check on.
    pub checked: Tally,
    /// The number of trips in the whole log.
    pub trips: usize,
    /// The mean delay between an outage's begin and the trip. `None` if an outage had no trip.
    pub delay: Option<Nanos>,
}

/// Tries a policy once on the whole log, and counts the results of both parts.
///
/// # Errors
/// Returns an error if the crate refuses the policy.
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

/// Tries policies in parallel. Each result is also passed to `done`.
///
/// # Errors
/// Returns an error if the crate refuses a policy.
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

/// The first policy whose score is the lowest, or so close to it that the difference may be chance.
#[must_use]
pub fn best<'a>(tried: &'a [Tried], score: &Score) -> Option<&'a Tried> {
    let of = |tried: &Tried| score.of(&tried.chosen);
    let lowest = tried.iter().map(of).fold(f64::INFINITY, f64::min);
    tried
        .iter()
        .find(|tried| of(tried) <= lowest + Score::noise(lowest))
}

/// The number of policies that will be tried.
#[must_use]
pub(super) fn number(slower_than: Option<Duration>) -> u64 {
    let rules = grid::rules(slower_than);
    (rules.len() + grid::recoveries(&Policy::default()).len()) as u64
}
