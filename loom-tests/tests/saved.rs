//! A breaker is saved while other threads call it: the saved state is of one generation.

use std::sync::Mutex;

use loom_tests::sync::Arc;
use loom_tests::{model, preemptions, race};
use tripcurve::__model::{
    Core, CountRing, FixedContext, KeptTimes, Parts, Probes, Ring, SavedCore, Settings, Switch,
    TimeRing,
};
use tripcurve::{Outcome, State, TripPolicy};

const OPEN_FOR: u64 = 100 << 20;

fn core() -> Core {
    // The thread that trips empties the window, so the window shows a reader that mixes two
    // generations.
    let ring = CountRing::new(4, None, KeptTimes::NONE);
    core_with(Ring::Count(Box::new(ring)))
}

fn core_with(ring: Ring) -> Core {
    let settings = Settings {
        name: "model".into(),
        policies: [TripPolicy::failure_count(2)].into(),
        open_for: OPEN_FOR,
        probes: Probes::all(1),
        probe_timeout: u64::MAX,
        on_cancel: Outcome::Ignored,
        switch: Switch::default(),
    };
    Core::new(
        Parts {
            settings,
            ring,
            optional: None,
        },
        None,
        State::Closed,
        0,
    )
}

fn fail(core: &Core) {
    call(core, Outcome::Failure);
}

fn call(core: &Core, outcome: Outcome) {
    let context = FixedContext::on_first_thread_slot(5);
    if let Ok(ticket) = core.admit(&context) {
        core.record(ticket, outcome, None, &context);
    }
}

/// The number of failures in a breaker that is restored from `saved`.
fn failures(saved: &SavedCore) -> u64 {
    let mut restored = core();
    restored.restore(saved, 0, &FixedContext::on_first_thread_slot(5));
    let snapshot = restored.snapshot(&FixedContext::on_first_thread_slot(5));
    assert_eq!(snapshot.state(), saved.state());
    assert_eq!(snapshot.generation(), saved.generation());
    snapshot.failures()
}

/// The second failure trips, while another thread saves.
///
/// Fails when: `Core::save` doesn't read the state again.
#[test]
fn what_is_saved_during_a_trip_is_of_one_generation() {
    model(preemptions(2), || {
        // Loom needn't see the mutex: only one thread uses it during the race.
        let shared = Arc::new((core(), Mutex::new(None)));
        fail(&shared.0);
        race(
            &shared,
            [
                |(core, _): &(Core, Mutex<Option<SavedCore>>)| fail(core),
                |(core, seen): &(Core, Mutex<Option<SavedCore>>)| {
                    let saved = core.save(&FixedContext::on_first_thread_slot(5));
                    *seen.lock().unwrap() = Some(saved);
                },
            ],
        );
        assert_eq!(shared.0.state(), State::Open);
        let saved = shared.1.lock().unwrap().take().unwrap();
        match (saved.state(), saved.generation(), failures(&saved)) {
            (State::Closed, 0, 1..=2) => assert_eq!(saved.left_open(), 0),
            (State::Open, 1, 0) => assert!(saved.left_open() >= OPEN_FOR - 5),
            other => panic!("of two generations: {other:?}"),
        }
    });
}

/// A call succeeds and then one fails, while another thread saves a window by time.
///
/// Fails when: `TimeRing::save` has no fence between failures and successes.
#[test]
fn no_failure_is_saved_without_the_success_before_it() {
    model(preemptions(3), || {
        let ring = || Ring::Time(TimeRing::new(10, 1, 1, false));
        let shared = Arc::new((core_with(ring()), Mutex::new(None)));
        race(
            &shared,
            [
                |(core, _): &(Core, Mutex<Option<SavedCore>>)| {
                    call(core, Outcome::Success);
                    fail(core);
                },
                |(core, seen): &(Core, Mutex<Option<SavedCore>>)| {
                    let saved = core.save(&FixedContext::on_first_thread_slot(5));
                    *seen.lock().unwrap() = Some(saved);
                },
            ],
        );
        let saved = shared.1.lock().unwrap().take().unwrap();
        let mut restored = core_with(ring());
        restored.restore(&saved, 0, &FixedContext::on_first_thread_slot(5));
        let snapshot = restored.snapshot(&FixedContext::on_first_thread_slot(5));
        assert!(snapshot.failures() <= snapshot.successes());
    });
}
