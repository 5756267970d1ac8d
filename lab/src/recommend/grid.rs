//! The policies that are tried, the simplest first.

use std::time::Duration;

use crate::replay::{Length, Policy, Rule};

/// The policies that are tried first, with the default recovery. If slow calls are bad, each of
/// them also watches durations.
#[must_use]
pub(super) fn rules(slower_than: Option<Duration>) -> Vec<Policy> {
    let mut policies = Vec::new();
    for tolerate in [None, Some(0.0), Some(0.1), Some(0.5)] {
        policies.push(Policy::of(Rule::Adaptive {
            tolerate,
            budget: None,
            slower: slower_than,
        }));
    }
    let mut classic = vec![Policy::of(Rule::Classic)];
    classic.extend([5, 3, 8, 12, 20].map(|n| Policy::of(Rule::Consecutive(n))));
    for fraction in [0.5, 0.25, 0.1, 0.75] {
        for seconds in [60, 10] {
            for min in [10, 50] {
                let window = Length::Time(Duration::from_secs(seconds));
                classic.push(failure_rate(fraction, min, window));
            }
        }
    }
    for fraction in [0.5, 0.25] {
        for calls in [20, 100] {
            classic.push(failure_rate(fraction, 10, Length::Calls(calls)));
        }
    }
    classic.extend([10, 50].map(|n| Policy::of(Rule::FailureCount(n))));
    let Some(slower) = slower_than else {
        policies.extend(classic);
        return policies;
    };
    policies.extend(classic.into_iter().map(|policy| and_slow(policy, slower)));
    policies
}

fn failure_rate(fraction: f64, min: u32, window: Length) -> Policy {
    Policy {
        window: Some(window),
        ..Policy::of(Rule::FailureRate {
            fraction,
            min: Some(min),
        })
    }
}

/// Adds a rule on slow calls to the policy.
fn and_slow(mut policy: Policy, slower: Duration) -> Policy {
    policy.rules.push(Rule::SlowRate {
        fraction: 0.5,
        slower,
        min: None,
    });
    policy
}

/// The policy with each of the recoveries.
#[must_use]
pub(super) fn recoveries(policy: &Policy) -> Vec<Policy> {
    let mut policies = Vec::new();
    let fixed = [5, 2, 1, 15, 30, 60].map(|seconds| Some(Duration::from_secs(seconds)));
    for open_for in [None].into_iter().chain(fixed) {
        for probes in [3, 1, 10] {
            policies.push(Policy {
                open_for,
                probes: (probes != 3).then_some(probes),
                ..policy.clone()
            });
        }
    }
    policies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_accepts_every_policy_of_the_grid() {
        for slower in [None, Some(Duration::from_millis(200))] {
            for rule in rules(slower) {
                for policy in recoveries(&rule) {
                    let run = crate::replay::run_policy(&policy, &[]);
                    assert!(run.is_ok(), "{policy}: {run:?}");
                }
            }
        }
    }

    #[test]
    fn where_slow_calls_are_bad_every_policy_looks_at_times() {
        for policy in rules(Some(Duration::from_millis(200))) {
            assert!(policy.to_string().contains("slower=200ms"), "{policy}");
        }
    }
}
