//! Percentiles are judged by one caller per tick, and the baseline loses at most one lesson.

use std::time::Duration;

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, model, race};
use tripcurve::__model::{ClockReading, PercentileBaseline, Recording, Timed, Times};
use tripcurve::TripPolicy;

/// Two callers come in one tick.
///
/// Fails when: `Timed::takes_tick` stores the next tick.
#[test]
fn of_two_callers_at_a_tick_one_judges() {
    model(UNBOUNDED, || {
        let settings = Times {
            slower_than: None,
            window: Duration::from_nanos(100),
            tick: Duration::from_nanos(10),
            tick_units: 10,
            watch_units: 1,
            sample_units: None,
            recording: Recording::Combined,
        };
        let policy = TripPolicy::slower_than_usual(2.0).into();
        let timed = Arc::new(Timed::new(&settings, None, &[policy]));
        let takes = |timed: &Timed| timed.takes_tick(ClockReading::at(5));
        let judges = race(&timed, [takes, takes]);
        assert_eq!(judges.iter().filter(|judges| **judges).count(), 1);
        assert!(!timed.takes_tick(ClockReading::at(14)));
        assert!(timed.takes_tick(ClockReading::at(15)));
    });
}

/// One thread teaches once, the other twice. The baseline is read after the second lesson.
///
/// Fails when: `PercentileBaseline::change` stores the word, so a thread that slept undoes what
/// others have taught meanwhile.
#[test]
fn a_teacher_that_slept_takes_back_no_lesson() {
    model(UNBOUNDED, || {
        let usual = Arc::new(PercentileBaseline::new(2, 10));
        race(
            &usual,
            [
                |usual| usual.observe(1_000, 2.0),
                |usual| {
                    usual.observe(1_000, 2.0);
                    usual.observe(1_000, 2.0);
                },
            ],
        );
        assert!(usual.get().is_some());
    });
}
