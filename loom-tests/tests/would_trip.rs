//! A breaker that may not trip, while threads find cause: what would have tripped it is counted once.

use loom_tests::sync::Arc;
use loom_tests::{breaker, breaker_by, model, preemptions, race};
use tripcurve::__model::{Core, FixedContext, Phase};
use tripcurve::{Outcome, State, TripPolicy};

/// A metrics-only breaker that would trip on so many failures.
fn core(failures: u32) -> Core {
    breaker(failures, 1 << 20, State::MetricsOnly)
}

fn context() -> FixedContext {
    FixedContext::on_first_thread_slot(0)
}

fn fail(core: &Core) {
    if let Ok(ticket) = core.admit(&context()) {
        core.record(ticket, Outcome::Failure, None, &context());
    }
}

fn would_have_opened(core: &Core) -> u64 {
    core.snapshot(&context()).would_have_opened()
}

/// Two failures are both enough, and come at the same time.
///
/// Fails when: a thread counts although another has noted the cause.
#[test]
fn of_two_failures_that_would_trip_one_is_counted() {
    model(preemptions(2), || {
        let core = Arc::new(core(1));
        race(&core, [fail, fail]);
        assert_eq!(would_have_opened(&core), 1);
    });
}

/// Two failures are enough together. The thread of the first finds no cause while that of the second
/// finds it. The cause is still noted when a third one comes.
///
/// Fails when: a judgement that has found no cause removes a note that came after it began.
#[test]
fn a_judgement_that_finds_nothing_leaves_a_later_note() {
    model(preemptions(2), || {
        let core = Arc::new(core(2));
        race(&core, [fail, fail]);
        assert_eq!(would_have_opened(&core), 1);
        fail(&core);
        assert_eq!(would_have_opened(&core), 1);
    });
}

/// Three failures in a row, of which two are enough. The thread of the first judges it after the
/// second has been noted.
///
/// Fails when: a thread judges a noted breaker by the run as it was when it added its own failure.
#[test]
fn a_judgement_that_comes_late_leaves_the_note() {
    model(preemptions(2), || {
        let policy = TripPolicy::consecutive_failures(2);
        let core = Arc::new(breaker_by(policy, 1 << 20, State::MetricsOnly));
        race(&core, [fail, fail]);
        fail(&core);
        assert_eq!(would_have_opened(&core), 1);
    });
}

/// A command ends the generation while a failure would trip it. In the next one a failure is counted
/// again.
///
/// Fails when: a note is made in any generation.
#[test]
fn a_late_cause_is_not_noted_in_the_next_generation() {
    model(preemptions(2), || {
        let core = Arc::new(core(1));
        race(
            &core,
            [
                |core: &Core| {
                    core.reset(0);
                    core.hold(Phase::MetricsOnly, 0);
                },
                fail,
            ],
        );
        // The failure was counted before the commands, after them, or not at all.
        let before = would_have_opened(&core);
        let is_noted = core.snapshot(&context()).failures() > 0;
        fail(&core);
        assert_eq!(would_have_opened(&core), before + u64::from(!is_noted));
    });
}
