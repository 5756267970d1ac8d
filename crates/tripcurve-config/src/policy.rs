//! The policies that trip a breaker, as a file describes them.

use crate::read::{Form, Meaning, Section, Short, Words, Written, section};
use crate::words::Time;
use tripcurve::TripPolicy;
use tripcurve::policy::{
    BurnRate, FailureCount, FailureRate, LatencyPercentile, SlowRate, SlowerThanUsual,
};

/// The largest number of policies, the same as for any breaker.
pub(crate) const MAX_POLICIES: usize = 64;

section! {
    /// One policy: the key that names it, and its settings.
    pub(crate) struct Policy and is_classic: bool {
        /// Trips when this many calls in a row have failed.
        consecutive_failures: u32 { "minimum": 1, "maximum": u32::MAX },
        /// Trips when this many calls of the window have failed.
        failure_count: u32 { "minimum": 1, "maximum": u32::MAX },
        /// Trips when at least this share of the window's calls has failed. Half of the calls is
        /// 0.5.
        failure_rate: f64 { "exclusiveMinimum": 0, "maximum": 1 },
        /// Trips when at least this share of the window's calls was slow. Half of the calls is 0.5.
        slow_rate: f64 { "exclusiveMinimum": 0, "maximum": 1 },
        /// Trips when failures use up the error budget of this objective too fast. With 0.999, one
        /// call in a thousand may fail.
        burn_rate: f64 { "exclusiveMinimum": 0, "maximum": 0.999_999 },
        /// Trips when this percentile of the call durations is above a limit. With 99.0, one call
        /// in a hundred may take longer.
        latency_percentile: f64 { "minimum": 1, "maximum": 99.999 },
        /// Trips when a percentile of the call durations is this many times its usual value.
        slower_than_usual: f64 { "exclusiveMinimum": 1, "maximum": 1000 },
        /// Trips as soon as there is enough evidence that clearly more calls fail than usual.
        pub(crate) adaptive: Written<Adaptive>,
        /// The duration above which a call is slow: "1us" to "1h". It must be equal in all policies
        /// of a breaker.
        slower_than: Time,
        /// The limit of the percentile: "1us" to "60s".
        above: Time,
        /// The percentile that is compared. Default: 90.0.
        percentile: f64 { "minimum": 1, "maximum": 99.999 },
        /// The burn rate that trips: the failure rate divided by the error budget. Default: 14.4.
        factor: f64 { "minimum": 1, "maximum": 1000 },
        /// The short stretch of the window in which the burn rate must be too high as well.
        /// Default: a twelfth of the window.
        short: Time,
        /// The minimum number of calls before the policy judges.
        min_calls: u32 { "minimum": 1, "maximum": u32::MAX },
    }
}

impl Meaning for Policy {
    type Value = TripPolicy;

    const WHAT: &'static str =
        "a policy, as { failure_rate = 0.5, min_calls = 20 } or \"adaptive\" or \"classic\",";

    const LIST: &'static str = "a list of policies, as [{ failure_rate = 0.5 }, \"adaptive\"],";

    const MOST: (usize, &'static str) = (
        MAX_POLICIES,
        "any of them trips, so leave those out that another one covers",
    );

    /// Each form begins with the key that names the policy.
    const FORMS: &'static [Form] = &[
        Form {
            needs: &["consecutive_failures"],
            may: &[],
        },
        Form {
            needs: &["failure_count"],
            may: &["min_calls"],
        },
        Form {
            needs: &["failure_rate"],
            may: &["min_calls"],
        },
        Form {
            needs: &["slow_rate", "slower_than"],
            may: &["min_calls"],
        },
        Form {
            needs: &["burn_rate"],
            may: &["factor", "short", "min_calls"],
        },
        Form {
            needs: &["latency_percentile", "above"],
            may: &["min_calls"],
        },
        Form {
            needs: &["slower_than_usual"],
            may: &["percentile", "min_calls"],
        },
        Form {
            needs: &["adaptive"],
            may: &[],
        },
    ];

    const SHORT: &'static [Short<Self>] = &[
        Short {
            word: "adaptive",
            keys: || Self {
                adaptive: Written::new(Adaptive::default()).ok(),
                ..Self::default()
            },
        },
        Short {
            word: "classic",
            keys: || Self {
                is_classic: true,
                ..Self::default()
            },
        },
    ];

    fn meaning(&self) -> Result<TripPolicy, String> {
        if self.is_classic {
            return Ok(TripPolicy::classic());
        }
        let kinds = Self::FORMS.iter().map(|form| (form.needs[0], form));
        let mut own = kinds.clone().filter(|(kind, _)| self.has(kind));
        let Some((kind, form)) = own.next() else {
            let kinds = Words(kinds.map(|(kind, _)| kind));
            return Err(format!("says not which policy it is; add one of {kinds}"));
        };
        if let Some((second, _)) = own.next() {
            return Err(format!(
                "has both {kind} and {second}; a list has several policies, any of which trips"
            ));
        }
        let foreign =
            |key: &&&str| self.has(key) && !form.needs.contains(key) && !form.may.contains(key);
        if let Some(key) = Self::KEYS.iter().find(foreign) {
            return Err(format!("{kind} has no setting {key}"));
        }
        self.policy()
            .ok_or_else(|| format!("{kind} has no meaning"))
    }
}

impl Policy {
    /// The policy of the first kind whose key is set.
    fn policy(&self) -> Option<TripPolicy> {
        let min_calls = self.min_calls;
        let duration = |time: &Option<Time>| time.as_ref().map(|time| time.duration);
        if let Some(n) = self.consecutive_failures {
            return Some(TripPolicy::consecutive_failures(n));
        }
        if let Some(n) = self.failure_count {
            let count = TripPolicy::failure_count(n);
            return Some(with(count, min_calls, FailureCount::min_calls).into());
        }
        if let Some(share) = self.failure_rate {
            let rate = TripPolicy::failure_rate(share);
            return Some(with(rate, min_calls, FailureRate::min_calls).into());
        }
        if let Some(share) = self.slow_rate {
            let rate = TripPolicy::slow_rate(share);
            let rate = with(rate, duration(&self.slower_than), SlowRate::slower_than);
            return Some(with(rate, min_calls, SlowRate::min_calls).into());
        }
        if let Some(objective) = self.burn_rate {
            let burn = TripPolicy::burn_rate(objective);
            let burn = with(burn, self.factor, BurnRate::factor);
            let burn = with(burn, duration(&self.short), BurnRate::short);
            return Some(with(burn, min_calls, BurnRate::min_calls).into());
        }
        if let Some(percentile) = self.latency_percentile {
            let limit = TripPolicy::latency_percentile(percentile);
            let limit = with(limit, duration(&self.above), LatencyPercentile::above);
            return Some(with(limit, min_calls, LatencyPercentile::min_calls).into());
        }
        if let Some(factor) = self.slower_than_usual {
            let usual = TripPolicy::slower_than_usual(factor);
            let usual = with(usual, self.percentile, SlowerThanUsual::percentile);
            return Some(with(usual, min_calls, SlowerThanUsual::min_calls).into());
        }
        self.adaptive
            .as_ref()
            .map(|adaptive| adaptive.value().clone())
    }
}

/// Applies `set` to the value if the setting exists.
pub(crate) fn with<T, V>(value: T, setting: Option<V>, set: impl FnOnce(T, V) -> T) -> T {
    match setting {
        Some(setting) => set(value, setting),
        None => value,
    }
}

section! {
    /// The settings of the adaptive policy. They are a table, because the policy has no main
    /// number.
    pub(crate) struct Adaptive {
        /// The share of calls that may fail for any length of time without a trip. Default: 0.25.
        tolerate: f64 { "minimum": 0, "maximum": 0.9 },
        /// The mean time between two trips caused by noise: "60s" to 10 years. Default: 1 day.
        false_trip_budget: Time,
        /// The duration above which a call is slow and counts as failed: "1us" to "1h". Default: no
        /// limit.
        slower_than: Time,
    }
}

impl Meaning for Adaptive {
    type Value = TripPolicy;

    const WHAT: &'static str = "settings, as { tolerate = 0.25 } or {},";

    const FORMS: &'static [Form] = &[Form {
        needs: &[],
        may: Self::KEYS,
    }];

    fn meaning(&self) -> Result<TripPolicy, String> {
        let duration = |time: &Option<Time>| time.as_ref().map(|time| time.duration);
        let policy = TripPolicy::adaptive();
        let policy = with(policy, self.tolerate, tripcurve::policy::Adaptive::tolerate);
        let budget = duration(&self.false_trip_budget);
        let policy = with(
            policy,
            budget,
            tripcurve::policy::Adaptive::false_trip_budget,
        );
        let limit = duration(&self.slower_than);
        Ok(with(policy, limit, tripcurve::policy::Adaptive::slower_than).into())
    }
}
