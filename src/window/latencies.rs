//! The histograms of a window, spread over threads.
//!
//! They are spread like the counts. Until the window has grown, all threads share one set of
//! histograms. Then each thread slot gets a set of its own, when its thread first records in it.
//! Earlier counts stay where they are until they leave the window.

use super::bin::Bin;
use super::histogram::{BinEntry, Histograms};
use super::place::RingPosition;
use super::{Took, rate};
use crate::clock::context::CallContext;
use crate::sync::PublishedOnce;
use crate::sync::thread_slot::ThreadSlot;

/// The latencies of a window.
#[derive(Debug)]
pub struct Latencies {
    common: Histograms,
    own: Box<[PublishedOnce<Histograms>]>,
    buckets: u32,
    by_outcome: bool,
}

/// How many calls each bin holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinCounts {
    /// The counts of all calls, or of the successes if outcomes are told apart.
    pub calls: [u64; Bin::COUNT],
    /// The counts of the failures, if outcomes are told apart.
    pub failures: [u64; Bin::COUNT],
}

impl Default for BinCounts {
    fn default() -> Self {
        Self {
            calls: [0; Bin::COUNT],
            failures: [0; Bin::COUNT],
        }
    }
}

/// The share of calls that a percentile stands for. It is a little less than the exact share, and
/// never zero. Otherwise rounding could turn 99.9 % of 1,000 calls into 999.0000001 calls, and the
/// next call would be taken.
pub(crate) fn rank_of(percentile: f64) -> f64 {
    (percentile / 100.0 * (1.0 - 1e-12)).clamp(f64::MIN_POSITIVE, 1.0)
}

impl BinCounts {
    /// The number of calls.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.all().sum()
    }

    /// The number of calls in each bin, of all outcomes.
    pub fn all(&self) -> impl Iterator<Item = u64> {
        let both = self.calls.iter().zip(&self.failures);
        both.map(|(calls, failures)| calls + failures)
    }

    /// The time in nanoseconds that `percentile` percent of the calls don't exceed. It is zero if
    /// there are no calls.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the calls is as large as their number at most"
    )]
    pub fn percentile(&self, percentile: f64) -> u64 {
        let calls = self.calls();
        let wanted = (rank_of(percentile) * rate(calls, 1)).ceil() as u64;
        let wanted = wanted.clamp(1, calls.max(1));
        let mut below = 0;
        for (number, count) in self.all().enumerate() {
            below += count;
            if below >= wanted {
                return Bin::from_number(number).value();
            }
        }
        0
    }
}

impl Latencies {
    /// The number of the first bin of failures, if outcomes are told apart. It starts a word of its
    /// own.
    const FAILURES: usize = Bin::COUNT.next_multiple_of(Histograms::BINS_A_WORD);

    /// Histograms for a ring of `buckets`. If `thread_slots` is above one, the threads on the first
    /// `thread_slots` slots get histograms of their own.
    #[must_use]
    pub fn new(buckets: u32, thread_slots: u32, by_outcome: bool) -> Self {
        let owners = if thread_slots > 1 { thread_slots } else { 0 };
        Self {
            common: Self::histograms(buckets, by_outcome),
            own: (0..owners).map(|_| PublishedOnce::new()).collect(),
            buckets,
            by_outcome,
        }
    }

    fn histograms(buckets: u32, by_outcome: bool) -> Histograms {
        let failures = if by_outcome { Self::FAILURES } else { 0 };
        Histograms::new(buckets, failures + Bin::COUNT)
    }

    /// Gives all thread slots their histograms now.
    pub fn grow(&self) {
        self.own.iter().for_each(|own| self.give(own));
    }

    /// Makes the histograms of a thread slot, unless it has them.
    fn give(&self, own: &PublishedOnce<Histograms>) {
        if own.get().is_none() {
            own.publish(Self::histograms(self.buckets, self.by_outcome));
        }
    }

    /// The bin that counts a call, which stands for 2^`weight` calls.
    #[must_use]
    #[inline]
    pub fn bin(&self, (took, weight): (Took, u32), failed: bool) -> LatencyBin<'_> {
        let number = Bin::of(took.nanos).number();
        let first = if failed && self.by_outcome {
            Self::FAILURES
        } else {
            0
        };
        LatencyBin {
            latencies: self,
            entry: BinEntry {
                bin: first + number,
                weight,
            },
        }
    }

    /// See [`Ring::same_config`](super::Ring::same_config).
    #[must_use]
    pub fn same_config(&self, other: &Self) -> bool {
        let shape = |it: &Self| (it.own.len(), it.buckets, it.by_outcome);
        shape(self) == shape(other)
    }

    /// Adds the counts of the window that ends with `place` to `counts`. The buckets are those of
    /// `shards::live_sum`.
    pub(super) fn read(&self, place: RingPosition, counts: &mut BinCounts) {
        let present = place.stamp();
        let all = self.own.iter().filter_map(PublishedOnce::get);
        for histograms in all.chain([&self.common]) {
            for slot in 0..self.buckets {
                let alive = if slot <= place.slot() {
                    present
                } else {
                    present.turn_before()
                };
                histograms.read(
                    slot,
                    |stamp| stamp == alive || stamp == alive.turn_after(),
                    |bin, count| {
                        let of = match bin.checked_sub(Self::FAILURES) {
                            Some(bin) => counts.failures.get_mut(bin),
                            None => counts.calls.get_mut(bin),
                        };
                        // The last bin's word has room for more bins, in which nobody counts.
                        if let Some(of) = of {
                            *of += count;
                        }
                    },
                );
            }
        }
    }
}

/// A bin of a window's histograms. The threads' histograms all have it.
#[derive(Clone, Copy, Debug)]
pub struct LatencyBin<'a> {
    latencies: &'a Latencies,
    /// Its number is among the bins of all outcomes.
    entry: BinEntry,
}

impl LatencyBin<'_> {
    /// Counts the call if the caller has a histogram of its own that is already at `place`. Returns
    /// whether the call was counted.
    #[inline]
    pub(super) fn add_at_once(self, place: RingPosition, context: &impl CallContext) -> bool {
        let ThreadSlot(thread_slot) = context.known_thread_slot();
        let own = self.latencies.own.get(thread_slot as usize);
        own.and_then(PublishedOnce::get)
            .is_some_and(|own| own.add_own_at_once(place.slot(), place.stamp(), self.entry))
    }

    /// Counts the call at `place`, and returns whether it was counted. `is_current` says whether
    /// the place is still alive. `has_grown` says whether the window has grown.
    pub(super) fn add(
        self,
        place: RingPosition,
        has_grown: bool,
        context: &impl CallContext,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let Self { latencies, entry } = self;
        let (slot, stamp) = (place.slot(), place.stamp());
        let ThreadSlot(thread_slot) = context.thread_slot();
        let own = latencies.own.get(thread_slot as usize);
        match own.filter(|_| has_grown) {
            Some(own) => {
                latencies.give(own);
                own.get()
                    .is_some_and(|own| own.add_own(slot, stamp, entry, is_current))
            }
            None => latencies.common.add(slot, stamp, entry, is_current),
        }
    }
}
