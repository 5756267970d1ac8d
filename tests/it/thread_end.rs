//! In the destructor of a thread-local, every operation works or returns an error. None panics.
//!
//! A panic there ends the process. So each case runs in a separate process of this program.

use std::cell::RefCell;
use std::process::Command;
use std::thread;
use std::time::Duration;

use tripcurve::handles::OwnedPermit;
use tripcurve::recovery::Jitter;
use tripcurve::time::Clock;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, Recovery, TripPolicy};

/// Runs its work on drop.
struct AtTheEnd(Box<dyn FnOnce()>);

thread_local! {
    static FIRST: RefCell<Option<Drops>> = const { RefCell::new(None) };
    static LAST: RefCell<Option<Drops>> = const { RefCell::new(None) };
}

struct Drops(Option<AtTheEnd>);

impl Drop for Drops {
    fn drop(&mut self) {
        if let Some(AtTheEnd(work)) = self.0.take() {
            work();
        }
    }
}

fn at_the_end(work: impl FnOnce() + 'static) -> Drops {
    Drops(Some(AtTheEnd(Box::new(work))))
}

const CASE: &str = "TRIPCURVE_THREAD_END";

/// Runs `work` in three places: in a thread-local's destructor before those of the crate, in one
/// after them, and in a thread that hasn't used the crate before. `work` gets the number of the
/// case.
///
/// `name` is the test's name in this file.
fn in_destructors(name: &str, work: fn()) {
    if let Ok(case) = std::env::var(CASE) {
        let done = thread::spawn(move || {
            match case.as_str() {
                "before" => {
                    work();
                    FIRST.set(Some(at_the_end(work)));
                }
                "after" => {
                    // It is registered now, so it is dropped last.
                    FIRST.set(Some(Drops(None)));
                    work();
                    FIRST.set(Some(at_the_end(work)));
                }
                "unused" => FIRST.set(Some(at_the_end(work))),
                "twice" => {
                    FIRST.set(Some(Drops(None)));
                    work();
                    LAST.set(Some(at_the_end(work)));
                    FIRST.set(Some(at_the_end(work)));
                }
                _ => unreachable!("{case}"),
            }
        });
        done.join().unwrap();
        println!("survived");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let name = format!("thread_end::{name}");
    for case in ["before", "after", "unused", "twice"] {
        let child = Command::new(&this)
            .args([&name, "--exact", "--nocapture", "--test-threads=1"])
            .env(CASE, case)
            .output()
            .unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&child.stdout),
            String::from_utf8_lossy(&child.stderr),
        );
        let survived = child.status.success() && out.contains("survived");
        assert!(survived, "{name}, {case}: {out}\n{err}");
        assert!(!err.contains("panicked"), "{name}, {case}: {err}");
    }
}

fn breaker() -> CircuitBreaker {
    CircuitBreaker::builder("at the end")
        .window(Window::time(Duration::from_secs(10), 10))
        .trip_when(TripPolicy::consecutive_failures(3))
        .latency(Recording::ByOutcome)
        .build()
        .unwrap()
}

#[test]
fn calls_permits_and_commands_work() {
    in_destructors("calls_permits_and_commands_work", || {
        let breaker = breaker();
        breaker.call(|| Ok::<_, ()>(())).unwrap();
        drop(breaker.try_acquire());
        let owned = breaker.clone().try_acquire_owned().unwrap();
        owned.failure();
        for _ in 0..3 {
            let _ = breaker.call(|| Err::<(), _>(()));
        }
        let rejected = breaker.try_acquire().unwrap_err();
        assert!(rejected.retry_after().is_some());
        breaker.reset();
        assert!(breaker.snapshot().latency().is_some());
        assert!(!format!("{breaker:?} {rejected}").is_empty());
    });
}

#[test]
fn a_permit_that_a_thread_local_holds_is_given_back() {
    in_destructors("a_permit_that_a_thread_local_holds_is_given_back", || {
        thread_local! {
            static HELD: RefCell<Vec<OwnedPermit>> = const { RefCell::new(Vec::new()) };
        }
        let permit = breaker().try_acquire_owned().unwrap();
        let _gone = HELD.try_with(|held| held.borrow_mut().push(permit));
    });
}

/// Jitter takes a random number from the system.
#[test]
fn a_breaker_with_jitter_is_built_and_trips() {
    in_destructors("a_breaker_with_jitter_is_built_and_trips", || {
        let backoff = tripcurve::recovery::Backoff::exponential(
            Duration::from_secs(1),
            2.0,
            Duration::from_secs(60),
        );
        let breaker = CircuitBreaker::builder("jitter")
            .backoff(backoff.jitter(Jitter::Full))
            .clock(Clock::default())
            .build()
            .unwrap();
        breaker.trip(Duration::from_secs(1));
        let adaptive = CircuitBreaker::builder("adaptive")
            .trip_when(TripPolicy::adaptive())
            .recovery(Recovery::adaptive())
            .build()
            .unwrap();
        let _ = adaptive.call(|| Err::<(), _>(()));
    });
}

/// The thread's generator was used before, and is gone when the first breaker with jitter is built.
#[test]
fn the_first_breaker_with_jitter_is_built_when_the_threads_generator_is_gone() {
    let name = "the_first_breaker_with_jitter_is_built_when_the_threads_generator_is_gone";
    in_destructors(name, || {
        let is_ending = FIRST.try_with(|_| ()).is_err();
        if !is_ending {
            // This registers the generator's destructor.
            let _: u64 = rand::random();
            return;
        }
        let recovery = Recovery::adaptive();
        let builder = CircuitBreaker::builder("jitter").recovery(recovery);
        builder.build().unwrap().trip(Duration::from_secs(1));
    });
}

#[cfg(feature = "retry")]
#[test]
fn a_retry_budget_works() {
    use tripcurve::retry::RetryBudget;

    in_destructors("a_retry_budget_works", || {
        let breaker = breaker();
        let budget = RetryBudget::new(&breaker);
        budget.deposit();
        assert_eq!(budget.try_withdraw(), Ok(()));
    });
}

#[test]
fn a_coarse_clock_works() {
    in_destructors("a_coarse_clock_works", || {
        let clock = Clock::coarse(Duration::from_millis(10)).unwrap();
        let breaker = CircuitBreaker::builder("coarse").clock(clock).build();
        breaker.unwrap().call(|| Ok::<_, ()>(())).unwrap();
    });
}

#[cfg(feature = "registry")]
mod registry {
    use super::{at_the_end, breaker, in_destructors};
    use std::sync::OnceLock;
    use std::thread;
    use tripcurve::CircuitBreaker;
    use tripcurve::registry::{ControlGroup, Registry};

    fn registry() -> &'static (Registry<u32>, ControlGroup) {
        static SHARED: OnceLock<(Registry<u32>, ControlGroup)> = OnceLock::new();
        SHARED.get_or_init(|| {
            let group = ControlGroup::new();
            let template = CircuitBreaker::builder("at the end");
            let registry = Registry::builder(template).capacity(3);
            (registry.control_group(&group).build().unwrap(), group)
        })
    }

    /// A key and a breaker that is kept.
    fn known() -> &'static (u32, CircuitBreaker) {
        static KNOWN: OnceLock<(u32, CircuitBreaker)> = OnceLock::new();
        let make = || (2_000, registry().0.get_or_create(&2_000));
        KNOWN.get_or_init(|| thread::spawn(make).join().unwrap())
    }

    #[test]
    fn a_lookup_works() {
        in_destructors("registry::a_lookup_works", || {
            let (registry, _) = registry();
            for key in 0..50 {
                registry
                    .get_or_create(&key)
                    .call(|| Ok::<_, ()>(()))
                    .unwrap();
            }
            let (known, held) = known();
            assert!(registry.get(known).is_some());
            held.force_open();
            assert!(registry.get_or_create(known).try_acquire().is_err());
            held.reset();
        });
    }

    #[test]
    fn a_removal_works() {
        in_destructors("registry::a_removal_works", || {
            let (registry, _) = registry();
            let there = 1_000;
            thread::spawn(move || drop(registry.get_or_create(&there)))
                .join()
                .unwrap();
            assert!(registry.remove(&there).is_some());
            assert!(registry.get(&there).is_none());
            assert!(registry.remove(&there).is_none());
            registry.for_each(|key, _| assert_ne!(*key, there));
            thread::spawn(move || drop(registry.get_or_create(&there)))
                .join()
                .unwrap();
            assert!(registry.get(&there).is_some());
            registry.retain(|key, _| *key != there);
            assert!(registry.get(&there).is_none());
            // The next first use removes what is left.
            thread::spawn(move || drop(registry.get_or_create(&(there + 1))))
                .join()
                .unwrap();
            assert!(registry.len() <= 3);
        });
    }

    #[test]
    fn a_look_at_all_works() {
        in_destructors("registry::a_look_at_all_works", || {
            let (registry, _) = registry();
            known();
            let mut seen = 0;
            registry.for_each(|_, _| seen += 1);
            assert!(seen > 0);
            assert!(!registry.snapshots().is_empty());
            registry.retain(|_, _| true);
            assert!(!registry.is_empty());
            assert!(!format!("{registry:?}").is_empty());
        });
    }

    #[test]
    fn a_group_works() {
        in_destructors("registry::a_group_works", || {
            let (registry, group) = registry();
            let breaker = breaker();
            group.add(&breaker);
            let (_, held) = known();
            group.isolate();
            assert!(registry.get_or_create(&1).try_acquire().is_err());
            assert!(held.try_acquire().is_err() && breaker.try_acquire().is_err());
            group.release();
            assert!(held.try_acquire().is_ok() && breaker.try_acquire().is_ok());
            thread::spawn(|| group.isolate()).join().unwrap();
            assert!(breaker.try_acquire().is_err());
            group.release();
        });
    }

    #[test]
    fn a_registry_is_made_and_dropped() {
        in_destructors("registry::a_registry_is_made_and_dropped", || {
            let template = CircuitBreaker::builder("at the end");
            let registry = Registry::<u32>::builder(template).build().unwrap();
            registry.get_or_create(&7);
            drop(registry);
            super::LAST
                .try_with(|last| last.replace(Some(at_the_end(|| ()))))
                .ok();
        });
    }

    #[test]
    fn another_template_comes() {
        in_destructors("registry::another_template_comes", || {
            let (registry, _) = registry();
            known();
            let template = CircuitBreaker::builder("at the end").shards(1);
            registry.reconfigure(template.clone()).unwrap();
            registry.get_or_create(&1).reconfigure(template).unwrap();
            registry.get_or_create(&1).call(|| Ok::<_, ()>(())).unwrap();
        });
    }
}

#[cfg(feature = "bulkhead")]
mod bulkhead {
    use super::{breaker, in_destructors};
    use std::future::Future;
    use std::task::{Context, Waker};
    use std::time::Duration;
    use tripcurve::bulkhead::Bulkhead;

    #[test]
    fn a_bulkhead_works() {
        use tripcurve::handles::Handle;

        in_destructors("bulkhead::a_bulkhead_works", || {
            let bulkhead = Bulkhead::new(1).unwrap();
            let permit = bulkhead.try_acquire().unwrap();
            assert!(bulkhead.try_acquire().is_err());
            drop(permit);
            let owned = bulkhead.try_acquire().unwrap().into_owned();
            drop(owned);
            let both = breaker().with_bulkhead(bulkhead);
            assert!(both.call(|| Ok::<_, ()>(())).is_ok());
        });
    }

    /// The thread waits for a place, and gets none.
    #[test]
    fn a_wait_for_a_place_works() {
        in_destructors("bulkhead::a_wait_for_a_place_works", || {
            let bulkhead = Bulkhead::new(1).unwrap();
            let bulkhead = bulkhead.max_wait(Duration::from_millis(5));
            let _permit = bulkhead.try_acquire().unwrap();
            assert!(bulkhead.acquire().is_err());
        });
    }

    #[test]
    fn blocking_work_is_done() {
        in_destructors("bulkhead::blocking_work_is_done", || {
            let bulkhead = Bulkhead::blocking(1, 1).unwrap();
            let both = breaker().with_blocking(bulkhead);
            let mut call = Box::pin(both.call_async(|| Ok::<_, ()>(())));
            let mut context = Context::from_waker(Waker::noop());
            while call.as_mut().poll(&mut context).is_pending() {
                std::thread::yield_now();
            }
        });
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_state_is_saved_and_restored() {
    in_destructors("a_state_is_saved_and_restored", || {
        let saved = breaker().save();
        let restored = CircuitBreaker::builder("at the end").restore(saved).build();
        assert!(!format!("{restored:?}").is_empty());
    });
}

#[cfg(feature = "async")]
#[test]
fn a_patient_call_works() {
    use tripcurve::handles::Handle;

    in_destructors("a_patient_call_works", || {
        let breaker = CircuitBreaker::builder("at the end").max_waiting(2);
        let breaker = breaker.build().unwrap();
        let patient = breaker.waiting(Duration::from_millis(5)).unwrap();
        patient.call(|| Ok::<_, ()>(())).unwrap();
        breaker.trip(Duration::from_secs(60));
        assert!(patient.call(|| Ok::<_, ()>(())).is_err());
    });
}
