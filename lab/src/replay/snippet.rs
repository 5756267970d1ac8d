//! A policy as code that a user can copy.

use std::fmt::Write as _;
use std::time::Duration;

use super::policy::{BUCKETS, DAY, Length, Policy, Rule};

impl Policy {
    /// The policy as an expression that makes a breaker of this name.
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
}

impl Rule {
    /// The same as code.
    fn code(&self) -> String {
        let mut code = "TripPolicy::".to_owned();
        let call = |method: &str, argument: String| format!("{method}({argument})");
        let min =
            |min: Option<u32>| min.map_or(String::new(), |calls| format!(".min_calls({calls})"));
        code += &match *self {
            Self::Consecutive(n) => call("consecutive_failures", n.to_string()),
            Self::FailureCount(n) => call("failure_count", n.to_string()),
            Self::ErrorRate { fraction, min: at } => {
                call("error_rate", format!("{fraction:?}")) + &min(at)
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
