//! Latency histograms of a ring of time buckets, six bins to a word.
//!
//! As with counts, nobody turns the ring. Each bucket has a header, which says whose the bucket is and
//! gives that turn a short number, its sequence; each word of bins carries the sequence of the turn
//! that it counts. A word with another sequence than the header's counts for nothing and is replaced
//! by whoever writes to it next.

use super::aligned::Aligned;
use super::bucket::{Draw, Stamp, is_counted};
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
/// *Counts*: each bin has counted its 9 bits × 2^scale calls. Up to 511 calls in a bin that is exact.
/// From there on all six grow by 2^scale at once, for one call in 2^scale. The fullest of them then
/// stands for a sample of 256 calls or more, so that its count errs by a twentieth or so; as neighbours,
/// all six lie in the same part of the distribution.
mod layout {
    use super::Field;

    pub(super) const SEQUENCE: Field = super::header::SEQUENCE;
    pub(super) const SCALE: Field = SEQUENCE.then(5);
    pub(super) const FIRST: Field = SCALE.then(9);
    pub(super) const BINS: u32 = 6;

    const _: () = assert!(FIRST.end_bit() + (BINS - 1) * 9 == 64);
}

/// Which of a word's bins.
#[derive(Clone, Copy)]
struct Position(u32);

impl Position {
    const ALL: [Self; Histograms::BINS_A_WORD] =
        [Self(0), Self(9), Self(18), Self(27), Self(36), Self(45)];

    /// The word in which a bin is, and where in it.
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

/// Six bins.
#[derive(Clone, Copy, PartialEq, Eq)]
struct BinWord(u64);

impl BinWord {
    fn first(sequence: u64, position: Position) -> Self {
        Self(layout::SEQUENCE.of(sequence) | position.of_count(1))
    }

    fn sequence(self) -> u64 {
        layout::SEQUENCE.get(self.0)
    }

    fn count(self, position: Position) -> u64 {
        position.get(self.0) << layout::SCALE.get(self.0)
    }

    /// Whether one more call is to be counted.
    #[inline]
    fn counts_next(self) -> bool {
        let scale = layout::SCALE.get(self.0);
        scale == 0 || is_counted(scale)
    }

    /// After a lost exchange: the call tries again with the draw that it has made.
    #[cold]
    #[inline(never)]
    fn take_back_draw(self) {
        if layout::SCALE.get(self.0) > 0 {
            Draw::take_back();
        }
    }

    /// The word after one more call that is counted.
    #[inline]
    fn plus_one(self, position: Position) -> Self {
        if position.get(self.0) < layout::FIRST.max() {
            Self(self.0 + position.of_count(1))
        } else {
            self.halved(position)
        }
    }

    /// The word after one more call where the bin is full: all six count twice as much.
    #[cold]
    #[inline(never)]
    fn halved(self, position: Position) -> Self {
        let scale = layout::SCALE.get(self.0);
        if scale == layout::SCALE.max() {
            return self;
        }
        // The call itself has drawn, unless the counts were exact.
        let draw = match scale {
            0 => Draw::new(),
            _ => Draw::latest(),
        };
        let bits = draw.bits();
        let mut halved = layout::SEQUENCE.of(self.sequence()) | layout::SCALE.of(scale + 1);
        for other in Position::ALL {
            let count = match other.get(self.0) {
                count if other.0 == position.0 => count + 1,
                count => count,
            };
            // Half of the odd ones are rounded up, so that no part of the distribution grows. Each has a
            // bit of its own, among the upper ones, which are mixed best.
            let is_up = bits >> (63 - other.0) & 1;
            let rounded = count / 2 + ((count % 2) & is_up);
            halved |= other.of_count(rounded);
        }
        Self(halved)
    }
}

/// The histograms of all buckets of a window. Either one thread alone writes them, by the methods with
/// `own` in their names, or several do by the other.
#[derive(Debug)]
pub struct Histograms {
    words: Aligned<Stamped>,
    /// Words of bins in a bucket. In front of them stands the header.
    bin_words: usize,
}

impl Histograms {
    /// How many bins stand in one word, and lose precision together.
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

    #[inline]
    fn header(&self, slot: u32) -> Option<&Stamped> {
        self.words.get(slot as usize * (1 + self.bin_words))
    }

    /// The words of a bucket's bins.
    fn bins(&self, slot: u32) -> impl Iterator<Item = &Stamped> {
        let begin = slot as usize * (1 + self.bin_words) + 1;
        (begin..begin + self.bin_words).filter_map(|word| self.words.get(word))
    }

    #[inline]
    fn bin(&self, slot: u32, bin: usize) -> Option<(&Stamped, Position)> {
        let (word, position) = Position::of(bin);
        let begin = slot as usize * (1 + self.bin_words) + 1;
        Some((self.words.get(begin + word)?, position))
    }

    /// The header of the next turn, whose stamp is given.
    fn next_header(header: u64, stamp: Stamp) -> u64 {
        stamp.bits() | header::SEQUENCE.of(header::SEQUENCE.get(header) + 1)
    }

    /// Counts one call if the bucket is already that of `stamp`, and says whether it is.
    #[must_use]
    #[inline]
    pub fn add_own_at_once(&self, slot: u32, stamp: Stamp, bin: usize) -> bool {
        let (Some(header), Some((word, position))) = (self.header(slot), self.bin(slot, bin))
        else {
            return false;
        };
        // Nobody else writes these words. Who gets them after this thread
        // gets them through the lane (see `ThreadSlots`).
        let header = header.load();
        if Stamp::from_upper_bits(header) != stamp {
            return false;
        }
        let sequence = header::SEQUENCE.get(header);
        let seen = BinWord(word.load());
        if seen.sequence() != sequence {
            word.store_alone(BinWord::first(sequence, position).0);
            return true;
        }
        if seen.counts_next() {
            word.store_alone(seen.plus_one(position).0);
        }
        true
    }

    /// The same, or begins the turn of `stamp` if it `is_current`; says whether the call was counted.
    pub fn add_own(
        &self,
        slot: u32,
        stamp: Stamp,
        bin: usize,
        is_current: impl Fn() -> bool,
    ) -> bool {
        if self.add_own_at_once(slot, stamp, bin) {
            return true;
        }
        let Some(header) = self.header(slot).filter(|_| is_current()) else {
            return false;
        };
        // All of them, lest a word that is not written to for 32 turns be taken for a present one.
        for word in self.bins(slot) {
            word.store_alone(0);
        }
        // Release: pairs with the Acquire in `read`; who finds the sequence finds the words cleared.
        let next = Self::next_header(header.load(), stamp);
        header.atomic().store(next, Ordering::Release);
        self.add_own_at_once(slot, stamp, bin)
    }

    /// Counts one call of the bucket that `stamp` names, where several threads do, and says whether it
    /// was counted. If the bucket is another's, it is taken over, provided that `is_current`, asked
    /// after the header was read, says that `stamp` is still alive (see `Stamped::update`).
    pub fn add(&self, slot: u32, stamp: Stamp, bin: usize, is_current: impl Fn() -> bool) -> bool {
        let (Some(header), Some((word, position))) = (self.header(slot), self.bin(slot, bin))
        else {
            return false;
        };
        loop {
            // Acquire: pairs with the Release below. Who finds a younger bucket here also finds the
            // clock and the state at least as young.
            let found = header.atomic().load(Ordering::Acquire);
            if Stamp::from_upper_bits(found) != stamp {
                if !is_current() {
                    return false;
                }
                self.sweep(slot, header, found);
                // Release: pairs with the Acquire above and in `read`, whose threads find the words
                // swept. Relaxed: if it has changed, it is read anew.
                let next = Self::next_header(found, stamp);
                let _other_was_first = header.atomic().compare_exchange(
                    found,
                    next,
                    Ordering::Release,
                    Ordering::Relaxed,
                );
                continue;
            }
            let sequence = header::SEQUENCE.get(found);
            // Acquire: pairs with the Release below. If the word is of a younger turn than the header
            // that was read above, then the header, read again, is younger too.
            let seen = BinWord(word.atomic().load(Ordering::Acquire));
            let new = if seen.sequence() == sequence {
                if !seen.counts_next() {
                    return true;
                }
                seen.plus_one(position)
            } else if header.load() == found {
                BinWord::first(sequence, position)
            } else {
                continue;
            };
            // Release: pairs with the Acquire above. Relaxed: if it has changed, it is read anew.
            let exchanged =
                word.atomic()
                    .compare_exchange(seen.0, new.0, Ordering::Release, Ordering::Relaxed);
            if exchanged.is_ok() {
                return true;
            }
            seen.take_back_draw();
        }
    }

    /// Empties all words of older turns than the one that the header was `found` to be of, before the
    /// header moves on, so that none is left when the sequences come round again.
    fn sweep(&self, slot: u32, header: &Stamped, found: u64) {
        for word in self.bins(slot) {
            // Acquire: pairs with the Release in `add`. If the word is of a younger turn, then the header,
            // read after it, is found to have moved on.
            let seen = BinWord(word.atomic().load(Ordering::Acquire));
            if seen.0 == 0 || seen.sequence() == header::SEQUENCE.get(found) {
                continue;
            }
            if header.load() != found {
                return;
            }
            // Should somebody have written to it meanwhile, the next sweep finds it.
            let _written = word.exchange(seen.0, 0);
        }
    }

    /// Tells `sum` of the bins of a bucket that have counted calls, if its stamp `is_alive`.
    ///
    /// Calls that are counted meanwhile are among them or not; those of another turn are not.
    pub fn read(
        &self,
        slot: u32,
        is_alive: impl Fn(Stamp) -> bool,
        mut sum: impl FnMut(usize, u64),
    ) {
        let Some(header) = self.header(slot) else {
            return;
        };
        // Acquire: pairs with the Release in `add` and in `add_own`; a reader that finds a sequence finds the
        // words of the turn that had it before emptied.
        let header = header.atomic().load(Ordering::Acquire);
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

    /// What is counted of so many calls in each of the six bins of a word.
    fn counted(histograms: &Histograms) -> [u64; Histograms::BINS_A_WORD] {
        let mut counts = [0; Histograms::BINS_A_WORD];
        histograms.read(0, |_| true, |bin, count| counts[bin] += count);
        counts
    }

    /// Fails when: a call draws again after a lost exchange, or the bins that are halved beside a full one
    /// are rounded by the same draw.
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
            assert!((all - 1.0).abs() < 0.0005, "{threads} threads: {all}");
            for sum in &sums[1..] {
                let share = *sum as f64 / (RUNS * CALLS / 10) as f64;
                assert!((share - 1.0).abs() < 0.005, "{threads} threads: {share}");
            }
        }
    }
}
