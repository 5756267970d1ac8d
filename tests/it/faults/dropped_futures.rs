//! Futures that are dropped at each point at which they may wait, through every handle.

use std::future::{Future, Pending, pending, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use tripcurve::bulkhead::Bulkhead;
use tripcurve::handles::Handle;

const WAITS: u32 = 3;

type NoTimer = fn(Duration) -> Pending<()>;

/// Waits several times, then ends.
async fn operation() -> Result<u8, ()> {
    for _ in 0..WAITS {
        let mut waited = false;
        let once = |_: &mut Context<'_>| {
            if std::mem::replace(&mut waited, true) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        };
        poll_fn(once).await;
    }
    Ok(1)
}

/// Polls the future so often, and drops it. Returns whether it ended.
fn poll_and_drop<T>(polls: u32, future: impl Future<Output = T>) -> bool {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..polls).any(|_| future.as_mut().poll(&mut context).is_ready())
}

#[test]
fn a_call_that_is_dropped_wherever_it_waits_leaves_nothing_behind() {
    let (breaker, hand) = breaker(|builder| builder.probes(1).max_waiting(10));
    let never: NoTimer = |_| pending();
    let bulkhead = Bulkhead::new(1).unwrap().max_wait(HOUR).sleep_with(never);
    let guarded = breaker.with_bulkhead(bulkhead);
    let patient = breaker.waiting(HOUR).unwrap();
    let limited = breaker.call_timeout(HOUR).unwrap().sleep_with(never);
    let all = guarded.call_timeout(HOUR).unwrap().sleep_with(never);

    let at_rest = |what: &str| {
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.probes_in_flight(), 0, "{what}: {snapshot}");
        assert_eq!(snapshot.overdue(), 0, "{what}: {snapshot}");
        assert_eq!(guarded.bulkhead().in_flight(), 0, "{what}");
        assert_eq!(guarded.bulkhead().waiting(), 0, "{what}");
        assert_eq!(patient.queued(), 0, "{what}");
    };
    for state in [State::Closed, State::HalfOpen, State::Open] {
        for place_taken in [false, true] {
            for polls in 0..WAITS + 3 {
                let calls: [(&str, &dyn Fn() -> bool); 5] = [
                    ("plain", &|| {
                        poll_and_drop(polls, breaker.call_async(operation))
                    }),
                    ("bulkhead", &|| {
                        poll_and_drop(polls, guarded.call_async(operation))
                    }),
                    ("waiting", &|| {
                        poll_and_drop(polls, patient.call_async(operation))
                    }),
                    ("time limit", &|| {
                        poll_and_drop(polls, limited.call_async(operation))
                    }),
                    ("all", &|| poll_and_drop(polls, all.call_async(operation))),
                ];
                for (name, call) in calls {
                    breaker.reset();
                    let place = place_taken.then(|| guarded.bulkhead().try_acquire().unwrap());
                    if state != State::Closed {
                        breaker.trip(SECOND);
                    }
                    if state == State::HalfOpen {
                        hand.advance(SECOND);
                    }
                    let ended = call();
                    drop(place);
                    let what = format!("{name}, {polls} polls, {state}, {place_taken}");
                    at_rest(&what);
                    assert!(!ended || polls > 0, "{what}");
                }
            }
        }
    }
    works(&breaker, &hand);
}
