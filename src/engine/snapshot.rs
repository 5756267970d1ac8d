//! One picture of a breaker, taken while calls run.

use super::Core;
use super::call::Call;
use super::view::{Configuration, View, with_view};
use crate::clock::context::CallContext;
use crate::latency::times::Timed;
use crate::snapshot::{Reading, Snapshot};
use crate::state::StateWord;
use crate::sync::{Ordering, fence};
use crate::window::{BinCounts, Counts, Recording};

impl Core {
    /// The state, if the generation of the one that was seen has ended before all that was read meanwhile was read.
    pub(super) fn state_after(&self, seen: StateWord) -> Option<StateWord> {
        // Acquire: pairs with the Release in `Stamped::update`; who has read what a later generation wrote finds that it has
        // begun, although words that say whose they are are read relaxed.
        fence(Ordering::Acquire);
        let found = self.state.load();
        (found.generation() != seen.generation()).then_some(found)
    }

    /// One picture of the breaker at the caller's time.
    #[must_use]
    pub fn snapshot(&self, context: &impl CallContext) -> Snapshot {
        let mut snapshot = Snapshot::empty(self.name().clone());
        self.snapshot_into(&mut snapshot, context);
        snapshot
    }

    /// The same, put where there is another, of this breaker or of one like it.
    pub fn snapshot_into(&self, snapshot: &mut Snapshot, context: &impl CallContext) {
        let mut bins = BinCounts::default();
        let mut seen = self.state.load();
        // The counts are one generation's in any case. If it has ended meanwhile, some may be gone, so
        // the picture is taken anew; but not for ever.
        for is_last in [false, false, true] {
            let into = (&mut *snapshot, &mut bins);
            let found = with_view!(self, |view| view.picture(seen, is_last, into, context));
            match found {
                Some(found) => seen = found,
                None => return,
            }
        }
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    /// Takes a picture of the state that was seen. If its generation has ended meanwhile, and this isn't the last
    /// chance, takes none and returns the state that was found.
    fn picture(
        self,
        seen: StateWord,
        is_last: bool,
        (snapshot, bins): (&mut Snapshot, &mut BinCounts),
        context: &impl CallContext,
    ) -> Option<StateWord> {
        let generation = seen.generation();
        let (ring, timed) = (self.ring(), self.timed());
        let (reading, now) = ring.read_with_nanos(context);
        let suspicions = self.suspicions(Call {
            generation,
            reading,
            context,
        });
        let counts = ring.all_counts(suspicions, generation, reading, context);
        let uncounted = ring.uncounted(generation, reading);
        let run = self.run.get(generation);
        let run = ring.run_held(run, &counts, reading, context);
        // A state that another thread has entered first, while a window of another size took over calls, holds
        // none of them.
        let (counts, run) = if self.may_judge(generation) {
            (counts, run)
        } else {
            (Counts::default(), 0)
        };
        let recording = timed.map_or(Recording::Off, Timed::recording);
        if recording != Recording::Off {
            let latencies = timed.and_then(|timed| timed.latencies());
            bins.clear();
            ring.read_latencies(latencies, generation, reading, context, bins);
        }
        let age = self.age(generation, now);
        let number = self.history.number(generation);
        let found = self.state_after(seen);
        if found.is_some() && !is_last {
            return found;
        }
        snapshot.set(&Reading {
            name: self.name(),
            phase: self.state.phase_of(seen),
            generation: number,
            now,
            age,
            counts,
            uncounted,
            run,
            bins: (recording != Recording::Off).then_some((bins, recording)),
        });
        None
    }
}
