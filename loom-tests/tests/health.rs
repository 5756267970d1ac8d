//! A health check, against the calls that wait for it and against commands.

use loom_tests::sync::{Arc, Ordering, fence};
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{
    Core, FixedContext, Generation, HealthChecks, InLine, NextCheck, OptionalParts, Parts, Probes,
    Ring, Settings, Switch, TimeRing,
};
use tripcurve::{Outcome, State, TripPolicy};

/// The open time, a whole number of the state word's units.
const OPEN_FOR: u64 = 1 << 20;

/// How long calls wait for a check.
const PATIENCE: u64 = 8 * OPEN_FOR;

const WISH: u64 = 64 * OPEN_FOR;

/// A breaker with a health check task, and the generation in which it is open.
struct Checked {
    core: Core,
    generation: Generation,
}

/// A breaker that is open until `OPEN_FOR`, when a check has begun.
fn checked() -> Arc<Checked> {
    checked_beside(None)
}

/// Like [`checked`], with optional parts.
fn checked_beside(beside: Option<Box<OptionalParts>>) -> Arc<Checked> {
    let core = breaker(beside, State::Open);
    core.checks_or_init().enter();
    let NextCheck::Now { generation, .. } = core.next_check(OPEN_FOR) else {
        unreachable!("its open time is over");
    };
    Arc::new(Checked { core, generation })
}

fn breaker(beside: Option<Box<OptionalParts>>, state: State) -> Core {
    Core::new(
        Parts {
            settings: settings(PATIENCE),
            ring: ring(),
            optional: beside,
        },
        None,
        state,
        0,
    )
}

fn ring() -> Ring {
    Ring::Time(TimeRing::new(1 << 40, 1, 1, false))
}

fn settings(probe_timeout: u64) -> Settings {
    Settings {
        name: "model".into(),
        policies: [TripPolicy::failure_count(1)].into(),
        open_for: OPEN_FOR,
        probes: Probes::all(1),
        probe_timeout,
        on_cancel: Outcome::Ignored,
        switch: Switch::default(),
    }
}

impl Checked {
    /// Reports the check's verdict. Returns whether it counted.
    fn verdict(&self, is_well: bool, nanos: u64) -> bool {
        let context = FixedContext::on_first_thread_slot(nanos);
        self.core.checked(self.generation, is_well, &context)
    }

    /// Whether a call is let through.
    fn call(&self, nanos: u64) -> bool {
        self.core
            .admit(&FixedContext::on_first_thread_slot(nanos))
            .is_ok()
    }

    /// How long the breaker stays open after the check began.
    fn left(&self) -> Option<u64> {
        let snapshot = self
            .core
            .snapshot(&FixedContext::on_first_thread_slot(OPEN_FOR));
        let left = snapshot.remaining_open()?;
        Some(left.as_nanos().try_into().expect("it is short"))
    }
}

/// A call comes after the open time, while the check succeeds.
///
/// Fails when: calls don't wait for the check.
#[test]
fn a_call_does_not_forestall_a_health_check_that_succeeds() {
    model(preemptions(3), || {
        let checked = checked();
        let [counts, _] = race(
            &checked,
            [
                |it: &Checked| it.verdict(true, OPEN_FOR),
                |it: &Checked| it.call(OPEN_FOR),
            ],
        );
        assert!(counts);
        assert_eq!(checked.core.state(), State::HalfOpen);
    });
}

/// A call comes after the open time, while the check fails.
///
/// Fails when: calls don't wait for the check.
#[test]
fn a_call_does_not_forestall_a_health_check_that_fails() {
    model(preemptions(3), || {
        let checked = checked();
        let [counts, goes] = race(
            &checked,
            [
                |it: &Checked| it.verdict(false, OPEN_FOR),
                |it: &Checked| it.call(OPEN_FOR),
            ],
        );
        assert!(counts && !goes);
        assert_eq!(checked.left(), Some(OPEN_FOR));
    });
}

/// A call comes after the wait for the check has run out, while the check fails at last.
///
/// Fails when: the verdict opens the breaker in any generation.
#[test]
fn of_a_call_that_takes_over_and_a_late_verdict_one_counts() {
    model(preemptions(3), || {
        let checked = checked();
        let [counts, goes] = race(
            &checked,
            [
                |it: &Checked| it.verdict(false, OPEN_FOR + PATIENCE),
                |it: &Checked| it.call(OPEN_FOR + PATIENCE),
            ],
        );
        assert_ne!(counts, goes);
        let state = if goes { State::HalfOpen } else { State::Open };
        assert_eq!(checked.core.state(), state);
    });
}

/// A command closes the breaker while the check fails.
///
/// Fails when: the verdict opens the breaker in any generation.
#[test]
fn a_reset_stays_though_a_health_check_fails() {
    model(preemptions(3).full(5), || {
        let checked = checked();
        race(
            &checked,
            [
                |it: &Checked| {
                    it.verdict(false, OPEN_FOR);
                },
                |it: &Checked| it.core.reset(OPEN_FOR),
            ],
        );
        assert_eq!(checked.core.state(), State::Closed);
    });
}

/// A command trips the breaker while the check succeeds.
///
/// Fails when: the verdict admits probes in any generation.
#[test]
fn a_trip_by_hand_stays_though_a_health_check_succeeds() {
    model(preemptions(3).full(5), || {
        let checked = checked();
        race(
            &checked,
            [
                |it: &Checked| {
                    it.verdict(true, OPEN_FOR);
                },
                // This open time is over at once, but the check's own is another.
                |it: &Checked| it.core.trip(0, OPEN_FOR),
            ],
        );
        assert_eq!(checked.core.state(), State::Open);
    });
}

/// A `Retry-After` comes while the check succeeds.
///
/// Fails when: the verdict admits probes although the open time was lengthened.
#[test]
fn a_wish_that_has_lengthened_the_open_time_is_heeded_though_a_health_check_succeeds() {
    model(preemptions(3).full(5), || {
        let checked = checked_beside(None);
        let [_, left] = race(
            &checked,
            [
                |it: &Checked| {
                    it.verdict(true, OPEN_FOR);
                    None
                },
                |it: &Checked| {
                    it.core.note_retry_after(WISH, OPEN_FOR);
                    it.left()
                },
            ],
        );
        let state = checked.core.state();
        assert!(left.is_none() || state == State::Open, "{left:?}, {state}");
    });
}

/// One task ends while another begins.
///
/// Fails when: a task that ends also removes the others.
#[test]
fn of_two_tasks_one_that_ends_leaves_the_other() {
    model(preemptions(3), || {
        let checked = checked();
        race(
            &checked,
            [
                |it: &Checked| it.core.checks_or_init().leave(),
                |it: &Checked| it.core.checks_or_init().enter(),
            ],
        );
        assert!(!checked.call(OPEN_FOR));
    });
}

/// The first health check task begins while the breaker opens. The bell is `event-listener`'s,
/// which loom doesn't see. A fence here stands for its fence.
///
/// Fails when: `Core::entered_for` has no fence.
#[test]
fn the_first_task_that_checks_misses_no_opening() {
    model(preemptions(3), || {
        let breaker = breaker(None, State::Closed);
        // This makes the place for a second configuration, whose creation loom can't see.
        let another = Parts {
            settings: settings(2 * PATIENCE),
            ring: ring(),
            optional: None,
        };
        breaker.reconfigure(another, &FixedContext::on_first_thread_slot(0));
        let breaker = Arc::new(breaker);
        let [seen, _] = race(
            &breaker,
            [
                |breaker: &Core| {
                    let bell = breaker.checks_or_init().listen();
                    fence(Ordering::SeqCst);
                    Some((breaker.state(), bell))
                },
                |breaker: &Core| {
                    breaker.trip(OPEN_FOR, 0);
                    None
                },
            ],
        );
        let (state, bell) = seen.expect("it has looked");
        let is_rung = bell.discard();
        assert!(state == State::Open || is_rung);
    });
}

/// Two tasks begin a check, and one of them notes it late. Calls wait for the later check.
///
/// Fails when: `HealthChecks::start_check` stores the time instead of raising it.
#[test]
fn a_check_that_is_noted_late_shortens_no_wait() {
    model(UNBOUNDED, || {
        let checks = Arc::new(HealthChecks::default());
        checks.enter();
        race(
            &checks,
            [
                |checks: &HealthChecks| checks.start_check(5),
                |checks: &HealthChecks| checks.start_check(9),
            ],
        );
        assert_eq!(checks.hold_until(0, 10), 19);
    });
}
