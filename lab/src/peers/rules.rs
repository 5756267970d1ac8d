//! The settings of any peer, and how a file gives them.

use toml::Value;

use super::adaptive_throttling::{self, AdaptiveThrottling, Counted};
use super::envoy::{self, Envoy};
use super::failsafe_rs::{self, Backoff, FailsafeRs, SuccessRate};
use super::finagle::{self, Finagle};
use super::given::{Given, GivenError};
use super::gobreaker::{self, Gobreaker};
use super::hystrix::{self, Hystrix};
use super::polly::{self, Polly};
use super::recloser::{self, Recloser};
use super::resilience4j::{self, Resilience4j, Window};
use super::semian::{self, Semian};
use super::sentinel::{self, Grade, Sentinel};
use super::{Peer, SECOND};

/// The settings of any of the other breakers.
#[derive(Clone, Debug)]
pub enum Rules {
    /// Those of the SRE book's throttle and of aegis.
    AdaptiveThrottling(adaptive_throttling::Settings),
    /// Those of Envoy.
    Envoy(envoy::Settings),
    /// Those of failsafe-rs.
    FailsafeRs(failsafe_rs::Settings),
    /// Those of Finagle.
    Finagle(finagle::Settings),
    /// Those of gobreaker.
    Gobreaker(gobreaker::Settings),
    /// Those of Hystrix.
    Hystrix(hystrix::Settings),
    /// Those of Polly.
    Polly(polly::Settings),
    /// Those of recloser.
    Recloser(recloser::Settings),
    /// Those of resilience4j.
    Resilience4j(resilience4j::Settings),
    /// Those of adaptive Semian.
    Semian(semian::Settings),
    /// Those of Sentinel.
    Sentinel(sentinel::Settings),
}

impl Rules {
    /// Builds a new breaker. The seed is for peers that decide at random.
    #[must_use]
    pub fn build(&self, seed: u64) -> Peer {
        match self {
            Self::AdaptiveThrottling(settings) => {
                AdaptiveThrottling::new(settings.clone(), seed).into()
            }
            Self::Envoy(settings) => Envoy::new(settings.clone()).into(),
            Self::FailsafeRs(settings) => FailsafeRs::new(settings, seed).into(),
            Self::Finagle(settings) => Finagle::new(settings, seed).into(),
            Self::Gobreaker(settings) => Gobreaker::new(settings.clone()).into(),
            Self::Hystrix(settings) => Hystrix::new(settings.clone()).into(),
            Self::Polly(settings) => Polly::new(settings.clone()).into(),
            Self::Recloser(settings) => Recloser::new(settings.clone()).into(),
            Self::Resilience4j(settings) => Resilience4j::new(settings.clone()).into(),
            Self::Semian(settings) => Semian::new(*settings, seed).into(),
            Self::Sentinel(settings) => Sentinel::new(settings.clone()).into(),
        }
    }
}

/// A kind of peer, as a file names it.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The source of the peer's rules.
    pub(super) source: &'static str,
    pub(super) read: fn(&mut Given) -> Result<Rules, GivenError>,
}

/// All kinds of peers.
pub(super) const KINDS: [Kind; 12] = [
    Kind {
        name: "hystrix",
        source: "Netflix/Hystrix@7c03bafe HystrixCircuitBreaker.java, HealthCountsStream.java",
        read: hystrix,
    },
    Kind {
        name: "resilience4j",
        source: "resilience4j/resilience4j@af9e7c979 CircuitBreakerStateMachine.java, CircuitBreakerMetrics.java",
        read: resilience4j,
    },
    Kind {
        name: "polly",
        source: "App-vNext/Polly@173d6d1d src/Polly.Core/CircuitBreaker",
        read: polly,
    },
    Kind {
        name: "sentinel",
        source: "alibaba/Sentinel@d75a6687 slots/block/degrade/circuitbreaker",
        read: sentinel,
    },
    Kind {
        name: "gobreaker",
        source: "sony/gobreaker@fed8e9e v2/gobreaker.go",
        read: gobreaker,
    },
    Kind {
        name: "envoy",
        source: "envoyproxy/envoy@00c7146d source/common/upstream/outlier_detection_impl.cc",
        read: envoy,
    },
    Kind {
        name: "finagle",
        source: "twitter/finagle@4feb34cb finagle-core/.../liveness/FailureAccrual{Policy,Factory}.scala",
        read: finagle,
    },
    Kind {
        name: "sre",
        source: "sre.google/sre-book/handling-overload, equation 21-1",
        read: |given| throttling(given, adaptive_throttling::Settings::default()),
    },
    Kind {
        name: "aegis",
        source: "go-kratos/aegis@e0742c6a circuitbreaker/sre/sre.go",
        read: |given| throttling(given, AEGIS),
    },
    Kind {
        name: "semian",
        source: "Shopify/semian@8835b3da (0.28.2) lib/semian/pid_controller.rb, simple_exponential_smoother.rb",
        read: semian,
    },
    Kind {
        name: "recloser",
        source: "recloser 1.4.0 (crates.io) src/recloser.rs, ring_buffer.rs",
        read: recloser,
    },
    Kind {
        name: "failsafe",
        source: "failsafe 1.3.0 (crates.io) src/state_machine.rs, failure_policy.rs",
        read: failsafe,
    },
];

/// The defaults of aegis.
const AEGIS: adaptive_throttling::Settings = adaptive_throttling::Settings {
    k: 1.0 / 0.6,
    window: 3 * SECOND,
    buckets: 10,
    minimum_requests: 100,
    counted: Counted::AtEnd,
};

/// Replaces a default by what the file gives.
fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}

fn hystrix(given: &mut Given) -> Result<Rules, GivenError> {
    let mut to = hystrix::Settings::default();
    set(&mut to.rolling_window, given.time("window.length")?);
    let rate = given.number("failure_rate")?;
    set(&mut to.error_percentage, rate.map(whole_percent));
    set(
        &mut to.request_volume,
        given.count("failure_rate.min_calls")?,
    );
    set(&mut to.sleep_window, given.time("open_for")?);
    set(
        &mut to.snapshot_interval,
        given.time("own.health_snapshot_interval")?,
    );
    Ok(Rules::Hystrix(to))
}

fn resilience4j(given: &mut Given) -> Result<Rules, GivenError> {
    let mut to = resilience4j::Settings::default();
    set(
        &mut to.window,
        given.count("window.calls")?.map(Window::Calls),
    );
    set(
        &mut to.window,
        given.seconds("window.length")?.map(Window::Seconds),
    );
    let percent = |share: Option<f64>| share.map(|share| share * 100.0);
    set(&mut to.failure_rate, percent(given.number("failure_rate")?));
    set(&mut to.slow_call_rate, percent(given.number("slow_rate")?));
    set(
        &mut to.slow_call_duration,
        given.time("slow_rate.slower_than")?,
    );
    // Both rates have one minimum.
    set(&mut to.minimum_calls, given.count("slow_rate.min_calls")?);
    set(
        &mut to.minimum_calls,
        given.count("failure_rate.min_calls")?,
    );
    set(&mut to.wait_in_open, given.time("open_for")?);
    set(
        &mut to.permitted_in_half_open,
        given.count("recovery.probes")?,
    );
    Ok(Rules::Resilience4j(to))
}

fn polly(given: &mut Given) -> Result<Rules, GivenError> {
    let mut to = polly::Settings::default();
    set(&mut to.sampling_duration, given.time("window.length")?);
    set(&mut to.failure_ratio, given.number("failure_rate")?);
    set(
        &mut to.minimum_throughput,
        given.count("failure_rate.min_calls")?,
    );
    set(&mut to.break_duration, given.time("open_for")?);
    Ok(Rules::Polly(to))
}

fn sentinel(given: &mut Given) -> Result<Rules, GivenError> {
    let mut to = sentinel::Settings::default();
    set(&mut to.interval, given.time("window.length")?);
    set(&mut to.time_window, given.time("open_for")?);
    // A breaker of Sentinel has one rule. With two, the second one is left over.
    if given.has("slow_rate") {
        to.grade = Grade::SlowRatio {
            ratio: given.number("slow_rate")?.unwrap_or(1.0),
            longer_than: given.time("slow_rate.slower_than")?.unwrap_or(SECOND),
        };
        set(
            &mut to.minimum_requests,
            given.count("slow_rate.min_calls")?,
        );
    } else {
        let ratio = given.number("failure_rate")?;
        set(&mut to.grade, ratio.map(Grade::ErrorRatio));
        set(
            &mut to.minimum_requests,
            given.count("failure_rate.min_calls")?,
        );
    }
    Ok(Rules::Sentinel(to))
}

fn gobreaker(given: &mut Given) -> Result<Rules, GivenError> {
    let mut to = gobreaker::Settings::default();
    // gobreaker trips on more failures than its setting.
    let failures = given.count("consecutive_failures")?;
    set(
        &mut to.consecutive_failures,
        failures.map(|failures| failures.saturating_sub(1)),
    );
    set(&mut to.timeout, given.time("open_for")?);
    set(&mut to.max_requests, given.count("recovery.probes")?);
    Ok(Rules::Gobreaker(to))
}

fn envoy(given: &mut Given) -> Result<Rules, GivenError> {
    let mut to = envoy::Settings::default();
    set(
        &mut to.consecutive_failures,
        given.count("consecutive_failures")?,
    );
    set(&mut to.base_ejection_time, given.time("open_for")?);
    set(&mut to.interval, given.time("own.interval")?);
    set(
        &mut to.max_ejection_time,
        given.time("own.max_ejection_time")?,
    );
    Ok(Rules::Envoy(to))
}

fn finagle(given: &mut Given) -> Result<Rules, GivenError> {
    let mut to = finagle::Settings::default();
    set(&mut to.window, given.time("window.length")?);
    let rate = given.number("failure_rate")?;
    set(&mut to.success_rate, rate.map(|rate| 1.0 - rate));
    set(
        &mut to.minimum_requests,
        given.count("failure_rate.min_calls")?,
    );
    set(
        &mut to.consecutive_failures,
        given.count("consecutive_failures")?,
    );
    set(&mut to.shortest_wait, given.time("backoff.base")?);
    set(&mut to.longest_wait, given.time("backoff.longest")?);
    doubles(given)?;
    given.fixed("backoff.jitter", "\"equal\"", |jitter| {
        jitter.as_str() == Some("equal")
    })?;
    Ok(Rules::Finagle(to))
}

fn throttling(
    given: &mut Given,
    mut to: adaptive_throttling::Settings,
) -> Result<Rules, GivenError> {
    set(&mut to.window, given.time("window.length")?);
    set(&mut to.buckets, given.count("window.buckets")?);
    set(&mut to.k, given.number("own.k")?);
    set(&mut to.minimum_requests, given.count("own.min_requests")?);
    Ok(Rules::AdaptiveThrottling(to))
}

fn semian(given: &mut Given) -> Result<Rules, GivenError> {
    let mut to = semian::Settings::default();
    set(&mut to.window, given.time("window.length")?);
    set(&mut to.proportional, given.number("own.kp")?);
    set(&mut to.integral, given.number("own.ki")?);
    set(&mut to.derivative, given.number("own.kd")?);
    set(&mut to.least_sum, given.number("own.integral_lower_cap")?);
    set(
        &mut to.greatest_sum,
        given.number("own.integral_upper_cap")?,
    );
    set(&mut to.interval, given.time("own.sliding_interval")?);
    set(&mut to.dead_zone, given.number("own.dead_zone_ratio")?);
    set(
        &mut to.initial_rate,
        given.number("own.initial_error_rate")?,
    );
    set(
        &mut to.learned_at_most,
        given.number("own.ideal_error_rate_estimator_cap_value")?,
    );
    Ok(Rules::Semian(to))
}

fn recloser(given: &mut Given) -> Result<Rules, GivenError> {
    let mut to = recloser::Settings::default();
    let short = |calls: Option<u32>| calls.map(|calls| u16::try_from(calls).unwrap_or(u16::MAX));
    set(&mut to.closed_length, short(given.count("window.calls")?));
    set(
        &mut to.error_rate_closed,
        given.number("failure_rate")?.map(single),
    );
    set(
        &mut to.error_rate_half_open,
        given.number("recovery.max_failure_rate")?.map(single),
    );
    set(
        &mut to.half_open_length,
        short(given.count("recovery.probes")?),
    );
    set(&mut to.open_wait, given.time("open_for")?);
    Ok(Rules::Recloser(to))
}

fn failsafe(given: &mut Given) -> Result<Rules, GivenError> {
    let mut to = failsafe_rs::Settings::default();
    let mut rate = to.success_rate.unwrap_or(SuccessRate {
        required: 0.8,
        minimum_requests: 5,
        window_seconds: 30,
    });
    let failures = given.number("failure_rate")?;
    set(&mut rate.required, failures.map(|share| 1.0 - share));
    set(
        &mut rate.minimum_requests,
        given.count("failure_rate.min_calls")?,
    );
    let seconds = given.seconds("window.length")?;
    set(&mut rate.window_seconds, seconds.map(u64::from));
    to.success_rate = Some(rate);
    let failures = given.count("consecutive_failures")?;
    to.consecutive_failures = failures.or(to.consecutive_failures);
    if let Some(wait) = given.time("open_for")? {
        to.backoff = Backoff::Constant(wait);
    }
    let (start, max) = (given.time("backoff.base")?, given.time("backoff.longest")?);
    doubles(given)?;
    let jitter = given.word("backoff.jitter")?;
    if let (Some(start), Some(max)) = (start, max) {
        to.backoff = match jitter.as_deref() {
            None | Some("equal") => Backoff::EqualJittered { start, max },
            Some("none") => Backoff::Exponential { start, max },
            Some(other) => {
                return Err(given.wrong("backoff.jitter", other, "\"equal\" or \"none\""));
            }
        };
    }
    Ok(Rules::FailsafeRs(to))
}

/// Accepts a backoff only if it doubles, as those of the peers do.
fn doubles(given: &mut Given) -> Result<(), GivenError> {
    given.fixed("backoff.factor", "2.0", |factor| match factor {
        Value::Float(factor) => (factor - 2.0).abs() < f64::EPSILON,
        Value::Integer(factor) => *factor == 2,
        _ => false,
    })
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of at most 1"
)]
fn whole_percent(share: f64) -> u32 {
    (share * 100.0).round() as u32
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the peer has single precision"
)]
fn single(share: f64) -> f32 {
    share as f32
}
