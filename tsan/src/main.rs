//! Threads that use one of everything, for the thread sanitizer: `tsan/run`.
//!
//! A plain `main`, because the test harness itself gives a false alarm. `--race` makes a real race,
//! which the sanitizer must find.

use std::collections::HashMap;
use std::env;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tripcurve::bulkhead::Bulkhead;
use tripcurve::handles::Handle;
use tripcurve::outcome::Report;
use tripcurve::registry::{ControlGroup, Registry, Roster};
use tripcurve::retry::RetryBudget;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Recovery, State, TripPolicy};

const THREADS: u64 = 6;
const ROUNDS: u64 = 20_000;

fn main() {
    if env::args().any(|word| word == "--race") {
        race();
    }
    let seconds = Duration::from_secs;
    let short = Recovery::fixed(Duration::from_millis(1), 3);
    let builders: [CircuitBreakerBuilder; 5] = [
        CircuitBreaker::builder("defaults"),
        CircuitBreaker::builder("timed")
            .window(Window::time(Duration::from_millis(100), 10))
            .latency(Recording::ByOutcome)
            .recovery(short.clone())
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(20)),
        CircuitBreaker::builder("counted")
            .window(Window::count(100))
            .recovery(short.clone())
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(20)),
        CircuitBreaker::builder("both")
            .window(Window::count(200).within(seconds(1)))
            .recovery(short)
            .trip_when(TripPolicy::consecutive_failures(5)),
        CircuitBreaker::builder("waiting")
            .max_waiting(8)
            .open_for(Duration::from_millis(1))
            .trip_when(TripPolicy::consecutive_failures(5)),
    ];
    let roster = Roster::new();
    let told = Arc::new(AtomicU64::new(0));
    let breakers = builders.map(|builder| {
        let told = Arc::clone(&told);
        let builder = builder.on_transition(move |_| _ = told.fetch_add(1, Ordering::Relaxed));
        builder.enlist(&roster).shards(4).build().unwrap()
    });
    let group = ControlGroup::new();
    group.add(&breakers[2]);
    // Threads wait without a timer.
    let timer = |_: Duration| pending::<()>();
    let millisecond = Duration::from_millis(1);
    let patient = breakers[4].waiting(millisecond).unwrap();
    let patient = patient.sleep_with(timer);
    let places = Bulkhead::new(2).unwrap().max_wait(millisecond);
    let places = places.sleep_with(timer);
    let guarded = patient.with_bulkhead(places);
    let budget = RetryBudget::new(&breakers[0]);
    let template = CircuitBreaker::builder("keys").trip_when(TripPolicy::consecutive_failures(3));
    let keys = Registry::<u64>::builder(template)
        .capacity(20)
        .build()
        .unwrap();
    let done = AtomicBool::new(false);

    thread::scope(|scope| {
        let callers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (breakers, guarded, budget, keys) = (&breakers, &guarded, &budget, &keys);
                scope.spawn(move || {
                    let mut dice = thread + 1;
                    for _ in 0..ROUNDS {
                        for breaker in breakers {
                            call(breaker, roll(&mut dice));
                        }
                        let fails = roll(&mut dice) % 4 == 0;
                        _ = guarded.call(|| if fails { Err(()) } else { Ok(()) });
                        budget.deposit();
                        _ = budget.try_withdraw();
                        let key = roll(&mut dice) % 60;
                        _ = keys
                            .get_or_create(&key)
                            .call(|| if key % 5 == 0 { Err(()) } else { Ok(()) });
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut number = 0_usize;
            while !done.load(Ordering::Acquire) {
                number += 1;
                let breaker = &breakers[number % breakers.len()];
                match number % 9 {
                    0 => breaker.trip(Duration::from_micros(100)),
                    1 => breaker.reset(),
                    2 => group.isolate(),
                    3 => group.release(),
                    4 => _ = breaker.save(),
                    5 => keys.retain(|key, _| key % 3 != 0),
                    6 => {
                        let settings = CircuitBreaker::builder("counted")
                            .window(Window::count(50 + u32::try_from(number % 100).unwrap()));
                        breakers[2].reconfigure(settings).unwrap();
                    }
                    _ => {
                        let all: HashMap<_, _> = keys.snapshots().into_iter().collect();
                        assert!(all.len() < 1_000);
                        roster.for_each(|it| _ = it.snapshot());
                    }
                }
                thread::sleep(Duration::from_micros(200));
            }
        });
        for caller in callers {
            caller.join().unwrap();
        }
        done.store(true, Ordering::Release);
    });
    group.release();
    for breaker in &breakers {
        breaker.reset();
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(breaker.snapshot().probes_in_flight(), 0);
    }
    assert_eq!(guarded.bulkhead().in_flight(), 0);
    println!("{} transitions", told.load(Ordering::Relaxed));
}

fn call(breaker: &CircuitBreaker, dice: u64) {
    let fails = dice % 4 == 0;
    match dice >> 8 & 3 {
        0 => {
            if let Ok(permit) = breaker.try_acquire() {
                let report = if fails {
                    Report::failure()
                } else {
                    Report::success()
                };
                permit.record(report.took(Duration::from_micros(dice >> 16 & 0xFFFF)));
            }
        }
        1 => drop(breaker.try_acquire()),
        _ => _ = breaker.call(|| if fails { Err(()) } else { Ok(()) }),
    }
}

/// xorshift
fn roll(dice: &mut u64) -> u64 {
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    *dice
}

/// Two threads write to one place without a lock.
fn race() {
    static mut PLACE: u64 = 0;
    let write = || {
        for number in 0..1_000 {
            // SAFETY: there is none. This is the race that the sanitizer must find.
            unsafe { (&raw mut PLACE).write_volatile(number) };
        }
    };
    thread::scope(|scope| {
        scope.spawn(write);
        scope.spawn(write);
    });
}
