//! The settings of a breaker, as values that a test can generate and print.

use std::time::Duration;

use tripcurve::recovery::{Backoff, HalfOpenVerdict, Jitter};
use tripcurve::time::Clock;
use tripcurve::window::{Recording, Timing, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy};

use super::ramp::Guide;
use super::rounds::Rules;
use super::{adaptive, nanos};

/// The settings of a breaker, as values that a test can generate and print.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) window: Shape,
    /// The policies. If empty, the breaker has the default ones.
    pub(crate) policies: Vec<Policy>,
    pub(crate) open_for: Duration,
    /// How the open times grow, if they do.
    pub(crate) growth: Option<Growth>,
    /// The longest `Retry-After` that is honoured, if it is set.
    pub(crate) max_retry_after: Option<Duration>,
    pub(crate) probes: u32,
    /// How many of the probes must succeed, if not all.
    pub(crate) needed: Option<u32>,
    /// How many failed probes reopen the breaker. `None`: as many as leave too few successes.
    pub(crate) failure_threshold: Option<u32>,
    /// How many slow probes reopen the breaker. `None`: slow probes count as failed. It counts only
    /// where calls can be slow.
    pub(crate) slow_threshold: Option<u32>,
    /// How long the breaker may be half-open, and whether it closes then. It counts only without
    /// steps.
    pub(crate) half_open_limit: Option<(Duration, bool)>,
    /// The steps of a ramp that follows a single probe, instead of the settings of probes.
    pub(crate) steps: Option<Steps>,
    /// The clients of an adaptive recovery, instead of probes and steps.
    pub(crate) clients: Option<u32>,
    /// Whether the open times of an adaptive recovery go by the traffic. Other ones mean nothing
    /// then.
    pub(crate) by_traffic: bool,
    pub(crate) probe_timeout: Duration,
    pub(crate) on_cancel: Outcome,
    pub(crate) start_in: State,
    pub(crate) enabled: bool,
    pub(crate) metrics_only: bool,
    pub(crate) shards: u32,
    pub(crate) recording: Recording,
    pub(crate) timing: Timing,
    /// The limit of the policies on slow calls, if there are any.
    pub(crate) slower_than: Duration,
    /// The clock's time when the breaker is built.
    pub(crate) built_at: Duration,
}

/// What the probes of a configuration decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdicts {
    pub(super) probes: u32,
    pub(super) needed: u32,
    pub(super) may_fail: u32,
    /// `None` if slow probes count as failed.
    pub(super) may_be_slow: Option<u32>,
}

/// A part of a configuration that can be changed alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Part {
    Policies,
    Recovery,
    OpenTimes,
    Others,
    Window,
    /// The recorded durations, and the duration above which a call is slow.
    Times,
    Shards,
}

impl Part {
    /// The parts on which the window doesn't depend.
    pub(crate) const BESIDE_THE_WINDOW: [Self; 4] = [
        Self::Policies,
        Self::Recovery,
        Self::OpenTimes,
        Self::Others,
    ];
    pub(crate) const ALL: [Self; 7] = [
        Self::Policies,
        Self::Recovery,
        Self::OpenTimes,
        Self::Others,
        Self::Window,
        Self::Times,
        Self::Shards,
    ];
}

/// The steps of a ramp in whole numbers.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    /// One to four shares, each larger than the one before.
    pub(crate) shares_in_thousandths: Vec<u32>,
    pub(crate) each: Duration,
    /// The largest failure rate, if it isn't the default.
    pub(crate) max_failure_rate_in_percent: Option<u32>,
}

impl Steps {
    /// The share that a step lets through, in 1,024ths: rounded to the nearest one, and at least
    /// one.
    pub(super) fn share(&self, step: usize) -> Option<u64> {
        let thousandths = u64::from(*self.shares_in_thousandths.get(step)?);
        Some(((thousandths * 1_024 + 500) / 1_000).max(1))
    }

    pub(super) fn max_failure_rate(&self) -> f64 {
        f64::from(self.max_failure_rate_in_percent.unwrap_or(25)) / 100.0
    }

    fn recovery(&self) -> Recovery {
        let shares = self.shares_in_thousandths.iter();
        let shares: Vec<_> = shares.map(|share| f64::from(*share) / 1e3).collect();
        let recovery = Recovery::steps(&shares, self.each);
        match self.max_failure_rate_in_percent {
            None => recovery,
            Some(_) => recovery.max_failure_rate(self.max_failure_rate()),
        }
    }
}

/// How open times grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) factor_in_tenths: u32,
    /// The longest open time, at least the first one.
    pub(crate) longest: Duration,
    pub(crate) jitter: Jitter,
    pub(crate) healthy_after: Option<Duration>,
}

impl Growth {
    pub(super) fn factor(self) -> f64 {
        f64::from(self.factor_in_tenths) / 10.0
    }

    fn backoff(self, base: Duration) -> Backoff {
        let backoff = Backoff::exponential(base, self.factor(), self.longest).jitter(self.jitter);
        match self.healthy_after {
            None => backoff,
            Some(healthy_after) => backoff.healthy_after(healthy_after),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Time { length: Duration, buckets: u32 },
    Count { calls: u32 },
    CountWithin { calls: u32, within: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Policy {
    ConsecutiveFailures(u32),
    FailureCount { limit: u32, min_calls: u32 },
    FailureRate { threshold: f64, min_calls: u32 },
    SlowRate { threshold: f64, min_calls: u32 },
    BurnRate(BurnRate),
    Adaptive(Adaptive),
    Classic,
}

/// The settings of a burn rate in whole numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BurnRate {
    /// The error budget that the objective leaves: 1,000 for 0.999.
    pub(crate) budget_in_millionths: u32,
    /// The largest factor. It is cut so that less than all calls are enough.
    pub(crate) factor_in_thousandths: u32,
    /// The short stretch in thousandths of the window, cut to less than the window. `None` is the
    /// default.
    pub(crate) short_in_thousandths: Option<u32>,
    pub(crate) min_calls: u32,
}

impl BurnRate {
    pub(super) fn objective(self) -> f64 {
        f64::from(1_000_000 - self.budget_in_millionths) / 1e6
    }

    pub(super) fn factor(self) -> f64 {
        f64::from(self.factor_in_thousandths) / 1e3
    }

    fn fitted(self) -> Self {
        let most = 1_000_000_000 / self.budget_in_millionths;
        Self {
            factor_in_thousandths: self.factor_in_thousandths.clamp(1_000, most),
            min_calls: self.min_calls.max(1),
            ..self
        }
    }

    /// The short stretch. It is cut so that it and the current bucket are less than the window.
    fn short(self, (length, buckets): (Duration, u32)) -> Option<Duration> {
        let most = length / buckets * (buckets - 2);
        let short = length * self.short_in_thousandths? / 1_000;
        Some(short.clamp(Duration::from_nanos(1), most))
    }

    /// The number of buckets in the short stretch.
    pub(super) fn short_buckets(self, window: (Duration, u32)) -> u64 {
        let (length, buckets) = window;
        let short = self.short(window).unwrap_or(length / 12);
        nanos(short).div_ceil(nanos(length) / u64::from(buckets)) + 1
    }

    fn policy(self, window: (Duration, u32)) -> TripPolicy {
        let policy = TripPolicy::burn_rate(self.objective())
            .factor(self.factor())
            .min_calls(self.min_calls);
        match self.short(window) {
            None => policy.into(),
            Some(short) => policy.short(short).into(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Adaptive {
    pub(crate) tolerate: f64,
    pub(crate) false_trip_budget: Duration,
    /// Whether a slow call counts as failed.
    pub(crate) is_timed: bool,
}

impl Shape {
    /// The most calls that the window can hold.
    pub(crate) fn capacity(self) -> Option<u32> {
        match self {
            Self::Time { .. } => None,
            Self::Count { calls } | Self::CountWithin { calls, .. } => Some(calls),
        }
    }

    /// The length and the number of the buckets, if there are any.
    pub(super) fn buckets(self) -> Option<(Duration, u32)> {
        match self {
            Self::Time { length, buckets } => Some((length, buckets)),
            Self::Count { .. } | Self::CountWithin { .. } => None,
        }
    }

    fn window(self) -> Window {
        match self {
            Self::Time { length, buckets } => Window::time(length, buckets),
            Self::Count { calls } => Window::count(calls).into(),
            Self::CountWithin { calls, within } => Window::count(calls).within(within).into(),
        }
    }

    /// The oldest age of a call in the window. Without a setting, it is a minute.
    pub(super) fn length(self) -> Duration {
        match self {
            Self::Time { length, .. } => length,
            Self::Count { .. } => Duration::from_secs(60),
            Self::CountWithin { within, .. } => within,
        }
    }

    /// The width of the ticks in which the window distinguishes times, and the number of ticks it
    /// holds.
    pub(super) fn ticks(self) -> Option<(u64, u64)> {
        match self {
            Self::Time { length, buckets } => {
                Some((nanos(length) / u64::from(buckets), buckets.into()))
            }
            Self::Count { .. } => None,
            Self::CountWithin { within, .. } => Some((nanos(within) / 64, 64)),
        }
    }
}

impl Policy {
    /// The policies that are valid together and with such a window. Each is cut to the window.
    pub(crate) fn all_fitted(policies: Vec<Self>, window: Shape) -> Vec<Self> {
        let mut may_be_adaptive = window.capacity().is_none();
        let is_possible = |policy: &Self| match policy {
            Self::Adaptive(_) => std::mem::take(&mut may_be_adaptive),
            _ => true,
        };
        let possible = policies.into_iter().filter(is_possible);
        possible.map(|policy| policy.fitted(window)).collect()
    }

    /// Cuts the policy to what a window can hold, so that it is valid. A burn rate becomes a
    /// failure rate if there are no buckets, or too few.
    pub(crate) fn fitted(self, window: Shape) -> Self {
        let capacity = window.capacity();
        let fit = |calls: u32| calls.clamp(1, capacity.unwrap_or(u32::MAX));
        match self {
            Self::ConsecutiveFailures(limit) => Self::ConsecutiveFailures(limit.max(1)),
            Self::FailureCount { limit, min_calls } => Self::FailureCount {
                limit: fit(limit),
                min_calls: fit(min_calls),
            },
            Self::FailureRate {
                threshold,
                min_calls,
            } => Self::FailureRate {
                threshold,
                min_calls: fit(min_calls),
            },
            Self::SlowRate {
                threshold,
                min_calls,
            } => Self::SlowRate {
                threshold,
                min_calls: fit(min_calls),
            },
            Self::BurnRate(policy) => match window.buckets() {
                Some((_, 3..)) => Self::BurnRate(policy.fitted()),
                _ => Self::FailureRate {
                    threshold: f64::from(policy.budget_in_millionths) / 1e6,
                    min_calls: fit(policy.min_calls),
                },
            },
            Self::Adaptive(_) | Self::Classic => self,
        }
    }

    fn policy(self, slower_than: Duration, window: Shape) -> TripPolicy {
        match self {
            Self::Classic => TripPolicy::classic(),
            Self::ConsecutiveFailures(limit) => TripPolicy::consecutive_failures(limit),
            Self::FailureCount { limit, min_calls } => {
                TripPolicy::failure_count(limit).min_calls(min_calls).into()
            }
            Self::FailureRate {
                threshold,
                min_calls,
            } => TripPolicy::failure_rate(threshold)
                .min_calls(min_calls)
                .into(),
            Self::SlowRate {
                threshold,
                min_calls,
            } => TripPolicy::slow_rate(threshold)
                .slower_than(slower_than)
                .min_calls(min_calls)
                .into(),
            Self::BurnRate(policy) => {
                policy.policy(window.buckets().expect("it was fitted to the window"))
            }
            Self::Adaptive(Adaptive {
                tolerate,
                false_trip_budget,
                is_timed,
            }) => {
                let policy = TripPolicy::adaptive()
                    .tolerate(tolerate)
                    .false_trip_budget(false_trip_budget);
                if is_timed {
                    policy.slower_than(slower_than).into()
                } else {
                    policy.into()
                }
            }
        }
    }
}

impl Config {
    pub(crate) const NAME: &'static str = "model";

    /// The builder with these settings.
    pub(crate) fn builder(&self, clock: Clock) -> CircuitBreakerBuilder {
        let builder = CircuitBreaker::builder(Self::NAME)
            .window(self.window.window())
            .probe_timeout(self.probe_timeout)
            .on_cancel(self.on_cancel)
            .start_in(self.start_in)
            .enabled(self.enabled)
            .metrics_only(self.metrics_only)
            .shards(self.shards)
            .latency(self.recording)
            .timing(self.timing)
            .clock(clock);
        let recovery = match (&self.steps, self.clients) {
            (_, Some(clients)) => self.limited(Recovery::adaptive().clients(clients)),
            (None, None) => self.recovery_by_probes(),
            (Some(steps), None) => steps.recovery(),
        };
        let builder = builder.recovery(match self.growth() {
            _ if self.goes_by_traffic() => recovery,
            None => recovery.open_for(self.open_for),
            Some(growth) => recovery.backoff(growth.backoff(self.open_for)),
        });
        let builder = match self.max_retry_after {
            None => builder,
            Some(longest) => builder.max_retry_after(longest),
        };
        self.policies.iter().fold(builder, |builder, policy| {
            builder.trip_when(policy.policy(self.slower_than, self.window))
        })
    }

    /// The state of a breaker that takes no part or only measures.
    pub(super) fn mode(&self) -> Option<State> {
        match (self.enabled, self.metrics_only) {
            (false, _) => Some(State::Disabled),
            (true, true) => Some(State::MetricsOnly),
            (true, false) => None,
        }
    }

    /// The state in which the settings hold the breaker until they change.
    pub(super) fn held(&self) -> Option<State> {
        let lasts = !matches!(self.start_in, State::Closed | State::Open | State::HalfOpen);
        self.mode().or(lasts.then_some(self.start_in))
    }

    /// The state in which it starts.
    pub(super) fn start(&self) -> State {
        self.mode().unwrap_or(self.start_in)
    }

    fn recovery_by_probes(&self) -> Recovery {
        let recovery = self.limited(Recovery::probes(self.probes));
        let recovery = match self.slow_threshold.filter(|_| self.limit().is_some()) {
            None => recovery,
            Some(slow) => recovery.slow_threshold(slow),
        };
        if let Some(failures) = self.failure_threshold {
            let recovery = recovery.failure_threshold(failures);
            return match self.needed {
                None => recovery,
                Some(needed) => recovery.success_threshold(needed),
            };
        }
        match self.needed {
            None => recovery,
            // The same recovery in two forms: by the number of successes, and by the share that may
            // fail.
            Some(needed) if needed.is_multiple_of(2) => recovery.success_threshold(needed),
            Some(needed) => {
                let may_fail = f64::from(self.probes - needed);
                recovery.max_failure_rate(may_fail / f64::from(self.probes))
            }
        }
    }

    fn limited(&self, recovery: Recovery) -> Recovery {
        match self.half_open_limit {
            None => recovery,
            Some((limit, true)) => recovery.half_open_limit(limit, HalfOpenVerdict::Close),
            Some((limit, false)) => recovery.half_open_limit(limit, HalfOpenVerdict::Reopen),
        }
    }

    /// Whether a ramp follows the probe.
    pub(super) fn has_ramp(&self) -> bool {
        self.steps.is_some() || self.clients.is_some()
    }

    pub(super) fn goes_by_traffic(&self) -> bool {
        self.by_traffic && self.clients.is_some()
    }

    /// How open times grow, if they do.
    pub(super) fn growth(&self) -> Option<Growth> {
        self.growth.filter(|_| !self.goes_by_traffic())
    }

    /// The open time of a breaker that starts open. A second stands in for one by the traffic.
    pub(super) fn first_open_time(&self) -> Duration {
        if self.goes_by_traffic() {
            Duration::from_secs(1)
        } else {
            self.open_for
        }
    }

    /// The limit in nanoseconds above which a probe is sure to fail. Nobody waits longer for one.
    pub(super) fn limit_of_probes(&self) -> Option<u64> {
        self.limit().filter(|_| self.goes_by_traffic())
    }

    /// What a ramp goes by, if there is a ramp. A failing share of 15 % may be usual, so an
    /// adaptive ramp accepts it. Without a policy by evidence it accepts a quarter.
    pub(super) fn guide(&self) -> Option<Guide> {
        let Some(clients) = self.clients else {
            return self.steps.clone().map(Guide::Steps);
        };
        let (acceptable, more) = self.adaptive().map_or((0.25, 0.25), |policy| {
            let more = adaptive::more(policy.tolerate).unwrap_or(0.15);
            (policy.tolerate.max(0.15), more.max(0.15))
        });
        Some(Guide::Rules(Rules {
            clients,
            acceptable,
            more: more.max(acceptable),
        }))
    }

    /// The longest `Retry-After` that is honoured.
    pub(super) fn max_retry_after(&self) -> Duration {
        let five_minutes = Duration::from_secs(300);
        self.max_retry_after.unwrap_or(five_minutes)
    }

    /// What the probes decide.
    pub(super) fn verdicts(&self) -> Verdicts {
        let Self {
            probes,
            needed,
            failure_threshold,
            ..
        } = *self;
        if self.has_ramp() {
            return Verdicts {
                probes: 1,
                needed: 1,
                may_fail: 0,
                may_be_slow: None,
            };
        }
        let needed = match (needed, failure_threshold) {
            (Some(needed), _) => needed,
            (None, Some(failures)) => probes + 1 - failures,
            (None, None) => probes,
        };
        let slow = self.slow_threshold.filter(|_| self.limit().is_some());
        Verdicts {
            probes,
            needed,
            may_fail: failure_threshold.map_or(probes - needed, |failures| failures - 1),
            may_be_slow: slow.map(|slow| slow - 1),
        }
    }

    /// How many nanoseconds it may be half-open, and whether it closes then.
    pub(super) fn half_open_limit(&self) -> Option<(u64, bool)> {
        let (limit, closes) = self
            .half_open_limit
            .filter(|_| self.steps.is_none() || self.clients.is_some())?;
        Some((nanos(limit), closes))
    }

    /// The limit in nanoseconds above which a call is slow, if there is one.
    pub(super) fn limit(&self) -> Option<u64> {
        let is_timed = |policy: &Policy| match policy {
            Policy::SlowRate { .. } => true,
            Policy::Adaptive(policy) => policy.is_timed,
            _ => false,
        };
        let is_timed = self.policies.iter().any(is_timed);
        is_timed.then(|| nanos(self.slower_than))
    }

    /// Whether only a sample of dense calls is timed, if calls are timed.
    pub(super) fn samples(&self) -> bool {
        self.timing == Timing::Sampled && self.window.buckets().is_some()
    }

    /// The policy that decides by evidence, if there is one.
    pub(super) fn adaptive(&self) -> Option<Adaptive> {
        self.policies().into_iter().find_map(|policy| match policy {
            Policy::Adaptive(policy) => Some(policy),
            _ => None,
        })
    }

    /// Evidence without a baseline, if a policy decides by evidence.
    pub(super) fn evidence(&self) -> Option<adaptive::Adaptive> {
        let policy = self.adaptive()?;
        let (tolerate, budget) = (policy.tolerate, policy.false_trip_budget);
        let evidence = adaptive::Adaptive::new(tolerate, budget, self.window.length());
        Some(match self.limit() {
            Some(_) if self.samples() => evidence.and_timed(),
            Some(_) => evidence.and_watched(),
            None => evidence,
        })
    }

    /// The policies that judge: the default one if none is named, and two for a classic pair.
    pub(super) fn policies(&self) -> Vec<Policy> {
        let default = match self.window.capacity() {
            None => Policy::Adaptive(Adaptive {
                tolerate: 0.25,
                false_trip_budget: Duration::from_secs(86_400),
                is_timed: false,
            }),
            Some(_) => Policy::Classic,
        };
        let named = self.policies.iter().copied();
        let default = self.policies.is_empty().then_some(default);
        let rate = Policy::FailureRate {
            threshold: 0.5,
            min_calls: 10,
        };
        let mut policies = Vec::new();
        for policy in named.chain(default) {
            match policy {
                Policy::Classic => {
                    policies.push(Policy::ConsecutiveFailures(5));
                    policies.push(rate.fitted(self.window));
                }
                policy => policies.push(policy),
            }
        }
        policies
    }
}
