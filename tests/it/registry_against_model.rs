//! Driven by one thread, a registry equals a plain model: it has the same keys with the same
//! breakers, in the same states. Its group isolates and releases them, and limits how many are open.
#![cfg(feature = "registry")]

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tripcurve::registry::{ControlGroup, Registry};
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
    Isolate,
    Release,
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
        1 => Just(Step::Isolate),
        1 => Just(Step::Release),
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

fn rank(snapshot: &Snapshot, member: &Member, was_used: bool) -> Rank {
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
        State::HalfOpen => tripped(snapshot.since()),
        _ => match member.phase {
            Phase::Open { until } if !member.is_isolated => tripped(Duration::from_secs(until)),
            _ => Rank::Commanded,
        },
    }
}

/// What a breaker is in, or comes back to when its isolation ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Closed,
    /// The time is in seconds.
    Open {
        until: u64,
    },
    HalfOpen {
        succeeded: u32,
    },
    ForcedOpen,
}

/// A breaker of the registry: three probes, all of which must succeed.
#[derive(Debug)]
struct Member {
    phase: Phase,
    is_isolated: bool,
    /// When the failures of the present run came, in seconds.
    run: Vec<u64>,
    /// Whether it had cause to open and no place when it was last judged.
    is_noted: bool,
    would_have_opened: u64,
}

impl Member {
    fn new(is_isolated: bool) -> Self {
        Self {
            phase: Phase::Closed,
            is_isolated,
            run: Vec::new(),
            is_noted: false,
            would_have_opened: 0,
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.is_isolated = false;
        self.run.clear();
        self.is_noted = false;
    }

    fn isolate(&mut self) {
        if self.phase != Phase::ForcedOpen {
            self.enter(self.phase);
            self.is_isolated = true;
        }
    }

    fn release(&mut self) {
        if self.is_isolated {
            let phase = match self.phase {
                Phase::HalfOpen { .. } => Phase::HalfOpen { succeeded: 0 },
                phase => phase,
            };
            self.enter(phase);
        }
    }

    /// Whether it counts in the share.
    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. } | Phase::HalfOpen { .. })
    }

    fn state(&self) -> State {
        match self.phase {
            _ if self.is_isolated => State::ForcedOpen,
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
            Phase::ForcedOpen => State::ForcedOpen,
        }
    }

    /// The failures in a row that the window of ten seconds still holds.
    fn run(&self, now: u64) -> usize {
        let held = self.run.iter().filter(|at| *at + 10 > now);
        held.count()
    }
}

/// The expected registry. The test passes it each breaker's counts, which decide on evictions and
/// which `against_model.rs` models.
struct Model {
    capacity: usize,
    made: u64,
    places: HashMap<u8, Place>,
    queue: VecDeque<(u8, u64)>,
    /// The numbers of the breakers that are held.
    held: Vec<u64>,
    /// The breakers of `places`, by number.
    members: HashMap<u64, Member>,
    is_isolated: bool,
    /// The share of the members that may be open.
    share: Option<f64>,
    /// How many failures in a row trip a breaker.
    limit: u32,
    /// In seconds.
    now: u64,
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
        self.members.insert(number, Member::new(self.is_isolated));
        self.held.push(number);
        self.make_room(snapshots);
        self.held.pop();
        self.forget();
        number
    }

    /// Forgets the breakers that have left the registry.
    fn forget(&mut self) {
        let places = &self.places;
        let stays = |number: &u64| places.values().any(|place| place.number == *number);
        self.members.retain(|number, _| stays(number));
    }

    fn member(&mut self, number: u64) -> &mut Member {
        self.members.get_mut(&number).unwrap()
    }

    fn open(&self) -> usize {
        self.members.values().filter(|it| it.is_open()).count()
    }

    /// How many more breakers the policies may open. A share such as 0.29 isn't exact.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of few breakers"
    )]
    fn free_places(&self) -> usize {
        let Some(share) = self.share else {
            return usize::MAX;
        };
        let most = (share * self.members.len() as f64 + 1e-6) as usize;
        most.max(1).saturating_sub(self.open())
    }

    fn opened(&self) -> Phase {
        let until = self.now + OPEN_FOR.as_secs();
        Phase::Open { until }
    }

    /// Makes a call. Returns whether the breaker lets it through.
    fn call(&mut self, number: u64, fails: bool) -> bool {
        let (now, opened) = (self.now, self.opened());
        let member = self.member(number);
        if member.is_isolated {
            return false;
        }
        let succeeded = match member.phase {
            Phase::ForcedOpen => return false,
            Phase::Open { until } if now < until => return false,
            Phase::Closed if fails => {
                member.run.push(now);
                self.judge(number);
                return true;
            }
            Phase::Closed => {
                member.run.clear();
                return true;
            }
            Phase::Open { .. } => 0,
            Phase::HalfOpen { succeeded } => succeeded,
        };
        member.enter(match (fails, succeeded + 1) {
            (true, _) => opened,
            (false, 3) => Phase::Closed,
            (false, succeeded) => Phase::HalfOpen { succeeded },
        });
        true
    }

    fn has_cause(&self, number: u64) -> bool {
        let member = &self.members[&number];
        let is_closed = member.state() == State::Closed;
        is_closed && member.run(self.now) >= self.limit as usize
    }

    /// Opens a breaker that has cause to, if there is a place. Otherwise notes the cause.
    fn judge(&mut self, number: u64) {
        let (has_cause, opened) = (self.has_cause(number), self.opened());
        let has_place = self.free_places() > 0;
        let member = self.member(number);
        if has_cause && has_place {
            member.enter(opened);
        } else {
            let is_new = has_cause && !member.is_noted;
            member.is_noted = has_cause;
            member.would_have_opened += u64::from(is_new);
        }
    }

    /// Other settings judge all breakers, in any order. `opened` says which have opened. The same
    /// settings again do nothing.
    fn reconfigure(&mut self, limit: u32, opened: impl Fn(u64) -> bool) {
        if std::mem::replace(&mut self.limit, limit) == limit {
            return;
        }
        let all: Vec<u64> = self.members.keys().copied().collect();
        let (open, others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .filter(|number| self.members[number].state() == State::Closed)
            .partition(|number| self.has_cause(*number) && opened(*number));
        for number in open.into_iter().chain(others) {
            self.judge(number);
        }
    }

    fn rank(&self, number: u64, snapshots: &Snapshots, was_used: bool) -> Rank {
        rank(&snapshots[&number], &self.members[&number], was_used)
    }

    fn keeps(&self, rank: Rank, was_used: bool) -> usize {
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
                    let rank = self.rank(number, snapshots, was_used);
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
            let rank = self.rank(number, snapshots, was_used);
            if self.places.len() > self.keeps(rank, was_used) {
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
    registry: Registry<u8>,
    group: ControlGroup,
    held: Vec<CircuitBreaker>,
    hand: MockClock,
}

impl Pair {
    /// The share is the group's, or the registry's own.
    fn new(capacity: usize, share: Option<f64>, is_groups: bool) -> Self {
        let (clock, hand) = Clock::mock();
        let group = match share {
            Some(share) if is_groups => ControlGroup::with_max_open_share(share).unwrap(),
            _ => ControlGroup::new(),
        };
        let limit = 3;
        let made = AtomicU64::new(0);
        let mut builder = Registry::builder(template(limit).clock(clock.clone()));
        if let (Some(share), false) = (share, is_groups) {
            builder = builder.max_open_share(share);
        }
        let registry = builder
            .capacity(capacity)
            .idle_after(IDLE_AFTER)
            .control_group(&group)
            .name_with(move |_| (made.fetch_add(1, Ordering::Relaxed) + 1).to_string())
            .build()
            .unwrap();
        Self {
            model: Model {
                capacity,
                made: 0,
                places: HashMap::new(),
                queue: VecDeque::new(),
                held: Vec::new(),
                members: HashMap::new(),
                is_isolated: false,
                share,
                limit,
                now: clock.now().as_secs(),
            },
            registry,
            group,
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

    fn numbered(&mut self, key: u8) -> (u64, CircuitBreaker) {
        let breaker = self.of(key);
        (breaker.name().parse().unwrap(), breaker)
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
                let (number, breaker) = self.numbered(key);
                let permit = breaker.try_acquire();
                assert_eq!(permit.is_ok(), self.model.call(number, fails));
                match permit {
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
            Step::ForceOpen(key) => {
                let (number, breaker) = self.numbered(key);
                breaker.force_open();
                self.model.member(number).enter(Phase::ForcedOpen);
            }
            Step::Trip(key) => {
                let (number, breaker) = self.numbered(key);
                breaker.trip(OPEN_FOR);
                let opened = self.model.opened();
                self.model.member(number).enter(opened);
            }
            Step::Reset(key) => {
                let (number, breaker) = self.numbered(key);
                breaker.reset();
                self.model.member(number).enter(Phase::Closed);
            }
            Step::Retain(remainder) => {
                let keep = |key: u8| key % 4 != remainder;
                self.registry.retain(|key, breaker| {
                    let number = self.model.places[key].number;
                    assert_eq!(breaker.name(), number.to_string());
                    keep(*key)
                });
                self.model.places.retain(|key, _| keep(*key));
            }
            Step::Advance(seconds) => {
                self.hand.advance(Duration::from_secs(seconds));
                self.model.now += seconds;
            }
            Step::Reconfigure(limit) => {
                self.registry.reconfigure(template(limit)).unwrap();
                let found = self.snapshots();
                let opened = |number| found[&number].state() == State::Open;
                self.model.reconfigure(limit, opened);
            }
            Step::Isolate => {
                self.group.isolate();
                self.model.is_isolated = true;
                self.model.members.values_mut().for_each(Member::isolate);
            }
            Step::Release => {
                self.group.release();
                self.model.is_isolated = false;
                self.model.members.values_mut().for_each(Member::release);
            }
        }
    }

    fn check(&mut self) {
        self.model.forget();
        let mut found = HashMap::new();
        self.registry.for_each(|key, snapshot| {
            let number = snapshot.name().parse::<u64>().unwrap();
            found.insert(*key, number);
            let member = &self.model.members[&number];
            assert_eq!(snapshot.state(), member.state(), "{snapshot} {member:?}");
            if snapshot.state() == State::Closed {
                let run = member.run(self.model.now) as u64;
                assert_eq!(
                    snapshot.consecutive_failures(),
                    run,
                    "{snapshot} {member:?}"
                );
            }
            let would_have_opened = snapshot.would_have_opened();
            assert_eq!(
                would_have_opened, member.would_have_opened,
                "{snapshot} {member:?}"
            );
        });
        if let Some(open) = self.group.open_members() {
            assert_eq!(open, self.model.open() as u64);
        }
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
    #![proptest_config(ProptestConfig::with_cases(crate::effort::share_of(100)))]

    #[test]
    fn a_registry_holds_what_the_model_holds(
        capacity in 1..12_usize,
        share in prop::option::of(prop::sample::select(vec![0.1, 0.5, 0.8, 1.0])),
        is_groups: bool,
        steps in steps(),
    ) {
        let mut pair = Pair::new(capacity, share, is_groups);
        for step in steps {
            pair.take(step);
            pair.check();
        }
    }
}
