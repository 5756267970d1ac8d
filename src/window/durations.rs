//! How long each of the last n calls took, four calls to a word.

use super::bin::Bin;
use super::{Timing, Took};
use crate::sync::Ordering;
use crate::sync::field::Field;
use crate::sync::stamped::Stamped;

/// ```text
///  63              40 39                                0
/// +------------------+-----------------------------------+
/// | quad's number,24 | four calls, 10 bits each          |
/// +------------------+-----------------------------------+
///  a call: slow, 1 | one more than the number of its bin, 9; zero while it has not been written, or if
///          nothing else is known than whether it was slow
/// ```
///
/// A number is older if it is behind by less than half of the range: 2²³ quads, 33 million calls.
mod layout {
    use super::Field;

    pub(super) const BIN: Field = Field::lowest(9);
    pub(super) const SLOW: Field = BIN.then(1);
    pub(super) const CALL_BITS: u32 = SLOW.end_bit();
    pub(super) const CALLS: Field = Field::lowest(4 * CALL_BITS);
    pub(super) const NUMBER: Field = CALLS.then(24);
    /// Positions in a quad.
    pub(super) const SIZE: u64 = 4;

    const _: () = assert!(NUMBER.end_bit() == 64);
    const _: () = assert!(BIN.max() > super::Bin::COUNT as u64);
}

/// The durations of the last calls.
#[derive(Debug)]
pub(super) struct Durations {
    quads: Box<[Stamped]>,
    pub(super) by_outcome: bool,
}

/// How long a call of the window took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duration {
    /// If it is known.
    pub(super) bin: Option<Bin>,
    pub(super) is_slow: bool,
}

impl Durations {
    /// Room for the last `length` calls.
    pub(super) fn new(length: u64, timing: Timing) -> Self {
        // One more than the window can touch, so that a quad is replaced only when the last of its
        // calls has left the window.
        let quads = length.div_ceil(layout::SIZE) + 1;
        Self {
            quads: (0..quads).map(|_| Stamped::new(0)).collect(),
            by_outcome: timing.recording == super::Recording::ByOutcome,
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "a remainder of the number of quads, which is a usize"
    )]
    fn quad(&self, number: u64) -> &Stamped {
        &self.quads[(number % self.quads.len() as u64) as usize]
    }

    /// Writes how long the call at `position` took, unless the ring has gone on without it.
    pub(super) fn write(&self, position: u64, took: Took) {
        let call = layout::BIN.of(Bin::of(took.nanos).number() as u64 + 1)
            | layout::SLOW.of(u64::from(took.is_slow));
        self.write_call(position, call);
    }

    /// Writes that the call at `position` was slow; of how long it took nothing is known.
    pub(super) fn write_slow(&self, position: u64) {
        self.write_call(position, layout::SLOW.of(1));
    }

    fn write_call(&self, position: u64, call: u64) {
        let number = layout::NUMBER.of(position / layout::SIZE);
        let call = call << (u64::from(layout::CALL_BITS) * (position % layout::SIZE));
        let word = self.quad(position / layout::SIZE);
        let mut seen = word.load();
        loop {
            let there = seen & layout::NUMBER.of(u64::MAX);
            let behind = layout::NUMBER.get(number.wrapping_sub(there));
            let new = if behind == 0 {
                seen | call
            } else if behind <= layout::NUMBER.max() / 2 {
                number | call
            } else {
                return;
            };
            // Release: pairs with the Acquire in `read`, and with the fence in `CountRing::sum`; who sees a slow call that was in
            // flight before no longer sees it in flight. Relaxed: it is
            // tried again.
            match word
                .atomic()
                .compare_exchange(seen, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// How long the calls at the positions from `begin` to before `end` took, of those that are
    /// written.
    pub(super) fn read(&self, begin: u64, end: u64) -> impl Iterator<Item = (u64, Duration)> {
        let quads = begin / layout::SIZE..end.div_ceil(layout::SIZE);
        quads.flat_map(move |quad| {
            // Acquire: pairs with the Release in `write`; whether the call failed, which was written before,
            // is found below.
            let word = self.quad(quad).atomic().load(Ordering::Acquire);
            let is_there = layout::NUMBER.get(word) == layout::NUMBER.get(layout::NUMBER.of(quad));
            let first = quad * layout::SIZE;
            (first.max(begin)..(first + layout::SIZE).min(end))
                .filter(move |_| is_there)
                .filter_map(move |position| {
                    let call = word >> (u64::from(layout::CALL_BITS) * (position - first));
                    let bin = usize::try_from(layout::BIN.get(call)).ok()?;
                    let duration = Duration {
                        bin: bin.checked_sub(1).map(Bin::from_number),
                        is_slow: layout::SLOW.get(call) == 1,
                    };
                    (bin > 0 || duration.is_slow).then_some((position, duration))
                })
        })
    }
}
