//! The latest opening, as winners note it and readers find it.

use super::Core;
use crate::clock::context::CallContext;
use crate::events::Cause;
use crate::events::entry::LogEntry;
use crate::state::{Generation, Phase, State, StateWord};

impl Core {
    /// Notes a transition into open or forced open.
    ///
    /// A later opening stays. If an earlier winner is at work, this opening isn't noted.
    pub(super) fn note_opening(&self, entry: &LogEntry) {
        let interrupted = match entry.reason.cause {
            // The state shows an isolation as long as it lasts. So the opening that it interrupts
            // stays.
            Cause::Isolated => return,
            Cause::Released => self.interrupted_opening(entry.generation),
            _ => None,
        };
        self.opening
            .write(&interrupted.unwrap_or(*entry), |_| false);
    }

    /// The opening that an isolation interrupted, for the generation into which it is released.
    fn interrupted_opening(&self, generation: u64) -> Option<LogEntry> {
        let opening = self.opening.latest()?;
        let was_interrupted = opening.generation + 2 == generation;
        was_interrupted.then_some(LogEntry {
            generation,
            ..opening
        })
    }

    /// The latest opening, if it is that of the generation with these
    /// [bits](Generation::in_place).
    pub(crate) fn opening_in(&self, bits: u32, context: &impl CallContext) -> Option<LogEntry> {
        let opening = self.latest_opening(self.state.load(), context.nanos())?;
        let generation = Generation::of_number(opening.generation);
        (generation.in_place() == bits).then_some(opening)
    }

    /// The latest opening, for a caller that has seen this state `now`.
    ///
    /// `None` if there was none, or if its winner hasn't noted it yet. So the opening of a breaker
    /// that is open is always the one that opened it.
    pub(super) fn latest_opening(&self, seen: StateWord, now: u64) -> Option<LogEntry> {
        let generation = seen.generation();
        if let Phase::Isolated(interrupted) = seen.phase() {
            let age = self.history.age(generation, now)?;
            return Some(LogEntry {
                generation: self.history.number(generation),
                from: self.state.after(interrupted).state(),
                to: State::ForcedOpen,
                at: now.saturating_sub(age),
                reason: Cause::Isolated.into(),
            });
        }
        let opening = self.opening.latest()?;
        let is_open = matches!(seen.phase(), Phase::Open { .. } | Phase::ForcedOpen);
        let opened_it = Generation::of_number(opening.generation) == generation;
        (!is_open || opened_it).then_some(opening)
    }
}
