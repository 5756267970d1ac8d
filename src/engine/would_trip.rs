//! Verdicts of a breaker that has cause to trip, but may not.
//!
//! Such a breaker tells its listeners once each time that it gets a cause. The state word of a
//! breaker that is closed or metrics-only has a note for each kind of judgement. A judgement that
//! finds a cause sets its note, and one that finds none removes it. The thread that sets the first
//! note counts and tells. A transition removes all notes, because it writes another word.

use std::time::Duration;

use super::Core;
use super::call::Call;
use super::view::{Configuration, View};
use crate::clock::context::CallContext;
use crate::events::{Cause, WouldTrip, WouldTripReason};
use crate::outcome::Outcome;
use crate::state::{Generation, Judgement, StateWord};

impl<'a, F: Configuration<'a>> View<'a, F> {
    /// The state, if the policies are asked in this generation: closed or metrics-only.
    ///
    /// Unlike [`closed_in`](Self::closed_in), this includes breakers that may not trip, and those
    /// with notes.
    pub(super) fn judged_in(self, generation: Generation) -> Option<StateWord> {
        let seen = self.state.load();
        let is_judged = seen.generation() == generation && seen.lets_through_and_records();
        let is_whole = seen.is_timed() || self.has_built_ring();
        (is_judged && is_whole && self.may_judge(generation)).then_some(seen)
    }

    /// Judges the counts of a breaker that is not closed, or has notes.
    #[cold]
    #[inline(never)]
    pub(super) fn judge_noted(
        self,
        call: Call<'_, impl CallContext>,
        run: u64,
        outcome: Outcome,
    ) -> bool {
        let Some(seen) = self.judged_in(call.generation) else {
            return false;
        };
        let cause_at = |call| match outcome {
            Outcome::Trip => Some(Cause::TripRequested),
            _ => self.cause(call, run),
        };
        if cause_at(call).is_none() {
            if seen.has_note(Judgement::Counts) {
                self.look_again(seen, call, run);
            }
            return false;
        }
        // As in `judge`: the thread may have slept.
        let call = call.read_again(self.ring());
        cause_at(call).is_some_and(|cause| self.open(seen, Judgement::Counts, cause, call))
    }

    /// Removes the note of the counts, unless there is cause by now.
    #[cold]
    #[inline(never)]
    fn look_again(self, seen: StateWord, call: Call<'_, impl CallContext>, run: u64) {
        // The thread that has set the note may have seen later failures than this thread's. Read
        // after the state, they are found here too. Otherwise this thread would remove the note,
        // and the next failure would be told as another cause.
        let run = run.max(self.run.get(call.generation));
        let call = call.read_again(self.ring());
        if self.cause(call, run).is_none() {
            self.found_none(seen, Judgement::Counts);
        }
    }
}

impl Core {
    /// Makes what a breaker needs that may have cause to trip and may not. No call allocates it.
    pub(crate) fn expect_would_trips(&self) {
        self.late.get_or_init(Box::default);
    }

    /// How often the breaker would have tripped.
    pub(super) fn would_have_opened(&self) -> u64 {
        self.late.get().map_or(0, |late| late.would_trips.count())
    }

    /// Notes a cause in a breaker that may not trip. Counts and tells it if there was none.
    ///
    /// `seen` is the state in which the judgement began. If its generation is over, the cause counts
    /// for nothing, as with a trip.
    #[cold]
    #[inline(never)]
    pub(super) fn would_trip(
        &self,
        mut seen: StateWord,
        judgement: Judgement,
        reason: WouldTripReason,
        cause: Cause,
        now: u64,
    ) {
        let generation = seen.generation();
        loop {
            if seen.generation() != generation || seen.has_note(judgement) {
                return;
            }
            match self.state.note(seen, seen.noted(judgement)) {
                Ok(()) => break,
                Err(found) => seen = found,
            }
        }
        if let (false, Some(late)) = (seen.has_notes(), self.late.get()) {
            late.would_trips.tell(|| WouldTrip {
                name: self.name().clone(),
                cause,
                at: Duration::from_nanos(now),
                state: seen.phase().state(),
                reason,
            });
        }
    }

    /// Removes the note of a judgement that has found no cause.
    ///
    /// `seen` is the state in which the judgement began. A note that came later is about what this
    /// judgement has not seen, and stays.
    #[inline]
    pub(super) fn found_none(&self, seen: StateWord, judgement: Judgement) {
        if seen.has_note(judgement) {
            self.remove_note(seen, judgement);
        }
    }

    #[cold]
    #[inline(never)]
    fn remove_note(&self, mut seen: StateWord, judgement: Judgement) {
        let generation = seen.generation();
        while seen.generation() == generation && seen.has_note(judgement) {
            match self.state.note(seen, seen.without_note(judgement)) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }
}
