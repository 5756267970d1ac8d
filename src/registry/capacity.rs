//! Chooses the breakers to evict when there are too many.
//!
//! A clock with a second chance finds breakers that have not been used for long (Corbató 1968, "A
//! paging experiment with the Multics system"). Of the breakers that it finds, the ones with the
//! least to lose are evicted.

use std::hash::Hash;

use crossbeam_queue::SegQueue;
use papaya::{Guard, HashMap};

use super::eviction::{Counted, EvictOutcome, RegistryEntry};
use crate::engine::EvictionRank;

/// The capacity, and the queue in which evictions look at breakers.
#[derive(Debug)]
pub(super) struct Capacity<K> {
    most: usize,
    /// Holds each breaker once, by key and number, except one that an eviction looks at now. Some
    /// removed breakers are still in it.
    queue: SegQueue<(K, u64)>,
}

/// A breaker that an eviction has looked at and that has something to lose.
struct Candidate<K> {
    rank: EvictionRank,
    was_used: bool,
    entry: (K, u64),
}

impl<K: Hash + Eq> Capacity<K> {
    /// The largest number of breakers that a first use looks at. In the first half, used ones get a
    /// second chance.
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

    /// The number of breakers beyond which a breaker of this rank is evicted.
    fn limit(&self, rank: EvictionRank, was_used: bool) -> usize {
        let slack = self.most / 16 + Self::LOOKS;
        match rank {
            EvictionRank::Idle => self.most,
            EvictionRank::Suspected if !was_used => self.most.saturating_add(slack),
            _ => self.most.saturating_mul(2).saturating_add(slack),
        }
    }

    /// Queues a new breaker, by key and number, and makes room for it.
    pub(super) fn enter<H: Counted>(
        &self,
        new: (K, u64),
        places: &HashMap<K, RegistryEntry<H>>,
        guard: &impl Guard,
        rank_of: impl Fn(&H, bool) -> EvictionRank,
    ) {
        self.queue.push(new);
        let mut candidates = Vec::new();
        for look in 0..Self::LOOKS {
            let is_over = places.len() > self.most;
            if !is_over && self.queue.len() <= 2 * places.len() + Self::LOOKS {
                break;
            }
            let Some(entry) = self.queue.pop() else {
                break;
            };
            let Some(place) = find(&entry, places, guard) else {
                continue;
            };
            if !is_over {
                self.queue.push(entry);
                continue;
            }
            let has_second_chance = look < Self::LOOKS / 2;
            let mut found = None;
            let fate = place.retire(|breaker, was_used| {
                let rank = rank_of(breaker, was_used);
                found = Some((rank, was_used)).filter(|_| rank > EvictionRank::Idle);
                rank == EvictionRank::Idle && !(was_used && has_second_chance)
            });
            match (fate, found) {
                (EvictOutcome::Retired, _) => take_away(&entry, places, guard),
                (EvictOutcome::Needed, Some((rank, was_used))) => candidates.push(Candidate {
                    rank,
                    was_used,
                    entry,
                }),
                (EvictOutcome::Needed | EvictOutcome::Used, _) => self.queue.push(entry),
            }
        }
        self.decide(candidates, places, guard, rank_of);
    }

    /// Evicts the candidates that are beyond their limit, those with the least to lose first. Puts
    /// the others back.
    fn decide<H: Counted>(
        &self,
        mut candidates: Vec<Candidate<K>>,
        places: &HashMap<K, RegistryEntry<H>>,
        guard: &impl Guard,
        rank_of: impl Fn(&H, bool) -> EvictionRank,
    ) {
        candidates.sort_by_key(|it| (it.rank, it.was_used));
        for Candidate {
            was_used, entry, ..
        } in candidates
        {
            let Some(place) = find(&entry, places, guard) else {
                continue;
            };
            // The breaker may have changed since its first look.
            let fate = place.retire(|breaker, is_used| {
                let was_used = was_used || is_used;
                places.len() > self.limit(rank_of(breaker, was_used), was_used)
            });
            if fate == EvictOutcome::Retired {
                take_away(&entry, places, guard);
            } else {
                self.queue.push(entry);
            }
        }
    }
}

/// The entry with this number, if the map still has it.
fn find<'a, K: Hash + Eq, H>(
    (key, number): &(K, u64),
    places: &'a HashMap<K, RegistryEntry<H>>,
    guard: &'a impl Guard,
) -> Option<&'a RegistryEntry<H>> {
    let place = places.get(key, guard);
    place.filter(|place| place.number() == *number)
}

fn take_away<K: Hash + Eq, H>(
    (key, number): &(K, u64),
    places: &HashMap<K, RegistryEntry<H>>,
    guard: &impl Guard,
) {
    // An error means that the key already has another breaker.
    let _other = places.remove_if(key, |_, it| it.number() == *number, guard);
}
