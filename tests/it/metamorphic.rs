//! Changes of the traffic that leave the adaptive decision as it is.

use std::sync::mpsc;
use std::time::Duration;

use crate::effort;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tripcurve::handles::OwnedPermit;
use tripcurve::policy::Adaptive;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, Outcome, State, TripPolicy};

const MILLI: u64 = 1_000_000;
const LIMIT: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_secs(86_400);
const SHARES: [f64; 3] = [1.0, 0.8, 0.5];

/// The begin and the end of a call, in nanoseconds, and its outcome.
#[derive(Clone, Copy, Debug)]
struct Call {
    begins: u64,
    ends: u64,
    outcome: Outcome,
}

/// What a breaker sees: that a call begins, or that it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    End(usize),
    Begin(usize),
}

/// The calls of an outage in which this share fails, after 3,000 calls of which 1 % fail.
fn outage(rate: f64, share: f64, seed: u64) -> Vec<Call> {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut now = 0.0;
    let call = |number| {
        now += -(1.0 - dice.random_range(0.0..1.0_f64)).ln() / rate;
        let fails = dice.random_bool(if number < 3_000 { 0.01 } else { share });
        let takes = dice.random_range(0.002..0.06);
        Call {
            begins: nanos(now),
            ends: nanos(now + takes),
            outcome: if fails {
                Outcome::Failure
            } else {
                Outcome::Success
            },
        }
    };
    (0..4_000).map(call).collect()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time of some minutes in nanoseconds"
)]
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// The events of the calls in their order. An end comes before a begin at the same time.
fn events(calls: &[Call]) -> Vec<(u64, Event)> {
    let begins = calls.iter().map(|call| call.begins);
    let begins = begins.zip((0..).map(Event::Begin));
    let ends = calls.iter().map(|call| call.ends);
    let mut events: Vec<_> = begins.chain(ends.zip((0..).map(Event::End))).collect();
    events.sort_unstable();
    events
}

/// What a caller does.
enum Step {
    Ask,
    Record(OwnedPermit, Outcome),
}

/// Takes a step. Returns the permit that it asked for.
fn take(step: Step, breaker: &CircuitBreaker) -> Option<OwnedPermit> {
    match step {
        Step::Ask => breaker.try_acquire_owned().ok(),
        Step::Record(permit, outcome) => {
            permit.record(outcome);
            None
        }
    }
}

fn breaker(policy: impl Into<TripPolicy>) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("metamorphic").clock(clock);
    (builder.trip_when(policy).build().unwrap(), hand)
}

/// When the breaker trips for the first time, if `take` takes each step.
fn trip_by(
    (breaker, hand): &(CircuitBreaker, MockClock),
    calls: &[Call],
    mut take: impl FnMut(Step) -> Option<OwnedPermit>,
) -> Option<u64> {
    let mut permits: Vec<Option<OwnedPermit>> = calls.iter().map(|_| None).collect();
    for (now, event) in events(calls) {
        hand.advance_to(Duration::from_nanos(now));
        match event {
            Event::Begin(number) => permits[number] = take(Step::Ask),
            Event::End(number) => {
                let permit = permits[number].take()?;
                take(Step::Record(permit, calls[number].outcome));
            }
        }
        if breaker.state() != State::Closed {
            return Some(now);
        }
    }
    None
}

/// When a new breaker trips for the first time.
fn trip(policy: impl Into<TripPolicy>, calls: &[Call]) -> Option<u64> {
    let both = breaker(policy);
    trip_by(&both, calls, |step| take(step, &both.0))
}

/// Like [`trip`], on so many threads. They take turns, and each has its own part of the stream.
fn trip_on(threads: usize, policy: impl Into<TripPolicy>, calls: &[Call]) -> Option<u64> {
    let both = breaker(policy);
    std::thread::scope(|scope| {
        let (done, replies) = mpsc::channel();
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (sender, steps) = mpsc::channel();
                let (done, breaker) = (done.clone(), &both.0);
                scope.spawn(move || {
                    for step in steps {
                        done.send(take(step, breaker)).unwrap();
                    }
                });
                sender
            })
            .collect();
        // A permit often comes back on another thread than the one that asked for it.
        let mut turns = workers.iter().cycle();
        trip_by(&both, calls, |step| {
            turns.next()?.send(step).unwrap();
            replies.recv().unwrap()
        })
    })
}

/// Both modes, in a world in which everything takes `times` as long.
fn policies(times: f64) -> [(&'static str, Adaptive); 2] {
    let policy = TripPolicy::adaptive()
        .false_trip_budget(DAY.mul_f64(times))
        .slower_than(LIMIT.mul_f64(times));
    [
        ("tolerant", policy.clone()),
        ("sensitive", policy.tolerate(0.0)),
    ]
}

/// Lets the calls that end within the same millisecond end in another order.
fn permuted(calls: &[Call], seed: u64) -> Vec<Call> {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..calls.len()).collect();
    order.sort_by_key(|&number| calls[number].ends);
    let mut permuted = calls.to_vec();
    for group in order.chunk_by(|&one, &next| calls[one].ends / MILLI == calls[next].ends / MILLI) {
        let mut shuffled = group.to_vec();
        shuffled.shuffle(&mut dice);
        for (&to, &from) in group.iter().zip(&shuffled) {
            permuted[from].ends = calls[to].ends;
        }
    }
    permuted
}

/// By how many milliseconds a permutation moves the trip, on average over many outages. Every
/// breaker must trip in both orders.
fn moved(policy: impl Fn() -> TripPolicy) -> Option<f64> {
    let (mut sum, mut lives) = (0.0, 0.0);
    for rate in [3_000.0, 10_000.0] {
        for share in SHARES {
            for seed in 0..effort::share_of(8).max(2).into() {
                let calls = outage(rate, share, seed);
                let plain = trip(policy(), &calls)?;
                let other = trip(policy(), &permuted(&calls, seed))?;
                sum += Duration::from_nanos(plain.abs_diff(other)).as_secs_f64() * 1e3;
                lives += 1.0;
            }
        }
    }
    Some(sum / lives)
}

/// Fails when: a success ends all evidence, as it does for a count of failures in a row.
#[test]
fn the_order_of_ends_within_a_millisecond_hardly_moves_a_trip() {
    for (name, policy) in policies(1.0) {
        let moved = moved(|| policy.clone().into());
        assert!(
            moved.is_some_and(|millis| millis < 3.0),
            "{name}: {moved:?}"
        );
    }
    // The same measure shows that another rule depends on the order.
    let moved = moved(|| TripPolicy::consecutive_failures(5));
    assert!(moved.is_none_or(|millis| millis > 3.0), "{moved:?}");
}

/// A breaker that watches calls draws a sample where there are more than 1,280 calls a second. Each
/// thread draws its own. So the streams here have fewer calls, or the breaker has no limit.
///
/// Fails when: evidence or watched calls are kept per thread.
#[test]
fn a_stream_split_over_threads_trips_at_the_same_call() {
    let unlimited = [
        ("tolerant, no limit", TripPolicy::adaptive()),
        ("sensitive, no limit", TripPolicy::adaptive().tolerate(0.0)),
    ];
    let unlimited = unlimited.map(|(name, policy)| (name, policy, 1_000.0));
    let limited = policies(1.0).map(|(name, policy)| (name, policy, 200.0));
    for (name, policy, rate) in limited.into_iter().chain(unlimited) {
        for share in SHARES {
            let calls = outage(rate, share, 1);
            let plain = trip(policy.clone(), &calls);
            assert!(plain.is_some(), "{name}, {share}");
            for threads in [2, 5] {
                let split = trip_on(threads, policy.clone(), &calls);
                assert_eq!(split, plain, "{name}, {share} fail, {threads} threads");
            }
        }
    }
}

/// The number of calls that have ended when the breaker trips, if everything takes `times` as long.
fn ended_at_trip(place: usize, calls: &[Call], times: f64) -> usize {
    let scaled = |at: u64| nanos(Duration::from_nanos(at).as_secs_f64() * times);
    let scale = |call: &Call| Call {
        begins: scaled(call.begins),
        ends: scaled(call.ends),
        ..*call
    };
    let calls: Vec<Call> = calls.iter().map(scale).collect();
    let (name, policy) = policies(times).into_iter().nth(place).unwrap();
    let at = trip(policy, &calls).unwrap_or_else(|| panic!("{name}, {times}: no trip"));
    calls.iter().filter(|call| call.ends <= at).count()
}

/// The breaker measures the traffic about once a second, whatever the scale. So a few trips come
/// some calls sooner or later.
///
/// Fails when: the budget is a fixed time or a number of calls, whatever is configured.
#[test]
fn scaling_time_and_rate_together_leaves_the_trip_at_its_call() {
    let (mut lives, mut moved) = (0, 0);
    for place in 0..policies(1.0).len() {
        for rate in [10.0, 300.0, 3_000.0] {
            for share in SHARES {
                for seed in 0..effort::share_of(3).into() {
                    let calls = outage(rate, share, seed);
                    let plain = ended_at_trip(place, &calls, 1.0);
                    for times in [0.25, 8.0] {
                        let scaled = ended_at_trip(place, &calls, times);
                        let apart = plain.abs_diff(scaled);
                        assert!(
                            apart <= 30,
                            "{rate} a second, {share} fail, times {times}: {plain}, then {scaled}"
                        );
                        lives += 1;
                        moved += usize::from(apart > 0);
                    }
                }
            }
        }
    }
    assert!(moved * 10 <= lives, "{moved} of {lives} trips moved");
}
