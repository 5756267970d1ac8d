//! The durations of the last n calls, four calls to a word.

use super::bin::Bin;
use super::{KeptTimes, Took};
use crate::sync::field::Field;
use crate::sync::stamped::Stamped;

/// ```text
///  63              40 39                                0
/// +------------------+-----------------------------------+
/// | quad's number,24 | four calls, 10 bits each          |
/// +------------------+-----------------------------------+
///  a call: slow, 1 | its bin's number plus one, 9
/// ```
///
/// The 9 bits are zero while the call isn't written, or if only its slowness is known.
///
/// A number is older if it is behind by less than half of the range. That is 2²³ quads, or 33
/// million calls.
mod layout {
    use super::Field;

    pub(super) const BIN: Field = Field::lowest(9);
    pub(super) const SLOW: Field = BIN.then(1);
    pub(super) const CALL_BITS: u32 = SLOW.end_bit();
    pub(super) const CALLS: Field = Field::lowest(4 * CALL_BITS);
    pub(super) const NUMBER: Field = CALLS.then(24);
    /// The number of positions in a quad.
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

/// The duration of a call in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duration {
    /// The bin of the duration, if it is known.
    pub(super) bin: Option<Bin>,
    pub(super) is_slow: bool,
}

impl Durations {
    /// Room for the last `length` calls.
    pub(super) fn new(length: u64, timing: KeptTimes) -> Self {
        // One quad more than the window can touch. So a quad is replaced only after the last of its
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

    /// Writes the duration of the call at `position`, unless the ring has moved on past it.
    pub(super) fn write(&self, position: u64, took: Took) {
        let call = layout::BIN.of(Bin::of(took.nanos).number() as u64 + 1)
            | layout::SLOW.of(u64::from(took.is_slow));
        self.write_call(position, call);
    }

    /// Writes that the call at `position` was slow, with no known duration.
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
            // A reader that sees a slow call no longer sees it in flight. Otherwise the call could
            // count as slow and as overdue at once.
            match word.publish(seen, new) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// The durations of the calls at the positions `begin..end`, as far as they are written.
    pub(super) fn read(&self, begin: u64, end: u64) -> impl Iterator<Item = (u64, Duration)> {
        let quads = begin / layout::SIZE..end.div_ceil(layout::SIZE);
        quads.flat_map(move |quad| {
            // Whether the call failed was written before, so the caller finds it. Otherwise a
            // failure could be read as a success, or as no call.
            let word = self.quad(quad).acquire();
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
