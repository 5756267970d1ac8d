//! The settings of a breaker or of a template, as a file gives them.

use std::time::Duration;

use crate::named::check_name;
use crate::policy::{Policy, with};
use crate::read::{At, Form, Meaning, Read, Section, Short, Written, read_section, section};
use crate::words::{Time, Word};
use tripcurve::error::ConfigError;
use tripcurve::recovery::{Backoff, HalfOpenVerdict, Jitter};
use tripcurve::window::{CountWindow, Recording, Timing, Window};
use tripcurve::{CircuitBreakerBuilder, Outcome, Recovery, State};

section! {
    /// All settings, each under the name of the builder's method.
    pub(crate) struct Settings {
        /// The template whose settings apply where this breaker has none of its own: a name of
        /// `templates`.
        pub(crate) template: String { "maxLength": crate::named::MAX_NAME_CHARS },
        /// The recent calls that the breaker judges: by time, or the last calls. Default: 60 s in
        /// 10 buckets.
        window: Written<WindowKeys>,
        /// The policies. Any of them trips the breaker. Default: "adaptive" with a window by time,
        /// "classic" with a window by count.
        trip_when: Vec<Written<Policy>> { "minItems": 1, "maxItems": crate::policy::MAX_POLICIES },
        /// How the breaker recovers after a trip. Default: "adaptive" with the adaptive policy.
        /// Otherwise, and with `open_for` or `backoff`: 3 probes, all of which must succeed.
        recovery: Written<RecoveryKeys>,
        /// How long the breaker stays open after a trip: "1ms" to 10 years. The first call after
        /// that becomes a probe. Default without `backoff`: by the traffic in an adaptive recovery;
        /// otherwise 0.5 s at first, doubled with each failed recovery, up to 5 s.
        open_for: Time,
        /// Open times that grow with each failed recovery. It replaces `open_for`.
        backoff: Written<BackoffKeys>,
        /// How long a probe may take before another call gets its place: at least "1ms". Choose it
        /// longer than the call's own time limit. Default: 30 s.
        probe_timeout: Time,
        /// The longest `Retry-After` that the breaker honours: "1ms" to a year, or "0s" to honour
        /// none. Default: 5 min.
        max_retry_after: Time,
        /// How long a new breaker counts calls and doesn't trip: up to "1d". Default: not at all.
        warm_up: Time,
        /// How a cancelled call counts. Choose "failure" for calls within a timeout. Default:
        /// "ignored".
        on_cancel: Word<Outcome>,
        /// Whether the breaker takes part. If false, it lets all calls through and records nothing.
        /// Default: true.
        enabled: bool,
        /// Whether the breaker only measures. If true, it records all calls and never trips.
        /// Default: false.
        metrics_only: bool,
        /// The state to start in. Use `enabled` and `metrics_only` to switch a breaker off and on
        /// again. Default: "closed".
        start_in: Word<State>,
        /// The histograms of call durations. Default: "off", unless a policy uses percentiles.
        latency: Word<Recording>,
        /// Which calls are timed, if calls are timed. Default: "sampled", a sample of dense traffic.
        timing: Word<Timing>,
        /// How many threads have counts of their own. 1 makes a compact breaker, for services with
        /// thousands of breakers. By default, the breaker grows when it gets busy.
        shards: u32 { "minimum": 1, "maximum": 64 },
    }
}

impl Read for Settings {
    fn read<'de, D: serde::Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        use serde::de::Error;

        let what = "settings, as { open_for = \"5s\" },";
        let settings: Self = read_section(from, what, at)?;
        if let Some(template) = &settings.template {
            check_name(template, &at.key("template"))?;
        }
        let fault = if settings.open_for.is_some() && settings.backoff.is_some() {
            "has both open_for and backoff; the open time is fixed or it grows"
        } else if settings.trip_when.as_ref().is_some_and(Vec::is_empty) {
            "has no policy in trip_when; leave it out for the default one, or write \
             metrics_only = true for a breaker that never trips"
        } else {
            return Ok(settings);
        };
        Err(D::Error::custom(format_args!("{at}: {fault}")))
    }
}

/// Settings that breakers can inherit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template(pub(crate) Settings);

impl Read for Template {
    fn read<'de, D: serde::Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        use serde::de::Error;

        let settings = Settings::read(from, at)?;
        match settings.template {
            None => Ok(Self(settings)),
            Some(_) => Err(D::Error::custom(format_args!(
                "{at}.template: a template has none itself"
            ))),
        }
    }
}

impl serde::Serialize for Template {
    fn serialize<W: serde::Serializer>(&self, to: W) -> Result<W::Ok, W::Error> {
        self.0.serialize(to)
    }
}

impl Settings {
    /// These settings, with the template's where these have none.
    pub(crate) fn over(&self, template: &Self) -> Self {
        // `open_for` and `backoff` replace each other.
        let says_open_time = self.open_for.is_some() || self.backoff.is_some();
        let open_time = if says_open_time { self } else { template };
        Self {
            open_for: open_time.open_for.clone(),
            backoff: open_time.backoff.clone(),
            ..self.or(template)
        }
    }

    /// Applies these settings to a builder.
    pub(crate) fn apply(&self, builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
        let duration = |time: &Option<Time>| time.as_ref().map(|time| time.duration);
        let window = self.window.as_ref().map(|window| window.value().clone());
        let builder = with(builder, window, CircuitBreakerBuilder::window);
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
            let builder = with(builder, open_for, CircuitBreakerBuilder::open_for);
            with(builder, backoff, CircuitBreakerBuilder::backoff)
        };
        let builder = with(
            builder,
            duration(&self.probe_timeout),
            CircuitBreakerBuilder::probe_timeout,
        );
        let longest = duration(&self.max_retry_after);
        let builder = with(builder, longest, CircuitBreakerBuilder::max_retry_after);
        let builder = with(
            builder,
            duration(&self.warm_up),
            CircuitBreakerBuilder::warm_up,
        );
        let builder = with(builder, self.on_cancel, |builder, Word(outcome)| {
            builder.on_cancel(outcome)
        });
        let builder = with(builder, self.start_in, |builder, Word(state)| {
            builder.start_in(state)
        });
        let builder = with(builder, self.enabled, CircuitBreakerBuilder::enabled);
        let builder = with(
            builder,
            self.metrics_only,
            CircuitBreakerBuilder::metrics_only,
        );
        let builder = with(builder, self.latency, |builder, Word(recording)| {
            builder.latency(recording)
        });
        let builder = with(builder, self.timing, |builder, Word(timing)| {
            builder.timing(timing)
        });
        with(builder, self.shards, CircuitBreakerBuilder::shards)
    }

    /// The place in these settings that an error of the builder is about.
    pub(crate) fn place_of(&self, error: &ConfigError) -> String {
        let setting = &*error.setting;
        if matches!(
            setting,
            "probes"
                | "success_threshold"
                | "failure_threshold"
                | "slow_threshold"
                | "max_failure_rate"
                | "half_open_limit"
                | "steps"
                | "clients"
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

section! {
    /// A window by time or by count.
    pub(crate) struct WindowKeys {
        /// The length of a window by time: "100ms" to "7d". Default: 60 s.
        length: Time,
        /// The number of buckets in a window by time. Default: 10.
        buckets: u32 { "minimum": 1, "maximum": 1024 },
        /// The number of calls in a window by count.
        calls: u32 { "minimum": 1, "maximum": 1_048_576 },
        /// The oldest age of a call in a window by count: "100ms" to "7d". Default: no limit.
        within: Time,
    }
}

impl Meaning for WindowKeys {
    type Value = Window;

    const WHAT: &'static str =
        "a window, as { length = \"60s\", buckets = 10 } or { calls = 100 },";

    const FORMS: &'static [Form] = &[
        Form {
            needs: &["length"],
            may: &["buckets"],
        },
        Form {
            needs: &["buckets"],
            may: &[],
        },
        Form {
            needs: &["calls"],
            may: &["within"],
        },
    ];

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

section! {
    /// A recovery.
    pub(crate) struct RecoveryKeys and is_adaptive: bool {
        /// How many calls are let through while half-open. All must succeed, unless
        /// `success_threshold`, `failure_threshold` or `max_failure_rate` is set.
        probes: u32 { "minimum": 1, "maximum": 255 },
        /// How many of the probes must succeed, at most `probes`. Default: as many as may not fail.
        success_threshold: u32 { "minimum": 1, "maximum": 255 },
        /// How many failed probes reopen the breaker. Default: as many as leave too few successes.
        failure_threshold: u32 { "minimum": 1, "maximum": 255 },
        /// How many slow probes reopen the breaker. Default: slow probes count as failed.
        slow_threshold: u32 { "minimum": 1, "maximum": 255 },
        /// The shares of calls that are let through, step by step. Each must be larger than the one
        /// before.
        steps: Vec<f64> {
            "minItems": 1,
            "maxItems": 16,
            "items": { "type": "number", "exclusiveMinimum": 0, "maximum": 1 },
        },
        /// How long each step lasts: "1ms" to "1d". Choose it longer than calls take.
        each: Time,
        /// The largest share of the probes, or of a step's calls, that may fail. Default: none of
        /// the probes; a quarter of a step's calls.
        max_failure_rate: f64 { "minimum": 0, "exclusiveMaximum": 1 },
        /// An adaptive recovery. About so many clients share the dependency, so each of them spaces
        /// its probes and its ramp. Default with "adaptive": 1.
        clients: u32 { "minimum": 1, "maximum": 1_000_000 },
        /// How long the breaker may stay half-open: "1ms" to ten years. Default: no limit.
        half_open_limit: Time,
        /// What the breaker does at `half_open_limit`. Default: "reopen".
        half_open_verdict: Word<HalfOpenVerdict>,
    }
}

impl RecoveryKeys {
    fn thresholds(&self) -> impl Iterator<Item = Option<u32>> {
        [
            self.success_threshold,
            self.failure_threshold,
            self.slow_threshold,
        ]
        .into_iter()
    }
}

impl Meaning for RecoveryKeys {
    type Value = Recovery;

    const WHAT: &'static str =
        "a recovery, as \"adaptive\" or { probes = 3 } or { steps = [0.1, 1.0], each = \"10s\" },";

    const FORMS: &'static [Form] = &[
        Form {
            needs: &["probes"],
            may: &[
                "max_failure_rate",
                "slow_threshold",
                "half_open_limit",
                "half_open_verdict",
            ],
        },
        Form {
            needs: &["probes", "success_threshold"],
            may: &[
                "failure_threshold",
                "slow_threshold",
                "half_open_limit",
                "half_open_verdict",
            ],
        },
        Form {
            needs: &["probes", "failure_threshold"],
            may: &["slow_threshold", "half_open_limit", "half_open_verdict"],
        },
        Form {
            needs: &["steps", "each"],
            may: &["max_failure_rate", "half_open_limit", "half_open_verdict"],
        },
        Form {
            needs: &["clients"],
            may: &["half_open_limit", "half_open_verdict"],
        },
    ];

    const SHORT: &'static [Short<Self>] = &[Short {
        word: "adaptive",
        keys: || Self {
            is_adaptive: true,
            ..Self::default()
        },
    }];

    fn meaning(&self) -> Result<Recovery, String> {
        if self.is_adaptive {
            return Ok(Recovery::adaptive());
        }
        let has_thresholds = self.thresholds().any(|it| it.is_some());
        let way = match (self.probes, &self.steps, &self.each, self.clients) {
            (Some(probes), None, None, None) => Recovery::probes(probes),
            (None, Some(shares), Some(each), None) if !has_thresholds => {
                Recovery::steps(shares, each.duration)
            }
            (None, None, None, Some(clients))
                if !has_thresholds && self.max_failure_rate.is_none() =>
            {
                Recovery::adaptive().clients(clients)
            }
            _ => {
                return Err(
                    "a recovery is by probes, perhaps with success_threshold, failure_threshold or \
                     slow_threshold, or by steps, with each, the time of one, or adaptive, with \
                     clients"
                        .to_owned(),
                );
            }
        };
        let count = [
            ("success_threshold", self.success_threshold),
            ("failure_threshold", self.failure_threshold),
        ];
        if self.max_failure_rate.is_some()
            && let Some((name, _)) = count.iter().find(|(_, it)| it.is_some())
        {
            return Err(format!(
                "has both {name} and max_failure_rate; each replaces the other"
            ));
        }
        let way = with(way, self.success_threshold, Recovery::success_threshold);
        let way = with(way, self.failure_threshold, Recovery::failure_threshold);
        let way = with(way, self.slow_threshold, Recovery::slow_threshold);
        let way = with(way, self.max_failure_rate, Recovery::max_failure_rate);
        match (&self.half_open_limit, &self.half_open_verdict) {
            (None, None) => Ok(way),
            (Some(limit), verdict) => {
                let verdict = verdict.map_or(HalfOpenVerdict::Reopen, |Word(verdict)| verdict);
                Ok(way.half_open_limit(limit.duration, verdict))
            }
            (None, Some(_)) => {
                Err("has half_open_verdict without half_open_limit; add the limit".to_owned())
            }
        }
    }
}

section! {
    /// Growing open times.
    pub(crate) struct BackoffKeys {
        /// The first open time, "1ms" to a year.
        base: Time,
        /// The factor by which the open time grows with each failed recovery.
        factor: f64 { "minimum": 1, "maximum": 100 },
        /// The longest open time: from `base` to a year.
        longest: Time,
        /// How random the open times are, so that many processes don't probe at once. Default:
        /// "equal".
        jitter: Word<Jitter>,
        /// How long the breaker must have been closed before the next open time is `base` again: at
        /// least "1ms". Default: `base`.
        healthy_after: Time,
    }
}

impl Meaning for BackoffKeys {
    type Value = Backoff;

    const WHAT: &'static str = "a backoff, as { base = \"5s\", factor = 2.0, longest = \"2m\" },";

    const FORMS: &'static [Form] = &[Form {
        needs: &["base", "factor", "longest"],
        may: &["jitter", "healthy_after"],
    }];

    fn meaning(&self) -> Result<Backoff, String> {
        let (Some(base), Some(factor), Some(longest)) = (&self.base, self.factor, &self.longest)
        else {
            return Err("a backoff needs base, factor and longest, as { base = \"5s\", factor = 2.0, longest = \"2m\" }".to_owned());
        };
        let backoff = Backoff::exponential(base.duration, factor, longest.duration);
        let backoff = with(backoff, self.jitter, |backoff, Word(jitter)| {
            backoff.jitter(jitter)
        });
        let healthy_after = self.healthy_after.as_ref().map(|time| time.duration);
        Ok(with(backoff, healthy_after, Backoff::healthy_after))
    }
}
