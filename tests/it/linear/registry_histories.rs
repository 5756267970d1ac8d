//! A registry against a map of breakers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use tripcurve::CircuitBreaker;
use tripcurve::registry::Registry;

use super::checker::Specification;
use super::threads::{Draw, Scenario, Subject, calls_of_each, check_histories};

type Key = u8;

#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    GetOrCreate(Key),
    Get(Key),
    Remove(Key),
    /// Let go of all breakers that this thread holds, so that they can be evicted.
    LetGo,
    /// Only one thread runs then.
    Len,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The breaker's name. Each breaker has its own.
    Breaker(String),
    None,
    Done,
    Len(usize),
}

impl Subject for Registry<Key> {
    type Held = Vec<CircuitBreaker>;
    type Call = Call;
    type Answer = Answer;

    fn make(&self, held: &mut Self::Held, call: &Call) -> Answer {
        let found = match call {
            Call::GetOrCreate(key) => Some(self.get_or_create(key)),
            Call::Get(key) => self.get(key),
            Call::Remove(key) => self.remove(key),
            Call::LetGo => {
                held.clear();
                return Answer::Done;
            }
            Call::Len => return Answer::Len(self.len()),
        };
        found.map_or(Answer::None, |breaker| {
            let name = breaker.name().to_owned();
            held.push(breaker);
            Answer::Breaker(name)
        })
    }
}

/// The breakers by key, and which breakers each thread holds.
#[derive(Clone, Debug)]
pub(super) struct Breakers {
    by_key: BTreeMap<Key, String>,
    held: Vec<Vec<String>>,
    /// All breakers that were ever there. None of them comes again.
    known: Vec<String>,
    /// Whether the registry may evict breakers that nobody holds.
    evicts: bool,
}

impl Breakers {
    fn is_held(&self, name: &String) -> bool {
        self.held.iter().any(|held| held.contains(name))
    }

    /// Whether a lookup may find no breaker. If there is one, it is evicted.
    fn may_miss(&mut self, key: Key) -> bool {
        let Some(name) = self.by_key.get(&key) else {
            return true;
        };
        let is_evicted = self.evicts && !self.is_held(name);
        if is_evicted {
            self.by_key.remove(&key);
        }
        is_evicted
    }
}

impl Specification for Breakers {
    type Call = Call;
    type Answer = Answer;

    fn allows(&mut self, thread: usize, call: &Call, answer: &Answer) -> bool {
        let is_right = match (*call, answer) {
            (Call::GetOrCreate(key), Answer::Breaker(name)) => {
                self.by_key.get(&key) == Some(name) || {
                    let is_new = self.may_miss(key) && !self.known.contains(name);
                    self.by_key.insert(key, name.clone());
                    self.known.push(name.clone());
                    is_new
                }
            }
            (Call::Get(key), Answer::Breaker(name)) => self.by_key.get(&key) == Some(name),
            (Call::Remove(key), Answer::Breaker(name)) => {
                self.by_key.remove(&key).as_ref() == Some(name)
            }
            (Call::Get(key) | Call::Remove(key), Answer::None) => self.may_miss(key),
            (Call::LetGo, Answer::Done) => {
                self.held[thread].clear();
                true
            }
            (Call::Len, Answer::Len(len)) => {
                *len == self.by_key.len() || self.evicts && *len < self.by_key.len()
            }
            (call, answer) => unreachable!("{call:?} answers {answer:?}"),
        };
        if let Answer::Breaker(name) = answer {
            self.held[thread].push(name.clone());
        }
        is_right
    }

    fn key(&self) -> String {
        format!("{self:?}")
    }
}

/// `capacity` is the registry's, if it has one.
fn check(name: &'static str, histories: u32, capacity: Option<usize>, calls: &'static [Call]) {
    check_histories(name, histories, move |draw: &mut Draw, threads| {
        let made = AtomicU32::new(0);
        let builder = Registry::<Key>::builder(CircuitBreaker::builder("any"));
        // SeqCst: each breaker has its own number. Any ordering would do.
        let builder = builder.name_with(move |key| {
            format!("{key}, breaker {}", made.fetch_add(1, Ordering::SeqCst))
        });
        let builder = match capacity {
            Some(capacity) => builder.capacity(capacity),
            None => builder,
        };
        let length = calls_of_each(threads);
        Scenario {
            subject: builder.build().unwrap(),
            specification: Breakers {
                by_key: BTreeMap::new(),
                held: vec![Vec::new(); threads],
                known: Vec::new(),
                evicts: capacity.is_some(),
            },
            before: Vec::new(),
            threads: (0..threads)
                .map(|_| (0..length).map(|_| draw.one_of(calls)).collect())
                .collect(),
            after: vec![Call::Len, Call::Get(0), Call::Get(1)],
        }
    });
}

#[test]
fn first_uses_and_removals_act_as_if_one_after_another() {
    use Call::{Get, GetOrCreate, Remove};
    check(
        "registry",
        20,
        None,
        &[
            GetOrCreate(0),
            GetOrCreate(0),
            GetOrCreate(1),
            Get(0),
            Get(1),
            Remove(0),
            Remove(1),
        ],
    );
}

#[test]
fn a_breaker_with_a_handle_is_not_evicted_as_if_calls_came_one_after_another() {
    use Call::{Get, GetOrCreate, LetGo, Remove};
    check(
        "evictions",
        20,
        Some(1),
        &[
            GetOrCreate(0),
            GetOrCreate(0),
            GetOrCreate(1),
            GetOrCreate(2),
            GetOrCreate(3),
            Get(0),
            LetGo,
            LetGo,
            Remove(0),
        ],
    );
}
