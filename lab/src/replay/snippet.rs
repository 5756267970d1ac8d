//! A policy as code and as configuration, ready to copy.

use std::fmt::Write as _;
use std::time::Duration;

use super::policy::{BUCKETS, DAY, Length, Policy, Rule, short};

impl Policy {
    /// The policy as an expression that builds a breaker with this name.
    #[must_use]
    pub fn snippet(&self, name: &str) -> String {
        let mut code = format!("CircuitBreaker::builder({name:?})\n");
        match self.window {
            Some(Length::Time(length)) => {
                let length = code_of(length);
                let _ = writeln!(code, "    .window(Window::time({length}, {BUCKETS}))");
            }
            Some(Length::Calls(calls)) => {
                let _ = writeln!(code, "    .window(Window::count({calls}))");
            }
            None => {}
        }
        for rule in &self.rules {
            let _ = writeln!(code, "    .trip_when({})", rule.code());
        }
        if let Some(open_for) = self.open_for {
            let _ = writeln!(code, "    .open_for({})", code_of(open_for));
        }
        if let Some(probes) = self.probes {
            let _ = writeln!(code, "    .probes({probes})");
        }
        code + "    .build()?"
    }

    /// The policy as a TOML entry for a breaker with this name, for `tripcurve_config::Config`.
    #[must_use]
    pub fn toml(&self, name: &str) -> String {
        let mut toml = format!("[breakers.{}]\n", key(name));
        match self.window {
            Some(Length::Time(length)) => {
                let length = short(length);
                let _ = writeln!(
                    toml,
                    "window = {{ length = \"{length}\", buckets = {BUCKETS} }}"
                );
            }
            Some(Length::Calls(calls)) => {
                let _ = writeln!(toml, "window = {{ calls = {calls} }}");
            }
            None => {}
        }
        match &self.rules[..] {
            [] => {}
            [rule] => {
                let _ = writeln!(toml, "trip_when = [{}]", rule.toml());
            }
            several => {
                toml += "trip_when = [\n";
                for rule in several {
                    let _ = writeln!(toml, "    {},", rule.toml());
                }
                toml += "]\n";
            }
        }
        if let Some(open_for) = self.open_for {
            let _ = writeln!(toml, "open_for = \"{}\"", short(open_for));
        }
        if let Some(probes) = self.probes {
            let _ = writeln!(toml, "recovery = {{ probes = {probes} }}");
        }
        toml
    }
}

/// Formats a name as a TOML key, with quotes if it needs them.
fn key(name: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if !name.is_empty() && name.chars().all(is_bare) {
        return name.to_owned();
    }
    let mut quoted = String::from("\"");
    for letter in name.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            _ if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            _ => quoted.push(letter),
        }
    }
    quoted + "\""
}

impl Rule {
    /// The rule as code.
    fn code(&self) -> String {
        let mut code = "TripPolicy::".to_owned();
        let call = |method: &str, argument: String| format!("{method}({argument})");
        let min =
            |min: Option<u32>| min.map_or(String::new(), |calls| format!(".min_calls({calls})"));
        code += &match *self {
            Self::Classic => call("classic", String::new()),
            Self::Consecutive(n) => call("consecutive_failures", n.to_string()),
            Self::FailureCount(n) => call("failure_count", n.to_string()),
            Self::FailureRate { fraction, min: at } => {
                call("failure_rate", format!("{fraction:?}")) + &min(at)
            }
            Self::SlowRate {
                fraction,
                slower,
                min: at,
            } => {
                call("slow_rate", format!("{fraction:?}"))
                    + &call(".slower_than", code_of(slower))
                    + &min(at)
            }
            Self::Percentile {
                percentile,
                above,
                min: at,
            } => {
                call("latency_percentile", format!("{percentile:?}"))
                    + &call(".above", code_of(above))
                    + &min(at)
            }
            Self::SlowerThanUsual {
                factor,
                percentile,
                min: at,
            } => {
                let which = percentile.map_or(String::new(), |percentile| {
                    call(".percentile", format!("{percentile:?}"))
                });
                call("slower_than_usual", format!("{factor:?}")) + &which + &min(at)
            }
            Self::Adaptive {
                tolerate,
                budget,
                slower,
            } => {
                let mut code = call("adaptive", String::new());
                if let Some(tolerate) = tolerate {
                    code += &call(".tolerate", format!("{tolerate:?}"));
                }
                if let Some(budget) = budget {
                    code += &call(".false_trip_budget", code_of(budget));
                }
                if let Some(slower) = slower {
                    code += &call(".slower_than", code_of(slower));
                }
                code
            }
        };
        code
    }

    /// The rule as an entry of `trip_when`.
    fn toml(&self) -> String {
        let number = |number: f64| Some(format!("{number:?}"));
        let time = |duration| Some(format!("\"{}\"", short(duration)));
        let calls = |calls: Option<u32>| calls.map(|calls| calls.to_string());
        let settings = match *self {
            Self::Classic => return "\"classic\"".to_owned(),
            Self::Consecutive(n) => vec![("consecutive_failures", Some(n.to_string()))],
            Self::FailureCount(n) => vec![("failure_count", Some(n.to_string()))],
            Self::FailureRate { fraction, min } => {
                vec![
                    ("failure_rate", number(fraction)),
                    ("min_calls", calls(min)),
                ]
            }
            Self::SlowRate {
                fraction,
                slower,
                min,
            } => vec![
                ("slow_rate", number(fraction)),
                ("slower_than", time(slower)),
                ("min_calls", calls(min)),
            ],
            Self::Percentile {
                percentile,
                above,
                min,
            } => vec![
                ("latency_percentile", number(percentile)),
                ("above", time(above)),
                ("min_calls", calls(min)),
            ],
            Self::SlowerThanUsual {
                factor,
                percentile,
                min,
            } => vec![
                ("slower_than_usual", number(factor)),
                ("percentile", percentile.and_then(number)),
                ("min_calls", calls(min)),
            ],
            Self::Adaptive {
                tolerate,
                budget,
                slower,
            } => vec![
                ("tolerate", tolerate.and_then(number)),
                ("false_trip_budget", budget.and_then(time)),
                ("slower_than", slower.and_then(time)),
            ],
        };
        let entries: Vec<_> = settings
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} = {}", value?)))
            .collect();
        let entries = entries.join(", ");
        match self {
            Self::Adaptive { .. } if entries.is_empty() => "\"adaptive\"".to_owned(),
            Self::Adaptive { .. } => format!("{{ adaptive = {{ {entries} }} }}"),
            _ => format!("{{ {entries} }}"),
        }
    }
}

fn code_of(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        DAY => "Duration::from_secs(86_400)".to_owned(),
        _ if nanos > 0 && nanos.is_multiple_of(DAY) => {
            format!("Duration::from_secs({} * 86_400)", nanos / DAY)
        }
        _ if nanos.is_multiple_of(1_000_000_000) => {
            format!("Duration::from_secs({})", duration.as_secs())
        }
        _ if nanos.is_multiple_of(1_000_000) => {
            format!("Duration::from_millis({})", duration.as_millis())
        }
        _ => format!("Duration::from_nanos({nanos})"),
    }
}
