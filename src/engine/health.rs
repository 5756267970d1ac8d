//! What the engine offers to tasks that check the dependency's health.

use super::Core;
use super::view::{Configuration, View, with_view};
use crate::state::{Generation, Phase};
use crate::{clock::context::CallContext, events::Cause, recovery::HealthChecks};

/// When a task has to check next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextCheck {
    /// Not before the breaker opens.
    None,
    /// In this many nanoseconds.
    In(u64),
    /// Now.
    Now {
        /// The generation that the check is to end.
        generation: Generation,
        /// How many nanoseconds the check may take, if there is a bound.
        at_most: Option<u64>,
    },
}

impl Core {
    /// The tasks that check the dependency's health; allocated for the first of them.
    pub fn checks_or_init(&self) -> &HealthChecks {
        let late = self.late.get_or_init(Box::default);
        late.checks.get_or_init(Box::default)
    }

    /// The tasks that check the dependency's health, if there has ever been one.
    #[inline]
    pub(super) fn checks(&self) -> Option<&HealthChecks> {
        self.late.get()?.checks.get()
    }

    /// When a task has to check next. If the answer is `Now`, the check counts as begun.
    pub fn next_check(&self, now: u64) -> NextCheck {
        let seen = self.state.load();
        match self.state.phase_of(seen) {
            Phase::Open { until } if now < until.nanos() => NextCheck::In(until.nanos() - now),
            Phase::Open { .. } => {
                self.checks_or_init().start_check(now);
                let patience = with_view!(self, |view| view.settings().probe_timeout);
                NextCheck::Now {
                    generation: seen.generation(),
                    // Half of the time that calls wait for a verdict, so that this verdict comes in
                    // time.
                    at_most: (patience != u64::MAX).then_some(patience / 2),
                }
            }
            _ => NextCheck::None,
        }
    }

    /// Takes the verdict of a check that began in `generation`, and returns whether it counted.
    ///
    /// A command may have come first, or a call that waited no longer.
    pub fn checked(
        &self,
        generation: Generation,
        is_well: bool,
        context: &impl CallContext,
    ) -> bool {
        with_view!(self, |view| view.checked(generation, is_well, context))
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    fn checked(self, generation: Generation, is_well: bool, context: &impl CallContext) -> bool {
        let (reading, now) = self.ring().read_with_nanos(context);
        if is_well {
            let asked = self.asked_while_open(reading, now);
            if let Some(limit) = self.half_open_limit() {
                limit.begin(now);
            }
            let Some(moved) = self.state.invite_probes(generation, now) else {
                return false;
            };
            // The check itself was counted as a call that asks, but is none.
            self.observe(asked.map(|(calls, within)| (calls - 1, within)));
            self.entered(moved, now, Cause::HealthCheckSucceeded);
        } else {
            let opening = self.next_opening(now);
            let Some(moved) = self.state.leave(generation, opening.phase()) else {
                return false;
            };
            self.opened(moved, opening, now, Cause::HealthCheckFailed);
        }
        true
    }
}
