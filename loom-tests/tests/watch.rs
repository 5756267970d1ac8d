//! Tasks that wait until a call may be made: none waits for a change that has already happened.

use std::sync::Mutex;

use loom_tests::sync::Arc;
use loom_tests::{model, preemptions, race};
use tripcurve::__model::{
    Core, FixedContext, InLine, Parts, Probes, Queue, Ring, Settings, Switch, ThreadSlot, Ticket,
    TimeRing,
};
use tripcurve::{Outcome, State, TripPolicy};

/// The open time; it is whole in the units of the state word.
const OPEN_FOR: u64 = 1 << 20;

/// Everything happens at one reading of the clock.
const NOW: FixedContext = FixedContext {
    nanos: 0,
    thread_slot: ThreadSlot(0),
};

struct Scene {
    core: Core,
    /// The permit of the only probe, if it is out.
    probe: Mutex<Option<Ticket>>,
}

/// The change of a task that waits, or `None` if it needn't wait.
type Change = Option<<tripcurve::__model::EventQueue as Queue>::InLine>;

impl Scene {
    fn new(state: State) -> Arc<Self> {
        let core = Core::new(parts(1), None, state, 0);
        // So that the late parts are there: loom can't see them being made.
        core.reconfigure(parts(2), &NOW);
        core.reconfigure(parts(1), &NOW);
        let probe = (state == State::HalfOpen).then(|| core.admit(&NOW).unwrap());
        Arc::new(Self {
            core,
            probe: Mutex::new(probe),
        })
    }

    /// A task that begins to wait.
    fn waits(&self) -> Change {
        self.core.watch(&NOW).map(|(_, change)| change)
    }

    fn resets(&self) -> Change {
        self.core.reset(0);
        None
    }

    fn probe(&self) -> Ticket {
        self.probe.lock().unwrap().take().expect("the probe is out")
    }

    /// The probe is cancelled.
    fn gives_its_place_back(&self) -> Change {
        self.core.cancel(self.probe(), &NOW);
        None
    }

    /// The probe succeeds.
    fn closes(&self) -> Change {
        self.core.record(self.probe(), Outcome::Success, None, &NOW);
        None
    }

    fn stops_checking(&self) -> Change {
        self.core.leave_checks();
        None
    }

    /// The probe's place is free at once by the new configuration. No transition comes with it.
    fn shortens_the_probe_timeout(&self) -> Change {
        let mut parts = parts(1);
        parts.settings.probe_timeout = 0;
        self.core.reconfigure(parts, &NOW);
        None
    }
}

fn parts(probes: u32) -> Parts {
    Parts {
        settings: Settings {
            name: "model".into(),
            policies: [TripPolicy::failure_count(1)].into(),
            open_for: OPEN_FOR,
            probes: Probes::all(probes),
            probe_timeout: u64::MAX,
            on_cancel: Outcome::Ignored,
            switch: Switch::default(),
        },
        ring: Ring::Time(TimeRing::new(1 << 40, 1, 1, false)),
        optional: None,
    }
}

/// A task begins to wait while `change` happens, after which a call may be made.
fn waits_for(scene: &Arc<Scene>, change: fn(&Scene) -> Change) {
    let [waiting, _] = race(scene, [Scene::waits, change]);
    assert!(scene.core.peek(&NOW).is_ok());
    // It is woken, or has found that it needn't wait.
    assert!(waiting.is_none_or(InLine::discard), "it waits for ever");
}

/// A task begins to wait while somebody closes the breaker.
///
/// Fails when: the task looks before it registers; one of the two has no fence; a transition wakes
/// nobody.
#[test]
fn who_begins_to_wait_while_a_command_closes_the_breaker_goes_on() {
    model(preemptions(3), || {
        waits_for(&Scene::new(State::ForcedOpen), Scene::resets);
    });
}

/// A task registers while the probe succeeds.
///
/// Fails when: the task looks before it registers; a transition wakes nobody.
#[test]
fn who_begins_to_wait_while_a_probe_succeeds_goes_on() {
    model(preemptions(3), || {
        waits_for(&Scene::new(State::HalfOpen), Scene::closes);
    });
}

/// A task registers while the probe is cancelled.
///
/// Fails when: a place that is given back wakes nobody.
#[test]
fn who_begins_to_wait_while_a_place_is_given_back_goes_on() {
    model(preemptions(3), || {
        waits_for(&Scene::new(State::HalfOpen), Scene::gives_its_place_back);
    });
}

/// A task registers while a task that checks the dependency's health ends.
///
/// Fails when: the end of such a task wakes nobody.
#[test]
fn who_begins_to_wait_while_the_last_health_check_ends_goes_on() {
    model(preemptions(3), || {
        let scene = Scene::new(State::Open);
        scene.core.trip(0, 0);
        scene.core.checks_or_init().enter();
        waits_for(&scene, Scene::stops_checking);
    });
}

/// A task registers while another configuration gives probes less time.
///
/// Fails when: a new configuration wakes nobody, or has no fence before it does.
#[test]
fn who_begins_to_wait_while_probes_get_less_time_goes_on() {
    model(preemptions(3), || {
        waits_for(
            &Scene::new(State::HalfOpen),
            Scene::shortens_the_probe_timeout,
        );
    });
}

/// Two tasks begin to wait while the breaker closes.
///
/// Fails when: only one is woken.
#[test]
fn all_who_wait_go_on() {
    model(preemptions(2).full(3), || {
        let scene = Scene::new(State::ForcedOpen);
        let waiting = race(&scene, [Scene::waits, Scene::waits, Scene::resets]);
        for waiting in waiting {
            assert!(waiting.is_none_or(InLine::discard), "it waits for ever");
        }
    });
}
