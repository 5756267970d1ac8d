//! A dependency's `Retry-After`, reported by one call while another call changes the state.

use std::time::Duration;

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, breaker, model, preemptions, race};
use tripcurve::__model::{Core, FixedContext, Ticket};
use tripcurve::{Outcome, State};

/// The open time, a whole number of the state word's units.
const OPEN_FOR: u64 = 1 << 20;

const WISH: u64 = 8 * OPEN_FOR;

/// A breaker that trips on a failure, with the default bound for `Retry-After`.
fn core() -> Core {
    breaker(1, OPEN_FOR, State::Closed)
}

fn fail(core: &Core, nanos: u64) {
    let context = FixedContext::on_first_thread_slot(nanos);
    let ticket = core.admit(&context).expect("nothing has failed");
    core.record(ticket, Outcome::Failure, None, &context);
}

fn left(core: &Core, nanos: u64) -> Option<Duration> {
    core.snapshot(&FixedContext::on_first_thread_slot(nanos))
        .remaining_open()
}

/// A failed call trips the breaker, while another call brings a `Retry-After`.
///
/// Fails when: the thread that opens doesn't check for a `Retry-After` again after it, or does so
/// by a load.
#[test]
fn a_wish_while_the_breaker_trips_is_heeded() {
    model(preemptions(3), || {
        let core = Arc::new(core());
        race(
            &core,
            [
                |core: &Core| fail(core, 0),
                |core: &Core| core.note_retry_after(WISH, 0),
            ],
        );
        assert_eq!(left(&core, 0), Some(Duration::from_nanos(WISH)));
    });
}

/// A probe fails, while another call brings a `Retry-After`.
///
/// Fails when: the thread that opens doesn't check for a `Retry-After` again after it, or does so
/// by a load.
#[test]
fn a_wish_while_a_probe_fails_is_heeded() {
    model(preemptions(3), || {
        let core = core();
        core.trip(0, 0);
        let probe = core
            .admit(&FixedContext::on_first_thread_slot(0))
            .expect("it is the probe");
        let shared = Arc::new((core, probe));
        race(
            &shared,
            [
                |(core, probe): &(Core, Ticket)| {
                    core.record(
                        *probe,
                        Outcome::Failure,
                        None,
                        &FixedContext::on_first_thread_slot(0),
                    );
                },
                |(core, _): &(Core, Ticket)| core.note_retry_after(WISH, 0),
            ],
        );
        assert_eq!(left(&shared.0, 0), Some(Duration::from_nanos(WISH)));
    });
}

/// A `Retry-After` comes while a command resets the breaker.
///
/// Fails when: the open time is lengthened in any state.
#[test]
fn a_wish_while_the_breaker_is_reset_leaves_it_closed() {
    model(UNBOUNDED, || {
        let core = core();
        core.trip(OPEN_FOR, 0);
        let core = Arc::new(core);
        race(
            &core,
            [
                |core: &Core| core.note_retry_after(WISH, 0),
                |core: &Core| core.reset(0),
            ],
        );
        assert_eq!(core.state(), State::Closed);
    });
}

/// Two `Retry-After`s come at once.
///
/// Fails when: the sooner one replaces the later one.
#[test]
fn of_two_wishes_the_longer_one_holds() {
    model(UNBOUNDED, || {
        let core = core();
        core.trip(0, 0);
        let core = Arc::new(core);
        race(
            &core,
            [
                |core: &Core| core.note_retry_after(WISH, 0),
                |core: &Core| core.note_retry_after(2 * WISH, 0),
            ],
        );
        assert_eq!(left(&core, 0), Some(Duration::from_nanos(2 * WISH)));
    });
}
