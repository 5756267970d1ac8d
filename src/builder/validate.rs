//! Checks all settings in one place.

#![allow(
    clippy::disallowed_types,
    reason = "the number of cores is asked once in a process"
)]

use std::{sync::OnceLock, time::Duration};

#[cfg(feature = "serde")]
use super::Fixed;
use super::{CircuitBreakerBuilder, Tunable};
#[cfg(feature = "async")]
use crate::engine::probe_queue::ProbeQueue;
use crate::recovery::{MaxRetryAfter, Recovery};
#[cfg(feature = "async")]
use crate::sync::wait_queue::EventQueue;
use crate::{
    adaptive::Evidence, clock::saturating_nanos, error::ConfigError, name::Name,
    policy::TripPolicy, sync::thread_slot::ThreadSlot, window::Timing, window::Window,
};

/// Values that `build` derives from valid settings.
pub(crate) struct Checked {
    pub(super) thread_slots: u32,
    pub(super) policies: Vec<TripPolicy>,
    pub(super) slower_than: Option<Duration>,
    pub(super) evidence: Option<Box<Evidence>>,
    pub(super) recovery: Recovery,
}

impl<C> CircuitBreakerBuilder<C> {
    /// Refuses a name that is too long.
    pub(crate) fn check_length_of_name(&self) -> Result<(), ConfigError> {
        if !Name::is_too_long(self.fixed.name.as_str()) {
            return Ok(());
        }
        Err(ConfigError::new(
            "name",
            format!(
                "{:?}, of {} bytes,",
                self.fixed.name,
                self.fixed.name.as_str().len()
            ),
            format!("at most {} characters long", Name::CHARS),
            "choose one that people can read",
        ))
    }

    /// Checks all settings without making the breaker.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    ///
    /// let settings = CircuitBreaker::builder("payments").shards(0);
    /// assert_eq!(settings.validate().unwrap_err().setting, "shards");
    /// assert_eq!(settings.shards(1).validate(), Ok(()));
    /// ```
    ///
    /// # Errors
    /// The error that [`build`](Self::build) would return.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check_length_of_name()?;
        self.checked()?;
        #[cfg(feature = "async")]
        {
            let max = self.fixed.max_waiting;
            let _queue = max.map(ProbeQueue::<EventQueue>::boxed).transpose()?;
        }
        Ok(())
    }

    /// Derives the values of [`Checked`], or returns the first setting that makes no sense.
    pub(crate) fn checked(&self) -> Result<Checked, ConfigError> {
        let checked = self.tunable.checked()?;
        #[cfg(feature = "tracing")]
        self.fixed.trace.check()?;
        #[cfg(feature = "serde")]
        {
            let Fixed { name, clock, .. } = &self.fixed;
            self.fixed.restored.check(name, clock)?;
        }
        Ok(checked)
    }
}

impl Tunable {
    /// See [`CircuitBreakerBuilder::checked`].
    fn checked(&self) -> Result<Checked, ConfigError> {
        let thread_slots = match self.shards {
            None => default_shards(),
            Some(shards) if (1..=ThreadSlot::OWNED).contains(&shards) => shards,
            Some(shards) => {
                return Err(ConfigError::new(
                    "shards",
                    shards,
                    format!("in 1..={}", ThreadSlot::OWNED),
                    "1 makes a compact breaker, the number of busy threads a fast one",
                ));
            }
        };
        self.window.check()?;
        let capacity = self.window.capacity();
        let mut policies = self.policies.clone();
        if policies.is_empty() {
            policies.push(TripPolicy::default_for(capacity));
        }
        for (index, policy) in policies.iter_mut().enumerate() {
            let fits = policy.fit(&self.window);
            fits.and_then(|()| policy.check(capacity))
                .map_err(|error| error.of_policy(index))?;
        }
        let slower_than = slower_than(&policies)?;
        let watch = slower_than.map(|_| self.timing);
        let evidence = evidence(&policies, &self.window, watch)?;
        let policies = TripPolicy::expanded(&policies, capacity);
        if policies.len() > TripPolicy::MOST {
            return Err(ConfigError::new(
                "trip_when",
                policies.len(),
                format!("at most {} policies", TripPolicy::MOST),
                "any of them trips, so leave those out that another one covers",
            ));
        }
        let recovery = self.chosen_recovery(evidence.is_some())?;
        recovery.check()?;
        recovery.check_slow_threshold(slower_than)?;
        self.max_retry_after.map_or(Ok(()), MaxRetryAfter::check)?;
        if self.warm_up > Duration::from_secs(86_400) {
            return Err(ConfigError::new(
                "warm_up",
                format!("{:?}", self.warm_up),
                "at most 1 day",
                "30 s suit most services; for a breaker that never trips there is metrics_only",
            ));
        }
        ConfigError::check_duration(
            "probe_timeout",
            self.probe_timeout,
            Duration::MAX,
            "at least 1ms",
            "choose it longer than the call's own time limit; Duration::MAX means never",
        )?;
        self.on_cancel.check_for_cancelled()?;
        Ok(Checked {
            thread_slots,
            policies,
            slower_than,
            evidence,
            recovery,
        })
    }

    /// The recovery that the settings describe. Refuses settings that contradict each other.
    fn chosen_recovery(&self, decides_by_evidence: bool) -> Result<Recovery, ConfigError> {
        if let Some(recovery) = self.recovery {
            let open_for = self.open_for.map(|it| format!("{it:?}"));
            let backoff = self.backoff.map(|it| format!("{:?}", it.base()));
            let probes = self.probes.map(|it| it.to_string());
            for (setting, value, it, example) in [
                (
                    "open_for",
                    open_for,
                    "it",
                    "Recovery::adaptive().open_for(…)",
                ),
                ("backoff", backoff, "it", "Recovery::adaptive().backoff(…)"),
                ("probes", probes, "them", "Recovery::probes(…)"),
            ] {
                if let Some(value) = value {
                    let expected = "possible together with recovery";
                    let hint = format!(
                        "set {it} on the recovery, as .recovery({example}), or leave out one of the two"
                    );
                    return Err(ConfigError::new(setting, value, expected, hint));
                }
            }
            return Ok(recovery);
        }
        let recovery = self.probes.map_or_else(Recovery::default, Recovery::probes);
        match (self.open_for, self.backoff) {
            (Some(open_for), Some(_)) => Err(ConfigError::not_beside_backoff(open_for)),
            (Some(open_for), None) => Ok(recovery.open_for(open_for)),
            (None, Some(backoff)) => Ok(recovery.backoff(backoff)),
            (None, None) if decides_by_evidence && self.probes.is_none() => {
                Ok(Recovery::adaptive())
            }
            (None, None) => Ok(recovery),
        }
    }
}

/// Makes the evidence of the adaptive policy, if there is one. Refuses two adaptive policies.
///
/// `watch` says whether the breaker watches calls in flight, and which calls it times then.
fn evidence(
    policies: &[TripPolicy],
    window: &Window,
    watch: Option<Timing>,
) -> Result<Option<Box<Evidence>>, ConfigError> {
    let mut configs = of_policies(policies, TripPolicy::adaptive_config);
    let Some((_, config)) = configs.next() else {
        return Ok(None);
    };
    if let Some((second, _)) = configs.next() {
        return Err(ConfigError::new(
            "trip_when.adaptive",
            "two adaptive policies",
            "one",
            "the one that tolerates less would always trip first",
        )
        .of_policy(second));
    }
    let window = saturating_nanos(window.length().unwrap_or_default());
    let evidence = Evidence::new(config, window);
    Ok(Some(Box::new(match watch {
        None => evidence,
        Some(Timing::EveryCall) => evidence.and_of_watched(config),
        Some(Timing::Sampled) => evidence.and_of_sample(config),
    })))
}

/// The limit above which a call is slow, if a policy has one. Refuses two different limits.
fn slower_than(policies: &[TripPolicy]) -> Result<Option<Duration>, ConfigError> {
    let mut limits = of_policies(policies, TripPolicy::slower_than);
    let Some((_, first)) = limits.next() else {
        return Ok(None);
    };
    let Some((index, other)) = limits.find(|(_, limit)| *limit != first) else {
        return Ok(Some(first));
    };
    Err(ConfigError::new(
        "trip_when.slower_than",
        format!("{other:?}"),
        format!("{first:?}, as in the other policy that counts slow calls"),
        "a breaker has one limit; for a second one use latency_percentile",
    )
    .of_policy(index))
}

/// What the policies have of a part that not all have, with their indexes.
fn of_policies<'a, T>(
    policies: &'a [TripPolicy],
    part: impl Fn(&'a TripPolicy) -> Option<T>,
) -> impl Iterator<Item = (usize, T)> {
    let parts = policies.iter().map(part).enumerate();
    parts.filter_map(|(index, part)| Some((index, part?)))
}

/// Twice the number of cores, but at least 8, because idle threads keep their shards too.
fn default_shards() -> u32 {
    // Cached: asking the system reads files, and services make thousands of breakers.
    static SHARDS: OnceLock<u32> = OnceLock::new();
    *SHARDS.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        u32::try_from(2 * cores).map_or(ThreadSlot::OWNED, |shards| {
            shards.clamp(8, ThreadSlot::OWNED)
        })
    })
}
