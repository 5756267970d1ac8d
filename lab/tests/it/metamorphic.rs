//! Changes of the traffic that change no decision of the real breaker, or hardly any.

use std::sync::LazyLock;
use std::time::Duration;

use tripcurve::policy::Adaptive;
use tripcurve::window::Window;
use tripcurve::{CircuitBreakerBuilder, TripPolicy};
use tripcurve_lab::backend::Backend;
use tripcurve_lab::breaker::{Breaker, Nanos, Phase};
use tripcurve_lab::completions::Completions;
use tripcurve_lab::ours::Ours;
use tripcurve_lab::scenario::Scenario;
use tripcurve_lab::time::{MILLISECOND, SECOND, number};
use tripcurve_lab::traffic::{Latency, Traffic};

/// A call as the breaker sees it.
#[derive(Clone, Copy, Debug)]
struct Call {
    begins: Nanos,
    ends: Nanos,
    succeeds: bool,
}

/// Settings for a world in which everything takes a multiple of its usual time.
type Settings = fn(CircuitBreakerBuilder, u32) -> CircuitBreakerBuilder;

fn adaptive(policy: Adaptive, times: u32) -> Adaptive {
    policy
        .false_trip_budget(Duration::from_secs(86_400) * times)
        .slower_than(Duration::from_millis(100) * times)
}

const POLICIES: [(&str, Settings); 5] = [
    ("adaptive", |builder, times| {
        builder.trip_when(adaptive(TripPolicy::adaptive(), times))
    }),
    ("sensitive", |builder, times| {
        builder.trip_when(adaptive(TripPolicy::adaptive().tolerate(0.0), times))
    }),
    ("consecutive", |builder, _| {
        builder.trip_when(TripPolicy::consecutive_failures(5))
    }),
    ("error rate", |builder, _| {
        builder.trip_when(TripPolicy::failure_rate(0.5).min_calls(20))
    }),
    ("slow rate", |builder, times| {
        let slow = TripPolicy::slow_rate(0.5).slower_than(Duration::from_millis(100) * times);
        builder.trip_when(slow.min_calls(20))
    }),
];

/// Traffic after a change.
#[derive(Clone, Debug)]
struct Changed {
    calls: Vec<Call>,
    /// When the traffic begins.
    begin: Nanos,
    /// The multiple by which everything is slower.
    times: u32,
}

fn breaker(settings: Settings, begin: Nanos, times: u32) -> Ours {
    Ours::made_at(begin, "metamorphic", |builder| {
        let builder = builder
            .window(Window::time(Duration::from_secs(10) * times, 10))
            .open_for(Duration::from_secs(5) * times);
        settings(builder, times)
    })
    .unwrap()
}

/// When the breaker left the closed state.
fn trips(mut breaker: Ours, calls: &[Call]) -> Vec<Nanos> {
    let mut under_way = Completions::default();
    let mut trips = Vec::new();
    let mut was_closed = true;
    let mut look = |breaker: &Ours, now| {
        let is_closed = breaker.phase(now) == Phase::Closed;
        if was_closed && !is_closed {
            trips.push(now);
        }
        was_closed = is_closed;
    };
    for call in calls {
        while let Some((now, (permit, call))) = under_way.pop_until(call.begins) {
            let call: Call = call;
            breaker.record(permit, now, call.succeeds, now - call.begins);
            look(&breaker, now);
        }
        if let Some(permit) = breaker.admit(call.begins) {
            under_way.push(call.ends, (permit, *call));
        }
        look(&breaker, call.begins);
    }
    trips
}

/// Three rounds: healthy for 30 s, a fault of 8 s, and healthy for 12 s.
fn calls(scenario: Scenario, rate: f64, seed: u64) -> Vec<Call> {
    let mut traffic = Traffic::new(rate, Latency::USUAL, seed);
    let mut calls = Vec::new();
    for round in 0..3 {
        let begin = round * 50 * SECOND;
        let mut backend = Backend::new(scenario, 0.01, rate, begin + 30 * SECOND, 8 * SECOND, seed);
        loop {
            let draw = traffic.draw();
            let answer = backend.ask(&draw);
            calls.push(Call {
                begins: draw.at,
                ends: answer.ends,
                succeeds: !answer.fails,
            });
            if draw.at >= begin + 50 * SECOND {
                break;
            }
        }
    }
    calls
}

const FAULTS: [Scenario; 3] = [Scenario::TOTAL, Scenario::sharp(0.8), Scenario::SLOW];

fn each(calls: Vec<Call>, change: impl Fn(Call) -> Call) -> Vec<Call> {
    calls.into_iter().map(change).collect()
}

/// The calls of one fault, and when each policy's breaker trips on them.
struct Plain {
    scenario: Scenario,
    calls: Vec<Call>,
    trips: [Vec<Nanos>; POLICIES.len()],
}

/// The unchanged traffic, which is the same for all tests.
static PLAIN: LazyLock<[Plain; FAULTS.len()]> = LazyLock::new(|| {
    FAULTS.map(|scenario| {
        let calls = calls(scenario, 200.0, 11);
        let trips = POLICIES.map(|(_, settings)| trips(breaker(settings, 0, 1), &calls));
        Plain {
            scenario,
            calls,
            trips,
        }
    })
});

/// Compares each policy's decisions on the calls with those on the changed calls, for each fault.
fn compare(change: impl Fn(Vec<Call>) -> Changed, is_alike: impl Fn(&str, &[Nanos], &[Nanos])) {
    let mut trips_in_all = 0;
    for plain in &*PLAIN {
        let changed = change(plain.calls.clone());
        for ((name, settings), plain_trips) in POLICIES.into_iter().zip(&plain.trips) {
            trips_in_all += plain_trips.len();
            let name = format!("{name}, {}", plain.scenario.name());
            let breaker = breaker(settings, changed.begin, changed.times);
            is_alike(&name, plain_trips, &trips(breaker, &changed.calls));
        }
    }
    assert!(
        trips_in_all >= 30,
        "there was nothing to compare: {trips_in_all}"
    );
}

#[test]
fn the_same_calls_again_make_the_same_decisions() {
    compare(
        |calls| Changed {
            calls,
            begin: 0,
            times: 1,
        },
        |name, plain, again| assert_eq!(plain, again, "{name}"),
    );
}

#[test]
fn a_later_hour_changes_no_decision() {
    // The shift is a multiple of the bucket width. Otherwise the window would hold other calls.
    let later = 1_000_000 * SECOND;
    compare(
        |calls| Changed {
            calls: each(calls, |call| Call {
                begins: call.begins + later,
                ends: call.ends + later,
                ..call
            }),
            begin: later,
            times: 1,
        },
        |name, plain, shifted| {
            let back: Vec<Nanos> = shifted.iter().map(|at| at - later).collect();
            assert_near(name, plain, &back, 2 * MILLISECOND);
        },
    );
}

#[test]
fn when_everything_lasts_twice_as_long_decisions_take_twice_as_long() {
    compare(
        |calls| Changed {
            calls: each(calls, |call| Call {
                begins: call.begins * 2,
                ends: call.ends * 2,
                ..call
            }),
            begin: 0,
            times: 2,
        },
        |name, plain, slower| {
            let faster: Vec<Nanos> = slower.iter().map(|at| at / 2).collect();
            // The breaker judges the traffic once a second, at any number of calls.
            assert_near(name, plain, &faster, 20 * MILLISECOND);
        },
    );
}

#[test]
fn the_order_of_ends_within_a_millisecond_hardly_matters() {
    compare(
        |calls| Changed {
            calls: each(calls, |call| Call {
                ends: (call.ends ^ 0x7_ffff).max(call.begins + 1),
                ..call
            }),
            begin: 0,
            times: 1,
        },
        |name, plain, shuffled| {
            let mean = |trips: &[Nanos]| -> f64 {
                trips.iter().copied().map(number).sum::<f64>() / number(trips.len().max(1) as u64)
            };
            assert_eq!(plain.len(), shuffled.len(), "{name}");
            let apart = (mean(plain) - mean(shuffled)).abs();
            assert!(apart < number(20 * MILLISECOND), "{name}: {apart} ns");
        },
    );
}

#[track_caller]
fn assert_near(name: &str, plain: &[Nanos], changed: &[Nanos], tolerance: Nanos) {
    assert_eq!(
        plain.len(),
        changed.len(),
        "{name}: {plain:?}, then {changed:?}"
    );
    for (plain, changed) in plain.iter().zip(changed) {
        assert!(
            plain.abs_diff(*changed) <= tolerance,
            "{name}: {plain}, then {changed}"
        );
    }
}
