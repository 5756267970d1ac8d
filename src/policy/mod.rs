//! The policies: whether the counts of a window are reason to trip.

mod adaptive;
mod burn_rate;
pub(crate) mod policies;
mod settings;
#[cfg(feature = "metrics")]
mod threshold;
mod trip_level;

use std::time::Duration;

pub use adaptive::Adaptive;
pub use burn_rate::BurnRate;
pub(crate) use policies::Policies;
pub use settings::{FailureCount, FailureRate, LatencyPercentile, SlowRate, SlowerThanUsual};
pub use trip_level::TripLevel;

use self::settings::{check_limit, check_percentile, check_share, check_slow};
use crate::adaptive::AdaptiveConfig;
use crate::clock::saturating_nanos;
use crate::error::ConfigError;
use crate::events::Cause;
use crate::window::{BinCounts, Counts, Window, rate};

/// When a breaker trips.
///
/// A breaker can have several policies; any of them trips it. The breaker judges them when it has
/// counted a failed or a slow call, and only while it is closed. A success that isn't slow never
/// trips. It may complete a condition, such as the smallest number of calls. Then the next failure
/// trips; without one, nothing was wrong. So the successful path needs no write that all threads
/// share. Two policies look at the window's percentiles. The breaker judges them once per bucket,
/// or once a second if buckets are longer. The first call that ends in that time does it.
///
/// A builder without a policy has the [`adaptive`](Self::adaptive) one. [`classic`](Self::classic)
/// stands for two of the others.
///
/// | policy | trips on | speed on a total outage | noise |
/// |---|---|---|---|
/// | [`adaptive`](Self::adaptive) | evidence that clearly more calls fail than usual | about ten calls at 1,000 a second, four at one a second | about once a day |
/// | [`consecutive_failures`](Self::consecutive_failures) | n failures in a row | n calls, whatever the traffic | trips on a run of bad luck: if a share p of the calls fails at random, once in (1 − pⁿ) / ((1 − p) pⁿ) calls. With n = 5 at 5 % and 1,000 calls a second that is about once an hour |
/// | [`failure_count`](Self::failure_count) | n failures within the window | n calls | ignores the traffic: n must fit it |
/// | [`failure_rate`](Self::failure_rate) | a share of the window's calls | until failures fill enough of the window: half of it at 50 % | the calmest |
/// | [`burn_rate`](Self::burn_rate) | failures that use up an error budget too fast, in the window and still in a short stretch of it | like `failure_rate` with the threshold factor × (1 − objective): 1.4 % of the window at 14.4 and 0.999 | calm, if [`min_calls`](BurnRate::min_calls) makes that five failures or more; for users with such an objective |
/// | [`slow_rate`](Self::slow_rate) | a share of calls that take longer than a limit, failed or not | like `failure_rate`, counted from the limit and not from when the calls come back | calm, if the limit is well above what the slowest healthy calls take |
/// | [`latency_percentile`](Self::latency_percentile) | a percentile of the window above a limit | up to a second later than a `slow_rate` with the same meaning | like `slow_rate` |
/// | [`slower_than_usual`](Self::slower_than_usual) | a percentile that is a multiple of what it was over the past 20 windows | like `latency_percentile`, once it has seen a window full of calls | trips on a release that makes the dependency that much slower for good, but only a few times |
///
/// Source of the mean time between runs: Feller 1968, "An Introduction to Probability Theory and
/// Its Applications", volume 1, chapter XIII.7.
///
/// ```
/// use tripcurve::{CircuitBreaker, TripPolicy};
///
/// let breaker = CircuitBreaker::builder("payments")
///     .trip_when(TripPolicy::consecutive_failures(8))
///     .trip_when(TripPolicy::failure_rate(0.25).min_calls(50))
///     .build()?;
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TripPolicy(Rule);

/// The kinds of policies. Those with more than two settings are boxed, so that the others stay
/// small.
#[derive(Clone, Debug, PartialEq)]
enum Rule {
    ConsecutiveFailures {
        limit: u32,
    },
    FailureCount {
        limit: u32,
        min_calls: u32,
    },
    FailureRate {
        threshold: f64,
        min_calls: u32,
    },
    SlowRate(Box<SlowRate>),
    BurnRate(Box<BurnRate>),
    LatencyPercentile(Box<LatencyPercentile>),
    SlowerThanUsual(Box<SlowerThanUsual>),
    Adaptive(Box<Adaptive>),
    /// Stands for the classic pair in a builder. A breaker has the two policies instead.
    Classic,
}

const _: () = assert!(size_of::<TripPolicy>() <= 16);

macro_rules! boxed {
    ($($rule:ident),*) => {$(
        impl From<$rule> for TripPolicy {
            fn from(policy: $rule) -> Self {
                Self(Rule::$rule(Box::new(policy)))
            }
        }
    )*};
}

boxed!(
    SlowRate,
    BurnRate,
    LatencyPercentile,
    SlowerThanUsual,
    Adaptive
);

impl TripPolicy {
    /// The most policies that a breaker may have. Each failing call asks all of them.
    pub(crate) const MOST: usize = 64;

    /// Trips on `n` failures with no success between them; `n` is at least 1.
    ///
    /// Ignored calls neither add to the run nor end it. A failure leaves the run when it is too old
    /// for the window. So five failures a day apart are no run of five in a window of a minute. In
    /// a [`Window::count`] only [`within`](crate::CountWindow::within) limits the age. There a run
    /// may be longer than the window.
    #[must_use]
    pub fn consecutive_failures(n: u32) -> Self {
        Self(Rule::ConsecutiveFailures { limit: n })
    }

    /// Trips on `n` failures within the window; `n` is at least 1.
    ///
    /// [`min_calls`](FailureCount::min_calls) keeps it from judging a window with few calls.
    pub fn failure_count(n: u32) -> FailureCount {
        FailureCount {
            limit: n,
            min_calls: FailureCount::DEFAULT_MIN_CALLS,
        }
    }

    /// Trips when at least `fraction` of the window's calls have failed; above 0, at most 1.
    ///
    /// The bound is inclusive: 5 failures of 10 calls trip at 0.5. Ignored calls are not counted.
    /// The window is judged once it holds 10 calls, or another
    /// [`min_calls`](FailureRate::min_calls).
    pub fn failure_rate(fraction: f64) -> FailureRate {
        FailureRate {
            threshold: fraction,
            min_calls: FailureRate::DEFAULT_MIN_CALLS,
        }
    }

    /// Trips when at least `fraction` of the calls are slow; above 0, at most 1.
    ///
    /// A call is slow if it takes longer than [`slower_than`](SlowRate::slower_than), whether it
    /// succeeds or fails. A slow call that fails counts both here and in the failure rate. A slow
    /// probe counts as failed.
    ///
    /// From the limit on, calls that have not come back count too, both as calls and as slow ones.
    /// They count until they come back, or for the length of the window. With more than about a
    /// hundred calls within a limit, their number is estimated from a sample. The breaker looks at
    /// them when a call begins.
    ///
    /// A call that is dropped after the limit is a slow call that didn't fail. One that is dropped
    /// earlier [counts for nothing](crate::CircuitBreakerBuilder::on_cancel).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::{CircuitBreaker, TripPolicy};
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .trip_when(TripPolicy::failure_rate(0.5))
    ///     .trip_when(TripPolicy::slow_rate(0.5).slower_than(Duration::from_secs(2)).min_calls(5))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn slow_rate(fraction: f64) -> SlowRate {
        SlowRate {
            threshold: fraction,
            slower_than: None,
            min_calls: FailureRate::DEFAULT_MIN_CALLS,
        }
    }

    /// Trips when a percentile of the window's calls is above a limit.
    ///
    /// `percentile` is in `1.0..=99.999`; [`above`](LatencyPercentile::above) sets the limit. The
    /// percentile 99.0 is the time that 99 of 100 calls don't exceed.
    ///
    /// The percentile is read from the histogram, which errs by at most 3.2 %. The breaker reads it
    /// once per bucket, or once a second if buckets are longer. Where the limit must be exact or
    /// the trip immediate, use [`slow_rate`](Self::slow_rate). `slow_rate(0.01).slower_than(limit)`
    /// says much the same as `latency_percentile(99.0).above(limit)`, and also sees calls that have
    /// not come back.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::{CircuitBreaker, TripPolicy};
    ///
    /// let breaker = CircuitBreaker::builder("search")
    ///     .trip_when(TripPolicy::latency_percentile(95.0).above(Duration::from_millis(800)))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn latency_percentile(percentile: f64) -> LatencyPercentile {
        LatencyPercentile {
            percentile,
            above: None,
            min_calls: LatencyPercentile::DEFAULT_MIN_CALLS,
        }
    }

    /// Trips when a percentile of the window's calls is more than `factor` times its usual value.
    ///
    /// `factor` is above 1 and at most 1,000.
    ///
    /// Use this policy if you can't name a limit. The usual value is learnt while the breaker is
    /// closed. It is the geometric mean of the [percentile](SlowerThanUsual::percentile) over the
    /// past 20 windows. The policy judges nothing before it has seen one full window. An outage
    /// changes the mean little, but each trip moves it halfway to the value that tripped. So a
    /// dependency that has become slower for good trips the breaker a few times, not for ever.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, TripPolicy};
    ///
    /// let breaker = CircuitBreaker::builder("search")
    ///     .trip_when(TripPolicy::slower_than_usual(4.0))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn slower_than_usual(factor: f64) -> SlowerThanUsual {
        SlowerThanUsual {
            factor,
            percentile: 90.0,
            min_calls: LatencyPercentile::DEFAULT_MIN_CALLS,
        }
    }

    /// Trips on evidence: outcomes that healthy traffic would show less often than once a day.
    ///
    /// This policy is the default. Its settings are [`tolerate`](Adaptive::tolerate),
    /// [`false_trip_budget`](Adaptive::false_trip_budget) and
    /// [`slower_than`](Adaptive::slower_than).
    ///
    /// The policy learns what share of calls usually fails, and whether failures come in runs. It
    /// weighs each outcome as it comes, and needs no number of calls and no window length. At 1,000
    /// calls a second it trips after about ten failed calls of a total outage. An outage of 50 %
    /// takes some sixty calls. At one call a second, a total outage takes four. An outage is never
    /// learnt: while there is evidence, the policy learns nothing. Whatever it has learnt or was
    /// restored with, a total outage trips it. That takes at most 1,100 failed calls in a row. The
    /// bound holds up to 100 million calls a second.
    ///
    /// Failures may come in company, such as bursts of up to 64 failures below the tolerated share.
    /// The policy then learns that a trip takes more evidence, up to four times as much. It learns
    /// that also from trips from which an [adaptive recovery](crate::Recovery::adaptive) recovers
    /// at once.
    ///
    /// All evidence is forgotten once no call has failed for the length of the window. So failures
    /// an hour apart never trip it in a window of a minute. Calls that come every ten seconds and
    /// all fail do.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::{CircuitBreaker, State, TripPolicy};
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .trip_when(TripPolicy::adaptive().slower_than(Duration::from_secs(1)))
    ///     .build()?;
    /// for _ in 0..20 {
    ///     let _ = breaker.call(|| Err::<(), _>("connection refused"));
    /// }
    /// assert_eq!(breaker.state(), State::Open);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn adaptive() -> Adaptive {
        Adaptive {
            config: AdaptiveConfig {
                tolerate: 0.25,
                false_trip_budget: Duration::from_secs(86_400),
            },
            slower_than: None,
        }
    }

    /// Trips on five failures in a row, or when half of at least ten calls have failed.
    ///
    /// Choose this pair where a count must explain each trip, or where there are few calls. It is
    /// the default in a window by [count](crate::window::Window::count).
    ///
    /// It stands for two policies: [`consecutive_failures(5)`](Self::consecutive_failures) and
    /// [`failure_rate(0.5)`](Self::failure_rate). If the window holds fewer than ten calls, that
    /// many are enough. So the pair fits each window. Other policies may stand beside it.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, State, TripPolicy};
    ///
    /// let breaker = CircuitBreaker::builder("payments").trip_when(TripPolicy::classic()).build()?;
    /// for _ in 0..5 {
    ///     let _ = breaker.call(|| Err::<(), _>("connection refused"));
    /// }
    /// assert_eq!(breaker.state(), State::Open);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn classic() -> Self {
        Self(Rule::Classic)
    }

    /// The policies of a builder that names none. Evidence needs a window by time.
    pub(crate) fn default_for(capacity: Option<u32>) -> Self {
        match capacity {
            None => Self::adaptive().into(),
            Some(_) => Self::classic(),
        }
    }

    /// Replaces each classic pair by its policies.
    pub(crate) fn expanded(policies: &[Self], capacity: Option<u32>) -> Vec<Self> {
        let min_calls = capacity.map_or(FailureRate::DEFAULT_MIN_CALLS, |calls| {
            FailureRate::DEFAULT_MIN_CALLS.min(calls)
        });
        let mut expanded = Vec::with_capacity(policies.len() + 1);
        for policy in policies {
            if policy.0 == Rule::Classic {
                expanded.push(Self::consecutive_failures(5));
                expanded.push(Self::failure_rate(0.5).min_calls(min_calls).into());
            } else {
                expanded.push(policy.clone());
            }
        }
        expanded
    }

    /// Checks that the policy can trip with a window of this capacity.
    pub(crate) fn check(&self, capacity: Option<u32>) -> Result<(), ConfigError> {
        let fits = |setting, calls: u32| match capacity {
            _ if calls == 0 => Err(ConfigError::new(
                setting,
                calls,
                "at least 1",
                "0 would trip before any call; for that there is force_open()",
            )),
            Some(capacity) if calls > capacity => Err(ConfigError::new(
                setting,
                calls,
                format!("at most {capacity}, the calls that the window holds"),
                "it could never trip; make it smaller or the window larger",
            )),
            _ => Ok(()),
        };
        match &self.0 {
            Rule::ConsecutiveFailures { limit: 0 } => fits("trip_when.consecutive_failures", 0),
            Rule::ConsecutiveFailures { .. } | Rule::Classic => Ok(()),
            Rule::FailureCount { limit, min_calls } => {
                fits("trip_when.failure_count", *limit)?;
                fits("trip_when.failure_count.min_calls", *min_calls)
            }
            Rule::FailureRate {
                threshold,
                min_calls,
            } => {
                check_share("trip_when.failure_rate", *threshold)?;
                fits("trip_when.failure_rate.min_calls", *min_calls)
            }
            Rule::SlowRate(rate) => {
                check_share("trip_when.slow_rate", rate.threshold)?;
                check_slow("trip_when.slow_rate.slower_than", rate.slower_than)?;
                fits("trip_when.slow_rate.min_calls", rate.min_calls)
            }
            Rule::LatencyPercentile(policy) => {
                check_percentile("trip_when.latency_percentile", policy.percentile)?;
                check_limit(
                    "trip_when.latency_percentile.above",
                    policy.above,
                    Duration::from_secs(60),
                    "in 1µs..=60s",
                )?;
                fits("trip_when.latency_percentile.min_calls", policy.min_calls)
            }
            Rule::Adaptive(policy) => policy.check(capacity),
            Rule::BurnRate(policy) => {
                policy.check()?;
                fits("trip_when.burn_rate.min_calls", policy.min_calls)
            }
            Rule::SlowerThanUsual(policy) => {
                if !(policy.factor > 1.0 && policy.factor <= 1_000.0) {
                    return Err(ConfigError::new(
                        "trip_when.slower_than_usual",
                        policy.factor,
                        "above 1.0 and at most 1000.0",
                        "it is how many times slower than usual is too slow: 4.0, for example",
                    ));
                }
                check_percentile("trip_when.slower_than_usual.percentile", policy.percentile)?;
                fits("trip_when.slower_than_usual.min_calls", policy.min_calls)
            }
        }
    }

    /// Fits the policy to a window that has been checked.
    pub(crate) fn fit(&mut self, window: &Window) -> Result<(), ConfigError> {
        match &mut self.0 {
            Rule::BurnRate(policy) => policy.fit(window),
            _ => Ok(()),
        }
    }

    /// Whether the policy is judged by the window's counts after `run` failures in a row.
    ///
    /// A run that is too short needs no count, because the window holds no more of it.
    pub(crate) fn looks_at_window(&self, run: u64) -> bool {
        match self.0 {
            Rule::ConsecutiveFailures { limit } => run >= u64::from(limit),
            Rule::FailureCount { .. }
            | Rule::FailureRate { .. }
            | Rule::SlowRate(_)
            | Rule::BurnRate(_) => true,
            // These policies are judged elsewhere.
            Rule::LatencyPercentile(_)
            | Rule::SlowerThanUsual(_)
            | Rule::Adaptive(_)
            | Rule::Classic => false,
        }
    }

    /// Whether the policy is judged by the percentiles of the window.
    pub(crate) fn looks_at_percentiles(&self) -> bool {
        matches!(
            self.0,
            Rule::LatencyPercentile(_) | Rule::SlowerThanUsual(_)
        )
    }

    /// The limit above which a call is slow, if the policy has one.
    pub(crate) fn slower_than(&self) -> Option<Duration> {
        match &self.0 {
            Rule::SlowRate(rate) => rate.slower_than,
            Rule::Adaptive(policy) => policy.slower_than,
            _ => None,
        }
    }

    /// The policy, if it also looks at a short stretch of the window.
    pub(crate) fn looks_at_short_stretch(&self) -> Option<&BurnRate> {
        match &self.0 {
            Rule::BurnRate(policy) => Some(policy),
            _ => None,
        }
    }

    /// The settings of the adaptive policy, if this is one.
    pub(crate) fn adaptive_config(&self) -> Option<AdaptiveConfig> {
        match &self.0 {
            Rule::Adaptive(policy) => Some(policy.config),
            _ => None,
        }
    }

    /// Whether the policy may trip with these failures and at least these successes.
    ///
    /// If not, more successes don't change that.
    pub(crate) fn may_trip(&self, run: u64, counts: &Counts) -> bool {
        let failures = counts.failures;
        match self.0 {
            Rule::ConsecutiveFailures { limit } => run >= u64::from(limit),
            Rule::FailureCount { limit, .. } => failures >= u64::from(limit),
            Rule::FailureRate {
                threshold,
                min_calls,
            } => rate(failures, counts.calls().max(min_calls.into())) >= threshold,
            Rule::SlowRate(ref policy) => {
                let slow = counts.slow + counts.overdue;
                let calls = counts.calls() + counts.overdue;
                rate(slow, calls.max(policy.min_calls.into())) >= policy.threshold
            }
            Rule::BurnRate(ref policy) => policy.may_trip(counts),
            // These policies are judged elsewhere.
            Rule::LatencyPercentile(_)
            | Rule::SlowerThanUsual(_)
            | Rule::Adaptive(_)
            | Rule::Classic => false,
        }
    }

    /// Returns the cause if the policy trips.
    ///
    /// A failure has made the run `run` long, as far as the window holds it. `counts` are the
    /// window's counts. A policy that [looks at a short stretch](Self::looks_at_short_stretch) must
    /// be judged by that as well.
    pub(crate) fn judge(&self, run: u64, counts: &Counts) -> Option<Cause> {
        let failures = counts.failures;
        let calls = counts.calls();
        match self.0 {
            Rule::ConsecutiveFailures { limit } => {
                (run >= u64::from(limit)).then_some(Cause::ConsecutiveFailures {
                    failures: run,
                    limit,
                })
            }
            Rule::FailureCount { limit, min_calls } => {
                let trips = failures >= u64::from(limit) && calls >= u64::from(min_calls);
                trips.then_some(Cause::FailureCount {
                    failures,
                    calls,
                    limit,
                })
            }
            Rule::FailureRate {
                threshold,
                min_calls,
            } => (calls >= u64::from(min_calls) && rate(failures, calls) >= threshold).then_some(
                Cause::FailureRate {
                    failures,
                    calls,
                    threshold,
                },
            ),
            Rule::SlowRate(ref policy) => {
                let slow = counts.slow_of_calls() + counts.overdue;
                let calls = counts.calls() + counts.overdue;
                let threshold = policy.threshold;
                (calls >= u64::from(policy.min_calls) && rate(slow, calls) >= threshold).then_some(
                    Cause::SlowRate {
                        slow,
                        calls,
                        threshold,
                    },
                )
            }
            Rule::BurnRate(ref policy) => policy.judge(counts),
            // These policies are judged elsewhere.
            Rule::LatencyPercentile(_)
            | Rule::SlowerThanUsual(_)
            | Rule::Adaptive(_)
            | Rule::Classic => None,
        }
    }

    /// The percentile of these calls that the policy looks at, if it looks at one and there are
    /// enough calls.
    pub(crate) fn percentile_of(&self, bins: &BinCounts) -> Option<u64> {
        let (percentile, min_calls) = match &self.0 {
            Rule::LatencyPercentile(policy) => (policy.percentile, policy.min_calls),
            Rule::SlowerThanUsual(policy) => (policy.percentile, policy.min_calls),
            _ => return None,
        };
        (bins.calls() >= u64::from(min_calls)).then(|| bins.percentile(percentile))
    }

    /// The factor over the usual value above which the policy trips, if it compares the two.
    pub(crate) fn factor(&self) -> Option<f64> {
        match &self.0 {
            Rule::SlowerThanUsual(policy) => Some(policy.factor),
            _ => None,
        }
    }

    /// The percentile that the policy compares with its usual value, if it does.
    #[cfg(feature = "serde")]
    pub(crate) fn usual_percentile(&self) -> Option<f64> {
        match &self.0 {
            Rule::SlowerThanUsual(policy) => Some(policy.percentile),
            _ => None,
        }
    }

    /// Returns the cause if a percentile of `nanos` nanoseconds trips. `usual` is its usual value.
    pub(crate) fn judge_percentile(&self, nanos: u64, usual: Option<f64>) -> Option<Cause> {
        match &self.0 {
            Rule::LatencyPercentile(policy) => {
                let limit = policy.above.map_or(u64::MAX, saturating_nanos);
                (nanos > limit).then_some(Cause::LatencyPercentile {
                    percentile: policy.percentile,
                    measured: Duration::from_nanos(nanos),
                    limit: Duration::from_nanos(limit),
                })
            }
            Rule::SlowerThanUsual(policy) => {
                let usual = usual?;
                (rate(nanos, 1) > policy.factor * usual).then(|| Cause::SlowerThanUsual {
                    percentile: policy.percentile,
                    measured: Duration::from_nanos(nanos),
                    usual: Duration::try_from_secs_f64(usual / 1e9).unwrap_or(Duration::MAX),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_percentile_trips_above_its_limit_and_not_at_it() {
        let fixed = TripPolicy::latency_percentile(50.0).above(Duration::from_micros(2));
        let relative = TripPolicy::slower_than_usual(2.0);
        for policy in [TripPolicy::from(fixed), TripPolicy::from(relative)] {
            assert_eq!(policy.judge_percentile(2_000, Some(1_000.0)), None);
            let cause = policy.judge_percentile(2_001, Some(1_000.0));
            assert!(cause.is_some(), "{policy:?}");
        }
    }

    fn counts(failures: u64, successes: u64) -> Counts {
        Counts {
            successes,
            failures,
            ..Counts::default()
        }
    }

    #[test]
    fn a_rate_is_inclusive_to_the_call_at_every_decimal_threshold() {
        for percent in 1..=100_u32 {
            let policy: TripPolicy = TripPolicy::failure_rate(f64::from(percent) / 100.0)
                .min_calls(100)
                .into();
            for scale in [1, 3, 7, 1_000] {
                let failures = u64::from(percent) * scale;
                let calls = 100 * scale;
                let at = counts(failures, calls - failures);
                let below = counts(failures - 1, calls - failures + 1);
                assert!(policy.judge(0, &at).is_some(), "{failures} of {calls}");
                assert!(policy.judge(0, &below).is_none(), "{failures} of {calls}");
            }
        }
    }

    #[test]
    fn fewer_calls_than_the_smallest_number_are_not_judged() {
        let policy: TripPolicy = TripPolicy::failure_rate(0.5).into();
        assert!(policy.judge(0, &counts(9, 0)).is_none());
        assert!(policy.judge(0, &counts(10, 0)).is_some());
    }

    #[test]
    fn an_empty_window_is_not_judged_even_without_a_smallest_number() {
        let policy: TripPolicy = TripPolicy::failure_rate(0.5).min_calls(0).into();
        assert!(policy.judge(0, &counts(0, 0)).is_none());
    }

    proptest! {
        /// Fails when: `may_trip` denies a trip, so that the window isn't summed to its end.
        #[test]
        fn a_policy_that_trips_may_trip_with_fewer_successes(
            (failures, successes, more) in (0..30_u64, 0..30_u64, 0..30_u64),
            (slow, overdue, run) in (0..30_u64, 0..30_u64, 0..30_u64),
            (limit, min_calls) in (1..20_u32, 0..20_u32),
            threshold in 0.01..=1.0_f64,
        ) {
            let some = Counts { slow: slow.min(failures + successes), overdue, ..counts(failures, successes) };
            let all = Counts { successes: successes + more, ..some };
            let policies: [TripPolicy; 5] = [
                TripPolicy::consecutive_failures(limit),
                TripPolicy::failure_count(limit).min_calls(min_calls).into(),
                TripPolicy::failure_rate(threshold).min_calls(min_calls).into(),
                TripPolicy::slow_rate(threshold).min_calls(min_calls).into(),
                TripPolicy::burn_rate(0.99).min_calls(min_calls).into(),
            ];
            for policy in policies {
                let trips = policy.judge(run, &all).is_some();
                prop_assert!(!trips || policy.may_trip(run, &some), "{policy:?}");
            }
        }
    }
}
