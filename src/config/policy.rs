//! When a breaker trips, as a file says it.

use serde::Serialize;

use super::read::{Meaning, Section, Words, Written, section};
use super::words::Time;
use crate::policy::{
    self, BurnRate, ErrorRate, LatencyPercentile, SlowRate, SlowerThanUsual, TripPolicy,
};

/// One policy: a key that says which, and its settings beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Policy {
    #[serde(skip_serializing_if = "Option::is_none")]
    consecutive_failures: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    burn_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_percentile: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slower_than_usual: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) adaptive: Option<Written<Adaptive>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slower_than: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    above: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percentile: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    short: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_calls: Option<u32>,
}

section!(Policy {
    consecutive_failures,
    failure_count,
    error_rate,
    slow_rate,
    burn_rate,
    latency_percentile,
    slower_than_usual,
    adaptive,
    slower_than,
    above,
    percentile,
    factor,
    short,
    min_calls,
});

/// The kinds, and which settings each has besides.
const KINDS: [(&str, &[&str]); 8] = [
    ("consecutive_failures", &[]),
    ("failure_count", &[]),
    ("error_rate", &["min_calls"]),
    ("slow_rate", &["slower_than", "min_calls"]),
    ("burn_rate", &["factor", "short", "min_calls"]),
    ("latency_percentile", &["above", "min_calls"]),
    ("slower_than_usual", &["percentile", "min_calls"]),
    ("adaptive", &[]),
];

impl Meaning for Policy {
    type Value = TripPolicy;

    const WHAT: &'static str = "a policy, as { error_rate = 0.5, min_calls = 20 } or \"adaptive\",";

    fn meaning(&self) -> Result<TripPolicy, String> {
        let mut kinds = KINDS.iter().filter(|(kind, _)| self.has(kind));
        let Some((kind, settings)) = kinds.next() else {
            let kinds = Words(KINDS.iter().map(|(kind, _)| kind));
            return Err(format!("says not which policy it is; add one of {kinds}"));
        };
        if let Some((second, _)) = kinds.next() {
            return Err(format!(
                "has both {kind} and {second}; a list has several policies, any of which trips"
            ));
        }
        let foreign = |key: &&&str| self.has(key) && key != &kind && !settings.contains(key);
        if let Some(key) = Self::KEYS.iter().find(foreign) {
            return Err(format!("{kind} has no setting {key}"));
        }
        self.policy()
            .ok_or_else(|| format!("{kind} has no meaning"))
    }

    fn of_word(word: &str) -> Option<Self> {
        let keys = Adaptive::default();
        (word == "adaptive").then(|| Self {
            adaptive: Written::new(keys).ok(),
            ..Self::default()
        })
    }

    fn word(&self) -> Option<&'static str> {
        let adaptive = self.adaptive.as_ref()?;
        (*adaptive.keys() == Adaptive::default()).then_some("adaptive")
    }
}

impl Policy {
    /// The policy of the first kind that it is.
    fn policy(&self) -> Option<TripPolicy> {
        let min_calls = self.min_calls;
        let duration = |time: &Option<Time>| time.as_ref().map(|time| time.duration);
        if let Some(n) = self.consecutive_failures {
            return Some(TripPolicy::consecutive_failures(n));
        }
        if let Some(n) = self.failure_count {
            return Some(TripPolicy::failure_count(n));
        }
        if let Some(share) = self.error_rate {
            let rate = TripPolicy::error_rate(share);
            return Some(with(rate, min_calls, ErrorRate::min_calls).into());
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

/// The value with a setting, if there is one.
pub(super) fn with<T, V>(value: T, setting: Option<V>, set: impl FnOnce(T, V) -> T) -> T {
    match setting {
        Some(setting) => set(value, setting),
        None => value,
    }
}

/// The settings of the adaptive policy, a table of their own as it has no number of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Adaptive {
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    false_trip_budget: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slower_than: Option<Time>,
}

section!(Adaptive {
    tolerate,
    false_trip_budget,
    slower_than,
});

impl Meaning for Adaptive {
    type Value = TripPolicy;

    const WHAT: &'static str = "settings, as { tolerate = 0.25 },";

    fn meaning(&self) -> Result<TripPolicy, String> {
        let duration = |time: &Option<Time>| time.as_ref().map(|time| time.duration);
        let policy = TripPolicy::adaptive();
        let policy = with(policy, self.tolerate, policy::Adaptive::tolerate);
        let budget = duration(&self.false_trip_budget);
        let policy = with(policy, budget, policy::Adaptive::false_trip_budget);
        let limit = duration(&self.slower_than);
        Ok(with(policy, limit, policy::Adaptive::slower_than).into())
    }
}
