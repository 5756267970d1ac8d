//! Snapshots, taken while calls run.

use std::time::Duration;

use super::view::{Configuration, View, with_view};
use super::{Core, call::Call};
use crate::events::Opening;
use crate::snapshot::{Snapshot, Totals};
use crate::state::{Phase, State, StateWord};
use crate::sync::{Ordering, fence};
use crate::window::{BinCounts, Counts, Recording};
use crate::{clock::context::CallContext, latency::times::Timed};

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

    /// A snapshot of the breaker at the caller's time, without its totals.
    #[must_use]
    pub fn snapshot(&self, context: &impl CallContext) -> Snapshot {
        let mut bins = BinCounts::default();
        let (mut snapshot, recording) = self.read(&mut bins, context);
        snapshot.set_latency(&bins, recording);
        snapshot
    }

    /// Like [`snapshot`](Self::snapshot), but overwrites a snapshot of this breaker or of one like
    /// it.
    pub fn snapshot_into(&self, snapshot: &mut Snapshot, context: &impl CallContext) {
        let mut bins = BinCounts::default();
        let (mut new, recording) = self.read(&mut bins, context);
        (new.latency, new.by_outcome) = (snapshot.latency.take(), snapshot.by_outcome.take());
        *snapshot = new;
        snapshot.set_latency(&bins, recording);
    }

    /// A snapshot without latencies, and which of them the bins hold.
    fn read(&self, bins: &mut BinCounts, context: &impl CallContext) -> (Snapshot, Recording) {
        let mut seen = self.state.load();
        let mut repeats = 0..2;
        loop {
            let bins = &mut *bins;
            let read = with_view!(self, |view| view.read(seen, bins, context));
            // All counts belong to one generation. If it has ended meanwhile, some may be gone. So
            // this thread reads again, at most twice.
            match self.state_after(seen) {
                Some(found) if repeats.next().is_some() => seen = found,
                _ => return read,
            }
        }
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    /// See [`Core::read`]; in the state that was seen.
    fn read(
        self,
        seen: StateWord,
        bins: &mut BinCounts,
        context: &impl CallContext,
    ) -> (Snapshot, Recording) {
        let generation = seen.generation();
        let (ring, timed) = (self.ring(), self.timed());
        let (reading, now) = ring.read_with_nanos(context);
        let call = Call::new(generation, reading, context);
        let counts = ring.all_counts(self.suspicions(call), call);
        let uncounted = ring.uncounted(generation, reading);
        let run = self.run.get(generation);
        let run = ring.run_held(run, &counts, call);
        // Another thread may have entered this state first, while a window of another size took
        // over calls. Then the state holds none of these calls.
        let (counts, run) = if self.may_judge(generation) {
            (counts, run)
        } else {
            (Counts::default(), 0)
        };
        let slow = counts.slow_of_calls();
        let slow_failures = match slow {
            0 => 0,
            slow => ring.slow_failures(call).min(slow).min(counts.failures),
        };
        let recording = timed.map_or(Recording::Off, |it| it.recording);
        if recording != Recording::Off {
            let latencies = timed.and_then(Timed::latencies);
            *bins = BinCounts::default();
            ring.read_latencies(latencies, call, bins);
        }
        let (phase, state) = (self.state.phase_of(seen), seen.phase().state());
        let rejects = matches!(state, State::Open | State::HalfOpen | State::ForcedOpen);
        let mut snapshot = Snapshot {
            name: self.name().clone(),
            state,
            generation: self.history.number(generation),
            at: Duration::from_nanos(now),
            in_state_for: Duration::from_nanos(self.age(generation, now)),
            remaining_open: None,
            successes: counts.successes,
            failures: counts.failures,
            ignored: if rejects { 0 } else { uncounted },
            rejected: if rejects { uncounted } else { 0 },
            consecutive_failures: run,
            probes_in_flight: 0,
            probes_succeeded: 0,
            probes_slow: 0,
            probes_failed: 0,
            admitted_share: None,
            slow,
            slow_failures,
            overdue: counts.overdue,
            would_have_opened: self.would_have_opened(),
            totals: Totals::default(),
            latency: None,
            by_outcome: None,
            latest_opening: self.latest_opening(seen, now).map(Opening::of),
        };
        match phase {
            Phase::Open { until } => {
                let left = until.nanos().saturating_sub(now);
                snapshot.remaining_open = Some(Duration::from_nanos(left));
            }
            Phase::HalfOpen(probes) => {
                snapshot.probes_in_flight = probes.in_flight;
                snapshot.probes_succeeded = probes.succeeded;
                snapshot.probes_slow = probes.slow;
                snapshot.probes_failed = probes.failed;
            }
            Phase::Ramp(round) => snapshot.admitted_share = Some(round.unpack().share.as_f64()),
            _ => {}
        }
        (snapshot, recording)
    }
}
