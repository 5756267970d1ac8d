//! Listeners that are added to a breaker that runs, and removed again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use tripcurve::events::Transition;
use tripcurve::handles::Listening;
use tripcurve::time::Clock;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder};

fn builder() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("api").clock(Clock::mock().0)
}

type Told = Arc<Mutex<Vec<u64>>>;

/// A listener that notes generations.
fn noting(told: &Told) -> impl Fn(&Transition) + Send + Sync + 'static {
    let told = Arc::clone(told);
    move |it| {
        assert_eq!(it.missed(), 0);
        told.lock().unwrap().push(it.generation());
    }
}

fn listen(breaker: &CircuitBreaker) -> (Listening, Told) {
    let told = Told::default();
    (breaker.on_transition(noting(&told)), told)
}

fn heard(told: &Told) -> Vec<u64> {
    told.lock().unwrap().clone()
}

#[test]
fn a_listener_hears_of_transitions_after_it_came_and_before_it_went() {
    let breaker = builder().build().unwrap();
    breaker.force_open();
    breaker.reset();
    let (first, told) = listen(&breaker);
    breaker.force_open();
    let (second, told_second) = listen(&breaker);
    breaker.reset();
    first.remove();
    breaker.force_open();
    second.remove();
    breaker.reset();
    assert_eq!(heard(&told), [3, 4]);
    assert_eq!(heard(&told_second), [4, 5]);
}

#[test]
fn a_listener_beside_those_of_the_builder_is_told_after_them() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let noting = |who: &'static str| {
        let order = Arc::clone(&order);
        move |_: &Transition| order.lock().unwrap().push(who)
    };
    let breaker = builder().on_transition(noting("built")).build().unwrap();
    let added = breaker.on_transition(noting("added"));
    breaker.force_open();
    added.remove();
    breaker.reset();
    assert_eq!(*order.lock().unwrap(), ["built", "added", "built"]);
}

#[test]
fn a_listener_whose_handle_is_dropped_stays() {
    let breaker = builder().build().unwrap();
    let (listening, told) = listen(&breaker);
    drop(listening);
    breaker.force_open();
    assert_eq!(heard(&told), [1]);
}

#[test]
fn a_guard_removes_its_listener() {
    let breaker = builder().build().unwrap();
    let (listening, told) = listen(&breaker);
    let guard = listening.until_dropped();
    breaker.force_open();
    drop(guard);
    breaker.reset();
    assert_eq!(heard(&told), [1]);
}

#[test]
fn a_handle_keeps_no_breaker_alive_and_outlives_it() {
    let breaker = builder().build().unwrap();
    let (sender, gone) = mpsc::channel::<()>();
    let listening = breaker.on_transition(move |_| {
        let _ = sender.send(());
    });
    drop(breaker);
    assert_eq!(
        gone.recv(),
        Err(mpsc::RecvError),
        "the listener is gone too"
    );
    listening.remove();
}

#[test]
fn a_removed_listener_is_dropped() {
    let breaker = builder().build().unwrap();
    let (sender, gone) = mpsc::channel::<()>();
    let listening = breaker.on_transition(move |_| {
        let _ = sender.send(());
    });
    breaker.force_open();
    assert_eq!(gone.recv(), Ok(()));
    listening.remove();
    assert_eq!(gone.recv(), Err(mpsc::RecvError));
}

#[test]
fn a_listener_may_remove_itself_and_add_another() {
    let breaker = builder().build().unwrap();
    let own = Arc::new(Mutex::new(None::<Listening>));
    let told = Told::default();
    let listening = breaker.on_transition({
        let (breaker, own, told) = (breaker.clone(), Arc::clone(&own), Arc::clone(&told));
        move |it| {
            if let Some(listening) = own.lock().unwrap().take() {
                listening.remove();
                let told = Arc::clone(&told);
                breaker.on_transition(move |it| told.lock().unwrap().push(it.generation()));
            }
            told.lock().unwrap().push(100 + it.generation());
        }
    });
    *own.lock().unwrap() = Some(listening);
    breaker.force_open();
    breaker.reset();
    assert_eq!(heard(&told), [101, 2]);
    // The breaker and its listener hold each other no more.
    breaker.reset();
}

#[test]
fn a_listener_that_panics_when_it_is_called_or_dropped_harms_nobody() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "dropped");
        }
    }
    let breaker = builder().build().unwrap();
    let (_, told) = listen(&breaker);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let bad = Bad;
    breaker.on_transition(move |_| {
        let _bad = &bad;
        panic!("a listener");
    });
    let (_, told_after) = listen(&breaker);
    breaker.force_open();
    breaker.reset();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(breaker)));
    std::panic::set_hook(hook);
    assert!(caught.is_err());
    assert_eq!(heard(&told), [1, 2]);
    assert_eq!(heard(&told_after), [1, 2]);
}

#[test]
fn listeners_that_come_and_go_while_threads_make_transitions_miss_none_and_hear_none_twice() {
    let breaker = builder().build().unwrap();
    let done = AtomicBool::new(false);
    let made = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    breaker.reset();
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..300 {
            let told = Arc::new(Mutex::new(Vec::new()));
            let listener = Arc::clone(&told);
            let listening = breaker.on_transition(move |it| {
                listener
                    .lock()
                    .unwrap()
                    .push((it.generation(), it.missed()));
            });
            let first = breaker.snapshot().generation();
            breaker.reset();
            let before = made.load(Ordering::Relaxed);
            while made.load(Ordering::Relaxed) < before + 3 {
                std::hint::spin_loop();
            }
            listening.remove();
            let told = told.lock().unwrap();
            let Some((begin, _)) = told.first() else {
                continue;
            };
            assert!(*begin <= first + 1 + told[0].1, "{told:?} after {first}");
            for pair in told.windows(2) {
                assert_eq!(pair[1].0, pair[0].0 + 1 + pair[1].1, "{told:?}");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    // The log goes on, at the latest after half a log of transitions: a transition that found no
    // place is then passed over.
    let told = Told::default();
    let listener = Arc::clone(&told);
    breaker.on_transition(move |it| listener.lock().unwrap().push(it.generation()));
    for _ in 0..64 {
        breaker.reset();
    }
    let last = breaker.snapshot().generation();
    assert_eq!(heard(&told).last(), Some(&last));
}

#[test]
fn a_listener_misses_nothing_that_was_before_it() {
    let breaker = builder().build().unwrap();
    let (sender, told) = mpsc::channel();
    let (begun, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let goes = Mutex::new(goes);
    // This listener is held up while more transitions pass than the log holds.
    breaker.on_transition(move |it| {
        let _ = begun.send(it.missed());
        let _ = goes.lock().unwrap().recv();
    });
    std::thread::scope(|scope| {
        scope.spawn(|| breaker.force_open());
        assert_eq!(begins.recv(), Ok(0));
        for _ in 0..100 {
            breaker.reset();
        }
        breaker.on_transition(move |it| {
            let _ = sender.send((it.generation(), it.missed()));
        });
        drop(go);
    });
    breaker.reset();
    assert_eq!(told.recv(), Ok((102, 0)));
}

#[test]
fn a_transition_says_in_words_how_many_before_it_were_not_told() {
    let breaker = builder().build().unwrap();
    let (sender, told) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let goes = Mutex::new(goes);
    // It is held up at the first transition, until more have passed than the log holds.
    breaker.on_transition(move |it| {
        let _ = sender.send((it.missed(), it.to_string()));
        let _ = goes.lock().unwrap().recv();
    });
    std::thread::scope(|scope| {
        scope.spawn(|| breaker.force_open());
        let (missed, words) = told.recv().unwrap();
        assert!(missed == 0 && !words.contains("not told"), "{words}");
        for _ in 0..100 {
            breaker.reset();
        }
        drop(go);
    });
    breaker.reset();
    let (missed, words) = told.iter().find(|(missed, _)| *missed > 0).unwrap();
    let expected = format!(" ({missed} transitions before this one were not told)");
    assert!(words.ends_with(&expected), "{words}");
}

#[test]
fn the_first_listeners_of_threads_that_race_all_hear_of_what_follows() {
    for _ in 0..200 {
        let breaker = builder().build().unwrap();
        let told: Vec<Told> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        breaker.reset();
                        let (_, told) = listen(&breaker);
                        breaker.reset();
                        told
                    })
                })
                .collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        breaker.force_open();
        for told in told {
            let told = heard(&told);
            assert_eq!(told.last(), Some(&9), "{told:?}");
            assert!(
                told.windows(2).all(|pair| pair[1] == pair[0] + 1),
                "{told:?}"
            );
        }
    }
}
