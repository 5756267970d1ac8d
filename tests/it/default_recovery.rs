//! The recovery of the classic pair, compared with others: how much it rejects while a dependency
//! is bad at times, and how much a total outage costs.
//!
//! `cargo test --all-features --test it default_recovery:: -- --ignored --nocapture` prints the figures.

use std::time::Duration;

use tripcurve::name::Name;
use tripcurve::recovery::Backoff;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// The time between two calls: 200 a second.
const SPACING: Duration = Duration::from_millis(5);

type Settings = fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder;

/// The default open times of a recovery by probes.
const CLASSIC: (&str, Settings) = ("classic", |builder| builder);

/// The recoveries that it is compared with.
const OTHERS: [(&str, Settings); 5] = [
    ("fixed 5 s", |builder| builder.open_for(5 * SECOND)),
    ("5 s to 5 s", |builder| {
        builder.backoff(Backoff::exponential(5 * SECOND, 1.0, 5 * SECOND))
    }),
    ("0.5 s to 10 s", |builder| {
        builder.backoff(Backoff::exponential(500 * MILLI, 2.0, 10 * SECOND))
    }),
    ("0.5 s to 30 s", |builder| {
        builder.backoff(Backoff::exponential(500 * MILLI, 2.0, 30 * SECOND))
    }),
    ("adaptive", |builder| builder.recovery(Recovery::adaptive())),
];

/// A builder with the classic pair, whose recovery is by probes.
fn classic(name: impl Into<Name>) -> CircuitBreakerBuilder {
    CircuitBreaker::builder(name).trip_when(TripPolicy::classic())
}

fn built(name: &str, settings: Settings) -> (CircuitBreaker, Clock, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = classic(name.to_owned()).clock(clock.clone());
    (settings(builder).build().unwrap(), clock, hand)
}

/// Makes a call to a good or bad dependency. Returns whether it was let through.
fn call(breaker: &CircuitBreaker, is_bad: bool) -> bool {
    let Ok(permit) = breaker.try_acquire() else {
        return false;
    };
    permit.record(if is_bad {
        Outcome::Failure
    } else {
        Outcome::Success
    });
    true
}

/// The share of an hour's calls that is rejected, in percent. The dependency is `bad` at the begin
/// of each period.
#[allow(clippy::cast_precision_loss, reason = "below a million")]
fn rejected(settings: Settings, bad: Duration, period: Duration) -> f64 {
    let (breaker, clock, hand) = built("payments", settings);
    let (mut calls, mut rejected) = (0_u32, 0_u32);
    while clock.now() < HOUR {
        let into = clock.now().as_nanos() % period.as_nanos();
        calls += 1;
        rejected += u32::from(!call(&breaker, into < bad.as_nanos()));
        hand.advance(SPACING);
    }
    f64::from(rejected) / f64::from(calls) * 100.0
}

/// How many calls come until one may be let through. An open breaker rejects those before it, and
/// they change nothing.
fn calls_until_admission(breaker: &CircuitBreaker) -> u32 {
    let snapshot = breaker.snapshot();
    if snapshot.state() != State::Open {
        return 1;
    }
    let open_for = snapshot.remaining_open().unwrap_or_default();
    let calls = open_for.as_nanos().div_ceil(SPACING.as_nanos()).max(1);
    u32::try_from(calls).expect("open times are below a minute")
}

/// The number of calls that an outage of an hour gets, and how long after its end the breaker is
/// closed: the mean and the maximum of twenty breakers.
fn outage(settings: Settings) -> (f64, Duration, Duration) {
    let (mut probes, mut sum, mut most) = (0, Duration::ZERO, Duration::ZERO);
    for name in 0..20 {
        let (breaker, clock, hand) = built(&name.to_string(), settings);
        while clock.now() < HOUR {
            probes += u32::from(call(&breaker, true));
            hand.advance(SPACING * calls_until_admission(&breaker));
        }
        while breaker.state() != State::Closed {
            call(&breaker, false);
            hand.advance(SPACING);
        }
        let late = clock.now().saturating_sub(HOUR);
        sum += late;
        most = most.max(late);
    }
    (f64::from(probes) / 20.0, sum / 20, most)
}

/// Faults: how many milliseconds of each period the dependency is bad, and the period in
/// milliseconds.
const PATTERNS: [(u32, u32); 10] = [
    (200, 5_000),
    (100, 1_000),
    (1_000, 10_000),
    (200, 500),
    (50, 500),
    (100, 2_000),
    (100, 3_000),
    (500, 5_000),
    (2_000, 20_000),
    (200, 30_000),
];

#[test]
#[ignore = "it prints the figures, which takes minutes"]
fn figures() {
    print!("| percent rejected |");
    for (bad, period) in PATTERNS {
        print!(" {bad} ms of {period} |");
    }
    println!(" probes in an hour | closed after, mean | at most |");
    for (name, settings) in [CLASSIC].into_iter().chain(OTHERS) {
        print!("| {name} |");
        for (bad, period) in PATTERNS {
            print!(" {:.1} |", rejected(settings, bad * MILLI, period * MILLI));
        }
        let (probes, mean, most) = outage(settings);
        println!(" {probes:.0} | {mean:.1?} | {most:.1?} |");
    }
}

#[test]
fn a_dependency_that_is_bad_for_4_percent_of_the_time_is_rejected_for_at_most_15_percent() {
    let settings: [Settings; 4] = [
        |builder| builder,
        |builder| builder.probes(1),
        |builder| builder.recovery(Recovery::probes(5).success_threshold(4)),
        |builder| builder.recovery(Recovery::adaptive()),
    ];
    for settings in settings {
        let share = rejected(settings, 200 * MILLI, 5 * SECOND);
        assert!(share <= 15.0, "{share}");
    }
}

/// At any period, open times don't keep step with it, and don't grow while the dependency works.
#[test]
fn a_fault_that_comes_back_as_regularly_as_the_breaker_probes_does_not_keep_it_open() {
    for (bad, period, most) in [
        (100, 1_000, 60.0),
        (1_000, 10_000, 20.0),
        (100, 2_000, 25.0),
        (160, 4_000, 15.0),
        (500, 5_000, 25.0),
    ] {
        let share = rejected(CLASSIC.1, bad * MILLI, period * MILLI);
        assert!(share <= most, "{bad} of {period}: {share}");
    }
}

#[test]
fn an_outage_of_an_hour_gets_a_thousand_probes_and_is_over_within_five_seconds_of_its_end() {
    let (probes, mean, most) = outage(CLASSIC.1);
    assert!(probes <= 1_000.0, "{probes}");
    assert!(mean <= 5 * SECOND / 2, "{mean:?}");
    assert!(most <= 5 * SECOND + 10 * MILLI, "{most:?}");
}

/// The times at which the breakers let their first calls through, after all have tripped at once.
fn first_probes(breakers: &[CircuitBreaker], clock: &Clock, hand: &MockClock) -> Vec<Duration> {
    for breaker in breakers {
        breaker.try_acquire().unwrap().record(Outcome::Trip);
    }
    let mut probes = vec![None; breakers.len()];
    while probes.contains(&None) {
        hand.advance(MILLI);
        for (breaker, probe) in breakers.iter().zip(&mut probes) {
            if probe.is_none() && breaker.try_acquire().is_ok() {
                *probe = Some(clock.now());
            }
        }
    }
    let mut probes: Vec<_> = probes.into_iter().flatten().collect();
    probes.sort_unstable();
    probes
}

/// By chance, 20 of 250 times are this close.
fn assert_spread(probes: &[Duration]) {
    let spread = probes[probes.len() - 1].saturating_sub(probes[0]);
    assert!(spread >= 150 * MILLI, "{probes:?}");
    for few in probes.windows(6) {
        assert!(few[5].saturating_sub(few[0]) >= 10 * MILLI, "{few:?}");
    }
}

#[test]
fn twenty_breakers_that_trip_together_do_not_probe_together() {
    let (clock, hand) = Clock::mock();
    let breakers: Vec<_> = (0..20)
        .map(|name| {
            let builder = classic(format!("shard {name}"));
            builder.clock(clock.clone()).build().unwrap()
        })
        .collect();
    assert_spread(&first_probes(&breakers, &clock, &hand));
}

/// The adaptive default sends its first probes sooner, so they are closer.
#[test]
fn twenty_adaptive_breakers_that_trip_together_send_their_first_probes_over_at_least_25_ms() {
    let (clock, hand) = Clock::mock();
    let builder = || CircuitBreaker::builder("backend").clock(clock.clone());
    let breakers: Vec<_> = (0..20).map(|_| builder().build().unwrap()).collect();
    let probes = first_probes(&breakers, &clock, &hand);
    let spread = probes[probes.len() - 1].saturating_sub(probes[0]);
    assert!(spread >= 25 * MILLI, "{probes:?}");
}

/// Breakers with one name, like those of several clients of one backend.
#[test]
fn twenty_breakers_of_one_name_that_trip_together_do_not_probe_together() {
    let (clock, hand) = Clock::mock();
    let builder = || classic("backend").clock(clock.clone());
    let breakers: Vec<_> = (0..20).map(|_| builder().build().unwrap()).collect();
    assert_spread(&first_probes(&breakers, &clock, &hand));
}

/// Breakers of a registry. They share one name, unless each is given its own.
#[cfg(feature = "registry")]
#[test]
fn twenty_breakers_of_a_registry_that_trip_together_do_not_probe_together() {
    let (clock, hand) = Clock::mock();
    let template = classic("shards").clock(clock.clone());
    let registry = tripcurve::registry::Registry::<u32>::builder(template)
        .build()
        .unwrap();
    let breakers: Vec<_> = (0..20).map(|key| registry.get_or_create(&key)).collect();
    assert_spread(&first_probes(&breakers, &clock, &hand));
}

/// The open times of a breaker in a total outage.
fn open_times(settings: Settings) -> Vec<Duration> {
    let (breaker, _, hand) = built("payments", settings);
    let opening = |_| {
        breaker.try_acquire().unwrap().record(Outcome::Trip);
        let left = breaker.snapshot().remaining_open().unwrap();
        hand.advance(left + 2 * MILLI);
        left
    };
    (0..6).map(opening).collect()
}

#[test]
fn the_default_open_times_are_those_of_the_default_backoff() {
    let times = open_times(CLASSIC.1);
    for (time, most) in times.iter().zip([500, 1_000, 2_000, 4_000, 5_000, 5_000]) {
        let range = most * MILLI / 2..=(most + 2) * MILLI;
        assert!(range.contains(time), "{times:?}");
    }
    let alike: [Settings; 4] = [
        |builder| builder.probes(3),
        |builder| builder.backoff(Backoff::default()),
        |builder| builder.recovery(Recovery::default()),
        |builder| builder.recovery(Recovery::probes(3).backoff(Backoff::default())),
    ];
    for settings in alike {
        assert_eq!(open_times(settings), times);
    }
    let fixed = open_times(|builder| builder.open_for(5 * SECOND));
    assert!(
        fixed
            .iter()
            .all(|time| time.as_millis().abs_diff(5_000) <= 2)
    );
}

#[cfg(feature = "serde")]
#[test]
fn the_default_open_times_go_on_growing_in_the_next_process() {
    let (breaker, clock, hand) = built("payments", CLASSIC.1);
    for _ in 0..4 {
        breaker.try_acquire().unwrap().record(Outcome::Trip);
        hand.advance(6 * SECOND);
    }
    let restored = classic("payments").clock(clock);
    let restored = restored.restore(breaker.save()).build().unwrap();
    restored.try_acquire().unwrap().record(Outcome::Trip);
    let left = restored.snapshot().remaining_open().unwrap();
    assert!(left >= 2_500 * MILLI, "{left:?}");
}

#[test]
fn the_default_open_times_come_and_go_with_other_settings() {
    let (breaker, _, hand) = built("payments", |builder| builder.open_for(9 * SECOND));
    let open = |limit| {
        breaker.try_acquire().unwrap().record(Outcome::Trip);
        let left = breaker.snapshot().remaining_open().unwrap();
        hand.advance(left + 2 * MILLI);
        assert!(left >= limit / 2 && left <= limit + 2 * MILLI, "{left:?}");
        left
    };
    let settings = || classic("payments");
    open(9 * SECOND);
    breaker.reconfigure(settings()).unwrap();
    // Failed recoveries under a fixed open time aren't counted.
    open(500 * MILLI);
    open(SECOND);
    let longer = Backoff::exponential(500 * MILLI, 2.0, 60 * SECOND);
    breaker.reconfigure(settings().backoff(longer)).unwrap();
    open(2 * SECOND);
    breaker.reconfigure(settings()).unwrap();
    open(4 * SECOND);
    breaker.reconfigure(settings().open_for(SECOND)).unwrap();
    assert!(open(SECOND) >= SECOND);
    breaker.reconfigure(settings()).unwrap();
    open(500 * MILLI);
}
