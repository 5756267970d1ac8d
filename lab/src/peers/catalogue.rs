//! The peers in the tables: with their defaults, and tuned.
//!
//! Tuned means half of the calls, ten at least, over ten seconds; open for 5 s; three probes. A
//! peer without such a setting keeps its default. Where a tuned setting would only slow a peer
//! down, its entry says what is chosen instead.

use super::adaptive_throttling::{self, AdaptiveThrottling, Counted};
use super::envoy::{self, Envoy};
use super::failsafe_rs::{self, Backoff, FailsafeRs};
use super::finagle::{self, Finagle};
use super::gobreaker::{self, Gobreaker};
use super::hystrix::{self, Hystrix};
use super::polly::{self, Polly};
use super::recloser::{self, Recloser};
use super::resilience4j::{self, Resilience4j, Window};
use super::semian::{self, Semian};
use super::sentinel::{self, Grade, Sentinel};
use super::{MILLISECOND, Peer, SECOND};

/// A peer with chosen settings.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The peer's name in tables and on the command line.
    pub name: &'static str,
    /// The peer's settings in words.
    pub settings: &'static str,
    /// The source of the peer's rules.
    pub source: &'static str,
    /// Builds a new breaker. The seed is for peers that decide at random.
    pub build: fn(seed: u64) -> Peer,
}

const AEGIS: &str = "go-kratos/aegis@e0742c6a circuitbreaker/sre/sre.go";
const ENVOY: &str = "envoyproxy/envoy@00c7146d source/common/upstream/outlier_detection_impl.cc";
const FAILSAFE: &str = "failsafe 1.3.0 (crates.io) src/state_machine.rs, failure_policy.rs";
const FINAGLE: &str =
    "twitter/finagle@4feb34cb finagle-core/.../liveness/FailureAccrual{Policy,Factory}.scala";
const GOBREAKER: &str = "sony/gobreaker@fed8e9e v2/gobreaker.go";
const HYSTRIX: &str =
    "Netflix/Hystrix@7c03bafe HystrixCircuitBreaker.java, HealthCountsStream.java";
const POLLY: &str = "App-vNext/Polly@173d6d1d src/Polly.Core/CircuitBreaker";
const RECLOSER: &str = "recloser 1.4.0 (crates.io) src/recloser.rs, ring_buffer.rs";
const RESILIENCE4J: &str = "resilience4j/resilience4j@af9e7c979 CircuitBreakerStateMachine.java, CircuitBreakerMetrics.java";
const SEMIAN: &str =
    "Shopify/semian@8835b3da (0.28.2) lib/semian/pid_controller.rb, simple_exponential_smoother.rb";
const SENTINEL: &str = "alibaba/Sentinel@d75a6687 slots/block/degrade/circuitbreaker";
const SRE: &str = "sre.google/sre-book/handling-overload, equation 21-1";

/// All peers.
#[must_use]
pub fn catalogue() -> &'static [Entry] {
    CATALOGUE
}

const CATALOGUE: &[Entry] = &[
    Entry {
        name: "hystrix",
        settings: "defaults: 50 % of 20 calls in 10 s, judged each 500 ms; 5 s, 1 probe",
        source: HYSTRIX,
        build: |_| Hystrix::new(hystrix::Settings::default()).into(),
    },
    Entry {
        name: "hystrix-tuned",
        settings: "50 % of 10 calls in 2 s, judged each 100 ms; 5 s, 1 probe",
        source: HYSTRIX,
        build: |_| {
            Hystrix::new(hystrix::Settings {
                request_volume: 10,
                rolling_window: 2 * SECOND,
                snapshot_interval: 100 * MILLISECOND,
                ..Default::default()
            })
            .into()
        },
    },
    Entry {
        name: "r4j-count100",
        settings: "defaults: 50 % of the last 100 calls; 60 s, 10 probes",
        source: RESILIENCE4J,
        build: |_| Resilience4j::new(resilience4j::Settings::default()).into(),
    },
    Entry {
        name: "r4j-count20-tuned",
        settings: "50 % of the last 20 calls, 10 at least; 5 s, 3 probes",
        source: RESILIENCE4J,
        build: |_| Resilience4j::new(tuned_resilience4j(Window::Calls(20))).into(),
    },
    Entry {
        name: "r4j-time10-def",
        settings: "50 % of 100 calls in 10 s, else defaults: 60 s, 10 probes",
        source: RESILIENCE4J,
        build: |_| {
            let window = Window::Seconds(10);
            Resilience4j::new(resilience4j::Settings {
                window,
                ..Default::default()
            })
            .into()
        },
    },
    Entry {
        name: "r4j-time60-def",
        settings: "50 % of 100 calls in 60 s, else defaults: 60 s, 10 probes",
        source: RESILIENCE4J,
        build: |_| {
            let window = Window::Seconds(60);
            Resilience4j::new(resilience4j::Settings {
                window,
                ..Default::default()
            })
            .into()
        },
    },
    Entry {
        name: "r4j-time10-tuned",
        settings: "50 % of 10 calls in 10 s; 5 s, 3 probes",
        source: RESILIENCE4J,
        build: |_| Resilience4j::new(tuned_resilience4j(Window::Seconds(10))).into(),
    },
    Entry {
        name: "r4j-slow-tuned",
        settings: "50 % of 10 calls in 10 s failed, or took longer than 100 ms; 5 s, 3 probes",
        source: RESILIENCE4J,
        build: |_| {
            Resilience4j::new(resilience4j::Settings {
                slow_call_rate: 50.0,
                slow_call_duration: 100 * MILLISECOND,
                ..tuned_resilience4j(Window::Seconds(10))
            })
            .into()
        },
    },
    Entry {
        name: "polly-def",
        settings: "defaults: 10 % of 100 calls in 30 s; 5 s, 1 probe",
        source: POLLY,
        build: |_| Polly::new(polly::Settings::default()).into(),
    },
    Entry {
        name: "polly-tuned",
        settings: "50 % of 10 calls in 10 s; 5 s, 1 probe",
        source: POLLY,
        build: |_| {
            Polly::new(polly::Settings {
                failure_ratio: 0.5,
                minimum_throughput: 10,
                sampling_duration: 10 * SECOND,
                ..Default::default()
            })
            .into()
        },
    },
    Entry {
        name: "sentinel",
        settings: "more than 50 % of 5 calls in one second's bucket; 10 s (no default), 1 probe",
        source: SENTINEL,
        build: |_| Sentinel::new(sentinel::Settings::default()).into(),
    },
    Entry {
        name: "sentinel-tuned",
        settings: "more than 50 % of 10 calls in a bucket of 10 s; 5 s, 1 probe",
        source: SENTINEL,
        build: |_| Sentinel::new(tuned_sentinel(Grade::ErrorRatio(0.5))).into(),
    },
    Entry {
        name: "sentinel-slow-tuned",
        settings: "more than 50 % of 10 calls in a bucket of 10 s took longer than 100 ms; 5 s, 1 probe",
        source: SENTINEL,
        build: |_| {
            let grade = Grade::SlowRatio {
                longer_than: 100 * MILLISECOND,
                ratio: 0.5,
            };
            Sentinel::new(tuned_sentinel(grade)).into()
        },
    },
    Entry {
        name: "gobreaker",
        settings: "defaults: 6 failures in a row; 60 s, 1 probe",
        source: GOBREAKER,
        build: |_| Gobreaker::new(gobreaker::Settings::default()).into(),
    },
    Entry {
        name: "gobreaker-tuned",
        settings: "5 failures in a row; 5 s, 3 probes",
        source: GOBREAKER,
        build: |_| {
            Gobreaker::new(gobreaker::Settings {
                max_requests: 3,
                timeout: 5 * SECOND,
                consecutive_failures: 4,
            })
            .into()
        },
    },
    Entry {
        name: "envoy-5xx",
        settings: "defaults: 5 failures in a row; 30 s times ejections, swept each 10 s, no probe",
        source: ENVOY,
        build: |_| Envoy::new(envoy::Settings::default()).into(),
    },
    Entry {
        name: "envoy-5xx-tuned",
        settings: "5 failures in a row; 5 s times ejections, 30 s at most, swept each second, no probe",
        source: ENVOY,
        build: |_| {
            Envoy::new(envoy::Settings {
                interval: SECOND,
                base_ejection_time: 5 * SECOND,
                max_ejection_time: 30 * SECOND,
                ..Default::default()
            })
            .into()
        },
    },
    Entry {
        name: "finagle",
        settings: "defaults: 5 failures in a row, or a moving success rate under 80 % over 30 s; 5 to 300 s with jitter, 1 probe",
        source: FINAGLE,
        build: |seed| Finagle::new(&finagle::Settings::default(), seed).into(),
    },
    Entry {
        name: "finagle-tuned",
        settings: "5 failures in a row, or a moving success rate under 50 % over 10 s, 10 requests; 5 to 30 s with jitter, 1 probe",
        source: FINAGLE,
        build: |seed| {
            let settings = finagle::Settings {
                success_rate: 0.5,
                window: 10 * SECOND,
                minimum_requests: 10,
                longest_wait: 30 * SECOND,
                ..Default::default()
            };
            Finagle::new(&settings, seed).into()
        },
    },
    Entry {
        name: "sre-k2",
        settings: "as in the book: K 2 over 2 min",
        source: SRE,
        build: |seed| {
            AdaptiveThrottling::new(adaptive_throttling::Settings::default(), seed).into()
        },
    },
    Entry {
        name: "sre-tuned",
        settings: "K 2 over 10 s in buckets of 100 ms, 10 requests at least",
        source: SRE,
        build: |seed| {
            let settings = adaptive_throttling::Settings {
                window: 10 * SECOND,
                buckets: 100,
                minimum_requests: 10,
                ..Default::default()
            };
            AdaptiveThrottling::new(settings, seed).into()
        },
    },
    Entry {
        name: "aegis",
        settings: "defaults: K 1/0.6 over 3 s in 10 buckets, 100 requests at least, counted when they end",
        source: AEGIS,
        build: |seed| {
            let settings = adaptive_throttling::Settings {
                k: 1.0 / 0.6,
                window: 3 * SECOND,
                buckets: 10,
                minimum_requests: 100,
                counted: Counted::AtEnd,
            };
            AdaptiveThrottling::new(settings, seed).into()
        },
    },
    Entry {
        name: "semian-adaptive",
        settings: "defaults: a PID controller (1, 0.2, 0) of the share that it rejects, set each second from 10 s",
        source: SEMIAN,
        build: |seed| Semian::new(semian::Settings::default(), seed).into(),
    },
    Entry {
        name: "recloser",
        settings: "defaults: 50 % of the last 100 calls; 30 s, all let through until 50 % of 10 tell",
        source: RECLOSER,
        build: |_| Recloser::new(recloser::Settings::default()).into(),
    },
    Entry {
        name: "recloser-tuned",
        settings: "50 % of the last 20 calls; 5 s, all let through until 50 % of 3 tell",
        source: RECLOSER,
        build: |_| {
            Recloser::new(recloser::Settings {
                closed_length: 20,
                half_open_length: 3,
                open_wait: 5 * SECOND,
                ..Default::default()
            })
            .into()
        },
    },
    Entry {
        name: "failsafe-rs",
        settings: "defaults: 5 failures in a row, or a moving success rate under 80 % over 30 s; 10 to 300 s with jitter, all let through until one tells",
        source: FAILSAFE,
        build: |seed| FailsafeRs::new(&failsafe_rs::Settings::default(), seed).into(),
    },
    Entry {
        name: "failsafe-rs-tuned",
        settings: "5 failures in a row, or a moving success rate under 50 % over 10 s, 10 requests; 5 s, all let through until one tells",
        source: FAILSAFE,
        build: |seed| {
            let settings = failsafe_rs::Settings {
                success_rate: Some(failsafe_rs::SuccessRate {
                    required: 0.5,
                    minimum_requests: 10,
                    window_seconds: 10,
                }),
                consecutive_failures: Some(5),
                backoff: Backoff::Constant(5 * SECOND),
            };
            FailsafeRs::new(&settings, seed).into()
        },
    },
];

fn tuned_resilience4j(window: Window) -> resilience4j::Settings {
    resilience4j::Settings {
        window,
        minimum_calls: 10,
        wait_in_open: 5 * SECOND,
        permitted_in_half_open: 3,
        ..Default::default()
    }
}

fn tuned_sentinel(grade: Grade) -> sentinel::Settings {
    sentinel::Settings {
        grade,
        minimum_requests: 10,
        interval: 10 * SECOND,
        time_window: 5 * SECOND,
    }
}
