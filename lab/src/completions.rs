//! The calls in flight, in the order of their ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::breaker::Nanos;

/// The calls in flight, each with a value that comes back at its end.
#[derive(Debug)]
pub struct Completions<T> {
    /// The end and the index of each call. The heap moves only these, not the values.
    ends: BinaryHeap<Reverse<(Nanos, usize)>>,
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Completions<T> {
    fn default() -> Self {
        Self {
            ends: BinaryHeap::new(),
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Completions<T> {
    /// Adds a call that will end at `ends`.
    #[inline]
    pub fn push(&mut self, ends: Nanos, call: T) {
        let place = if let Some(place) = self.free.pop() {
            self.places[place] = Some(call);
            place
        } else {
            self.places.push(Some(call));
            self.places.len() - 1
        };
        self.ends.push(Reverse((ends, place)));
    }

    /// Removes the call that ends first, if it has ended by `now`.
    #[inline]
    pub fn pop_until(&mut self, now: Nanos) -> Option<(Nanos, T)> {
        let Reverse((ends, place)) = *self.ends.peek()?;
        if ends > now {
            return None;
        }
        self.ends.pop();
        self.free.push(place);
        Some((ends, self.places[place].take()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_end_in_the_order_of_time() {
        let mut calls = Completions::default();
        for ends in [5, 1, 3] {
            calls.push(ends, ends * 10);
        }
        assert_eq!(calls.pop_until(0), None);
        assert_eq!(calls.pop_until(4), Some((1, 10)));
        calls.push(2, 20);
        assert_eq!(calls.pop_until(4), Some((2, 20)));
        assert_eq!(calls.pop_until(4), Some((3, 30)));
        assert_eq!(calls.pop_until(4), None);
        assert_eq!(calls.pop_until(9), Some((5, 50)));
        assert_eq!(calls.pop_until(9), None);
    }
}
