//! Recovery in traffic, adaptive and in steps. The backends are dead, keep failing in part, or come
//! back slowly.

use std::sync::mpsc;
use std::time::Duration;

use crate::effort;
use crate::service::Dice;
use crate::traffic::{Backend, Drive, Figures, TRIP};
use tripcurve::events::{Cause, Transition};
use tripcurve::outcome::Report;
use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Window;
use tripcurve::{
    CircuitBreaker, CircuitBreakerBuilder, Outcome, Permit, Recovery, State, TripPolicy,
};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn mean(numbers: &[f64]) -> f64 {
    let count = u32::try_from(numbers.len()).unwrap();
    numbers.iter().sum::<f64>() / f64::from(count)
}

/// Runs outages of 30 to 90 s. Returns the seconds from each outage's end until the breaker was
/// closed, and the share of the outage's traffic that reached the dead backend.
fn outages(rate: f64, runs: u32) -> (Vec<f64>, Vec<f64>) {
    (0..runs)
        .map(|seed| {
            let length = 30.0 + 60.0 * f64::from(seed) / f64::from(runs - 1);
            let until = TRIP + length;
            let figures = Drive::new(rate, seed).run(Backend::Dead { until }, until + 20.0);
            let closed_at = figures.closed_at.expect("closed again");
            assert_eq!(figures.trips, 0);
            (closed_at - until, figures.failed / length)
        })
        .unzip()
}

#[test]
fn traffic_is_back_within_a_second_of_the_recovery_and_a_hundredth_of_it_probes() {
    for rate in [100.0, 1_000.0] {
        let (delays, load) = outages(rate, effort::share_of(20).max(5));
        let (delay, load) = (mean(&delays), mean(&load));
        println!("{rate} a second: {delay:.2} s, {:.2} %", 100.0 * load);
        assert!(delay <= 1.05, "{rate} a second: {delay} s");
        assert!(load <= 0.01, "{rate} a second: {load}");
    }
}

#[test]
fn with_little_traffic_it_is_back_after_a_few_calls() {
    for (rate, longest) in [(1.0, 8.0), (10.0, 3.0)] {
        let (delays, _) = outages(rate, 20);
        assert!(delays.iter().all(|delay| *delay <= longest), "{delays:?}");
    }
}

/// Fails when: an open time is shorter than the time of four calls.
#[test]
fn of_rare_calls_a_quarter_goes_to_a_dead_dependency() {
    for seed in 0..12 {
        let mut dice = Dice::new(seed);
        let spacing = dice.of_magnitude(3.0, 60.0);
        let window = Window::time(600 * SECOND, 10);
        let settings = |builder: CircuitBreakerBuilder| builder.window(window.clone());
        let (breaker, hand) = tripped(Duration::from_secs_f64(spacing), settings);
        let mut let_through = 0;
        for _ in 0..1_000 {
            hand.advance(Duration::from_secs_f64(dice.exponential(spacing)));
            if let Ok(permit) = breaker.try_acquire() {
                permit.failure();
                let_through += 1;
            }
        }
        println!("one call in {spacing:.0} s: {let_through} of 1,000 let through");
        assert!(let_through <= 260, "{spacing}: {let_through}");
    }
}

#[test]
fn a_share_of_failures_that_is_tolerated_gets_closed_again_at_any_traffic() {
    for rate in [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0] {
        for share in [0.05, 0.15, 0.25] {
            for seed in 0..effort::share_of(10) {
                let figures = Drive::new(rate, seed).run(Backend::Failing { share }, 80.0);
                assert!(figures.closed_at.is_some(), "{share} at {rate}, {seed}");
                assert_eq!(figures.trips, 0, "{share} at {rate}, {seed}");
            }
        }
    }
}

#[test]
fn a_backend_whose_capacity_comes_back_slowly_is_followed_and_not_killed() {
    for rate in [100.0, 300.0, 1_000.0] {
        let runs: Vec<_> = (0..effort::share_of(5).max(2))
            .map(|seed| Drive::new(rate, seed).run(Backend::Slow { from: 50.0 }, 110.0))
            .collect();
        let harm: Vec<_> = runs
            .iter()
            .map(|run: &Figures| run.lost + run.failed)
            .collect();
        println!("{rate} a second: {:.2} s of traffic", mean(&harm));
        assert!(mean(&harm) <= 4.0, "{rate} a second: {runs:?}");
        assert!(runs.iter().all(|run| run.trips <= 1), "{runs:?}");
        let kills: u32 = runs.iter().map(|run| run.kills).sum();
        assert!(kills <= 1, "{rate} a second: {runs:?}");
    }
}

/// A breaker that has seen a hundred calls, one per `spacing`, and has tripped.
fn tripped(
    spacing: Duration,
    settings: impl Fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("recovery").recovery(Recovery::adaptive());
    let breaker = settings(builder.clock(clock)).build().unwrap();
    for _ in 0..100 {
        breaker.try_acquire().unwrap().success();
        hand.advance(spacing);
    }
    breaker.try_acquire().unwrap().record(Outcome::Trip);
    assert_eq!(breaker.state(), State::Open);
    (breaker, hand)
}

/// Asks with this spacing until a call is let through.
fn next_let_through<'a>(
    breaker: &'a CircuitBreaker,
    hand: &MockClock,
    spacing: Duration,
) -> Permit<'a> {
    for _ in 0..100_000 {
        hand.advance(spacing);
        if let Ok(permit) = breaker.try_acquire() {
            return permit;
        }
    }
    panic!("no call is let through: {breaker:?}");
}

/// Like [`tripped`], after a probe has succeeded.
fn ramping(
    spacing: Duration,
    settings: impl Fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (breaker, hand) = tripped(spacing, settings);
    next_let_through(&breaker, &hand, spacing).success();
    assert!(breaker.snapshot().admitted_share().is_some());
    (breaker, hand)
}

fn as_it_is(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder
}

#[test]
fn listeners_are_told_when_a_ramp_is_entered_and_left() {
    let (sender, told) = mpsc::channel();
    let listen = |builder: CircuitBreakerBuilder| {
        let sender = sender.clone();
        builder.on_transition(move |transition| drop(sender.send(transition.clone())))
    };
    let (breaker, hand) = ramping(MILLI, listen);
    while breaker.state() == State::HalfOpen {
        next_let_through(&breaker, &hand, MILLI).success();
    }
    let told: Vec<_> = told.try_iter().collect();
    let states: Vec<_> = told.iter().map(|told| (told.from(), told.to())).collect();
    let expected = [
        (State::Closed, State::Open),
        (State::Open, State::HalfOpen),
        (State::HalfOpen, State::HalfOpen),
        (State::HalfOpen, State::Closed),
    ];
    assert_eq!(states, expected);
    let generations: Vec<_> = told.iter().map(Transition::generation).collect();
    assert_eq!(generations, [1, 2, 3, 4]);
    assert_eq!(told[2].cause(), Cause::ProbeSucceeded { share: 0.0625 });
    assert_eq!(
        told[2].cause().to_string(),
        "a probe succeeded; 6.2 % of the calls are let through"
    );
    let Cause::RampCompleted { failures: 0, calls } = told[3].cause() else {
        panic!("{:?}", told[3]);
    };
    assert!(calls > 8);
    assert_eq!(breaker.snapshot().admitted_share(), None);
}

#[test]
fn the_share_rises_from_round_to_round_and_never_stays_for_less_than_150_ms() {
    let (breaker, hand) = ramping(MILLI, as_it_is);
    let mut shares = vec![breaker.snapshot().admitted_share().unwrap()];
    let mut since = breaker.snapshot().at();
    loop {
        next_let_through(&breaker, &hand, MILLI).success();
        let snapshot = breaker.snapshot();
        if snapshot.admitted_share() == shares.last().copied() {
            continue;
        }
        assert!(snapshot.at() >= since + 150 * MILLI, "after {shares:?}");
        since = snapshot.at();
        match snapshot.admitted_share() {
            Some(share) => shares.push(share),
            None => break,
        }
    }
    assert_eq!(shares, [0.0625, 0.25, 1.0]);
}

#[test]
fn of_any_calls_in_succession_the_ramp_lets_its_share_through() {
    for spacing in [MILLI, 3 * MILLI, 7 * MILLI] {
        let (breaker, _hand) = ramping(spacing, as_it_is);
        let share = breaker.snapshot().admitted_share().unwrap();
        let mut kept = Vec::new();
        let mut so_far = vec![0_u32];
        for _ in 0..400 {
            let answer = breaker.try_acquire();
            so_far.push(so_far.last().unwrap() + u32::from(answer.is_ok()));
            kept.extend(answer);
        }
        for begin in 0..so_far.len() {
            for end in begin..so_far.len() {
                let calls = u32::try_from(end - begin).unwrap();
                let expected = share * f64::from(calls);
                let through = f64::from(so_far[end] - so_far[begin]);
                assert!(
                    (expected.floor()..=expected.ceil()).contains(&through),
                    "{through} of {calls} with {share}"
                );
            }
        }
    }
}

#[test]
fn a_rejected_caller_hears_when_the_share_may_grow() {
    let (breaker, hand) = ramping(MILLI, as_it_is);
    hand.advance(50 * MILLI);
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.state(), State::HalfOpen);
    let wait = rejected.earliest().unwrap();
    assert!((90 * MILLI..=100 * MILLI).contains(&wait), "{wait:?}");
}

#[test]
fn a_dependency_that_dies_again_gets_few_calls_before_the_breaker_opens() {
    for spacing in [MILLI, 10 * MILLI, 100 * MILLI, SECOND] {
        let (breaker, hand) = ramping(spacing, as_it_is);
        let mut failed = 0;
        while breaker.state() == State::HalfOpen {
            next_let_through(&breaker, &hand, spacing).failure();
            failed += 1;
        }
        assert_eq!(breaker.state(), State::Open);
        assert!(failed <= 10, "{failed} with {spacing:?}");
    }
}

#[test]
fn with_all_let_through_a_dependency_that_dies_is_cut_off() {
    let (breaker, hand) = ramping(MILLI, as_it_is);
    while breaker.snapshot().admitted_share() != Some(1.0) {
        next_let_through(&breaker, &hand, MILLI).success();
    }
    let mut failed = 0;
    while breaker.state() == State::HalfOpen {
        next_let_through(&breaker, &hand, MILLI).failure();
        failed += 1;
        assert_ne!(breaker.state(), State::Closed);
    }
    assert!(failed < 150, "{failed}");
}

#[test]
fn a_ramp_whose_calls_never_report_opens_after_the_probes_time() {
    let timeout = 3 * SECOND;
    let (sender, told) = mpsc::channel();
    let settings = |builder: CircuitBreakerBuilder| {
        let sender = sender.clone();
        let builder = builder.probe_timeout(timeout);
        builder.on_transition(move |transition| sender.send(transition.cause()).unwrap())
    };
    let (breaker, hand) = ramping(MILLI, settings);
    let hangs = next_let_through(&breaker, &hand, MILLI);
    hand.advance(timeout.saturating_sub(MILLI));
    let _other = breaker.try_acquire();
    assert_eq!(breaker.state(), State::HalfOpen);
    hand.advance(MILLI);
    assert_eq!(breaker.try_acquire().unwrap_err().state(), State::Open);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(
        told.try_iter().last(),
        Some(Cause::RampOverdue { share: 0.0625 })
    );
    let generation = breaker.snapshot().generation();
    hangs.failure();
    assert_eq!(breaker.snapshot().generation(), generation);
}

#[test]
fn a_ramp_that_few_calls_ask_is_not_overdue() {
    let (breaker, hand) = ramping(SECOND, |builder| builder.probe_timeout(3 * SECOND));
    hand.advance(3_600 * SECOND);
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn ignored_calls_of_a_ramp_count_nothing_and_do_not_make_it_overdue() {
    let (breaker, hand) = ramping(MILLI, |builder| builder.probe_timeout(SECOND));
    for _ in 0..500 {
        next_let_through(&breaker, &hand, MILLI).record(Outcome::Ignored);
    }
    assert_eq!(breaker.snapshot().admitted_share(), Some(0.0625));
}

#[test]
fn slow_calls_of_a_ramp_are_as_bad_as_failed_ones() {
    let limit = 100 * MILLI;
    let (breaker, hand) = ramping(MILLI, |builder| {
        builder.trip_when(TripPolicy::slow_rate(0.5).slower_than(limit))
    });
    let mut slow = 0;
    while breaker.state() == State::HalfOpen {
        let permit = next_let_through(&breaker, &hand, MILLI);
        permit.record(Report::success().took(limit + MILLI));
        slow += 1;
    }
    assert_eq!(breaker.state(), State::Open);
    assert!(slow <= 10, "{slow}");
}

#[test]
fn a_call_of_a_ramp_that_says_trip_opens() {
    let (breaker, hand) = ramping(MILLI, as_it_is);
    next_let_through(&breaker, &hand, MILLI).record(Outcome::Trip);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_call_of_an_earlier_round_changes_nothing() {
    let (breaker, hand) = ramping(MILLI, as_it_is);
    let mut late = Vec::new();
    while breaker.snapshot().admitted_share() == Some(0.0625) {
        late.push(next_let_through(&breaker, &hand, MILLI));
        next_let_through(&breaker, &hand, MILLI).success();
    }
    assert!(late.len() > 3);
    late.into_iter().for_each(Permit::failure);
    assert_eq!(breaker.snapshot().admitted_share(), Some(0.25));
}

#[test]
fn a_rounds_length_follows_that_of_the_probe() {
    let (breaker, hand) = tripped(MILLI, as_it_is);
    let probe = next_let_through(&breaker, &hand, MILLI);
    hand.advance(200 * MILLI);
    probe.success();
    let begin = breaker.snapshot().at();
    while breaker.snapshot().admitted_share() == Some(0.0625) {
        next_let_through(&breaker, &hand, MILLI).success();
    }
    let took = breaker.snapshot().at().saturating_sub(begin);
    assert!((600 * MILLI..650 * MILLI).contains(&took), "{took:?}");
}

/// When a breaker with this name admits its first probe.
fn first_probe(name: &str) -> Duration {
    let (clock, _hand) = Clock::mock();
    let builder = CircuitBreaker::builder(name.to_owned()).clock(clock);
    let breaker = builder.recovery(Recovery::adaptive()).build().unwrap();
    breaker.try_acquire().unwrap().record(Outcome::Trip);
    breaker.snapshot().remaining_open().unwrap()
}

#[test]
fn breakers_with_different_names_do_not_probe_in_step() {
    let mut waits: Vec<_> = (0..50)
        .map(|number| first_probe(&number.to_string()))
        .collect();
    waits.sort_unstable();
    let spread = waits[49].saturating_sub(waits[0]);
    assert!(spread > 30 * MILLI, "{spread:?} of 40 ms");
    assert_eq!(
        first_probe("one"),
        first_probe("one"),
        "and can be simulated"
    );
}

type Set = fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder;

/// The builder's error for invalid settings.
fn refused(builder: CircuitBreakerBuilder) -> String {
    builder.build().unwrap_err().to_string()
}

#[test]
fn settings_of_the_recovery_beside_another_recovery_are_refused_in_any_order() {
    let builder = || CircuitBreaker::builder("settings");
    let backoff = Backoff::exponential(SECOND, 2.0, 9 * SECOND);
    let cases: [(Set, &str); 3] = [
        (
            |builder| builder.open_for(2 * SECOND),
            "open_for: 2s is not possible together with recovery; set it on the recovery, as \
             .recovery(Recovery::adaptive().open_for(…)), or leave out one of the two",
        ),
        (
            |builder| builder.backoff(Backoff::exponential(SECOND, 2.0, 9 * SECOND)),
            "backoff: 1s is not possible together with recovery; set it on the recovery, as \
             .recovery(Recovery::adaptive().backoff(…)), or leave out one of the two",
        ),
        (
            |builder| builder.probes(5),
            "probes: 5 is not possible together with recovery; set them on the recovery, as \
             .recovery(Recovery::probes(…)), or leave out one of the two",
        ),
    ];
    for recovery in [
        Recovery::adaptive(),
        Recovery::fixed(5 * SECOND, 5).success_threshold(2),
        Recovery::steps(&[0.5], SECOND),
    ] {
        for (set, expected) in cases {
            assert_eq!(refused(set(builder().recovery(recovery))), expected);
            assert_eq!(refused(set(builder()).recovery(recovery)), expected);
        }
    }
    let both = "open_for: 1s is not possible together with backoff; the open time is fixed or it \
                grows; leave out one of the two";
    assert_eq!(refused(builder().open_for(SECOND).backoff(backoff)), both);
    assert_eq!(refused(builder().backoff(backoff).open_for(SECOND)), both);
}

#[test]
fn settings_of_one_recovery_that_contradict_each_other_are_refused_in_any_order() {
    let refused = |recovery| refused(CircuitBreaker::builder("settings").recovery(recovery));
    let backoff = Backoff::exponential(SECOND, 2.0, 9 * SECOND);
    let both = "open_for: 2s is not possible together with backoff; the open time is fixed or it \
                grows; leave out one of the two";
    for recovery in [
        Recovery::fixed(2 * SECOND, 3).backoff(backoff),
        Recovery::adaptive().open_for(2 * SECOND).backoff(backoff),
        Recovery::steps(&[0.5], SECOND)
            .backoff(backoff)
            .open_for(2 * SECOND),
    ] {
        assert_eq!(refused(recovery), both);
    }
    let both = "success_threshold: 2 is not possible together with max_failure_rate; both say how many \
                probes may fail; leave out one of the two";
    let probes = Recovery::probes(5);
    assert_eq!(
        refused(probes.success_threshold(2).max_failure_rate(0.5)),
        both
    );
    assert_eq!(
        refused(probes.max_failure_rate(0.5).success_threshold(2)),
        both
    );
    let adaptive = "is not possible with Recovery::adaptive(); a ramp judges each share of the calls by \
                    itself; leave it out, or use Recovery::probes(n)";
    assert_eq!(
        refused(Recovery::adaptive().success_threshold(2)),
        format!("success_threshold: 2 {adaptive}")
    );
    assert_eq!(
        refused(Recovery::adaptive().max_failure_rate(0.5)),
        format!("max_failure_rate: 0.5 {adaptive}")
    );
    assert_eq!(
        refused(Recovery::steps(&[0.5], SECOND).success_threshold(2)),
        "success_threshold: 2 is not possible with Recovery::steps(); max_failure_rate says how many of a \
         step's calls may fail; or use Recovery::probes(n)"
    );
}

/// Settings that are valid together are accepted in any order.
#[test]
fn settings_of_the_recovery_that_go_together_hold_in_any_order() {
    let builder = || CircuitBreaker::builder("settings").clock(Clock::mock().0);
    let backoff = Backoff::exponential(SECOND, 2.0, 9 * SECOND).jitter(Jitter::None);
    let alike = [
        builder().open_for(SECOND).probes(2),
        builder().probes(2).open_for(SECOND),
        builder().recovery(Recovery::fixed(SECOND, 2)),
        builder().recovery(Recovery::probes(2).open_for(SECOND)),
        builder().backoff(backoff).probes(2),
        builder().recovery(Recovery::probes(2).backoff(backoff)),
        // If a setting is given twice, the last one counts.
        builder().open_for(9 * SECOND).open_for(SECOND).probes(2),
        builder()
            .recovery(Recovery::adaptive())
            .recovery(Recovery::fixed(SECOND, 2)),
    ];
    for builder in alike {
        let shown = format!("{builder:?}");
        let breaker = builder.build().unwrap();
        breaker.try_acquire().unwrap().record(Outcome::Trip);
        let left = breaker.snapshot().remaining_open().unwrap();
        assert_eq!(left.as_secs(), 1, "{shown}");
        breaker.trip(Duration::ZERO);
        let probes = [(); 3].map(|()| breaker.try_acquire());
        let let_through = probes.each_ref().map(Result::is_ok);
        assert_eq!(let_through, [true, true, false], "{shown}");
    }
}

#[test]
fn a_fixed_recovery_that_makes_no_sense_is_refused() {
    for (recovery, setting) in [
        (Recovery::fixed(SECOND, 0), "probes"),
        (Recovery::fixed(Duration::ZERO, 1), "open_for"),
    ] {
        let error = CircuitBreaker::builder("nonsense")
            .recovery(recovery)
            .build();
        assert_eq!(error.unwrap_err().setting, setting);
    }
}

#[test]
fn a_window_by_count_recovers_as_well() {
    let window =
        |builder: CircuitBreakerBuilder| builder.window(tripcurve::window::Window::count(50));
    let (breaker, hand) = ramping(MILLI, window);
    while breaker.state() == State::HalfOpen {
        next_let_through(&breaker, &hand, MILLI).success();
    }
    assert_eq!(breaker.state(), State::Closed);
}
