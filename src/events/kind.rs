//! The word for each kind of cause, for labels.

use super::Cause;

impl Cause {
    /// The kind of the cause as one stable word, for labels of metrics and fields of logs.
    ///
    /// `Display` contains numbers, so each trip would be a time series of its own. This word has
    /// none. A word never changes its meaning, and later versions may add words:
    ///
    /// | the breaker | words |
    /// |---|---|
    /// | opens, by a policy | `consecutive_failures`, `failure_count`, `failure_rate`, `burn_rate`, `slow_rate`, `latency_percentile`, `slower_than_usual`, `evidence` |
    /// | opens, by an outcome | `trip_requested` |
    /// | becomes half-open | `open_expired`, `health_check_succeeded`, `probes_overdue`, `probe_succeeded` |
    /// | opens again | `health_check_failed`, `probe_failed`, `probe_slow`, `too_many_probes_failed`, `too_many_probes_slow`, `ramp_failed`, `ramp_overdue` |
    /// | closes | `probes_succeeded`, `enough_probes_succeeded`, `ramp_completed` |
    /// | opens again or closes | `half_open_expired` |
    /// | is forced open by its group | `isolated` |
    /// | enters any state | `reconfigured`, `manual`, `released` |
    /// | opens, becomes half-open or closes, by its fleet | `fleet` |
    ///
    /// ```
    /// use tripcurve::events::Cause;
    ///
    /// let cause = Cause::ConsecutiveFailures { failures: 5, limit: 5 };
    /// assert_eq!(cause.kind(), "consecutive_failures");
    /// assert_eq!(Cause::Manual.kind(), "manual");
    /// ```
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ConsecutiveFailures { .. } => "consecutive_failures",
            Self::FailureCount { .. } => "failure_count",
            Self::FailureRate { .. } => "failure_rate",
            Self::BurnRate { .. } => "burn_rate",
            Self::SlowRate { .. } => "slow_rate",
            Self::LatencyPercentile { .. } => "latency_percentile",
            Self::SlowerThanUsual { .. } => "slower_than_usual",
            Self::Evidence { .. } => "evidence",
            Self::Fleet { .. } => "fleet",
            Self::TripRequested => "trip_requested",
            Self::OpenExpired => "open_expired",
            Self::HealthCheckSucceeded => "health_check_succeeded",
            Self::HealthCheckFailed => "health_check_failed",
            Self::ProbesSucceeded { .. } => "probes_succeeded",
            Self::EnoughProbesSucceeded { .. } => "enough_probes_succeeded",
            Self::TooManyProbesFailed { .. } => "too_many_probes_failed",
            Self::TooManyProbesSlow { .. } => "too_many_probes_slow",
            Self::HalfOpenExpired => "half_open_expired",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeSlow => "probe_slow",
            Self::ProbesOverdue { .. } => "probes_overdue",
            Self::ProbeSucceeded { .. } => "probe_succeeded",
            Self::RampCompleted { .. } => "ramp_completed",
            Self::RampFailed { .. } => "ramp_failed",
            Self::RampOverdue { .. } => "ramp_overdue",
            Self::Reconfigured => "reconfigured",
            Self::Manual => "manual",
            Self::Isolated => "isolated",
            Self::Released => "released",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The names of the variants of `Cause`, read from the source.
    fn variants() -> Vec<&'static str> {
        let source = include_str!("cause.rs");
        let (_, variants) = source.split_once("pub enum Cause {\n").unwrap();
        let (variants, _) = variants.split_once("\n}\n").unwrap();
        let name = |line: &'static str| {
            let line = line.strip_prefix("    ")?;
            let name = line.strip_suffix(" {").or(line.strip_suffix(','))?;
            name.starts_with(char::is_uppercase).then_some(name)
        };
        let variants: Vec<_> = variants.lines().filter_map(name).collect();
        assert!(variants.len() >= 24, "{variants:?}");
        variants
    }

    fn snake(name: &str) -> String {
        let mut word = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !word.is_empty() {
                word.push('_');
            }
            word.extend(letter.to_lowercase());
        }
        word
    }

    #[test]
    fn each_kind_has_a_word_of_its_own() {
        let source = include_str!("kind.rs");
        let (code, _) = source.split_once("#[cfg(test)]").unwrap();
        let variants = variants();
        for name in &variants {
            let word = snake(name);
            let arms = [
                format!("Self::{name} => \"{word}\","),
                format!("Self::{name} {{ .. }} => \"{word}\","),
            ];
            assert!(arms.iter().any(|arm| code.contains(arm)), "{name}");
        }
        let words: BTreeSet<_> = variants.iter().map(|name| snake(name)).collect();
        assert_eq!(words.len(), variants.len());
        assert_eq!(code.matches("=> \"").count(), variants.len());
    }

    #[test]
    fn each_word_is_listed_in_the_docs_once() {
        let source = include_str!("kind.rs");
        let rows = source.lines().filter(|line| line.contains("/// | "));
        let rows: String = rows.collect();
        let variants = variants();
        for name in &variants {
            let word = snake(name);
            assert_eq!(rows.matches(&format!("`{word}`")).count(), 1, "{word}");
        }
        assert_eq!(rows.matches('`').count(), 2 * variants.len());
    }
}
