//! The number and the begin of the current generation, which two winners write in any order.

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, model, race};
use tripcurve::__model::{AtomicState, Generation, History, Phase};

const FIRST: Generation = Generation::FIRST;

/// Two transitions follow each other. Their winners write their history in any order.
///
/// Fails when: `Stamped::update` doesn't ask `is_current`.
#[test]
fn history_is_that_of_the_present_generation() {
    model(UNBOUNDED, || {
        let shared = Arc::new((History::new(0), AtomicState::new(Phase::Closed)));
        race(
            &shared,
            [
                |(history, state): &(History, AtomicState)| {
                    let entered = state.force(Phase::Closed).generation;
                    let now = entered.number() * 1_000;
                    history.start_generation(entered, now, || state.load().generation() == entered);
                },
                |(history, state): &(History, AtomicState)| {
                    let entered = state.force(Phase::Closed).generation;
                    let now = entered.number() * 1_000;
                    history.start_generation(entered, now, || state.load().generation() == entered);
                },
            ],
        );
        let second = FIRST.next().next();
        assert_eq!(shared.0.number(second), 2);
        assert_eq!(shared.0.since(second), Some(2_000));
    });
}
