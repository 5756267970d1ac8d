//! Snapshots, taken while calls run.

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
    /// The current state, if the generation of `seen` ended during the reads; otherwise `None`.
    pub(super) fn state_after(&self, seen: StateWord) -> Option<StateWord> {
        // Acquire: pairs with the Release in `Stamped::update`. The words that carry a generation
        // are read relaxed. A thread that has read such a word of a later generation now finds that
        // this generation has begun. Otherwise a snapshot could lack counts and not be taken again.
        fence(Ordering::Acquire);
        let found = self.state.load();
        (found.generation() != seen.generation()).then_some(found)
    }

    /// A snapshot of the breaker at the caller's time.
    #[must_use]
    pub fn snapshot(&self, context: &impl CallContext) -> Snapshot {
        let mut snapshot = Snapshot::empty(self.name().clone());
        self.snapshot_into(&mut snapshot, context);
        snapshot
    }

    /// Like [`snapshot`](Self::snapshot), but overwrites a snapshot of this breaker or of one like
    /// it.
    pub fn snapshot_into(&self, snapshot: &mut Snapshot, context: &impl CallContext) {
        let mut bins = BinCounts::default();
        let mut seen = self.state.load();
        // All counts belong to one generation. If it has ended meanwhile, some may be gone. So the
        // snapshot is taken again, at most twice.
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
    /// Takes a snapshot in the state that was seen.
    ///
    /// If the generation has ended meanwhile, returns the state that was found and takes none. The
    /// last attempt takes one anyway.
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
        // Another thread may have entered this state first, while a window of another size took
        // over calls. Then the state holds none of these calls.
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
        let opening = self.latest_opening();
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
            opening,
        });
        None
    }
}
