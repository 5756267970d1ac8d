//! Events of tracing for rejections: their bound holds, and the word that leads to them also leads
//! to the settings of now.

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{
    Core, EventLimit, FixedContext, Parts, Probes, Ring, Settings, Switch, ThreadSlot, TimeRing,
};
use tripcurve::{Outcome, State, TripPolicy};

const SECOND: u64 = 1_000_000_000;

/// Two rejections of one second, which has one event.
///
/// Fails when: an admitted event is stored instead of exchanged.
#[test]
fn of_two_rejections_in_a_second_one_makes_the_event() {
    model(UNBOUNDED, || {
        let limit = Arc::new(EventLimit::new(1));
        let told = race(
            &limit,
            [|it: &EventLimit| it.admit(SECOND), |it| it.admit(SECOND)],
        );
        let told: Vec<_> = told.into_iter().flatten().collect();
        let [left_out] = told[..] else {
            panic!("{} events", told.len());
        };
        // The rejection without an event was left out before the event of the other one, or after.
        assert_eq!(limit.admit(2 * SECOND), Some(1 - left_out));
    });
}

/// Two events come after a rejection that was left out, while a third rejection is.
///
/// Fails when: the number of those left out is stored instead of exchanged.
#[test]
fn each_rejection_that_was_left_out_is_told_once() {
    model(preemptions(3), || {
        let limit = EventLimit::new(2);
        let before = [0, 0, 0].map(|nanos| limit.admit(nanos));
        assert_eq!(before, [Some(0), Some(0), None]);
        let limit = Arc::new(limit);
        let told = race(
            &limit,
            [|it: &EventLimit| it.admit(SECOND), |it| it.admit(SECOND)],
        );
        let told: u64 = told.into_iter().flatten().sum();
        assert_eq!(told, 1);
    });
}

fn parts(probes: u32) -> Parts {
    Parts {
        settings: Settings {
            name: "model".into(),
            policies: [TripPolicy::from(TripPolicy::failure_count(5))].into(),
            open_for: 1_000,
            probes: Probes::all(probes),
            probe_timeout: u64::MAX,
            on_cancel: Outcome::Ignored,
            switch: Switch::default(),
        },
        ring: Ring::Time(TimeRing::new(10, 2, 1, false)),
        optional: None,
    }
}

/// The only probe is in flight when settings with two probes come.
///
/// Fails when: the detour comes after the settings.
#[test]
fn whom_the_new_settings_would_admit_is_admitted_by_them() {
    const AT: FixedContext = FixedContext {
        nanos: 2_000,
        thread_slot: ThreadSlot(0),
    };
    model(preemptions(3), || {
        let core = Core::new(parts(1), None, State::Closed, 0);
        // This makes the place for a second configuration, whose creation loom can't see.
        core.checks_or_init();
        core.trip(0, 0);
        let _in_flight = core.admit(&AT).unwrap();
        let core = Arc::new(core);
        race(
            &core,
            [
                |core: &Core| {
                    core.reconfigure(parts(2), &AT);
                },
                |core| {
                    if core.peek(&AT).is_ok() {
                        assert!(core.admit(&AT).is_ok());
                    }
                },
            ],
        );
    });
}
