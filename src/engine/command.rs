//! Commands: the states that a user chooses.

use super::{Core, view::with_view};
use crate::events::Cause;
use crate::recovery::{OpenTimes, Streak};
use crate::state::{Moment, Phase};

impl Core {
    /// Closes the breaker in any state and empties its window.
    pub fn reset(&self, now: u64) {
        self.command(Phase::Closed, |_| Streak::NONE, now);
    }

    /// Opens the breaker in any state, for `nanos` nanoseconds.
    pub fn trip(&self, nanos: u64, now: u64) {
        let until = Moment::at(now.saturating_add(nanos));
        with_view!(self, |view| {
            if let Some(adaptive) = view.adaptive() {
                adaptive.outage.start(now, 0, 0);
            }
        });
        self.command(Phase::Open { until }, OpenTimes::by_hand, now);
    }

    /// Enters `phase` by hand. Open times grow from `streak` again.
    fn command(&self, phase: Phase, streak: impl Fn(&OpenTimes) -> Streak, now: u64) {
        let moved = with_view!(self, |view| {
            let times = view.open_times();
            // This thread forgets the opening first, for threads that see the new state before the
            // note below. That note then replaces what another thread has noted meanwhile.
            times.inspect(|_| self.latest_opening.forget());
            let moved = self.state.force(phase);
            if let Some(times) = times {
                self.latest_opening.note(moved.generation, streak(times));
            }
            moved
        });
        self.entered(moved, now, Cause::Manual);
    }

    /// Holds the breaker in a phase that time and outcomes don't change.
    ///
    /// Does nothing if the breaker is already in this phase.
    pub fn hold(&self, phase: Phase, now: u64) {
        self.enter(now, |present| (present != phase).then_some(phase));
    }

    /// Closes a breaker that was forced open, and empties its window. Does nothing in any other
    /// state.
    ///
    /// If the settings hold the breaker in a state, it enters that state instead of closed.
    pub fn release(&self, now: u64) {
        let rest = || self.switch().held_by_mode().unwrap_or(Phase::Closed);
        self.enter(now, |present| (present == Phase::ForcedOpen).then(rest));
    }

    /// Enters the phase that `next` names by hand, unless `next` names none.
    fn enter(&self, now: u64, next: impl Fn(Phase) -> Option<Phase>) {
        let mut seen = self.state.load();
        while let Some(phase) = next(seen.phase()) {
            match self.state.change(seen, phase) {
                Ok(moved) => return self.entered(moved, now, Cause::Manual),
                Err(found) => seen = found,
            }
        }
    }
}
