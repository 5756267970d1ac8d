//! Latency histograms of a ring of time buckets, six bins to a word.
//!
//! Like the ring of counts, this ring has no rotation step. Each bucket has a header with the stamp
//! of its owner. The header gives that turn a short number, its sequence. Each word of bins carries
//! the sequence of the turn that it counts. A word with another sequence than the header's doesn't
//! count. The next writer replaces it.

use super::bucket::Stamp;
use super::draw::{Draw, is_counted};
use super::shards::Aligned;
use crate::sync::Ordering;
use crate::sync::field::Field;
use crate::sync::stamped::Stamped;

/// ```text
///  63                               22 21          5 4        0
/// +-----------------------------------+-------------+----------+
/// |  stamp: turn, 31 | generation, 11 |      0      |sequence,5|
/// +-----------------------------------+-------------+----------+
/// ```
mod header {
    use super::Field;

    pub(super) const SEQUENCE: Field = Field::lowest(5);
}

/// ```text
///  63                                 10 9      5 4        0
/// +-------------------------------------+--------+----------+
/// |     six bins, 9 bits each, 54       |scale, 5|sequence,5|
/// +-------------------------------------+--------+----------+
/// ```
///
/// *Counts*: each bin has counted its 9 bits × 2^scale calls. Up to 511 calls in a bin this is
/// exact. Above that, one call in 2^scale adds 2^scale, in all six bins. The fullest bin then
/// stands for a sample of at least 256 calls. Its count errs by about a 20th. The six bins are
/// neighbours, so they lie in the same part of the distribution.
mod layout {
    use super::Field;

    pub(super) const SEQUENCE: Field = super::header::SEQUENCE;
    pub(super) const SCALE: Field = SEQUENCE.then(5);
    pub(super) const FIRST: Field = SCALE.then(9);
    pub(super) const BINS: u32 = 6;

    const _: () = assert!(FIRST.end_bit() + (BINS - 1) * 9 == 64);
}

/// The position of a bin in its word.
#[derive(Clone, Copy)]
struct Position(u32);

impl Position {
    const ALL: [Self; Histograms::BINS_A_WORD] =
        [Self(0), Self(9), Self(18), Self(27), Self(36), Self(45)];

    /// The word of a bin, and the bin's position in it.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a remainder of six")]
    fn of(bin: usize) -> (usize, Self) {
        let bins = Histograms::BINS_A_WORD;
        (bin / bins, Self(9 * (bin % bins) as u32))
    }

    #[inline]
    fn get(self, word: u64) -> u64 {
        layout::FIRST.get(word >> self.0)
    }

    #[inline]
    fn of_count(self, count: u64) -> u64 {
        layout::FIRST.of(count) << self.0
    }
}

/// A word of six bins.
#[derive(Clone, Copy, PartialEq, Eq)]
struct BinWord(u64);

impl BinWord {
    /// The largest weight: half of the largest count must have room for 2^this calls.
    const MAX_WEIGHT: u32 = 7;

    /// The word of a bucket that has counted one call, which stands for 2^`weight` calls.
    #[inline]
    fn first(sequence: u64, position: Position, weight: u32) -> Self {
        debug_assert!(weight <= Self::MAX_WEIGHT);
        Self(layout::SEQUENCE.of(sequence) | position.of_count(1 << weight))
    }

    fn sequence(self) -> u64 {
        layout::SEQUENCE.get(self.0)
    }

    fn count(self, position: Position) -> u64 {
        position.get(self.0) << layout::SCALE.get(self.0)
    }

    /// Whether one more call of this weight is to be counted.
    #[inline]
    fn counts_next(self, weight: u32) -> bool {
        let scale = layout::SCALE.get(self.0);
        let weight = u64::from(weight);
        scale <= weight || is_counted(scale - weight)
    }

    /// Whether a call of this weight draws.
    fn draws(self, weight: u32) -> bool {
        layout::SCALE.get(self.0) > u64::from(weight)
    }

    /// Makes the call try again with the draw that it has made, after a lost exchange.
    #[cold]
    #[inline(never)]
    fn take_back_draw(self, weight: u32) {
        if self.draws(weight) {
            Draw::take_back();
        }
    }

    /// The word after one more call of this weight that is counted.
    #[inline]
    fn plus(self, position: Position, weight: u32) -> Self {
        let count = self.steps(weight);
        if position.get(self.0) + count <= layout::FIRST.max() {
            Self(self.0 + position.of_count(count))
        } else {
            self.halved(position, weight)
        }
    }

    /// How much a call of this weight that is counted adds to the bits of its bin.
    #[inline]
    fn steps(self, weight: u32) -> u64 {
        1 << u64::from(weight).saturating_sub(layout::SCALE.get(self.0))
    }

    /// The word after one more call, if the bin is full: all six bins go to the next scale.
    #[cold]
    #[inline(never)]
    fn halved(self, position: Position, weight: u32) -> Self {
        let scale = layout::SCALE.get(self.0);
        if scale == layout::SCALE.max() {
            return self;
        }
        // The call has drawn already, if it draws at this scale.
        let draw = if self.draws(weight) {
            Draw::latest()
        } else {
            Draw::new()
        };
        let bits = draw.bits();
        let mut halved = layout::SEQUENCE.of(self.sequence()) | layout::SCALE.of(scale + 1);
        for other in Position::ALL {
            let count = match other.get(self.0) {
                count if other.0 == position.0 => count + self.steps(weight),
                count => count,
            };
            // Half of the odd counts are rounded up, so that no part of the distribution grows.
            // Each bin has its own bit, among the upper bits, which are mixed best.
            let is_up = bits >> (63 - other.0) & 1;
            let rounded = count / 2 + ((count % 2) & is_up);
            halved |= other.of_count(rounded);
        }
        Self(halved)
    }
}

/// What one call adds to a histogram.
#[derive(Clone, Copy, Debug)]
pub struct BinEntry {
    /// The number of the call's bin.
    pub bin: usize,
    /// The call stands for 2^this calls, at most 2^7.
    pub weight: u32,
}

impl From<usize> for BinEntry {
    fn from(bin: usize) -> Self {
        Self { bin, weight: 0 }
    }
}

/// The histograms of all buckets of a window. Either one thread alone writes them, with the methods
/// that have `own` in their names. Or several threads write them, with the other method.
#[derive(Debug)]
pub struct Histograms {
    words: Aligned<Stamped>,
    /// The number of words with bins in a bucket. The header stands before them.
    bin_words: usize,
}

impl Histograms {
    /// The number of bins in one word. They lose precision together.
    pub const BINS_A_WORD: usize = layout::BINS as usize;

    /// Histograms of `bins` bins each, for `buckets` buckets.
    #[must_use]
    pub fn new(buckets: u32, bins: usize) -> Self {
        let bin_words = bins.div_ceil(Self::BINS_A_WORD);
        Self {
            words: Aligned::new(buckets as usize * (1 + bin_words)),
            bin_words,
        }
    }

    /// The number of a bucket's header.
    #[inline]
    fn begin(&self, slot: u32) -> usize {
        slot as usize * (1 + self.bin_words)
    }

    /// The header of a bucket.
    #[inline]
    fn header(&self, slot: u32) -> Option<&Stamped> {
        self.words.get(self.begin(slot))
    }

    /// The words of a bucket's bins.
    fn bins(&self, slot: u32) -> impl Iterator<Item = &Stamped> {
        let first = self.begin(slot) + 1;
        (first..first + self.bin_words).filter_map(|word| self.words.get(word))
    }

    /// The header of a bucket, the word of a bin, and the bin's position in it.
    #[inline]
    fn bin(&self, slot: u32, bin: usize) -> Option<(&Stamped, &Stamped, Position)> {
        let (word, position) = Position::of(bin);
        let begin = self.begin(slot);
        let bins = self.words.get(begin + 1 + word)?;
        Some((self.words.get(begin)?, bins, position))
    }

    /// The header of the next turn, with the given stamp.
    fn next_header(header: u64, stamp: Stamp) -> u64 {
        stamp.bits() | header::SEQUENCE.of(header::SEQUENCE.get(header) + 1)
    }

    /// Counts one call if the bucket already belongs to `stamp`, and returns whether it does.
    #[must_use]
    #[inline]
    pub fn add_own_at_once(&self, slot: u32, stamp: Stamp, entry: impl Into<BinEntry>) -> bool {
        let BinEntry { bin, weight } = entry.into();
        let Some((header, word, position)) = self.bin(slot, bin) else {
            return false;
        };
        // No other thread writes these words. The next thread that writes them gets them through
        // the thread slot (see `ThreadSlots`).
        let header = header.load();
        if Stamp::from_upper_bits(header) != stamp {
            return false;
        }
        let sequence = header::SEQUENCE.get(header);
        let seen = BinWord(word.load());
        if seen.sequence() != sequence {
            word.store_alone(BinWord::first(sequence, position, weight).0);
            return true;
        }
        if seen.counts_next(weight) {
            word.store_alone(seen.plus(position, weight).0);
        }
        true
    }

    /// Like [`add_own_at_once`](Self::add_own_at_once), but starts the turn of `stamp` if
    /// `is_current` returns `true`. Returns whether the call was counted.
    pub fn add_own(
        &self,
        slot: u32,
        stamp: Stamp,
        entry: impl Into<BinEntry>,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let entry = entry.into();
        if self.add_own_at_once(slot, stamp, entry) {
            return true;
        }
        let Some(header) = self.header(slot).filter(|_| is_current()) else {
            return false;
        };
        // All words are cleared. A word that isn't written for 32 turns would otherwise pass for a
        // current one.
        for word in self.bins(slot) {
            word.store_alone(0);
        }
        // Release: pairs with the Acquire of the header in `read`. A reader that finds the sequence
        // finds the words cleared. Without it the reader could count calls of an older turn with this
        // sequence.
        let next = Self::next_header(header.load(), stamp);
        header.atomic().store(next, Ordering::Release);
        self.add_own_at_once(slot, stamp, entry)
    }

    /// Counts one call of the bucket that `stamp` names, where several threads count. Returns
    /// whether it was counted.
    ///
    /// A bucket of another stamp is taken over if `is_current` returns `true`. It says whether
    /// `stamp` is still alive, and is called after the header was read (see `Stamped::update`).
    pub fn add(
        &self,
        slot: u32,
        stamp: Stamp,
        entry: impl Into<BinEntry>,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let BinEntry { bin, weight } = entry.into();
        let Some((header, word, position)) = self.bin(slot, bin) else {
            return false;
        };
        loop {
            // A thread that finds a younger bucket here then finds a clock and a state at least as
            // young.
            let found = header.acquire();
            if Stamp::from_upper_bits(found) != stamp {
                if !is_current() {
                    return false;
                }
                self.sweep(slot, header, found);
                // A thread that finds the new header, here or in `read`, finds the words swept.
                // Otherwise a word of an older turn with the same sequence could count.
                let next = Self::next_header(found, stamp);
                let _other_was_first = header.publish(found, next);
                continue;
            }
            let sequence = header::SEQUENCE.get(found);
            // If the word is of a younger turn than `found`, the header, read again, is younger too.
            let seen = BinWord(word.acquire());
            let new = if seen.sequence() == sequence {
                if !seen.counts_next(weight) {
                    return true;
                }
                seen.plus(position, weight)
            } else if header.load() == found {
                BinWord::first(sequence, position, weight)
            } else {
                continue;
            };
            // A thread that finds this word, here or in `sweep`, finds the header that this thread
            // has read, or a younger one.
            if word.publish(seen.0, new.0).is_ok() {
                return true;
            }
            seen.take_back_draw(weight);
        }
    }

    /// Empties all words of turns older than that of the header `found`, before the header moves
    /// on. So none is left when the sequences repeat.
    fn sweep(&self, slot: u32, header: &Stamped, found: u64) {
        for word in self.bins(slot) {
            // If the word is of a younger turn, the header, read after it, has moved on. Otherwise
            // this thread could empty a word of a younger turn.
            let seen = BinWord(word.acquire());
            if seen.0 == 0 || seen.sequence() == header::SEQUENCE.get(found) {
                continue;
            }
            if header.load() != found {
                return;
            }
            // If another thread has written the word meanwhile, the next sweep finds it.
            let _written = word.exchange(seen.0, 0);
        }
    }

    /// Passes each bin of a bucket that has counted calls to `sum`, if the bucket's stamp
    /// `is_alive`.
    ///
    /// A call that is counted meanwhile may be included. A call of another turn is never included.
    pub fn read(
        &self,
        slot: u32,
        is_alive: impl Fn(Stamp) -> bool,
        mut sum: impl FnMut(usize, u64),
    ) {
        let Some(header) = self.header(slot) else {
            return;
        };
        // A reader that finds a sequence finds the words of the sequence's earlier turn emptied.
        // Otherwise the reader could count calls of that turn.
        let header = header.acquire();
        if !is_alive(Stamp::from_upper_bits(header)) {
            return;
        }
        let sequence = header::SEQUENCE.get(header);
        for (number, word) in self.bins(slot).enumerate() {
            let word = BinWord(word.load());
            if word.0 == sequence || word.sequence() != sequence {
                continue;
            }
            let first = number * Self::BINS_A_WORD;
            for (bin, position) in (first..).zip(Position::ALL) {
                let count = word.count(position);
                if count > 0 {
                    sum(bin, count);
                }
            }
        }
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
mod tests {
    use super::*;
    use crate::state::Generation;

    /// The counts of the six bins of a word.
    fn counted(histograms: &Histograms) -> [u64; Histograms::BINS_A_WORD] {
        let mut counts = [0; Histograms::BINS_A_WORD];
        histograms.read(0, |_| true, |bin, count| counts[bin] += count);
        counts
    }

    /// Fails when: a call draws again after a lost exchange, or the other bins of a full word are
    /// rounded by the same draw.
    #[test]
    fn the_mean_of_what_many_threads_count_in_a_bin_is_what_they_recorded() {
        const RUNS: u64 = 200;
        const CALLS: u64 = 12_000;
        let stamp = Stamp::new(Generation::FIRST, 1);
        for threads in [2, 4, 8] {
            let mut sums = [0; Histograms::BINS_A_WORD];
            for _ in 0..RUNS {
                let histograms = Histograms::new(1, Histograms::BINS_A_WORD);
                std::thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| {
                            // Half of all calls fall into one bin, and a tenth into each other one.
                            for call in 0..CALLS / threads {
                                let bin = match call % 10 {
                                    bin @ 1..=5 => bin,
                                    _ => 0,
                                };
                                let bin = usize::try_from(bin).unwrap();
                                assert!(histograms.add(0, stamp, bin, || true));
                            }
                        });
                    }
                });
                for (sum, count) in sums.iter_mut().zip(counted(&histograms)) {
                    *sum += count;
                }
            }
            let all = sums.iter().sum::<u64>() as f64 / (RUNS * CALLS) as f64;
            println!("{threads} threads: {all} {sums:?}");
            // The bounds are five times the standard deviations.
            assert!((all - 1.0).abs() < 0.001, "{threads} threads: {all}");
            for sum in &sums[1..] {
                let share = *sum as f64 / (RUNS * CALLS / 10) as f64;
                assert!((share - 1.0).abs() < 0.01, "{threads} threads: {share}");
            }
        }
    }
}
