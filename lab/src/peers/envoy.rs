//! Envoy's outlier detection for one host: ejection after consecutive 5xx, return at a sweep.
//!
//! The source is `outlier_detection.proto` and `outlier_detection_impl.cc`. Only the rule that
//! needs no other hosts is here. Envoy compares success rates only among at least five hosts, and
//! it doesn't enforce the failure percentage by default. The host is one of so many that
//! `max_ejection_percent` never prevents an ejection. Jitter, 0 by default, is left out.

use crate::breaker::{Breaker, Nanos, Phase};

use super::SECOND;

/// Envoy's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `consecutive_5xx`: this many failures in a row eject the host. Default: 5.
    pub consecutive_failures: u32,
    /// `interval`: the time between two sweeps. Default: 10 s.
    pub interval: Nanos,
    /// `base_ejection_time`: a sweep returns the host after this time, multiplied by the number of
    /// ejections. Default: 30 s.
    pub base_ejection_time: Nanos,
    /// `max_ejection_time`: the limit of an ejection's time, before the next sweep. Default: 300 s.
    pub max_ejection_time: Nanos,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            interval: 10 * SECOND,
            base_ejection_time: 30 * SECOND,
            max_ejection_time: 300 * SECOND,
        }
    }
}

/// One host under Envoy's outlier detection.
#[derive(Clone, Debug)]
pub struct Envoy {
    settings: Settings,
    failures: u32,
    /// The factor of the base time in the last ejection.
    multiplier: u64,
    /// The sweep that returned the host or will return it; 0 if it was never ejected.
    returned_at: Nanos,
}

impl Envoy {
    /// A host that takes calls. The first sweep is one interval away.
    #[must_use]
    pub fn new(mut settings: Settings) -> Self {
        settings.interval = settings.interval.max(1);
        Self {
            settings,
            failures: 0,
            multiplier: 0,
            returned_at: 0,
        }
    }

    fn eject(&mut self, now: Nanos) {
        let Settings {
            interval,
            base_ejection_time: base,
            max_ejection_time: max,
            ..
        } = self.settings;
        // A sweep at which the host has been back for an interval lowers the multiplier by one.
        self.multiplier = self
            .multiplier
            .saturating_sub((now - self.returned_at) / interval);
        if self.multiplier * base < max + base {
            self.multiplier += 1;
        }
        let ejection = (base * self.multiplier).min(max).max(1);
        self.returned_at = (now + ejection).next_multiple_of(interval);
    }
}

impl Breaker for Envoy {
    type Permit = ();

    fn admit(&mut self, now: Nanos) -> Option<()> {
        (now >= self.returned_at).then_some(())
    }

    fn record(&mut self, (): (), now: Nanos, succeeded: bool, _took: Nanos) {
        // Envoy forgets calls that end during an ejection when the host returns.
        if now < self.returned_at {
            return;
        }
        if succeeded {
            self.failures = 0;
            return;
        }
        self.failures += 1;
        if self.failures >= self.settings.consecutive_failures {
            self.failures = 0;
            self.eject(now);
        }
    }

    /// Envoy has no half-open state: all traffic returns at once.
    fn phase(&self, now: Nanos) -> Phase {
        if now < self.returned_at {
            Phase::Open
        } else {
            Phase::Closed
        }
    }
}
