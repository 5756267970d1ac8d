//! Driven by one thread, a registry equals a plain model: it has the same keys with the same
//! breakers.
#![cfg(feature = "registry")]

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tripcurve::registry::Registry;
use tripcurve::snapshot::Snapshot;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, State, TripPolicy};

/// Half a second more than a whole number, so no time of a test is exactly the end of it.
const IDLE_AFTER: Duration = Duration::from_millis(30_500);

const OPEN_FOR: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
enum Step {
    Of(u8),
    Get(u8),
    Remove(u8),
    Call {
        key: u8,
        fails: bool,
    },
    Hold(u8),
    LetGo(usize),
    ForceOpen(u8),
    Trip(u8),
    Reset(u8),
    /// Keeps the keys whose remainder modulo four isn't this one.
    Retain(u8),
    Advance(u64),
    /// Another template, which trips on this many failures in a row.
    Reconfigure(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..40_u8;
    let step = prop_oneof![
        6 => key.clone().prop_map(Step::Of),
        4 => key.clone().prop_map(Step::Get),
        1 => key.clone().prop_map(Step::Remove),
        6 => (key.clone(), any::<bool>()).prop_map(|(key, fails)| Step::Call { key, fails }),
        1 => key.clone().prop_map(Step::Hold),
        1 => any::<usize>().prop_map(Step::LetGo),
        1 => key.clone().prop_map(Step::ForceOpen),
        3 => key.clone().prop_map(Step::Trip),
        1 => (0..4_u8).prop_map(Step::Retain),
        1 => key.prop_map(Step::Reset),
        2 => (0..15_u64).prop_map(Step::Advance),
        1 => (1..5_u32).prop_map(Step::Reconfigure),
    ];
    prop::collection::vec(step, 1..300)
}

struct Place {
    number: u64,
    was_used: bool,
}

/// How much would be lost with a breaker, in increasing order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Idle,
    Suspected,
    Tripped,
    Commanded,
}

fn rank(snapshot: &Snapshot, was_used: bool) -> Rank {
    let tripped = |idle_since: Duration| {
        if !was_used && snapshot.at() >= idle_since + IDLE_AFTER {
            Rank::Idle
        } else {
            Rank::Tripped
        }
    };
    match snapshot.state() {
        State::Closed if snapshot.failures() > 0 => Rank::Suspected,
        State::Closed => Rank::Idle,
        State::Open => tripped(snapshot.since() + OPEN_FOR),
        State::HalfOpen => tripped(snapshot.since()),
        _ => Rank::Commanded,
    }
}

/// The expected registry. The test passes it each breaker's counts, which `against_model.rs`
/// models.
struct Model {
    capacity: usize,
    made: u64,
    places: HashMap<u8, Place>,
    queue: VecDeque<(u8, u64)>,
    /// The numbers of the breakers that are held.
    held: Vec<u64>,
}

/// Snapshots by the number of the breaker.
type Snapshots = HashMap<u64, Snapshot>;

impl Model {
    /// Looks a key up. If it must make a breaker, it makes room first.
    fn of(&mut self, key: u8, snapshots: &Snapshots) -> u64 {
        if let Some(place) = self.places.get_mut(&key) {
            place.was_used = true;
            return place.number;
        }
        self.made += 1;
        let number = self.made;
        let was_used = true;
        self.places.insert(key, Place { number, was_used });
        self.queue.push_back((key, number));
        self.held.push(number);
        self.make_room(snapshots);
        self.held.pop();
        number
    }

    fn limit(&self, rank: Rank, was_used: bool) -> usize {
        let slack = self.capacity / 16 + 16;
        match rank {
            Rank::Idle => self.capacity,
            Rank::Suspected if !was_used => self.capacity + slack,
            _ => 2 * self.capacity + slack,
        }
    }

    fn make_room(&mut self, snapshots: &Snapshots) {
        let mut candidates = Vec::new();
        for look in 0..16 {
            let is_over = self.places.len() > self.capacity;
            if !is_over && self.queue.len() <= 2 * self.places.len() + 16 {
                break;
            }
            let Some((key, number)) = self.queue.pop_front() else {
                break;
            };
            let place = self.places.get_mut(&key);
            let Some(place) = place.filter(|place| place.number == number) else {
                continue;
            };
            if is_over {
                let was_used = std::mem::replace(&mut place.was_used, false);
                if !self.held.contains(&number) {
                    let rank = rank(&snapshots[&number], was_used);
                    if rank != Rank::Idle {
                        candidates.push((rank, was_used, key, number));
                        continue;
                    }
                    if !was_used || look >= 8 {
                        self.places.remove(&key);
                        continue;
                    }
                }
            }
            self.queue.push_back((key, number));
        }
        candidates.sort_by_key(|(rank, was_used, ..)| (*rank, *was_used));
        for (_, was_used, key, number) in candidates {
            let rank = rank(&snapshots[&number], was_used);
            if self.places.len() > self.limit(rank, was_used) {
                self.places.remove(&key);
            } else {
                self.queue.push_back((key, number));
            }
        }
    }
}

/// A template that trips on this many failures in a row.
fn template(limit: u32) -> CircuitBreakerBuilder {
    CircuitBreaker::builder("model")
        .window(Window::time(Duration::from_secs(10), 10))
        .trip_when(TripPolicy::consecutive_failures(limit))
        .open_for(OPEN_FOR)
        .shards(1)
}

struct Pair {
    model: Model,
    limit: u32,
    registry: Registry<u8>,
    held: Vec<CircuitBreaker>,
    hand: MockClock,
}

impl Pair {
    fn new(capacity: usize) -> Self {
        let (clock, hand) = Clock::mock();
        let limit = 3;
        let made = AtomicU64::new(0);
        let registry = Registry::builder(template(limit).clock(clock))
            .capacity(capacity)
            .idle_after(IDLE_AFTER)
            .name_with(move |_| (made.fetch_add(1, Ordering::Relaxed) + 1).to_string())
            .build()
            .unwrap();
        Self {
            limit,
            model: Model {
                capacity,
                made: 0,
                places: HashMap::new(),
                queue: VecDeque::new(),
                held: Vec::new(),
            },
            registry,
            held: Vec::new(),
            hand,
        }
    }

    fn snapshots(&self) -> Snapshots {
        let all = self.registry.snapshots().into_iter();
        all.map(|(_, snapshot)| (snapshot.name().parse().unwrap(), snapshot))
            .collect()
    }

    fn of(&mut self, key: u8) -> CircuitBreaker {
        // The snapshots are slow, and are needed only where room is made.
        let snapshots = if self.model.places.contains_key(&key) {
            HashMap::new()
        } else {
            self.snapshots()
        };
        let number = self.model.of(key, &snapshots);
        let breaker = self.registry.get_or_create(&key);
        assert_eq!(breaker.name(), number.to_string());
        breaker
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Of(key) => drop(self.of(key)),
            Step::Get(key) => {
                let found = self.registry.get(&key);
                let expected = self.model.places.get_mut(&key);
                assert_eq!(found.is_some(), expected.is_some());
                if let Some(place) = expected {
                    place.was_used = true;
                }
            }
            Step::Remove(key) => {
                let removed = self.registry.remove(&key).is_some();
                assert_eq!(removed, self.model.places.remove(&key).is_some());
            }
            Step::Call { key, fails } => {
                let breaker = self.of(key);
                match breaker.try_acquire() {
                    Ok(permit) if fails => permit.failure(),
                    Ok(permit) => permit.success(),
                    Err(_) => {}
                }
            }
            Step::Hold(key) => {
                let breaker = self.of(key);
                self.model.held.push(breaker.name().parse().unwrap());
                self.held.push(breaker);
            }
            Step::LetGo(which) => {
                if !self.held.is_empty() {
                    let which = which % self.held.len();
                    self.held.remove(which);
                    self.model.held.remove(which);
                }
            }
            Step::ForceOpen(key) => self.of(key).force_open(),
            Step::Trip(key) => self.of(key).trip(OPEN_FOR),
            Step::Reset(key) => self.of(key).reset(),
            Step::Retain(remainder) => {
                let keep = |key: u8| key % 4 != remainder;
                self.registry.retain(|key, breaker| {
                    let number = self.model.places[key].number;
                    assert_eq!(breaker.name(), number.to_string());
                    keep(*key)
                });
                self.model.places.retain(|key, _| keep(*key));
            }
            Step::Advance(seconds) => self.hand.advance(Duration::from_secs(seconds)),
            Step::Reconfigure(limit) => {
                self.registry.reconfigure(template(limit)).unwrap();
                self.limit = limit;
            }
        }
    }

    fn check(&self) {
        let mut found = HashMap::new();
        self.registry.for_each(|key, snapshot| {
            found.insert(*key, snapshot.name().parse::<u64>().unwrap());
            let run = snapshot.consecutive_failures();
            let is_closed = snapshot.state() == State::Closed;
            assert!(!is_closed || run < self.limit.into(), "{snapshot}");
        });
        let places = self.model.places.iter();
        let expected: HashMap<_, _> = places.map(|(key, place)| (*key, place.number)).collect();
        assert_eq!(found, expected);
        assert_eq!(self.registry.len(), expected.len());
        let over = expected.len().saturating_sub(self.model.capacity);
        assert_eq!(self.registry.over_capacity(), over);
    }
}

proptest! {
    // A step looks at all breakers.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_registry_holds_what_the_model_holds(capacity in 1..12_usize, steps in steps()) {
        let mut pair = Pair::new(capacity);
        for step in steps {
            pair.take(step);
            pair.check();
        }
    }
}
