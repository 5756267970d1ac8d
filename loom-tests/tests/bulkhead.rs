//! The bulkhead's word: no more calls are in than there are places. A freed place goes to a waiter,
//! and no place is lost when a waiter gives up.

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{SharedLine, UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{Places, Waiter};

/// A bulkhead, and its line.
struct Scene {
    bulkhead: Places<SharedLine>,
    line: SharedLine,
}

impl Scene {
    /// A bulkhead with `taken` of its `places` taken, for a race of `racing` racers.
    fn new(places: u32, taken: u32, racing: usize) -> Arc<Self> {
        let line = SharedLine::new(racing);
        let bulkhead = Places::new(places, line.clone());
        for _ in 0..taken {
            bulkhead.enter().unwrap();
        }
        Arc::new(Self { bulkhead, line })
    }

    fn enter_or_wait(&self) -> Option<Waiter<'_, SharedLine>> {
        self.bulkhead.enter_or_wait().expect("few wait")
    }

    /// A caller that waits for a place without a limit.
    fn enters_at_last(&self) -> u32 {
        let got = self.enter_or_wait().is_none_or(|waiter| waiter.wait(None));
        self.has_done(u32::from(got))
    }

    /// A caller that has a place, and leaves.
    fn leaves(&self) -> u32 {
        self.bulkhead.leave();
        self.has_done(0)
    }

    /// A caller that has two places, and leaves both.
    fn leaves_twice(&self) -> u32 {
        self.bulkhead.leave();
        self.leaves()
    }

    /// A caller that wants a place, but doesn't wait for it.
    fn gives_up(&self) -> u32 {
        let entered = self.enter_or_wait().is_none();
        self.has_done(u32::from(entered))
    }

    /// Ends a racer that keeps `held` places.
    fn has_done(&self, held: u32) -> u32 {
        self.line.has_done();
        held
    }

    /// Asserts that no waiter is stuck, and that exactly the racers' places are taken.
    #[track_caller]
    fn assert_that_held(&self, held: &[u32]) {
        assert!(!self.line.is_stuck(), "somebody waits for ever");
        let word = self.bulkhead.load();
        assert_eq!(word.in_flight(), held.iter().sum::<u32>());
        assert_eq!(word.waiting(), 0);
    }
}

/// Three callers want two places.
///
/// Fails when: the word is stored instead of exchanged.
#[test]
fn of_three_callers_at_two_places_two_get_in() {
    model(preemptions(2).full(3), || {
        let scene = Scene::new(2, 0, 3);
        let ask = |scene: &Scene| u32::from(scene.bulkhead.enter().is_ok());
        let held = race(&scene, [ask, ask, ask]);
        assert_eq!(held.iter().sum::<u32>(), 2);
        scene.assert_that_held(&held);
    });
}

/// A caller decides to wait while the only place is given back.
///
/// Fails when: a waiter counts itself before it stands in line; the word is loaded relaxed.
#[test]
fn who_begins_to_wait_while_the_place_is_given_back_gets_it() {
    model(UNBOUNDED, || {
        let scene = Scene::new(1, 1, 2);
        let held = race(&scene, [Scene::leaves, Scene::enters_at_last]);
        scene.assert_that_held(&held);
        assert_eq!(held, [0, 1]);
    });
}

/// Two callers leave at the same time, and two come.
///
/// Fails when: a waiter that got a place isn't counted out.
#[test]
fn two_places_given_back_at_once_go_to_the_two_who_wait() {
    model(preemptions(1).full(2), || {
        let scene = Scene::new(2, 2, 4);
        let held = race(
            &scene,
            [
                Scene::leaves,
                Scene::leaves,
                Scene::enters_at_last,
                Scene::enters_at_last,
            ],
        );
        scene.assert_that_held(&held);
        assert_eq!(held, [0, 0, 1, 1]);
    });
}

/// The only waiter gives up while the place is given back.
///
/// Fails when: the caller that gives up keeps the place that it was just given; the leaving caller
/// doesn't check whether the place was taken.
#[test]
fn a_place_given_to_one_who_gives_up_is_not_lost() {
    model(UNBOUNDED, || {
        let scene = Scene::new(1, 1, 2);
        let held = race(&scene, [Scene::leaves, Scene::gives_up]);
        scene.assert_that_held(&held);
    });
}

/// One waiter gives up while the only place is given back. Another waits before or behind it.
///
/// Fails when: the caller that gives up keeps the place that it was just given; the leaving caller
/// doesn't check whether the place was taken.
#[test]
fn a_place_given_to_one_who_gives_up_goes_to_the_next() {
    model(preemptions(2).full(3), || {
        let scene = Scene::new(1, 1, 3);
        let held = race(
            &scene,
            [
                Scene::leaves,
                |scene| {
                    if scene.enter_or_wait().is_none() {
                        scene.bulkhead.leave();
                    }
                    scene.has_done(0)
                },
                Scene::enters_at_last,
            ],
        );
        scene.assert_that_held(&held);
        assert_eq!(held, [0, 0, 1]);
    });
}

/// A caller in the queue that isn't counted yet is given a place meant for another waiter. That
/// waiter gives up, and the caller also finds a free place.
///
/// Fails when: a caller that finds a free place keeps the one that it was just given.
#[test]
fn who_finds_a_place_besides_the_one_it_was_given_hands_that_one_on() {
    model(preemptions(2).full(3), || {
        let scene = Scene::new(2, 2, 3);
        let held = race(
            &scene,
            [Scene::leaves_twice, Scene::enters_at_last, Scene::gives_up],
        );
        scene.assert_that_held(&held);
    });
}

/// A waiter is queued and counted when the only place is given back. Another caller comes late.
///
/// Fails when: the leaving caller frees the place before it wakes the waiter.
#[test]
fn who_comes_late_does_not_overtake_who_waits() {
    model(UNBOUNDED, || {
        let scene = Scene::new(1, 1, 2);
        let waiter = scene.enter_or_wait().expect("it is full");
        let late = |scene: &Scene| scene.has_done(u32::from(scene.bulkhead.enter().is_ok()));
        let held = race(&scene, [Scene::leaves, late]);
        assert_eq!(held, [0, 0]);
        assert!(waiter.give_up(), "it was given the place");
        scene.assert_that_held(&[1]);
    });
}

/// Two places are given back one after the other. One waiter was handed the first and is about to
/// count itself out. Another is about to begin to wait.
///
/// Fails when: arrivals aren't counted. Then the word looks unchanged after one waiter came and
/// another left. So the second place is freed although a caller waits for it.
#[test]
fn a_place_is_not_freed_when_one_waiter_came_and_another_left() {
    model(preemptions(2).full(3), || {
        let scene = Scene::new(2, 2, 3);
        let held = race(
            &scene,
            [
                Scene::leaves_twice,
                Scene::enters_at_last,
                Scene::enters_at_last,
            ],
        );
        scene.assert_that_held(&held);
        assert_eq!(held, [0, 1, 1]);
    });
}

/// A caller sees the work that the previous holder of its place has done.
///
/// Fails when: the word is exchanged relaxed.
#[test]
fn what_was_done_in_a_place_is_seen_by_the_next_in_it() {
    model(UNBOUNDED, || {
        let shared = Arc::new((Scene::new(1, 1, 2), AtomicU64::new(0)));
        race(
            &shared,
            [
                |(scene, done)| {
                    // Relaxed: the place must order it.
                    done.store(1, Ordering::Relaxed);
                    scene.leaves()
                },
                |(scene, done)| {
                    let held = scene.enters_at_last();
                    // Relaxed: the place must order it.
                    assert_eq!(done.load(Ordering::Relaxed), 1);
                    held
                },
            ],
        );
    });
}

/// Two callers change something while they are in the only place. The second sees the first one's
/// change, although the word is then as empty as when it first looked.
///
/// Fails when: the exchange that takes a place doesn't acquire, or the exchange that frees it doesn't release.
#[test]
fn what_is_done_in_one_place_by_turns_is_lost_by_nobody() {
    model(UNBOUNDED, || {
        let shared = Arc::new((Scene::new(1, 0, 2), AtomicU64::new(0)));
        let work = |(scene, done): &(Arc<Scene>, AtomicU64)| {
            let has_entered = scene.bulkhead.enter().is_ok();
            if has_entered {
                // Relaxed, both: the place must order them.
                let before = done.load(Ordering::Relaxed);
                done.store(before + 1, Ordering::Relaxed);
                scene.bulkhead.leave();
            }
            u64::from(has_entered)
        };
        let entered = race(&shared, [work, work]);
        // Relaxed: the race is over.
        let done = shared.1.load(Ordering::Relaxed);
        assert_eq!(done, entered.iter().sum::<u64>());
    });
}
