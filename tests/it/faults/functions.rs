//! Functions of the user that panic, call back or never return.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};

use super::*;
use tripcurve::{CallError, Fallback, Outcome, TripPolicy};

/// Panics without printing a message.
fn unwind() -> ! {
    resume_unwind(Box::new("as it should"))
}

fn unwinds<T>(work: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}

#[test]
fn a_fallback_that_panics_reaches_the_caller_and_the_call_has_counted() {
    let (breaker, hand) = breaker(|builder| builder);
    let call = |reply: Result<u8, u8>| breaker.call(|| reply);
    assert!(unwinds(|| call(Err(1)).or_fallback(|_| unwind())));
    assert_eq!(breaker.snapshot().failures(), 1);
    breaker.force_open();
    assert!(unwinds(|| call(Ok(1)).or_if_rejected(|_| unwind())));
    assert_eq!(breaker.snapshot().rejected(), 1);
    works(&breaker, &hand);
}

#[cfg(feature = "registry")]
#[test]
fn a_name_function_that_panics_makes_no_breaker_and_harms_no_other_key() {
    use tripcurve::registry::Registry;

    let registry = Registry::<u32>::builder(CircuitBreaker::builder("key"))
        .name_with(|key| match key {
            13 => unwind(),
            key => key.to_string(),
        })
        .build()
        .unwrap();
    for _ in 0..100 {
        assert!(unwinds(|| registry.get_or_create(&13)));
        assert_eq!(registry.get_or_create(&12).name(), "12");
    }
    assert!(registry.get(&13).is_none());
    assert_eq!(registry.len(), 1);
}

#[cfg(feature = "registry")]
#[test]
fn a_key_that_panics_when_it_is_hashed_or_compared_harms_no_other_key() {
    use std::hash::{Hash, Hasher};
    use tripcurve::registry::Registry;

    #[derive(Clone, Debug)]
    struct Key(u32);
    impl Hash for Key {
        fn hash<H: Hasher>(&self, state: &mut H) {
            match self.0 {
                13 => unwind(),
                14 => 1.hash(state),
                key => key.hash(state),
            }
        }
    }
    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            match (self.0, other.0) {
                (14, _) | (_, 14) => unwind(),
                (one, other) => one == other,
            }
        }
    }
    impl Eq for Key {}

    let registry = Registry::<Key>::builder(CircuitBreaker::builder("key"));
    let registry = registry.build().unwrap();
    for key in 0..13 {
        registry.get_or_create(&Key(key)).trip(HOUR);
    }
    for _ in 0..100 {
        assert!(unwinds(|| registry.get_or_create(&Key(13))));
        // It has the hash of 1, so it is compared with 1.
        assert!(unwinds(|| registry.get_or_create(&Key(14))));
    }
    assert_eq!(registry.len(), 13);
    for key in 0..13 {
        let breaker = registry.get(&Key(key)).unwrap();
        assert_eq!(breaker.state(), State::Open);
    }
}

#[test]
fn a_listener_may_use_its_breaker_in_every_way() {
    let own: Arc<OnceLock<CircuitBreaker>> = Arc::default();
    let told: Arc<Mutex<Vec<State>>> = Arc::default();
    let (breaker, hand) = breaker(|builder| {
        let (own, told) = (Arc::clone(&own), Arc::clone(&told));
        builder.on_transition(move |transition| {
            told.lock().unwrap().push(transition.to());
            let breaker = own.get().unwrap();
            let _ = (breaker.snapshot(), breaker.state(), breaker.ask());
            let _ = breaker.call(|| Err::<(), _>(()));
            let permit = breaker.try_acquire_owned();
            match transition.to() {
                State::Open => breaker.force_open(),
                State::ForcedOpen => breaker.disable(),
                State::Disabled => breaker.metrics_only(),
                _ => {}
            }
            // It was taken before the command and ends after it.
            drop(permit.map(|permit| permit.record(Outcome::Failure)));
        })
    });
    assert!(own.set(breaker.clone()).is_ok());
    breaker.trip(SECOND);
    assert_eq!(
        *told.lock().unwrap(),
        [
            State::Open,
            State::ForcedOpen,
            State::Disabled,
            State::MetricsOnly
        ]
    );
    assert_eq!(breaker.state(), State::MetricsOnly);
    hand.advance(HOUR);
    breaker.reset();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_listener_that_does_not_return_holds_up_its_own_thread_alone() {
    let (begun, has_begun) = channel();
    let (end, ends) = channel::<()>();
    let ends = Mutex::new(ends);
    let (breaker, hand) = breaker(|builder| {
        let builder = builder.trip_when(TripPolicy::classic());
        builder.on_transition(move |transition| {
            if transition.to() == State::ForcedOpen {
                begun.send(()).unwrap();
                // It returns an error when the test has dropped the other end.
                let _ = ends.lock().unwrap().recv();
            }
        })
    });
    std::thread::scope(|threads| {
        threads.spawn(|| breaker.force_open());
        has_begun.recv().unwrap();
        // On this thread everything goes on, although no listener is told.
        for _ in 0..100 {
            works(&breaker, &hand);
            assert_eq!(breaker.call(|| Ok::<_, ()>(1)), Ok(1));
            breaker.trip(HOUR);
            let call = breaker.call(|| Ok::<_, ()>(1));
            assert!(matches!(call, Err(CallError::Rejected(_))));
        }
        drop(end);
    });
}
