//! Our policies by name, as the command line takes them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tripcurve::window::Window;
use tripcurve::{CircuitBreakerBuilder, Recovery, TripPolicy};

use super::arguments::{Arguments, PolicyError};

/// The settings of a breaker of the crate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// The rules that trip the breaker. Without rules, it has the crate's defaults.
    pub rules: Vec<Rule>,
    /// The window. `None` is the default.
    pub window: Option<Length>,
    /// The open time. `None` is the default.
    pub open_for: Option<Duration>,
    /// How many probes close the breaker. `None` is the default.
    pub probes: Option<u32>,
}

/// The length of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// A length of time.
    Time(Duration),
    /// A number of calls.
    Calls(u32),
}

/// One rule that trips the breaker.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// The classic pair.
    Classic,
    /// This many failures in a row.
    Consecutive(u32),
    /// This many failures in the window.
    FailureCount(u32),
    /// A failure rate.
    FailureRate {
        /// The rate.
        fraction: f64,
        /// The minimum number of calls.
        min: Option<u32>,
    },
    /// A rate of slow calls.
    SlowRate {
        /// The rate.
        fraction: f64,
        /// The duration above which a call is slow.
        slower: Duration,
        /// The minimum number of calls.
        min: Option<u32>,
    },
    /// A percentile above a limit.
    Percentile {
        /// The percentile.
        percentile: f64,
        /// The limit.
        above: Duration,
        /// The minimum number of calls.
        min: Option<u32>,
    },
    /// A percentile that is a multiple of its usual value.
    SlowerThanUsual {
        /// The multiple.
        factor: f64,
        /// The percentile.
        percentile: Option<f64>,
        /// The minimum number of calls.
        min: Option<u32>,
    },
    /// Evidence of an outage.
    Adaptive {
        /// The failure rate that isn't an outage.
        tolerate: Option<f64>,
        /// The time between two trips caused by noise.
        budget: Option<Duration>,
        /// The duration above which a call is slow and counts as failed.
        slower: Option<Duration>,
    },
}

/// The forms of all policies, for errors and the help.
pub(super) const FORMS: [(&str, &str); 9] = [
    ("default", "the crate's defaults"),
    (
        "classic",
        "5 failures in a row, or half of at least 10 calls",
    ),
    ("consecutive:5", "5 failures in a row"),
    ("error-rate:0.5:min=10", "half of at least 10 calls failed"),
    ("failure-count:20", "20 failures in the window"),
    (
        "slow-rate:0.5:slower=2s:min=10",
        "half of at least 10 calls took longer than 2 s",
    ),
    (
        "percentile:99:above=2s:min=100",
        "a percentile of at least 100 calls is above a limit",
    ),
    (
        "slower-than-usual:4:percentile=90:min=100",
        "a percentile is 4 times what it usually is",
    ),
    (
        "adaptive:tolerate=0.25:budget=1d:slower=2s",
        "evidence of an outage",
    ),
];

impl FromStr for Policy {
    type Err = PolicyError;

    /// Reads a policy such as `consecutive:5` or `error-rate:0.5:min=10:window=60s`. Several rules
    /// are joined by `+`; any of them trips.
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut policy = Self::default();
        for part in text.split('+') {
            let mut arguments = Arguments::new(part)?;
            policy.rules.extend(rule(&mut arguments)?);
            policy.window = arguments.window()?.or(policy.window);
            policy.open_for = arguments.duration("open")?.or(policy.open_for);
            policy.probes = arguments.number("probes")?.or(policy.probes);
            arguments.done()?;
        }
        Ok(policy)
    }
}

fn rule(arguments: &mut Arguments<'_>) -> Result<Option<Rule>, PolicyError> {
    let rule = match arguments.name() {
        "default" => return Ok(None),
        "classic" => Rule::Classic,
        "consecutive" => Rule::Consecutive(arguments.first("5")?),
        "failure-count" => Rule::FailureCount(arguments.first("20")?),
        "error-rate" => Rule::FailureRate {
            fraction: arguments.first("0.5")?,
            min: arguments.number("min")?,
        },
        "slow-rate" => Rule::SlowRate {
            fraction: arguments.first("0.5")?,
            slower: arguments.needed_duration("slower")?,
            min: arguments.number("min")?,
        },
        "percentile" => Rule::Percentile {
            percentile: arguments.first("99")?,
            above: arguments.needed_duration("above")?,
            min: arguments.number("min")?,
        },
        "slower-than-usual" => Rule::SlowerThanUsual {
            factor: arguments.first("4")?,
            percentile: arguments.number("percentile")?,
            min: arguments.number("min")?,
        },
        "adaptive" => Rule::Adaptive {
            tolerate: arguments.number("tolerate")?,
            budget: arguments.duration("budget")?,
            slower: arguments.duration("slower")?,
        },
        _ => return Err(arguments.unknown()),
    };
    Ok(Some(rule))
}

/// Writes the policy as the command line takes it.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rules.is_empty() {
            f.write_str("default")?;
        }
        for (index, rule) in self.rules.iter().enumerate() {
            write!(f, "{}{rule}", if index > 0 { "+" } else { "" })?;
        }
        match self.window {
            Some(Length::Time(length)) => write!(f, ":window={}", short(length))?,
            Some(Length::Calls(calls)) => write!(f, ":window={calls}calls")?,
            None => {}
        }
        if let Some(open_for) = self.open_for {
            write!(f, ":open={}", short(open_for))?;
        }
        match self.probes {
            Some(probes) => write!(f, ":probes={probes}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = match *self {
            Self::Classic => return f.write_str("classic"),
            Self::Consecutive(n) => return write!(f, "consecutive:{n}"),
            Self::FailureCount(n) => return write!(f, "failure-count:{n}"),
            Self::FailureRate { fraction, min } => {
                write!(f, "error-rate:{fraction}")?;
                min
            }
            Self::SlowRate {
                fraction,
                slower,
                min,
            } => {
                write!(f, "slow-rate:{fraction}:slower={}", short(slower))?;
                min
            }
            Self::Percentile {
                percentile,
                above,
                min,
            } => {
                write!(f, "percentile:{percentile}:above={}", short(above))?;
                min
            }
            Self::SlowerThanUsual {
                factor,
                percentile,
                min,
            } => {
                write!(f, "slower-than-usual:{factor}")?;
                percentile.map_or(Ok(()), |which| write!(f, ":percentile={which}"))?;
                min
            }
            Self::Adaptive {
                tolerate,
                budget,
                slower,
            } => {
                f.write_str("adaptive")?;
                tolerate.map_or(Ok(()), |share| write!(f, ":tolerate={share}"))?;
                budget.map_or(Ok(()), |time| write!(f, ":budget={}", short(time)))?;
                slower.map_or(Ok(()), |limit| write!(f, ":slower={}", short(limit)))?;
                None
            }
        };
        least.map_or(Ok(()), |calls| write!(f, ":min={calls}"))
    }
}

/// A day in nanoseconds.
pub(super) const DAY: u128 = 86_400 * 1_000_000_000;

/// Formats a duration as the command line takes it.
pub(super) fn short(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        _ if nanos > 0 && nanos.is_multiple_of(DAY) => format!("{}d", nanos / DAY),
        _ if nanos.is_multiple_of(1_000_000_000) => format!("{}s", duration.as_secs()),
        _ if nanos.is_multiple_of(1_000_000) => format!("{}ms", duration.as_millis()),
        _ => format!("{nanos}ns"),
    }
}

impl Rule {
    fn policy(&self) -> TripPolicy {
        match *self {
            Self::Classic => TripPolicy::classic(),
            Self::Consecutive(n) => TripPolicy::consecutive_failures(n),
            Self::FailureCount(n) => TripPolicy::failure_count(n).into(),
            Self::FailureRate { fraction, min } => {
                let rate = TripPolicy::failure_rate(fraction);
                with(rate, min, tripcurve::policy::FailureRate::min_calls).into()
            }
            Self::SlowRate {
                fraction,
                slower,
                min,
            } => {
                let rate = TripPolicy::slow_rate(fraction).slower_than(slower);
                with(rate, min, tripcurve::policy::SlowRate::min_calls).into()
            }
            Self::Percentile {
                percentile,
                above,
                min,
            } => {
                let limit = TripPolicy::latency_percentile(percentile).above(above);
                with(limit, min, tripcurve::policy::LatencyPercentile::min_calls).into()
            }
            Self::SlowerThanUsual {
                factor,
                percentile,
                min,
            } => {
                let comparison = TripPolicy::slower_than_usual(factor);
                let comparison = with(
                    comparison,
                    percentile,
                    tripcurve::policy::SlowerThanUsual::percentile,
                );
                with(
                    comparison,
                    min,
                    tripcurve::policy::SlowerThanUsual::min_calls,
                )
                .into()
            }
            Self::Adaptive {
                tolerate,
                budget,
                slower,
            } => {
                let adaptive = TripPolicy::adaptive();
                let adaptive = with(adaptive, tolerate, tripcurve::policy::Adaptive::tolerate);
                let adaptive = with(
                    adaptive,
                    budget,
                    tripcurve::policy::Adaptive::false_trip_budget,
                );
                with(adaptive, slower, tripcurve::policy::Adaptive::slower_than).into()
            }
        }
    }
}

fn with<T, V>(value: T, setting: Option<V>, set: impl FnOnce(T, V) -> T) -> T {
    match setting {
        Some(setting) => set(value, setting),
        None => value,
    }
}

impl Policy {
    /// A policy with one rule and the default settings.
    #[must_use]
    pub fn of(rule: Rule) -> Self {
        Self {
            rules: vec![rule],
            ..Self::default()
        }
    }

    /// Applies these settings to a builder.
    ///
    /// Only this function converts the lab's rules to the crate's. A new policy or recovery is
    /// added here, in [`Rule`], in the code that [`snippet`](Self::snippet) writes, and in the file
    /// of [`toml`](Self::toml).
    pub fn apply(&self, mut builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
        for rule in &self.rules {
            builder = builder.trip_when(rule.policy());
        }
        builder = match self.window {
            Some(Length::Time(length)) => builder.window(Window::time(length, BUCKETS)),
            Some(Length::Calls(calls)) => builder.window(Window::count(calls)),
            None => builder,
        };
        let Some(probes) = self.probes else {
            return with(builder, self.open_for, CircuitBreakerBuilder::open_for);
        };
        let recovery = Recovery::probes(probes);
        builder.recovery(with(recovery, self.open_for, Recovery::open_for))
    }
}

/// The number of buckets in the crate's default window.
pub(super) const BUCKETS: u32 = 10;
