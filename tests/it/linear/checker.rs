//! Looks for a sequential order that explains a history: the search of Wing and Gong, with the memo
//! of Lowe.

use std::collections::{HashMap, HashSet};

use super::history::Event;

/// A sequential specification in one state.
pub(super) trait Specification: Clone {
    type Call;
    type Answer;

    /// Learns what a later answer will say, so that the search leaves wrong orders early.
    fn foresee(&mut self, _: &[Event<Self::Call, Self::Answer>]) {}

    /// Makes the call, and returns whether the answer is right in this state.
    fn allows(&mut self, thread: usize, call: &Self::Call, answer: &Self::Answer) -> bool;

    /// Describes the state. States that can answer later calls differently have different keys.
    fn key(&self) -> String;
}

/// Whether some order of the calls explains all answers and keeps the order of calls that don't
/// overlap.
pub(super) fn is_linearizable<S: Specification>(
    start: &S,
    history: &[Event<S::Call, S::Answer>],
) -> bool {
    assert!(history.len() <= 64, "a history has at most 64 calls");
    let mut by_end: Vec<_> = history.iter().collect();
    by_end.sort_by_key(|event| event.end);
    let mut search = Search {
        by_end,
        dead_ends: HashMap::new(),
        states: 0,
    };
    let mut start = start.clone();
    start.foresee(history);
    search.goes_on(&start, 0)
}

/// A history that needs more is too long for the search.
const MOST_STATES: u64 = 300_000;

struct Search<'a, S: Specification> {
    by_end: Vec<&'a Event<S::Call, S::Answer>>,
    /// By the set of calls that came first: the states that can't explain the rest.
    dead_ends: HashMap<u64, HashSet<String>>,
    /// How many states were looked at.
    states: u64,
}

impl<S: Specification> Search<'_, S> {
    /// Whether the state explains the answers of the calls that aren't in `made`.
    fn goes_on(&mut self, state: &S, made: u64) -> bool {
        let is_made = |index: usize| made >> index & 1 == 1;
        let left = || (0..self.by_end.len()).filter(|index| !is_made(*index));
        let Some(first_to_end) = left().next() else {
            return true;
        };
        if let Some(states) = self.dead_ends.get(&made)
            && states.contains(&state.key())
        {
            return false;
        }
        self.states += 1;
        assert!(self.states < MOST_STATES, "the history has too many orders");
        // A call that began after another one had ended can't come before it.
        let end = self.by_end[first_to_end].end;
        let next: Vec<_> = left()
            .filter(|index| self.by_end[*index].begin < end)
            .collect();
        for index in next {
            let event = self.by_end[index];
            let mut after = state.clone();
            if after.allows(event.thread, &event.call, &event.answer)
                && self.goes_on(&after, made | 1 << index)
            {
                return true;
            }
        }
        self.dead_ends.entry(made).or_default().insert(state.key());
        false
    }
}

/// A register that holds a number.
#[derive(Clone, Debug)]
struct Register(u32);

#[derive(Clone, Copy, Debug)]
enum Access {
    Read,
    Write(u32),
}

impl Specification for Register {
    type Call = Access;
    type Answer = u32;

    fn allows(&mut self, _: usize, call: &Access, answer: &u32) -> bool {
        match *call {
            Access::Read => self.0 == *answer,
            Access::Write(value) => {
                self.0 = value;
                true
            }
        }
    }

    fn key(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(
        thread: usize,
        call: Access,
        answer: u32,
        [begin, end]: [u64; 2],
    ) -> Event<Access, u32> {
        Event {
            thread,
            call,
            answer,
            begin,
            end,
        }
    }

    fn passes(history: &[Event<Access, u32>]) -> bool {
        is_linearizable(&Register(0), history)
    }

    #[test]
    fn a_read_sees_the_old_or_the_new_value_while_a_write_is_under_way() {
        let write = event(0, Access::Write(1), 0, [0, 9]);
        for seen in [0, 1] {
            assert!(passes(&[
                write.clone(),
                event(1, Access::Read, seen, [2, 3])
            ]));
        }
        assert!(!passes(&[write, event(1, Access::Read, 2, [2, 3])]));
    }

    #[test]
    fn a_read_after_a_write_must_not_see_the_old_value() {
        let write = event(0, Access::Write(1), 0, [0, 1]);
        assert!(passes(&[write.clone(), event(1, Access::Read, 1, [2, 3])]));
        assert!(!passes(&[write, event(1, Access::Read, 0, [2, 3])]));
    }

    #[test]
    fn a_value_that_was_seen_must_not_go_away_again() {
        let write = event(0, Access::Write(1), 0, [0, 9]);
        let reads = |first, second| {
            [
                write.clone(),
                event(1, Access::Read, first, [1, 2]),
                event(2, Access::Read, second, [3, 4]),
            ]
        };
        assert!(passes(&reads(0, 0)));
        assert!(passes(&reads(0, 1)));
        assert!(passes(&reads(1, 1)));
        assert!(!passes(&reads(1, 0)));
    }

    #[test]
    fn two_readers_must_not_see_two_writes_in_opposite_orders() {
        let seen = |thread, values: [u32; 2]| {
            let begin = 10 * thread as u64;
            [
                event(thread, Access::Read, values[0], [begin, begin + 40]),
                event(thread, Access::Read, values[1], [begin + 41, begin + 90]),
            ]
        };
        let history = |first, second| {
            let mut history = vec![
                event(0, Access::Write(1), 0, [0, 100]),
                event(1, Access::Write(2), 0, [1, 101]),
            ];
            history.extend(seen(2, first));
            history.extend(seen(3, second));
            history
        };
        assert!(passes(&history([1, 2], [1, 2])));
        assert!(passes(&history([2, 1], [2, 1])));
        assert!(!passes(&history([1, 2], [2, 1])));
    }

    /// The slow way: all orders of the calls.
    fn passes_by_trying_all(state: &Register, left: &[Event<Access, u32>]) -> bool {
        left.is_empty()
            || (0..left.len()).any(|index| {
                let mut others = left.to_vec();
                let event = others.remove(index);
                let mut after = state.clone();
                others.iter().all(|other| event.begin < other.end)
                    && after.allows(event.thread, &event.call, &event.answer)
                    && passes_by_trying_all(&after, &others)
            })
    }

    #[test]
    fn the_search_finds_an_order_exactly_if_there_is_one() {
        let mut draw = super::super::threads::Draw::new(7);
        let mut passed = 0;
        for _ in 0..4_000 {
            let mut clocks = [0_u64; 3];
            let history: Vec<_> = (0..6)
                .map(|number| {
                    let thread = draw.below(3);
                    let begin = clocks[thread] + 1 + draw.below(3) as u64;
                    let end = begin + 1 + draw.below(5) as u64;
                    clocks[thread] = end;
                    // Each moment has its own number.
                    let [begin, end] = [begin, end].map(|at| at * 16);
                    let moments = [begin + 2 * number, end + 2 * number + 1];
                    let value = draw.one_of(&[0, 1]);
                    match draw.below(2) {
                        0 => event(thread, Access::Read, value, moments),
                        _ => event(thread, Access::Write(value), 0, moments),
                    }
                })
                .collect();
            let expected = passes_by_trying_all(&Register(0), &history);
            assert_eq!(passes(&history), expected, "{history:#?}");
            passed += u32::from(expected);
        }
        assert!((500..3_500).contains(&passed), "{passed}");
    }
}
