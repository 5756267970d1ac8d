//! All cards at one time.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::clock::Millis;
use crate::row::{Detail, Row};

/// How many cards that are gone a frame remembers, for clients that come back.
const GONE: usize = 1_000;

/// All cards at one time. Clients share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    pub(crate) number: u64,
    pub(crate) at_ms: Millis,
    /// Sorted by their numbers.
    pub(crate) rows: Vec<Arc<Row>>,
    /// The cards that are gone, with the frame in which they were missing first.
    pub(crate) gone: VecDeque<(u64, u32)>,
    /// The last frame of which `gone` forgot something.
    pub(crate) forgotten: u64,
    /// The number of breakers in each state, with those of registries.
    pub(crate) states: [u32; 6],
}

impl Frame {
    /// The frame after `former`.
    pub(crate) fn next(
        former: &Self,
        number: u64,
        at_ms: Millis,
        rows: Vec<Arc<Row>>,
        gone: &[u32],
    ) -> Self {
        let mut all_gone = former.gone.clone();
        all_gone.extend(gone.iter().map(|id| (number, *id)));
        let mut forgotten = former.forgotten;
        while all_gone.len() > GONE {
            if let Some((frame, _)) = all_gone.pop_front() {
                forgotten = frame;
            }
        }
        let mut states = [0; 6];
        for row in &rows {
            row.count_into(&mut states);
        }
        Self {
            number,
            at_ms,
            rows,
            gone: all_gone,
            forgotten,
            states,
        }
    }

    /// The card of this number.
    pub(crate) fn row(&self, id: u32) -> Option<&Arc<Row>> {
        let place = self.rows.binary_search_by_key(&id, |row| row.id);
        place.ok().map(|place| &self.rows[place])
    }

    /// Whether the card of this number still has this key, also after this frame.
    ///
    /// Keys move when a breaker of this name goes. So all of them must be there.
    pub(crate) fn is_key_of(&self, id: u32, key: &str) -> bool {
        self.row(id).is_some_and(|own| {
            let namesakes = self.rows.iter().filter(|row| row.name == own.name);
            let mut breakers = namesakes.filter(|row| matches!(row.detail, Detail::Breaker(_)));
            *own.key == *key && breakers.all(|row| row.is_there.get())
        })
    }

    /// The card of this key.
    pub(crate) fn row_of(&self, key: &str) -> Option<&Arc<Row>> {
        self.rows.iter().find(|row| *row.key == *key)
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, GONE};

    /// Fails when: a page that comes back isn't told of a card that has gone meanwhile.
    #[test]
    fn a_frame_remembers_the_last_thousand_cards_that_are_gone() {
        let all: Vec<u32> = (0..1_000).collect();
        let full = Frame::next(&Frame::default(), 7, 0, Vec::new(), &all);
        assert_eq!((full.gone.len(), full.forgotten), (GONE, 0));
        let next = Frame::next(&full, 8, 0, Vec::new(), &[1_000]);
        assert_eq!((next.gone.len(), next.forgotten), (GONE, 7));
        assert_eq!(next.gone.front(), Some(&(7, 1)));
        assert_eq!(next.gone.back(), Some(&(8, 1_000)));
    }
}
