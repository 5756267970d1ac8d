//! The documented behaviour of each peer, at its limits.

use tripcurve_lab::breaker::{Breaker, Nanos, Phase};
use tripcurve_lab::peers::adaptive_throttling::{self, AdaptiveThrottling, Counted};
use tripcurve_lab::peers::{
    Envoy, Finagle, Gobreaker, Hystrix, Polly, Recloser, Resilience4j, Sentinel, Visit, catalogue,
    envoy, finagle, gobreaker, hystrix, polly, recloser, resilience4j, sentinel,
};

const MILLISECOND: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MILLISECOND;

/// Makes one call that takes no time. Returns whether it was let through.
fn call(breaker: &mut impl Breaker, now: Nanos, succeeded: bool) -> bool {
    let permit = breaker.admit(now);
    let admitted = permit.is_some();
    if let Some(permit) = permit {
        breaker.record(permit, now, succeeded, 0);
    }
    admitted
}

/// Makes calls until the breaker isn't closed. Returns how many that took.
fn calls_until_open(breaker: &mut impl Breaker, now: Nanos, succeeded: bool) -> Option<u32> {
    (1..=1_000).find(|_| {
        call(breaker, now, succeeded);
        breaker.phase(now) != Phase::Closed
    })
}

/// The first time at which the breaker lets a call through, searched by nanoseconds around `guess`.
fn first_admitted(breaker: &(impl Breaker + Clone), guess: Nanos) -> Option<Nanos> {
    (guess - 2..=guess + 2).find(|&now| {
        let admitted = breaker.clone().admit(now).is_some();
        assert_eq!(
            admitted,
            breaker.phase(now) != Phase::Open,
            "phase and admission at {now}"
        );
        admitted
    })
}

mod resilience4j_decides {
    use super::*;
    use resilience4j::{Settings, Window};

    #[test]
    fn on_no_fewer_than_the_minimum_of_calls() {
        let mut breaker = Resilience4j::new(Settings::default());
        assert_eq!(calls_until_open(&mut breaker, 0, false), Some(100));
    }

    #[test]
    fn with_a_minimum_that_is_at_most_the_count_window() {
        let window = Window::Calls(20);
        let mut breaker = Resilience4j::new(Settings {
            window,
            ..Settings::default()
        });
        assert_eq!(calls_until_open(&mut breaker, 0, false), Some(20));

        let window = Window::Seconds(20);
        let mut breaker = Resilience4j::new(Settings {
            window,
            ..Settings::default()
        });
        assert_eq!(calls_until_open(&mut breaker, 0, false), Some(100));
    }

    #[test]
    fn at_the_threshold_and_also_on_a_success() {
        let settings = Settings {
            minimum_calls: 4,
            ..Settings::default()
        };
        let mut breaker = Resilience4j::new(settings);
        for succeeded in [false, false, true] {
            call(&mut breaker, 0, succeeded);
        }
        assert_eq!(breaker.phase(0), Phase::Closed, "three calls are too few");
        call(&mut breaker, 0, true);
        assert_eq!(breaker.phase(0), Phase::Open, "half of four failed");
    }

    #[test]
    fn on_the_last_calls_only() {
        let mut breaker = Resilience4j::new(Settings::default());
        for _ in 0..1_000 {
            call(&mut breaker, 0, true);
        }
        assert_eq!(calls_until_open(&mut breaker, 0, false), Some(50));
    }

    #[test]
    fn over_whole_seconds_with_the_present_one() {
        let window = Window::Seconds(10);
        let settings = Settings {
            window,
            minimum_calls: 2,
            ..Settings::default()
        };
        // The failure in second 0 still counts at the end of second 9, but no longer in second 10.
        for (later, phase) in [(10 * SECOND - 1, Phase::Open), (10 * SECOND, Phase::Closed)] {
            let mut breaker = Resilience4j::new(settings.clone());
            call(&mut breaker, SECOND - 1, false);
            call(&mut breaker, later, true);
            assert_eq!(breaker.phase(later), phase, "at {later}");
        }
    }

    #[test]
    fn over_seconds_in_which_nothing_was_called() {
        let window = Window::Seconds(10);
        let settings = Settings {
            window,
            minimum_calls: 4,
            ..Settings::default()
        };
        let mut breaker = Resilience4j::new(settings);
        call(&mut breaker, 0, true);
        assert_eq!(calls_until_open(&mut breaker, 5 * SECOND, false), Some(3));
    }

    #[test]
    fn on_slow_calls_that_take_longer_than_the_threshold() {
        let settings = Settings {
            slow_call_duration: SECOND,
            slow_call_rate: 50.0,
            minimum_calls: 2,
            ..Settings::default()
        };
        for (took, phase) in [(SECOND, Phase::Closed), (SECOND + 1, Phase::Open)] {
            let mut breaker = Resilience4j::new(settings.clone());
            breaker.record((), 0, true, took);
            breaker.record((), 0, true, 0);
            assert_eq!(breaker.phase(0), phase, "calls of {took} ns");
        }
    }

    #[test]
    fn half_open_when_more_than_the_wait_has_passed() {
        let mut breaker = Resilience4j::new(Settings::default());
        calls_until_open(&mut breaker, 0, false);
        assert_eq!(first_admitted(&breaker, 60 * SECOND), Some(60 * SECOND + 1));
    }

    fn half_open(settings: Settings) -> (Resilience4j, Nanos) {
        let mut breaker = Resilience4j::new(settings);
        calls_until_open(&mut breaker, 0, false);
        (breaker, 61 * SECOND)
    }

    #[test]
    fn half_open_by_the_rate_of_the_permitted_calls() {
        for (failures, phase) in [(4, Phase::Closed), (5, Phase::Open)] {
            let (mut breaker, now) = half_open(Settings::default());
            for _ in 0..10 {
                assert!(breaker.admit(now).is_some());
            }
            assert!(
                breaker.admit(now).is_none(),
                "an eleventh probe was let through"
            );
            for probe in 0..10 {
                assert_eq!(breaker.phase(now), Phase::Recovering);
                breaker.record((), now, probe >= failures, 0);
            }
            assert_eq!(breaker.phase(now), phase, "after {failures} of 10 failed");
        }
    }

    #[test]
    fn half_open_after_the_minimum_of_calls_when_that_is_less() {
        let (mut breaker, now) = half_open(Settings {
            minimum_calls: 3,
            ..Settings::default()
        });
        for _ in 0..2 {
            call(&mut breaker, now, true);
            assert_eq!(breaker.phase(now), Phase::Recovering);
        }
        call(&mut breaker, now, true);
        assert_eq!(breaker.phase(now), Phase::Closed);
        assert_eq!(
            calls_until_open(&mut breaker, now, false),
            Some(3),
            "a fresh window"
        );
    }

    #[test]
    fn half_open_on_results_of_the_closed_state_too() {
        let (mut breaker, now) = half_open(Settings::default());
        assert!(breaker.admit(now).is_some());
        for _ in 0..10 {
            breaker.record((), now, false, 0);
        }
        assert_eq!(breaker.phase(now), Phase::Open);
    }
}

mod polly_decides {
    use super::*;
    use polly::Settings;

    #[test]
    fn on_a_failure_only() {
        let settings = Settings {
            failure_ratio: 0.5,
            ..Settings::default()
        };
        let mut breaker = Polly::new(settings);
        for _ in 0..99 {
            call(&mut breaker, 0, false);
        }
        for _ in 0..99 {
            call(&mut breaker, 0, true);
            assert_eq!(breaker.phase(0), Phase::Closed, "a success tripped it");
        }
        call(&mut breaker, 0, false);
        assert_eq!(breaker.phase(0), Phase::Open, "100 of 199 failed");
    }

    #[test]
    fn at_the_ratio_and_the_minimum() {
        let mut breaker = Polly::new(Settings::default());
        for _ in 0..90 {
            call(&mut breaker, 0, true);
        }
        assert_eq!(calls_until_open(&mut breaker, 0, false), Some(10));
    }

    #[test]
    fn over_buckets_that_begin_with_a_call() {
        let settings = Settings {
            minimum_throughput: 2,
            ..Settings::default()
        };
        // The bucket that began at 1 s holds the call of 3.9 s; both leave the window at 31 s.
        for (later, phase) in [(31 * SECOND - 1, Phase::Open), (31 * SECOND, Phase::Closed)] {
            let mut breaker = Polly::new(settings.clone());
            call(&mut breaker, SECOND, true);
            call(&mut breaker, 3_900 * MILLISECOND, true);
            call(&mut breaker, later, false);
            assert_eq!(breaker.phase(later), phase, "at {later}");
        }
    }

    #[test]
    fn over_buckets_of_a_tenth_of_the_duration() {
        let settings = Settings {
            minimum_throughput: 2,
            ..Settings::default()
        };
        // The bucket that began at 1 s leaves at 31 s, with the calls made before 4 s.
        for (second, phase) in [(4 * SECOND - 1, Phase::Closed), (4 * SECOND, Phase::Open)] {
            let mut breaker = Polly::new(settings.clone());
            call(&mut breaker, SECOND, true);
            call(&mut breaker, second, true);
            call(&mut breaker, 31 * SECOND, false);
            assert_eq!(breaker.phase(31 * SECOND), phase, "with a call at {second}");
        }
    }

    #[test]
    fn half_open_as_soon_as_the_break_has_passed_and_with_one_call() {
        let mut breaker = Polly::new(Settings::default());
        calls_until_open(&mut breaker, 0, false);
        assert_eq!(first_admitted(&breaker, 5 * SECOND), Some(5 * SECOND));
        assert!(breaker.admit(5 * SECOND).is_some());
        assert!(
            breaker.admit(60 * SECOND).is_none(),
            "a second trial was let through"
        );
    }

    #[test]
    fn half_open_on_whatever_ends_first() {
        for (succeeded, phase) in [(true, Phase::Closed), (false, Phase::Open)] {
            let mut breaker = Polly::new(Settings::default());
            breaker.admit(0).unwrap();
            calls_until_open(&mut breaker, 0, false);
            assert!(breaker.admit(5 * SECOND).is_some());
            // The result of the call from before the trip.
            breaker.record((), 5 * SECOND, succeeded, 5 * SECOND);
            assert_eq!(breaker.phase(5 * SECOND), phase);
        }
    }

    #[test]
    fn afresh_once_it_has_closed() {
        let mut breaker = Polly::new(Settings::default());
        calls_until_open(&mut breaker, 0, false);
        call(&mut breaker, 5 * SECOND, true);
        assert_eq!(calls_until_open(&mut breaker, 5 * SECOND, false), Some(100));
    }
}

mod hystrix_decides {
    use super::*;
    use hystrix::Settings;

    const TICK: Nanos = 500 * MILLISECOND;

    fn after(calls: u32, failures: u32) -> Hystrix {
        let mut breaker = Hystrix::new(Settings::default());
        for number in 0..calls {
            call(&mut breaker, TICK / 2, number >= failures);
        }
        breaker
    }

    #[test]
    fn at_a_tick_only() {
        let mut breaker = after(1_000, 1_000);
        assert_eq!(breaker.phase(TICK - 1), Phase::Closed);
        assert!(breaker.admit(TICK - 1).is_some());
        assert_eq!(breaker.phase(TICK), Phase::Open);
        assert!(breaker.admit(TICK).is_none());
    }

    #[test]
    fn on_no_fewer_than_twenty_calls() {
        assert_eq!(after(19, 19).phase(TICK), Phase::Closed);
        assert_eq!(after(20, 20).phase(TICK), Phase::Open);
    }

    #[test]
    fn by_a_truncated_percentage() {
        assert_eq!(
            after(201, 100).phase(TICK),
            Phase::Closed,
            "49.75 % is 49 %"
        );
        assert_eq!(after(200, 100).phase(TICK), Phase::Open);
        assert_eq!(after(200, 101).phase(TICK), Phase::Open, "50.5 % is 50 %");
    }

    #[test]
    fn at_a_tick_without_a_call_when_old_successes_leave_the_window() {
        let mut breaker = Hystrix::new(Settings::default());
        for _ in 0..30 {
            call(&mut breaker, TICK / 2, true);
        }
        for _ in 0..20 {
            call(&mut breaker, 3 * TICK / 2, false);
        }
        // The successes are in the first bucket, which leaves the window at tick 21.
        assert_eq!(breaker.phase(21 * TICK - 1), Phase::Closed);
        assert_eq!(breaker.phase(21 * TICK), Phase::Open);
        // No call came in between, but the sleep window begins at that tick.
        let opened = 21 * TICK;
        assert_eq!(
            first_admitted(&breaker, opened + 5 * SECOND),
            Some(opened + 5 * SECOND + 1)
        );
    }

    #[test]
    fn half_open_with_one_call_after_more_than_the_sleep() {
        let mut breaker = after(20, 20);
        assert_eq!(
            first_admitted(&breaker, TICK + 5 * SECOND),
            Some(TICK + 5 * SECOND + 1)
        );
        let now = TICK + 6 * SECOND;
        assert!(breaker.admit(now).is_some());
        assert!(breaker.admit(now).is_none());
        breaker.record((), now, false, 0);
        assert_eq!(
            first_admitted(&breaker, now + 5 * SECOND),
            Some(now + 5 * SECOND + 1)
        );
    }

    #[test]
    fn afresh_and_on_new_ticks_once_it_has_closed() {
        let mut breaker = after(20, 20);
        let closed = TICK + 5 * SECOND + 100 * MILLISECOND;
        call(&mut breaker, closed, true);
        for _ in 0..19 {
            call(&mut breaker, closed, false);
        }
        assert_eq!(breaker.phase(closed + TICK - 1), Phase::Closed);
        assert_eq!(
            breaker.phase(closed + TICK),
            Phase::Open,
            "19 of 20, the probe included"
        );
    }
}

mod sentinel_decides {
    use super::*;
    use sentinel::{Grade, Settings};

    fn with(grade: Grade) -> Sentinel {
        Sentinel::new(Settings {
            grade,
            ..Settings::default()
        })
    }

    #[test]
    fn above_the_ratio_not_at_it() {
        let mut breaker = with(Grade::ErrorRatio(0.5));
        for succeeded in [true, true, true, false, false, false] {
            call(&mut breaker, 0, succeeded);
        }
        assert_eq!(
            breaker.phase(0),
            Phase::Closed,
            "three of six are not more than half"
        );
        call(&mut breaker, 0, false);
        assert_eq!(breaker.phase(0), Phase::Open);
    }

    #[test]
    fn never_by_a_ratio_of_errors_of_one() {
        assert_eq!(
            calls_until_open(&mut with(Grade::ErrorRatio(1.0)), 0, false),
            None
        );
    }

    #[test]
    fn above_a_count_of_errors() {
        assert_eq!(
            calls_until_open(&mut with(Grade::ErrorCount(7)), 0, false),
            Some(8)
        );
    }

    #[test]
    fn at_a_ratio_of_slow_calls_only_when_it_is_one() {
        for (ratio, phase) in [(1.0, Phase::Open), (0.8, Phase::Closed)] {
            let mut breaker = with(Grade::SlowRatio {
                longer_than: SECOND,
                ratio,
            });
            let quick = u64::from(ratio < 1.0);
            for number in 0..5 {
                breaker.record(
                    (),
                    0,
                    true,
                    if number < quick { SECOND } else { SECOND + 1 },
                );
            }
            assert_eq!(breaker.phase(0), phase, "at a ratio of {ratio}");
        }
    }

    #[test]
    fn on_no_fewer_than_five_calls_of_one_bucket() {
        let mut breaker = Sentinel::new(Settings::default());
        for _ in 0..4 {
            call(&mut breaker, SECOND - 1, false);
        }
        for _ in 0..4 {
            call(&mut breaker, SECOND, false);
        }
        assert_eq!(
            breaker.phase(SECOND),
            Phase::Closed,
            "each bucket begins from nothing"
        );
        call(&mut breaker, SECOND, false);
        assert_eq!(breaker.phase(SECOND), Phase::Open);
    }

    #[test]
    fn half_open_as_soon_as_the_window_has_passed_on_whatever_ends_first() {
        for (succeeded, phase) in [(true, Phase::Closed), (false, Phase::Open)] {
            let mut breaker = Sentinel::new(Settings::default());
            breaker.admit(0).unwrap();
            calls_until_open(&mut breaker, 0, false);
            assert_eq!(first_admitted(&breaker, 10 * SECOND), Some(10 * SECOND));
            assert!(breaker.admit(10 * SECOND).is_some());
            assert!(breaker.admit(10 * SECOND).is_none());
            // The result of the call from before the trip.
            breaker.record((), 10 * SECOND, succeeded, 10 * SECOND);
            assert_eq!(breaker.phase(10 * SECOND), phase);
        }
    }
}

mod gobreaker_decides {
    use super::*;
    use gobreaker::Settings;

    #[test]
    fn on_the_sixth_failure_in_a_row() {
        let mut breaker = Gobreaker::new(Settings::default());
        for _ in 0..5 {
            call(&mut breaker, 0, false);
        }
        call(&mut breaker, 0, true);
        assert_eq!(calls_until_open(&mut breaker, 0, false), Some(6));
    }

    #[test]
    fn half_open_when_more_than_the_timeout_has_passed() {
        let mut breaker = Gobreaker::new(Settings::default());
        calls_until_open(&mut breaker, 0, false);
        assert_eq!(first_admitted(&breaker, 60 * SECOND), Some(60 * SECOND + 1));
    }

    #[test]
    fn half_open_by_as_many_successes_as_it_lets_through() {
        let mut breaker = Gobreaker::new(Settings {
            max_requests: 3,
            ..Settings::default()
        });
        calls_until_open(&mut breaker, 0, false);
        let now = 61 * SECOND;
        let probes: Vec<_> = std::iter::from_fn(|| breaker.admit(now)).take(10).collect();
        assert_eq!(probes.len(), 3);
        for probe in probes {
            assert_eq!(breaker.phase(now), Phase::Recovering);
            breaker.record(probe, now, true, 0);
        }
        assert_eq!(breaker.phase(now), Phase::Closed);
    }

    #[test]
    fn half_open_against_a_single_failure() {
        let mut breaker = Gobreaker::new(Settings {
            max_requests: 3,
            ..Settings::default()
        });
        calls_until_open(&mut breaker, 0, false);
        call(&mut breaker, 61 * SECOND, true);
        call(&mut breaker, 61 * SECOND, false);
        assert_eq!(breaker.phase(61 * SECOND), Phase::Open);
    }

    #[test]
    fn nothing_by_a_result_of_an_earlier_generation() {
        for succeeded in [true, false] {
            let mut breaker = Gobreaker::new(Settings::default());
            let stale = breaker.admit(0).unwrap();
            calls_until_open(&mut breaker, 0, false);
            let now = 61 * SECOND;
            let probe = breaker.admit(now).unwrap();
            breaker.record(stale, now, succeeded, now);
            assert_eq!(breaker.phase(now), Phase::Recovering);
            breaker.record(probe, now, true, 0);
            assert_eq!(breaker.phase(now), Phase::Closed);
        }
    }
}

mod envoy_decides {
    use super::*;
    use envoy::Settings;

    #[test]
    fn on_the_fifth_failure_in_a_row() {
        let mut breaker = Envoy::new(Settings::default());
        for _ in 0..4 {
            call(&mut breaker, 0, false);
        }
        call(&mut breaker, 0, true);
        assert_eq!(calls_until_open(&mut breaker, 0, false), Some(5));
    }

    /// Ejects the host at `now`. Returns when it is back.
    fn eject(breaker: &mut Envoy, now: Nanos, guess: Nanos) -> Option<Nanos> {
        assert_eq!(calls_until_open(breaker, now, false), Some(5));
        first_admitted(breaker, guess)
    }

    #[test]
    fn to_return_the_host_at_a_sweep() {
        let mut breaker = Envoy::new(Settings::default());
        assert_eq!(
            eject(&mut breaker, SECOND, 40 * SECOND),
            Some(40 * SECOND),
            "not at 31 s"
        );
        assert_eq!(
            breaker.phase(40 * SECOND),
            Phase::Closed,
            "there is no half-open"
        );
    }

    #[test]
    fn for_longer_each_time_and_shorter_again_with_health() {
        let mut breaker = Envoy::new(Settings::default());
        let mut now = 0;
        // Each ejection adds 30 s, up to 300 s. The eleventh ejection still raises the multiplier.
        for times in 1..=12 {
            let back = now + 30 * SECOND * times.min(10);
            assert_eq!(
                eject(&mut breaker, now, back),
                Some(back),
                "ejection {times}"
            );
            now = back;
        }
        // Eleven base times were counted. Nine healthy sweeps leave two, and this ejection adds
        // one.
        now += 99 * SECOND;
        let back = now + 91 * SECOND;
        assert_eq!(eject(&mut breaker, now, back), Some(back));
    }

    #[test]
    fn nothing_by_what_ends_while_the_host_is_away() {
        let mut breaker = Envoy::new(Settings::default());
        for _ in 0..100 {
            breaker.record((), 0, false, 0);
        }
        assert_eq!(first_admitted(&breaker, 30 * SECOND), Some(30 * SECOND));
        assert_eq!(calls_until_open(&mut breaker, 30 * SECOND, false), Some(5));
    }
}

mod finagle_decides {
    use super::*;
    use finagle::Settings;

    #[test]
    fn on_the_fifth_failure_in_a_row() {
        let mut breaker = Finagle::new(&Settings::default(), 1);
        for _ in 0..4 {
            call(&mut breaker, 0, false);
        }
        call(&mut breaker, 0, true);
        assert_eq!(calls_until_open(&mut breaker, 0, false), Some(5));
        assert_eq!(first_admitted(&breaker, 5 * SECOND), Some(5 * SECOND));
    }

    /// Three of four calls fail from the start on, never five in a row.
    fn opened_at(settings: &Settings) -> Option<Nanos> {
        let mut breaker = Finagle::new(settings, 1);
        (0..2_000)
            .map(|number| number * 100 * MILLISECOND)
            .find(|&now| {
                call(
                    &mut breaker,
                    now,
                    (now / (100 * MILLISECOND)).is_multiple_of(4),
                );
                breaker.phase(now) != Phase::Closed
            })
    }

    #[test]
    fn by_the_rate_only_when_its_window_has_passed() {
        assert_eq!(opened_at(&Settings::default()), Some(30_100 * MILLISECOND));
    }

    #[test]
    fn by_the_rate_only_on_enough_requests() {
        let settings = Settings {
            minimum_requests: 301,
            ..Settings::default()
        };
        assert_eq!(
            opened_at(&settings),
            None,
            "ten a second are at most 300 in the window"
        );
    }

    #[test]
    fn by_a_rate_that_forgets() {
        let mut breaker = Finagle::new(&Settings::default(), 1);
        for second in 0..300 {
            call(&mut breaker, second * SECOND, true);
        }
        // After t seconds the average is exp(-t/30), plus the weight of later successes. If all
        // calls fail, it is below 0.8 after 30 * ln(1/0.8) = 6.7 s.
        let mut now = 299 * SECOND;
        let opened = loop {
            now += 100 * MILLISECOND;
            // A success at the same time as the previous failure has no weight.
            call(&mut breaker, now, false);
            if breaker.phase(now) != Phase::Closed {
                break now;
            }
            call(&mut breaker, now, true);
        };
        let expected = 299 * SECOND + 6_694 * MILLISECOND;
        assert!(
            opened.abs_diff(expected) <= 100 * MILLISECOND,
            "opened at {opened}"
        );
    }

    #[test]
    fn to_wait_twice_as_long_each_time_with_half_of_it_by_chance() {
        let mut third = Vec::new();
        for seed in 0..100 {
            let mut breaker = Finagle::new(&Settings::default(), seed);
            calls_until_open(&mut breaker, 0, false);
            let mut now = 0;
            for (shortest, longest) in [(5, 5), (5, 10), (10, 20), (20, 40), (40, 80), (80, 160)] {
                let failed = now;
                while breaker.phase(now) == Phase::Open {
                    now += 100 * MILLISECOND;
                }
                let waited = now - failed;
                assert!(
                    (shortest * SECOND..=longest * SECOND).contains(&waited),
                    "waited {waited} ns, not {shortest} to {longest} s"
                );
                if shortest == 10 {
                    third.push(waited);
                }
                assert!(call(&mut breaker, now, false));
            }
        }
        assert!(
            third.iter().any(|&waited| waited < 12 * SECOND),
            "{third:?}"
        );
        assert!(
            third.iter().any(|&waited| waited > 18 * SECOND),
            "{third:?}"
        );
    }

    #[test]
    fn by_one_probe_that_ends_all_history() {
        let mut breaker = Finagle::new(&Settings::default(), 1);
        calls_until_open(&mut breaker, 0, false);
        assert!(breaker.admit(5 * SECOND).is_some());
        assert!(
            breaker.admit(500 * SECOND).is_none(),
            "a second probe was let through"
        );
        breaker.record((), 500 * SECOND, true, 0);
        assert_eq!(calls_until_open(&mut breaker, 500 * SECOND, false), Some(5));
        assert_eq!(
            first_admitted(&breaker, 505 * SECOND),
            Some(505 * SECOND),
            "the first wait"
        );
    }

    #[test]
    fn to_probe_again_when_the_policy_cannot_tell() {
        let mut breaker = Finagle::new(&Settings::default(), 1);
        breaker.admit(0).unwrap();
        calls_until_open(&mut breaker, 0, false);
        // A success of a call from before the death ends the run of failures.
        breaker.record((), SECOND, true, SECOND);
        for _ in 0..4 {
            assert!(call(&mut breaker, 5 * SECOND, false));
            assert_eq!(breaker.phase(5 * SECOND), Phase::Recovering);
        }
        assert!(call(&mut breaker, 5 * SECOND, false));
        assert_eq!(breaker.phase(5 * SECOND), Phase::Open);
    }
}

mod recloser_decides {
    use super::*;

    #[test]
    fn half_open_when_more_than_the_wait_has_passed() {
        let mut breaker = Recloser::new(recloser::Settings::default());
        assert_eq!(calls_until_open(&mut breaker, 0, false), Some(101));
        assert_eq!(first_admitted(&breaker, 30 * SECOND), Some(30 * SECOND + 1));
    }
}

mod adaptive_throttling_decides {
    use super::*;
    use adaptive_throttling::Settings;

    /// A throttle after this many requests. It let all of them through, because they were fewer
    /// than its minimum. From now on it rejects at random.
    fn after(requests: u32, accepts: u32, seed: u64) -> AdaptiveThrottling {
        let settings = Settings {
            minimum_requests: requests,
            ..Settings::default()
        };
        let mut throttle = AdaptiveThrottling::new(settings, seed);
        for number in 0..requests {
            assert!(call(&mut throttle, SECOND, number < accepts));
        }
        throttle
    }

    /// The share of 4,000 calls that are let through after this history.
    fn share_admitted(requests: u32, accepts: u32) -> f64 {
        let admitted = (0..4_000)
            .filter(|&seed| after(requests, accepts, seed).admit(SECOND).is_some())
            .count();
        f64::from(u32::try_from(admitted).unwrap()) / 4_000.0
    }

    #[test]
    fn to_let_all_through_while_half_are_accepted() {
        assert!((share_admitted(1_000, 500) - 1.0).abs() < f64::EPSILON);
        assert_eq!(after(1_000, 500, 1).phase(SECOND), Phase::Closed);
    }

    #[test]
    fn to_reject_as_much_as_the_formula_says() {
        // The expected share of rejections is (1000 - 2 * 300) / 1001. Four standard errors of
        // 4,000 calls are 0.03.
        let share = share_admitted(1_000, 300);
        assert!((share - 0.6).abs() < 0.03, "{share} were let through");
        assert_eq!(
            after(1_000, 300, 1).phase(SECOND),
            Phase::Closed,
            "fewer than half rejected"
        );
        assert_eq!(after(1_000, 200, 1).phase(SECOND), Phase::Open);
    }

    #[test]
    fn by_what_it_rejected_too() {
        for counted in [Counted::AtStart, Counted::AtEnd] {
            let settings = Settings {
                counted,
                ..Settings::default()
            };
            let mut throttle = AdaptiveThrottling::new(settings, 1);
            let admitted = (0..1_000).filter(|_| call(&mut throttle, 0, false)).count();
            // Without accepts, one in n is let through after n requests: ln(1000) = 7 of 1,000. If
            // rejected requests didn't count, it would be about sqrt(2 * 1000) = 45.
            assert!(
                (1..=25).contains(&admitted),
                "{admitted}, counted {counted:?}"
            );
        }
    }

    #[test]
    fn by_the_last_two_minutes() {
        let throttle = after(1_000, 0, 1);
        assert_eq!(throttle.phase(121 * SECOND - 1), Phase::Open);
        assert_eq!(throttle.phase(121 * SECOND), Phase::Closed);
    }

    #[test]
    fn by_requests_that_have_not_come_back() {
        for (counted, phase) in [
            (Counted::AtStart, Phase::Open),
            (Counted::AtEnd, Phase::Closed),
        ] {
            let mut throttle = AdaptiveThrottling::new(
                Settings {
                    counted,
                    ..Settings::default()
                },
                1,
            );
            for _ in 0..10 {
                throttle.admit(0);
            }
            assert_eq!(throttle.phase(0), phase, "counted {counted:?}");
        }
    }

    #[test]
    fn nothing_on_fewer_requests_than_the_minimum() {
        let settings = Settings {
            minimum_requests: 100,
            ..Settings::default()
        };
        assert_eq!(
            calls_until_open(&mut AdaptiveThrottling::new(settings, 1), 0, false),
            Some(100)
        );
    }
}

mod the_catalogue {
    use super::*;

    #[test]
    fn gives_each_entry_a_name_of_its_own() {
        let mut names: Vec<_> = catalogue().iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    /// Fifty calls per second of a service that fails completely from 100 s to 220 s.
    struct Outage;

    impl Visit for Outage {
        type Output = (bool, bool, bool);

        fn visit<B: Breaker>(self, mut breaker: B) -> Self::Output {
            let mut open = [false; 3];
            for number in 0..50_000 {
                let now = number * 20 * MILLISECOND;
                let stage = usize::from(number >= 5_000) + usize::from(number >= 49_999);
                call(&mut breaker, now, !(5_000..11_000).contains(&number));
                open[stage] |= breaker.phase(now) != Phase::Closed;
            }
            open.into()
        }
    }

    #[test]
    fn has_no_entry_that_trips_on_health_sleeps_through_an_outage_or_never_closes_again() {
        for entry in catalogue() {
            // All calls are fast here, so a rule that watches only slow calls can't see the outage.
            let sees = entry.name != "sentinel-slow-tuned";
            let outcome = entry.rules.build(7).run(Outage);
            assert_eq!(
                outcome,
                (false, sees, false),
                "{}: before, during, after",
                entry.name
            );
        }
    }

    #[test]
    fn decides_the_same_for_the_same_seed() {
        struct Admitted;

        impl Visit for Admitted {
            type Output = Vec<bool>;

            fn visit<B: Breaker>(self, mut breaker: B) -> Vec<bool> {
                (0..20_000)
                    .map(|number| call(&mut breaker, number * 50 * MILLISECOND, number % 997 < 300))
                    .collect()
            }
        }

        for entry in catalogue() {
            let [first, second] =
                [entry.rules.build(3), entry.rules.build(3)].map(|peer| peer.run(Admitted));
            assert!(first == second, "{}", entry.name);
        }
    }
}
