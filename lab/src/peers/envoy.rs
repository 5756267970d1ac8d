//! Envoy's outlier detection for one host: ejected after consecutive 5xx, returned by a sweep.
//!
//! Read in `outlier_detection.proto` and `outlier_detection_impl.cc`. Only the rule that needs no
//! other hosts: success rates are compared with those of at least five hosts, and the failure
//! percentage is not enforced by default. The host is taken for one of so many that
//! `max_ejection_percent` always lets it go. Left out: jitter (0 by default).

use crate::breaker::{Breaker, Nanos, Phase};

use super::SECOND;

/// Envoy's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `consecutive_5xx`: so many failures in a row eject the host. 5.
    pub consecutive_failures: u32,
    /// `interval`: the time between two sweeps. 10 s.
    pub interval: Nanos,
    /// `base_ejection_time`: times the number of ejections; a sweep returns the host when this
    /// has passed. 30 s.
    pub base_ejection_time: Nanos,
    /// `max_ejection_time`: no ejection lasts longer, until a sweep. 300 s.
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

/// One host that is watched as Envoy does.
#[derive(Clone, Debug)]
pub struct Envoy {
    settings: Settings,
    failures: u32,
    /// By how many base times the last ejection was multiplied.
    multiplier: u64,
    /// The sweep that returned the host or will; 0 when it was never ejected.
    returned_at: Nanos,
}

impl Envoy {
    /// A host that takes calls, with the first sweep one interval away.
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
        // Each sweep at which the host has been back for an interval takes one off.
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
        // What ends while the host is ejected is forgotten when it returns.
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

    /// There is no half-open: all traffic comes back at once.
    fn phase(&self, now: Nanos) -> Phase {
        if now < self.returned_at {
            Phase::Open
        } else {
            Phase::Closed
        }
    }
}
