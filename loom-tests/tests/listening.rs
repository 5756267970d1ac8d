//! Listeners that come to a breaker that runs: none misses a transition that is made after it came, and
//! the log never stops before a transition that nobody writes.

use std::sync::Mutex;

use loom_tests::sync::Arc;
use loom_tests::{model, preemptions, race};
use tripcurve::__model::{Core, Parts, Phase, Probes, Ring, Settings, Switch, TimeRing};
use tripcurve::events::Transition;
use tripcurve::{Outcome, State, TripPolicy};

/// Generations and the states that they entered.
type Told = std::sync::Arc<Mutex<Vec<(u64, State)>>>;

/// A breaker, and the transitions that were told: of each listener, the states with their generations.
///
/// A std lock, which loom doesn't see: only the teller listens.
struct Watched {
    core: Core,
    told: [Told; 2],
}

impl Watched {
    fn new() -> Arc<Self> {
        let settings = Settings {
            name: "model".into(),
            policies: [TripPolicy::failure_count(1)].into(),
            open_for: 1_000_000,
            probes: Probes::all(1),
            probe_timeout: u64::MAX,
            on_cancel: Outcome::Ignored,
            switch: Switch::default(),
        };
        let parts = Parts {
            settings,
            ring: Ring::Time(TimeRing::new(10, 1, 1, false)),
            optional: None,
        };
        let core = Core::new(parts, None, State::Closed, 0);
        // The box of the late parts, which loom doesn't explore.
        core.checks_or_init();
        Arc::new(Self {
            core,
            told: std::array::from_fn(|_| std::sync::Arc::default()),
        })
    }

    fn listen(&self, number: usize) {
        let told = std::sync::Arc::clone(&self.told[number]);
        let listener = move |it: &Transition| {
            assert_eq!(it.missed(), 0);
            told.lock().unwrap().push((it.generation(), it.to()));
        };
        let clock = tripcurve::time::Clock::mock().0;
        self.core.listen(std::sync::Arc::new(listener), &clock);
    }

    /// What a listener heard: each generation once and in order, to the last one.
    fn heard(&self, number: usize, last: u64) -> Vec<State> {
        let told = self.told[number].lock().unwrap().clone();
        let begin = last + 1 - told.len() as u64;
        for (expected, (generation, _)) in (begin..).zip(&told) {
            assert_eq!(*generation, expected, "{told:?}");
        }
        told.into_iter().map(|(_, state)| state).collect()
    }
}

/// The first listener comes while another thread makes a transition. Then its own thread makes one.
///
/// Fails when: `Core::listen` reads the generation before it publishes the log; `Core::listen` or
/// `Core::entered_for` has no fence.
#[test]
fn the_first_listener_hears_of_each_transition_that_is_made_after_it_came() {
    model(preemptions(2).full(3), || {
        let watched = Watched::new();
        race(
            &watched,
            [
                |it: &Watched| {
                    it.listen(0);
                    it.core.hold(Phase::ForcedOpen, 0);
                },
                |it: &Watched| it.core.hold(Phase::Disabled, 0),
            ],
        );
        let heard = watched.heard(0, 2);
        assert!(heard.contains(&State::ForcedOpen), "{heard:?}");
    });
}

/// Two listeners come at once, and one of them makes a transition.
///
/// Fails when: a listener that finds a log that hasn't begun leaves it to the other to begin it.
#[test]
fn of_two_first_listeners_each_hears_of_what_follows() {
    model(preemptions(2).full(3), || {
        let watched = Watched::new();
        race(
            &watched,
            [
                |it: &Watched| it.listen(0),
                |it: &Watched| {
                    it.listen(1);
                    it.core.hold(Phase::ForcedOpen, 0);
                },
            ],
        );
        assert_eq!(watched.heard(1, 1), [State::ForcedOpen]);
        watched.heard(0, 1);
    });
}
