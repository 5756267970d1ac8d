//! Commands: the states that a user chooses.

use super::{Core, view::with_view};
use crate::events::Cause;
use crate::recovery::{OpenTimes, Streak};
use crate::state::{Interrupted, Moment, Phase, State};

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
            #[cfg(feature = "fleet")]
            let moved = self.force_over_orders(phase);
            #[cfg(not(feature = "fleet"))]
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
        if phase == Phase::MetricsOnly {
            self.expect_would_trips();
        }
        self.enter(now, |present| (present != phase).then_some(phase));
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
    /// Rejects all calls until [`release`](Self::release), or until another command.
    ///
    /// Does nothing if the breaker is already forced open, by hand or by an isolation.
    pub fn isolate(&self, now: u64) {
        let mut seen = self.state.load();
        while let Some(interrupted) = Interrupted::of(seen.phase()) {
            match self.state.change(seen, Phase::Isolated(interrupted)) {
                Ok(moved) => {
                    if moved.from == State::Closed {
                        let healthy = self.age(seen.generation(), now);
                        self.forget_openings(moved.generation, |times| times.is_over(healthy));
                    }
                    return self.entered(moved, now, Cause::Isolated);
                }
                Err(found) => seen = found,
            }
        }
    }

    /// Ends an isolation: the breaker has the state that it would have without it.
    ///
    /// Does nothing if the breaker isn't isolated. A command may have ended the isolation.
    pub fn release(&self, now: u64) {
        let mut seen = self.state.load();
        while let Phase::Isolated(interrupted) = seen.phase() {
            let phase = self.after_isolation(interrupted, now);
            if phase == Phase::PROBING {
                with_view!(self, |view| if let Some(limit) = view.half_open_limit() {
                    limit.begin(now);
                });
            }
            match self.state.change(seen, phase) {
                Ok(moved) => {
                    // Read again: a `Retry-After` that came since finds the breaker open, or is
                    // found here.
                    let longest = with_view!(self, |view| view.max_retry_after());
                    self.stay_open(longest.cut(self.retry_after.until(), now));
                    return self.entered(moved, now, Cause::Released);
                }
                Err(found) => seen = found,
            }
        }
    }

    /// The phase that the breaker would have now without its isolation.
    pub(super) fn after_isolation(&self, interrupted: Interrupted, now: u64) -> Phase {
        match self.state.after(interrupted) {
            Phase::Open { until } => {
                let longest = with_view!(self, |view| view.max_retry_after());
                let retry_at = longest.cut(self.retry_after.so_far(), now);
                let until = until.max(Moment::at(retry_at));
                Phase::Open { until }
            }
            phase => phase,
        }
    }
}
