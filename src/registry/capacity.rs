//! Which breakers go when there are too many: those that have not been used for long, as a clock with
//! a second chance finds them (Corbató 1968, "A paging experiment with the Multics system").

use std::hash::Hash;

use crossbeam_queue::SegQueue;
use papaya::{Guard, HashMap};

use super::tenure::{Counted, Fate, Place};

/// How many may be there, and the order in which they are looked at.
#[derive(Debug)]
pub(super) struct Capacity<K> {
    most: usize,
    /// Each breaker once, by key and number, but for one that somebody is just looking at. Of those that
    /// were removed some are left.
    queue: SegQueue<(K, u64)>,
}

impl<K: Hash + Eq> Capacity<K> {
    /// How many a first use looks at, in the worst case; half of them get a second chance.
    const LOOKS: usize = 16;

    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            queue: SegQueue::new(),
        }
    }

    pub(super) fn over(&self, there_are: usize) -> usize {
        there_are.saturating_sub(self.most)
    }

    /// Takes note of a breaker that was made, and makes room for it.
    pub(super) fn enter<H: Counted>(
        &self,
        key: K,
        number: u64,
        places: &HashMap<K, Place<H>>,
        guard: &impl Guard,
        is_idle: impl Fn(&H) -> bool,
    ) {
        self.queue.push((key, number));
        for look in 0..Self::LOOKS {
            let is_over = places.len() > self.most;
            if !is_over && self.queue.len() <= 2 * places.len() + Self::LOOKS {
                return;
            }
            let Some((key, number)) = self.queue.pop() else {
                return;
            };
            let place = places.get(&key, guard);
            let Some(place) = place.filter(|place| place.number() == number) else {
                continue;
            };
            let second_chance = look < Self::LOOKS / 2;
            if is_over && place.retire(second_chance, &is_idle) == Fate::Retired {
                // An error says that another breaker has taken the place already.
                let _other = places.remove_if(&key, |_, it| it.number() == number, guard);
            } else {
                self.queue.push((key, number));
            }
        }
    }
}
