//! The queue for the verdict of the probes: no caller waits for a past verdict, and a place that is
//! given back isn't lost.

use loom_tests::sync::Arc;
use loom_tests::{SharedLine, UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{
    Admission, AtomicState, Generation, Moment, Phase, ProbeCounts, ProbeQueue, ProbeQueueEntry,
    ProbeReport, Probes, StateWord,
};

/// A breaker whose only probe place is taken.
struct Scene {
    state: AtomicState,
    probe_queue: ProbeQueue<SharedLine>,
    line: SharedLine,
}

impl Scene {
    /// A queue with `room` places, for a race of `racing` racers.
    fn new(room: u32, racing: usize) -> Arc<Self> {
        let line = SharedLine::new(racing);
        Arc::new(Self {
            state: AtomicState::new(Phase::HalfOpen(ProbeCounts {
                in_flight: 1,
                admitted: 1,
                ..ProbeCounts::default()
            })),
            probe_queue: ProbeQueue::new(room, line.clone()),
            line,
        })
    }

    fn awaits_verdict(&self) -> bool {
        self.state.awaits_verdict(0, 1, u64::MAX).is_some()
    }

    fn settle(&self, report: ProbeReport) {
        self.state
            .report_probe(Generation::FIRST, report, Probes::all(1));
    }

    /// The probe succeeds.
    fn succeeds(&self) -> Admission {
        self.settle(ProbeReport::Succeeded);
        self.probe_queue.wake_all();
        self.has_done(Admission::Unrecorded)
    }

    /// The probe fails.
    fn fails(&self) -> Admission {
        let open_until = Moment::at(1_000_000);
        self.settle(ProbeReport::Failed {
            open_until,
            is_enough: false,
        });
        self.probe_queue.wake_all();
        self.has_done(Admission::Unrecorded)
    }

    /// The probe is cancelled.
    fn gives_its_place_back(&self) -> Admission {
        self.settle(ProbeReport::Withdrawn);
        self.probe_queue.wake_one();
        self.has_done(Admission::Unrecorded)
    }

    /// A caller waits while a verdict is pending, like `Waiting` does.
    fn waits(&self) -> Admission {
        while self.awaits_verdict() && !self.line.is_stuck() {
            if let ProbeQueueEntry::Waits(waiter) = self.probe_queue.enter(|| self.awaits_verdict())
            {
                waiter.wait(None);
            }
        }
        let admission = self.state.admit(0, 1, u64::MAX);
        self.has_done(admission)
    }

    /// A caller begins to wait, and leaves.
    fn gives_up(&self) -> Admission {
        drop(self.probe_queue.enter(|| self.awaits_verdict()));
        self.has_done(Admission::Unrecorded)
    }

    fn has_done(&self, admission: Admission) -> Admission {
        self.line.has_done();
        admission
    }

    #[track_caller]
    fn assert_that_nobody_waits(&self) {
        assert!(!self.line.is_stuck(), "somebody waits for ever");
        assert_eq!(self.probe_queue.waiting(), 0);
    }
}

fn closed() -> Admission {
    Admission::Recorded(StateWord::new(Generation::FIRST.next(), Phase::Closed))
}

/// A caller decides to wait while the probe succeeds.
///
/// Fails when: it doesn't look once more; it counts itself before it is in the queue; the thread
/// that changed the state only loads the count, or reads it relaxed.
#[test]
fn who_begins_to_wait_while_the_breaker_closes_is_let_through() {
    model(UNBOUNDED, || {
        let scene = Scene::new(1, 2);
        let [_, admission] = race(&scene, [Scene::succeeds, Scene::waits]);
        scene.assert_that_nobody_waits();
        assert_eq!(admission, closed());
    });
}

/// A caller decides to wait while the probe fails.
///
/// Fails when: it doesn't look once more; it counts itself before it is in the queue; the thread
/// that changed the state only loads the count, or reads it relaxed.
#[test]
fn who_begins_to_wait_while_the_breaker_opens_is_rejected() {
    model(UNBOUNDED, || {
        let scene = Scene::new(1, 2);
        let [_, admission] = race(&scene, [Scene::fails, Scene::waits]);
        scene.assert_that_nobody_waits();
        assert!(matches!(admission, Admission::Rejected { .. }));
    });
}

/// Two callers wait, or begin to, while the breaker closes.
///
/// Fails when: only the first caller is woken; there is room for one.
#[test]
fn all_who_wait_are_let_through_when_the_breaker_closes() {
    model(preemptions(2).full(3), || {
        let scene = Scene::new(2, 3);
        let [_, one, other] = race(&scene, [Scene::succeeds, Scene::waits, Scene::waits]);
        scene.assert_that_nobody_waits();
        assert_eq!([one, other], [closed(), closed()]);
    });
}

/// A caller decides to wait while the probe is cancelled.
///
/// Fails when: no waiter is told of the place.
#[test]
fn who_waits_for_a_probe_that_is_cancelled_becomes_the_probe() {
    model(UNBOUNDED, || {
        let scene = Scene::new(1, 2);
        let [_, admission] = race(&scene, [Scene::gives_its_place_back, Scene::waits]);
        scene.assert_that_nobody_waits();
        assert!(matches!(admission, Admission::Probe { .. }));
    });
}

/// Two callers wait, or begin to, and one of them gives up, while the probe is cancelled.
///
/// Fails when: the caller that gives up keeps its notification to itself.
#[test]
fn a_place_of_which_one_was_told_who_gives_up_goes_to_the_next() {
    model(preemptions(2).full(3), || {
        let scene = Scene::new(2, 3);
        let [_, _, admission] = race(
            &scene,
            [Scene::gives_its_place_back, Scene::gives_up, Scene::waits],
        );
        scene.assert_that_nobody_waits();
        assert!(matches!(admission, Admission::Probe { .. }));
    });
}

/// Two callers come where there is room for one.
///
/// Fails when: the count is stored instead of exchanged.
#[test]
fn no_more_wait_than_there_is_room_for() {
    model(UNBOUNDED, || {
        let scene = Scene::new(1, 2);
        let held = Arc::new((scene, loom_tests::sync::AtomicU64::new(0)));
        race(&held, [come, come]);
        assert_eq!(held.0.probe_queue.waiting(), 0);
    });
}

fn come((scene, inside): &(Arc<Scene>, loom_tests::sync::AtomicU64)) {
    // Relaxed: all additions to one word have one order.
    use loom_tests::sync::Ordering::Relaxed;

    if let ProbeQueueEntry::Waits(waiter) = scene.probe_queue.enter(|| true) {
        assert_eq!(inside.fetch_add(1, Relaxed), 0);
        inside.fetch_sub(1, Relaxed);
        drop(waiter);
    }
}
