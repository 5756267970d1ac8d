//! A plain model of the breaker: what its documentation says, one call after the other, with a list
//! of calls where the breaker has packed words, and nothing that threads could share.
//!
//! It is written from the documentation, not from the source, and is as slow as it is simple.
//! [`pair`] drives it beside a breaker.

pub(crate) mod pair;

use std::time::Duration;

use tripcurve::{
    Builder, Cause, CircuitBreaker, Clock, ErrorRate, Outcome, Snapshot, State, TripPolicy, Window,
};

/// The settings of a breaker, as values that a test can make up and print.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) window: Shape,
    /// Empty for the default pair.
    pub(crate) policies: Vec<Policy>,
    pub(crate) open_for: Duration,
    pub(crate) probes: u32,
    pub(crate) probe_timeout: Duration,
    pub(crate) on_cancel: Outcome,
    pub(crate) start_in: State,
    pub(crate) shards: u32,
    /// What the clock shows when the breaker is built.
    pub(crate) built_at: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Time { length: Duration, buckets: u32 },
    Count { calls: u32 },
    CountWithin { calls: u32, within: Duration },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Policy {
    ConsecutiveFailures(u32),
    FailureCount(u32),
    ErrorRate { threshold: f64, min_calls: u32 },
}

impl Shape {
    /// The most calls that the window can hold.
    pub(crate) fn capacity(self) -> Option<u32> {
        match self {
            Self::Time { .. } => None,
            Self::Count { calls } | Self::CountWithin { calls, .. } => Some(calls),
        }
    }

    fn window(self) -> Window {
        match self {
            Self::Time { length, buckets } => Window::time(length, buckets),
            Self::Count { calls } => Window::count(calls).into(),
            Self::CountWithin { calls, within } => Window::count(calls).within(within).into(),
        }
    }

    /// Width of the ticks in which the window tells moments apart, and how many of them it holds.
    fn ticks(self) -> Option<(u64, u64)> {
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
    /// Cut to what a window of this capacity can hold, so that it makes sense.
    pub(crate) fn fitted(self, capacity: Option<u32>) -> Self {
        let fit = |calls: u32| calls.clamp(1, capacity.unwrap_or(u32::MAX));
        match self {
            Self::ConsecutiveFailures(limit) => Self::ConsecutiveFailures(limit.max(1)),
            Self::FailureCount(limit) => Self::FailureCount(fit(limit)),
            Self::ErrorRate {
                threshold,
                min_calls,
            } => Self::ErrorRate {
                threshold,
                min_calls: fit(min_calls),
            },
        }
    }

    fn policy(self) -> TripPolicy {
        let rate = |threshold, min_calls| -> ErrorRate {
            TripPolicy::error_rate(threshold).min_calls(min_calls)
        };
        match self {
            Self::ConsecutiveFailures(limit) => TripPolicy::consecutive_failures(limit),
            Self::FailureCount(limit) => TripPolicy::failure_count(limit),
            Self::ErrorRate {
                threshold,
                min_calls,
            } => rate(threshold, min_calls).into(),
        }
    }
}

impl Config {
    pub(crate) const NAME: &'static str = "model";

    /// The builder with these settings.
    pub(crate) fn builder(&self, clock: Clock) -> Builder {
        let builder = CircuitBreaker::builder(Self::NAME)
            .window(self.window.window())
            .open_for(self.open_for)
            .probes(self.probes)
            .probe_timeout(self.probe_timeout)
            .on_cancel(self.on_cancel)
            .start_in(self.start_in)
            .shards(self.shards)
            .clock(clock);
        self.policies.iter().fold(builder, |builder, policy| {
            builder.trip_when(policy.policy())
        })
    }

    fn policies(&self) -> Vec<Policy> {
        if !self.policies.is_empty() {
            return self.policies.clone();
        }
        let rate = Policy::ErrorRate {
            threshold: 0.5,
            min_calls: 10,
        };
        vec![
            Policy::ConsecutiveFailures(5),
            rate.fitted(self.window.capacity()),
        ]
    }
}

/// A state change as listeners should be told of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) from: State,
    pub(crate) to: State,
    pub(crate) generation: u64,
    pub(crate) at: Duration,
    pub(crate) cause: Cause,
    pub(crate) missed: u64,
}

/// What a snapshot should say, accessor by accessor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture {
    name: String,
    state: State,
    generation: u64,
    at: Duration,
    since: Duration,
    in_state_for: Duration,
    time_left_open: Option<Duration>,
    successes: u64,
    failures: u64,
    calls: u64,
    ignored: u64,
    rejected: u64,
    error_rate: Option<f64>,
    consecutive_failures: u64,
    probes_in_flight: u32,
    probes_succeeded: u32,
}

impl Picture {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self {
            name: snapshot.name().to_owned(),
            state: snapshot.state(),
            generation: snapshot.generation(),
            at: snapshot.at(),
            since: snapshot.since(),
            in_state_for: snapshot.in_state_for(),
            time_left_open: snapshot.time_left_open(),
            successes: snapshot.successes(),
            failures: snapshot.failures(),
            calls: snapshot.calls(),
            ignored: snapshot.ignored(),
            rejected: snapshot.rejected(),
            error_rate: snapshot.error_rate(),
            consecutive_failures: snapshot.consecutive_failures(),
            probes_in_flight: snapshot.probes_in_flight(),
            probes_succeeded: snapshot.probes_succeeded(),
        }
    }
}

/// A rejection, less its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Refused {
    pub(crate) state: State,
    pub(crate) retry_after: Option<Duration>,
}

/// The right to one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelPermit {
    generation: u64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open { until: u64 },
    HalfOpen { in_flight: u32, succeeded: u32 },
    ForcedOpen,
    Disabled,
    MetricsOnly,
}

impl Phase {
    fn state(self) -> State {
        match self {
            Self::Closed => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen { .. } => State::HalfOpen,
            Self::ForcedOpen => State::ForcedOpen,
            Self::Disabled => State::Disabled,
            Self::MetricsOnly => State::MetricsOnly,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Call {
    at: u64,
    failed: bool,
}

/// The breaker as its documentation describes it.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    config: Config,
    now: u64,
    phase: Phase,
    generation: u64,
    since: u64,
    /// Calls of this generation that succeeded or failed.
    calls: Vec<Call>,
    /// When calls of this generation were ignored or, in a state that rejects, rejected.
    set_aside: Vec<u64>,
    failures_in_a_row: u64,
    last_admission: u64,
    told: Vec<Told>,
}

impl Model {
    pub(crate) fn new(config: Config) -> Self {
        let now = nanos(config.built_at);
        let phase = match config.start_in {
            State::Closed => Phase::Closed,
            State::Open => Phase::Open {
                until: end_of_open_time(now, config.open_for),
            },
            State::HalfOpen => Phase::HalfOpen {
                in_flight: 0,
                succeeded: 0,
            },
            State::ForcedOpen => Phase::ForcedOpen,
            State::Disabled => Phase::Disabled,
            State::MetricsOnly => Phase::MetricsOnly,
            state => panic!("the model doesn't know {state:?}"),
        };
        Self {
            config,
            now,
            phase,
            generation: 0,
            since: now,
            calls: Vec::new(),
            set_aside: Vec::new(),
            failures_in_a_row: 0,
            last_admission: 0,
            told: Vec::new(),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.phase.state()
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.now = self.now.saturating_add(nanos(by));
    }

    /// The state changes since this was last asked.
    pub(crate) fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    pub(crate) fn acquire(&mut self) -> Result<ModelPermit, Refused> {
        match self.phase {
            Phase::Closed | Phase::MetricsOnly | Phase::Disabled => {}
            Phase::ForcedOpen => return self.reject(None),
            Phase::Open { until } if self.now < until => return self.reject(Some(until)),
            Phase::Open { .. } => self.begin_probing(0, Cause::OpenTimeOver),
            Phase::HalfOpen {
                in_flight,
                succeeded,
            } if in_flight + succeeded < self.config.probes => {
                self.last_admission = self.now;
                self.phase = Phase::HalfOpen {
                    in_flight: in_flight + 1,
                    succeeded,
                };
            }
            Phase::HalfOpen {
                in_flight,
                succeeded,
            } => {
                if self.config.probe_timeout == Duration::MAX {
                    return self.reject(None);
                }
                let overdue = self
                    .last_admission
                    .saturating_add(nanos(self.config.probe_timeout));
                if self.now < overdue {
                    return self.reject(Some(overdue));
                }
                let cause = Cause::ProbesOverdue { probes: in_flight };
                self.begin_probing(succeeded, cause);
            }
        }
        Ok(ModelPermit {
            generation: self.generation,
        })
    }

    /// A half-open generation with one probe in flight.
    fn begin_probing(&mut self, succeeded: u32, cause: Cause) {
        self.last_admission = self.now;
        let phase = Phase::HalfOpen {
            in_flight: 1,
            succeeded,
        };
        self.enter(phase, cause);
    }

    fn reject(&mut self, until: Option<u64>) -> Result<ModelPermit, Refused> {
        self.set_aside.push(self.now);
        Err(Refused {
            state: self.state(),
            retry_after: until.map(|until| Duration::from_nanos(until - self.now)),
        })
    }

    /// A permit is dropped unrecorded.
    pub(crate) fn cancel(&mut self, permit: ModelPermit) {
        self.settle(permit, self.config.on_cancel);
    }

    pub(crate) fn settle(&mut self, permit: ModelPermit, outcome: Outcome) {
        if permit.generation != self.generation {
            return;
        }
        match self.phase {
            // Neither has given a permit in this generation.
            Phase::Open { .. } | Phase::ForcedOpen => unreachable!("nothing was let through"),
            Phase::Disabled => {}
            Phase::HalfOpen {
                in_flight,
                succeeded,
            } => self.settle_probe(in_flight - 1, succeeded, outcome),
            Phase::Closed | Phase::MetricsOnly => self.record(outcome),
        }
    }

    fn settle_probe(&mut self, in_flight: u32, succeeded: u32, outcome: Outcome) {
        let probes = self.config.probes;
        let stay = |succeeded| Phase::HalfOpen {
            in_flight,
            succeeded,
        };
        match outcome {
            Outcome::Ignored => self.phase = stay(succeeded),
            Outcome::Success if succeeded + 1 < probes => self.phase = stay(succeeded + 1),
            Outcome::Success => self.enter(Phase::Closed, Cause::ProbesSucceeded { probes }),
            Outcome::Trip => self.open(self.config.open_for, Cause::DependencySaidSo),
            _ => self.open(self.config.open_for, Cause::ProbeFailed),
        }
    }

    fn record(&mut self, outcome: Outcome) {
        let at = self.now;
        match outcome {
            Outcome::Ignored => self.set_aside.push(at),
            Outcome::Success => {
                self.calls.push(Call { at, failed: false });
                self.failures_in_a_row = 0;
            }
            _ => {
                self.calls.push(Call { at, failed: true });
                self.failures_in_a_row += 1;
                if matches!(self.phase, Phase::Closed) {
                    self.judge(outcome == Outcome::Trip);
                }
            }
        }
    }

    fn judge(&mut self, said_so: bool) {
        let cause = if said_so {
            Some(Cause::DependencySaidSo)
        } else {
            let policies = self.config.policies();
            policies.into_iter().find_map(|policy| self.verdict(policy))
        };
        if let Some(cause) = cause {
            self.open(self.config.open_for, cause);
        }
    }

    fn verdict(&self, policy: Policy) -> Option<Cause> {
        let (calls, failures) = self.counts();
        match policy {
            Policy::ConsecutiveFailures(limit) => (self.failures_in_a_row >= limit.into())
                .then_some(Cause::ConsecutiveFailures {
                    failures: self.failures_in_a_row,
                    limit,
                }),
            Policy::FailureCount(limit) => {
                (failures >= limit.into()).then_some(Cause::FailureCount {
                    failures,
                    calls,
                    limit,
                })
            }
            Policy::ErrorRate {
                threshold,
                min_calls,
            } => {
                let reached = error_rate(failures, calls).is_some_and(|rate| rate >= threshold);
                (calls >= min_calls.into() && reached).then_some(Cause::ErrorRate {
                    failures,
                    calls,
                    threshold,
                })
            }
        }
    }

    /// Whether what happened at `at` is still within the window's time.
    fn is_alive(&self, at: u64) -> bool {
        self.config
            .window
            .ticks()
            .is_none_or(|(width, ticks)| self.now / width - at / width < ticks)
    }

    /// Calls and failures in the window.
    fn counts(&self) -> (u64, u64) {
        let capacity = self.config.window.capacity();
        let most = capacity.map_or(usize::MAX, |calls| calls as usize);
        let window = || {
            let last = self.calls.iter().rev().take(most);
            last.filter(|call| self.is_alive(call.at))
        };
        let failures = window().filter(|call| call.failed).count();
        (window().count() as u64, failures as u64)
    }

    fn enter(&mut self, phase: Phase, cause: Cause) {
        self.generation += 1;
        self.told.push(Told {
            from: self.phase.state(),
            to: phase.state(),
            generation: self.generation,
            at: Duration::from_nanos(self.now),
            cause,
            missed: 0,
        });
        self.phase = phase;
        self.since = self.now;
        self.calls.clear();
        self.set_aside.clear();
        self.failures_in_a_row = 0;
    }

    fn open(&mut self, duration: Duration, cause: Cause) {
        let until = end_of_open_time(self.now, duration);
        self.enter(Phase::Open { until }, cause);
    }

    pub(crate) fn reset(&mut self) {
        self.enter(Phase::Closed, Cause::ByHand);
    }

    pub(crate) fn trip(&mut self, duration: Duration) {
        self.open(duration, Cause::ByHand);
    }

    pub(crate) fn force_open(&mut self) {
        if !matches!(self.phase, Phase::ForcedOpen) {
            self.enter(Phase::ForcedOpen, Cause::ByHand);
        }
    }

    pub(crate) fn disable(&mut self) {
        if !matches!(self.phase, Phase::Disabled) {
            self.enter(Phase::Disabled, Cause::ByHand);
        }
    }

    pub(crate) fn metrics_only(&mut self) {
        if !matches!(self.phase, Phase::MetricsOnly) {
            self.enter(Phase::MetricsOnly, Cause::ByHand);
        }
    }

    pub(crate) fn picture(&self) -> Picture {
        let (calls, failures) = self.counts();
        let is_by_count = matches!(
            self.config.window,
            Shape::Count { .. } | Shape::CountWithin { .. }
        );
        // A window by count tells calls aside since the generation began, others within its time.
        let aside = self.set_aside.iter();
        let aside = aside
            .filter(|at| is_by_count || self.is_alive(**at))
            .count() as u64;
        let rejects = matches!(
            self.phase,
            Phase::Open { .. } | Phase::HalfOpen { .. } | Phase::ForcedOpen
        );
        let (probes_in_flight, probes_succeeded) = match self.phase {
            Phase::HalfOpen {
                in_flight,
                succeeded,
            } => (in_flight, succeeded),
            _ => (0, 0),
        };
        let at = Duration::from_nanos(self.now);
        // Cut to microseconds, of which 2^52, 142 years, can be told.
        let since = Duration::from_micros((self.since / 1_000).min((1 << 52) - 1));
        Picture {
            name: Config::NAME.to_owned(),
            state: self.state(),
            generation: self.generation,
            at,
            since,
            in_state_for: at.saturating_sub(since),
            time_left_open: match self.phase {
                Phase::Open { until } => Some(Duration::from_nanos(until.saturating_sub(self.now))),
                _ => None,
            },
            successes: calls - failures,
            failures,
            calls,
            ignored: if rejects { 0 } else { aside },
            rejected: if rejects { aside } else { 0 },
            error_rate: error_rate(failures, calls),
            consecutive_failures: self.failures_in_a_row,
            probes_in_flight,
            probes_succeeded,
        }
    }
}

/// The quotient as everybody would write it; a threshold such as 0.1 is rounded as 3 / 30 is.
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn error_rate(failures: u64, calls: u64) -> Option<f64> {
    (calls > 0).then(|| failures as f64 / calls as f64)
}

/// The first moment of the grid of 2^20 ns that is not before the end of the open time. The grid
/// ends 36 years after the clock's origin.
fn end_of_open_time(now: u64, duration: Duration) -> u64 {
    const GRID: u64 = 1 << 20;
    const LAST: u64 = ((1 << 40) - 1) * GRID;
    let end = now.saturating_add(nanos(duration));
    end.checked_next_multiple_of(GRID).unwrap_or(LAST).min(LAST)
}

/// Nanoseconds; the clock's range ends after 584 years.
fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}
