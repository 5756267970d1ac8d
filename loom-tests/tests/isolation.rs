//! A group isolates a breaker and releases it, while other threads change its state.

use std::time::Duration;

use loom_tests::sync::Arc;
use loom_tests::{breaker, model, preemptions, race};
use tripcurve::__model::{Core, FixedContext, Phase, Ticket};
use tripcurve::{Outcome, State};

/// The open time; it is whole in the units of an isolation.
const OPEN_FOR: u64 = 1 << 23;

const RETRY_AFTER: u64 = 8 * OPEN_FOR;

/// A breaker that trips on a failure.
fn core() -> Core {
    breaker(1, OPEN_FOR, State::Closed)
}

fn left(core: &Core) -> Option<Duration> {
    core.snapshot(&FixedContext::on_first_thread_slot(0))
        .remaining_open()
}

/// A failure trips the breaker while its group isolates it. A trip that came first is there again
/// after the release, with its open time.
///
/// Fails when: an isolation takes an earlier state for the one that it interrupts.
#[test]
fn a_trip_before_an_isolation_is_back_after_it() {
    model(preemptions(2), || {
        let core = core();
        let context = FixedContext::on_first_thread_slot(0);
        let ticket = core.admit(&context).expect("nothing has failed");
        let shared = Arc::new((core, ticket));
        race(
            &shared,
            [
                |(core, ticket): &(Core, Ticket)| {
                    let context = FixedContext::on_first_thread_slot(0);
                    core.record(*ticket, Outcome::Failure, None, &context);
                },
                |(core, _)| core.isolate(0),
            ],
        );
        let core = &shared.0;
        assert_eq!(core.state(), State::ForcedOpen);
        // Isolated from closed: one transition. From open: two.
        let has_tripped = core.snapshot(&context).generation() == 2;
        core.release(0);
        let open_for = has_tripped.then_some(Duration::from_nanos(OPEN_FOR));
        assert_eq!(left(core), open_for);
        let expected = if has_tripped {
            State::Open
        } else {
            State::Closed
        };
        assert_eq!(core.state(), expected);
    });
}

/// A command forces the breaker open while its group releases it. The command holds.
///
/// Fails when: a release ends a state that isn't an isolation.
#[test]
fn a_command_while_the_isolation_ends_holds() {
    model(preemptions(2), || {
        let core = core();
        core.isolate(0);
        let core = Arc::new(core);
        race(
            &core,
            [
                |core: &Core| core.hold(Phase::ForcedOpen, 0),
                |core: &Core| core.release(0),
            ],
        );
        assert_eq!(core.state(), State::ForcedOpen);
        core.release(0);
        assert_eq!(core.state(), State::ForcedOpen);
    });
}

/// A late call brings a `Retry-After` while the isolation of an open breaker ends.
///
/// Fails when: a release doesn't read the `Retry-After` again after it.
#[test]
fn a_retry_after_while_the_isolation_ends_is_honoured() {
    model(preemptions(2), || {
        let core = core();
        core.trip(OPEN_FOR, 0);
        core.isolate(0);
        let core = Arc::new(core);
        race(
            &core,
            [
                |core: &Core| core.note_retry_after(RETRY_AFTER, 0),
                |core: &Core| core.release(0),
            ],
        );
        assert_eq!(left(&core), Some(Duration::from_nanos(RETRY_AFTER)));
    });
}
