//! The settings of a breaker or of a template, as a file says them.

use std::time::Duration;

use serde::Serialize;

use super::policy::{Policy, with};
use super::read::{At, Meaning, Read, Written, read_section, section};
use super::words::{Time, Word};
use crate::builder::Builder;
use crate::error::ConfigError;
use crate::outcome::Outcome;
use crate::recovery::{Backoff, Jitter, Recovery};
use crate::state::State;
use crate::window::{CountWindow, Recording, Window};

/// All of them, each by the name of the builder's method.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Written<WindowKeys>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trip_when: Option<Vec<Written<Policy>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery: Option<Written<RecoveryKeys>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_for: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff: Option<Written<BackoffKeys>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_timeout: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_retry_after: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_cancel: Option<Word<Outcome>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_in: Option<Word<State>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Word<Recording>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<u32>,
}

section!(Settings {
    template,
    window,
    trip_when,
    recovery,
    open_for,
    backoff,
    probe_timeout,
    longest_retry_after,
    on_cancel,
    start_in,
    latency,
    shards,
});

impl Read for Settings {
    fn read<'de, D: serde::Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        use serde::de::Error;

        let settings: Self = read_section(from, at)?;
        let fault = if settings.open_for.is_some() && settings.backoff.is_some() {
            "has both open_for and backoff; the open time is fixed or it grows"
        } else if settings.trip_when.as_ref().is_some_and(Vec::is_empty) {
            "has no policy in trip_when; leave it out for the default ones, or write start_in = \
             \"metrics-only\" for a breaker that never trips"
        } else {
            return Ok(settings);
        };
        Err(D::Error::custom(format_args!("{at}: {fault}")))
    }
}

impl Settings {
    /// These, and those of the template where these say nothing.
    pub(super) fn over(&self, template: &Self) -> Self {
        // Each replaces the other.
        let says_open_time = self.open_for.is_some() || self.backoff.is_some();
        let open_time = if says_open_time { self } else { template };
        Self {
            template: self.template.clone(),
            window: or(self.window.as_ref(), template.window.as_ref()),
            trip_when: or(self.trip_when.as_ref(), template.trip_when.as_ref()),
            recovery: or(self.recovery.as_ref(), template.recovery.as_ref()),
            open_for: open_time.open_for.clone(),
            backoff: open_time.backoff.clone(),
            probe_timeout: or(self.probe_timeout.as_ref(), template.probe_timeout.as_ref()),
            longest_retry_after: or(
                self.longest_retry_after.as_ref(),
                template.longest_retry_after.as_ref(),
            ),
            on_cancel: or(self.on_cancel.as_ref(), template.on_cancel.as_ref()),
            start_in: or(self.start_in.as_ref(), template.start_in.as_ref()),
            latency: or(self.latency.as_ref(), template.latency.as_ref()),
            shards: or(self.shards.as_ref(), template.shards.as_ref()),
        }
    }

    /// Gives a builder these settings.
    pub(super) fn apply(&self, builder: Builder) -> Builder {
        let duration = |time: &Option<Time>| time.as_ref().map(|time| time.duration);
        let window = self.window.as_ref().map(|window| window.value().clone());
        let builder = with(builder, window, Builder::window);
        let policies = self.trip_when.iter().flatten();
        let builder = policies.fold(builder, |builder, policy| {
            builder.trip_when(policy.value().clone())
        });
        let open_for = duration(&self.open_for);
        let backoff = self.backoff.as_ref().map(|backoff| *backoff.value());
        let builder = if let Some(recovery) = &self.recovery {
            let recovery = with(*recovery.value(), open_for, Recovery::open_for);
            builder.recovery(with(recovery, backoff, Recovery::backoff))
        } else {
            let builder = with(builder, open_for, Builder::open_for);
            with(builder, backoff, Builder::backoff)
        };
        let builder = with(
            builder,
            duration(&self.probe_timeout),
            Builder::probe_timeout,
        );
        let longest = duration(&self.longest_retry_after);
        let builder = with(builder, longest, Builder::longest_retry_after);
        let builder = with(builder, self.on_cancel, |builder, Word(outcome)| {
            builder.on_cancel(outcome)
        });
        let builder = with(builder, self.start_in, |builder, Word(state)| {
            builder.start_in(state)
        });
        let builder = with(builder, self.latency, |builder, Word(recording)| {
            builder.latency(recording)
        });
        with(builder, self.shards, Builder::shards)
    }

    /// Where in these settings the builder's complaint is at home.
    pub(super) fn place_of(&self, error: &ConfigError) -> String {
        let setting = &*error.setting;
        if matches!(
            setting,
            "probes" | "success_threshold" | "max_error_rate" | "steps"
        ) {
            return format!("recovery.{setting}");
        }
        if setting == "steps.each" {
            return "recovery.each".to_owned();
        }
        let (Some(index), Some(rest)) = (error.policy, setting.strip_prefix("trip_when.")) else {
            return setting.to_owned();
        };
        let (kind, own) = rest.split_once('.').unwrap_or((rest, ""));
        let policies = self.trip_when.as_ref();
        let policy = policies.and_then(|policies| policies.get(index));
        let is_adaptive = policy.is_some_and(|policy| policy.keys().adaptive.is_some());
        let key = match own {
            _ if is_adaptive && kind != "adaptive" => format!("adaptive.{rest}"),
            _ if is_adaptive => rest.to_owned(),
            "" => kind.to_owned(),
            own => own.to_owned(),
        };
        format!("trip_when[{index}].{key}")
    }
}

fn or<T: Clone>(own: Option<&T>, template: Option<&T>) -> Option<T> {
    own.or(template).cloned()
}

/// A window by time or by count.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct WindowKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buckets: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<Time>,
}

section!(WindowKeys {
    length,
    buckets,
    calls,
    within,
});

impl Meaning for WindowKeys {
    type Value = Window;

    const WHAT: &'static str =
        "a window, as { length = \"60s\", buckets = 10 } or { calls = 100 },";

    fn meaning(&self) -> Result<Window, String> {
        let by_time = self.length.is_some() || self.buckets.is_some();
        match (self.calls, &self.within) {
            (None, None) if by_time => {
                let length = self.length.as_ref().map(|time| time.duration);
                let length = length.unwrap_or(Duration::from_secs(60));
                Ok(Window::time(length, self.buckets.unwrap_or(10)))
            }
            (Some(calls), within) if !by_time => {
                let within = within.as_ref().map(|time| time.duration);
                let window = Window::count(calls);
                Ok(with(window, within, CountWindow::within).into())
            }
            _ => Err(
                "a window is by time, with length or buckets or both, or by count, with calls \
                 and perhaps within"
                    .to_owned(),
            ),
        }
    }
}

/// A way back.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct RecoveryKeys {
    #[serde(skip)]
    is_adaptive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    probes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success_threshold: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    each: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_error_rate: Option<f64>,
}

section!(RecoveryKeys {
    probes,
    success_threshold,
    steps,
    each,
    max_error_rate,
});

impl Meaning for RecoveryKeys {
    type Value = Recovery;

    const WHAT: &'static str =
        "a recovery, as \"adaptive\" or { probes = 3 } or { steps = [0.1, 1.0], each = \"10s\" },";

    fn meaning(&self) -> Result<Recovery, String> {
        if self.is_adaptive {
            return Ok(Recovery::adaptive());
        }
        let way = match (self.probes, &self.steps, &self.each) {
            (Some(probes), None, None) => Recovery::default().with_probes(probes),
            (None, Some(shares), Some(each)) if self.success_threshold.is_none() => {
                Recovery::in_steps(shares, each.duration)
            }
            _ => {
                return Err(
                    "a recovery is by probes, perhaps with success_threshold, or by steps, with \
                     each, the time of one"
                        .to_owned(),
                );
            }
        };
        if self.success_threshold.is_some() && self.max_error_rate.is_some() {
            return Err(
                "has both success_threshold and max_error_rate; each replaces the other".to_owned(),
            );
        }
        let way = with(way, self.success_threshold, Recovery::success_threshold);
        Ok(with(way, self.max_error_rate, Recovery::max_error_rate))
    }

    fn of_word(word: &str) -> Option<Self> {
        (word == "adaptive").then(|| Self {
            is_adaptive: true,
            ..Self::default()
        })
    }

    fn word(&self) -> Option<&'static str> {
        self.is_adaptive.then_some("adaptive")
    }
}

/// Open times that grow.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct BackoffKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<Word<Jitter>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthy_after: Option<Time>,
}

section!(BackoffKeys {
    base,
    factor,
    longest,
    jitter,
    healthy_after,
});

impl Meaning for BackoffKeys {
    type Value = Backoff;

    const WHAT: &'static str = "a backoff, as { base = \"5s\", factor = 2.0, longest = \"2m\" },";

    fn meaning(&self) -> Result<Backoff, String> {
        let (Some(base), Some(factor), Some(longest)) = (&self.base, self.factor, &self.longest)
        else {
            return Err("a backoff needs base, factor and longest".to_owned());
        };
        let backoff = Backoff::exponential(base.duration, factor, longest.duration);
        let backoff = with(backoff, self.jitter, |backoff, Word(jitter)| {
            backoff.jitter(jitter)
        });
        let healthy_after = self.healthy_after.as_ref().map(|time| time.duration);
        Ok(with(backoff, healthy_after, Backoff::healthy_after))
    }
}
