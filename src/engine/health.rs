//! What a task asks and tells that checks the dependency's health.

use super::Core;
use super::view::{Configuration, View, with_view};
use crate::clock::context::CallContext;
use crate::events::Cause;
use crate::recovery::HealthChecks;
use crate::state::{Generation, Phase};

/// When a task has to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextCheck {
    /// Not before the breaker opens.
    None,
    /// In so many nanoseconds.
    In(u64),
    /// Now.
    Now {
        /// The generation that it is to end.
        generation: Generation,
        /// How many nanoseconds it may take, if there is a bound.
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

    /// When a task has to check; if it is now, the check is taken to begin.
    pub fn next_check(&self, now: u64) -> NextCheck {
        let seen = self.state.load();
        match self.state.phase_of(seen) {
            Phase::Open { until } if now < until.nanos() => NextCheck::In(until.nanos() - now),
            Phase::Open { .. } => {
                self.checks_or_init().start_check(now);
                let patience = with_view!(self, |view| view.settings().probe_timeout);
                NextCheck::Now {
                    generation: seen.generation(),
                    // Half of what calls wait for a verdict, so that this is one in time.
                    at_most: (patience != u64::MAX).then_some(patience / 2),
                }
            }
            _ => NextCheck::None,
        }
    }

    /// Takes the verdict of a check that began in `generation`; says whether it counted: a command, or a call
    /// that has lost patience, may have been first.
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
            let Some(moved) = self.state.invite_probes(generation, now) else {
                return false;
            };
            // What is counted as asking now is no call.
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
