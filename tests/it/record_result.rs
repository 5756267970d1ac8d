//! Results that a permit records by a classifier, as `call` does.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tripcurve::outcome::{Classify, DefaultClassifier};
use tripcurve::{CircuitBreaker, Outcome, State};

/// Results say how they count, and how long the dependency wants no calls.
type Answer = Result<Outcome, (Outcome, Duration)>;

/// Counts what it is asked.
#[derive(Default)]
struct Asked {
    outcomes: Cell<u32>,
    waits: Cell<u32>,
}

impl Classify<Outcome, (Outcome, Duration)> for Asked {
    fn classify(&self, result: &Answer) -> Outcome {
        self.outcomes.set(self.outcomes.get() + 1);
        match result {
            Ok(outcome) | Err((outcome, _)) => *outcome,
        }
    }

    fn retry_after(&self, result: &Answer) -> Option<Duration> {
        self.waits.set(self.waits.get() + 1);
        result.as_ref().err().map(|(_, wait)| *wait)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Every result, and through `call` and each kind of permit.
#[test]
fn a_permit_records_a_result_as_a_call_does() {
    let outcomes = [
        Outcome::Success,
        Outcome::Failure,
        Outcome::TimedOut,
        Outcome::Trip,
        Outcome::Ignored,
    ];
    for outcome in outcomes {
        for result in [Ok(outcome), Err((outcome, MINUTE))] {
            let seen: [_; 3] = std::array::from_fn(|way| {
                let clock = tripcurve::time::Clock::mock().0;
                let breaker = CircuitBreaker::builder("search")
                    .clock(clock)
                    .build()
                    .unwrap();
                let breaker = breaker.with_classifier(Asked::default());
                match way {
                    0 => drop(breaker.call(|| result)),
                    1 => {
                        let permit = breaker.try_acquire().unwrap();
                        permit.record_result(breaker.classifier(), &result);
                    }
                    _ => {
                        let permit = breaker.try_acquire_owned().unwrap();
                        permit.record_result(breaker.classifier(), &result);
                    }
                }
                let asked = breaker.classifier();
                let asked = (asked.outcomes.get(), asked.waits.get());
                breaker.trip(Duration::ZERO);
                let late = breaker.ask().map_err(|rejected| rejected.earliest());
                (breaker.snapshot().to_string(), asked, late)
            });
            assert_eq!(seen[0], seen[1], "{result:?}");
            assert_eq!(seen[0], seen[2], "{result:?}");
        }
    }
}

#[test]
fn a_permit_records_by_any_classifier() {
    let breaker = CircuitBreaker::new("search");
    let permit = || breaker.try_acquire().unwrap();
    permit().record_result(&DefaultClassifier, &Err::<(), _>("refused"));
    permit().record_result(breaker.classifier(), &Ok::<_, ()>(7));
    let unsized_one: &dyn Classify<u16, ()> = &|_: &Result<u16, ()>| Outcome::Ignored;
    permit().record_result(unsized_one, &Ok(7));
    let snapshot = breaker.snapshot();
    assert_eq!(
        [
            snapshot.successes(),
            snapshot.failures(),
            snapshot.ignored()
        ],
        [1, 1, 1]
    );
}

#[test]
fn a_classifier_that_panics_reaches_the_caller_and_the_call_is_ignored() {
    for is_owned in [false, true] {
        let breaker = CircuitBreaker::builder("search")
            .probes(1)
            .start_in(State::HalfOpen);
        let breaker = breaker.build().unwrap();
        let panics = |_: &Result<(), ()>| -> Outcome { panic!("it doesn't know this result") };
        let recorded = catch_unwind(AssertUnwindSafe(|| {
            if is_owned {
                let permit = breaker.try_acquire_owned().unwrap();
                permit.record_result(&panics, &Ok(()));
            } else {
                let permit = breaker.try_acquire().unwrap();
                permit.record_result(&panics, &Ok(()));
            }
        }));
        assert!(recorded.is_err());
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.state(), State::HalfOpen, "a failure would open it");
        assert_eq!(snapshot.probes_in_flight(), 0);
    }
}

#[test]
fn a_retry_after_that_panics_leaves_the_call_ignored_as_well() {
    struct Panics;
    impl Classify<(), ()> for Panics {
        fn classify(&self, _: &Result<(), ()>) -> Outcome {
            Outcome::Trip
        }

        fn retry_after(&self, _: &Result<(), ()>) -> Option<Duration> {
            panic!("no number")
        }
    }
    let breaker = CircuitBreaker::new("search");
    let permit = breaker.try_acquire().unwrap();
    let recorded = catch_unwind(AssertUnwindSafe(|| permit.record_result(&Panics, &Ok(()))));
    assert!(recorded.is_err());
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state(), snapshot.ignored()), (State::Closed, 1));
}

#[cfg(feature = "bulkhead")]
#[test]
fn a_permit_with_a_place_gives_it_back_after_the_result_is_recorded() {
    use tripcurve::bulkhead::Bulkhead;
    use tripcurve::handles::Handle;

    let bulkhead = Bulkhead::new(1).unwrap();
    let breaker = CircuitBreaker::new("search").with_bulkhead(bulkhead.clone());
    let permit = breaker.try_acquire().unwrap();
    assert!(bulkhead.try_acquire().is_err());
    permit.record_result(breaker.breaker().classifier(), &Err::<(), _>("refused"));
    assert!(bulkhead.try_acquire().is_ok());
    assert_eq!(breaker.breaker().snapshot().failures(), 1);
}
