//! The task that looks at all breakers: once a second while somebody looks, otherwise rarely.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};
use tripcurve::handles::ListeningGuard;
use tripcurve::registry::EnlistedRegistry;
use tripcurve::snapshot::{Snapshot, Totals};
use tripcurve::{CircuitBreaker, State};

use crate::clock::{self, Millis, millis};
use crate::events::{Feed, What};
use crate::fleet::{self, FleetDetail};
use crate::frame::Frame;
use crate::history::{History, Seen};
use crate::row::{
    BreakerDetail, Brief, Detail, PerSecond, RegistryDetail, Row, WorstKey, place_of, rank_of,
};
use crate::shared::Shared;

/// The time between two frames while somebody looks.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// The time between two frames while nobody looks. The history needs them.
const IDLE_PERIOD: Duration = Duration::from_secs(10);

/// The part of [`IDLE_PERIOD`] in which a request brings the next frame at once.
const REST: Duration = Duration::from_secs(9);

const _: () = assert!(IDLE_PERIOD.as_secs() == PERIOD.as_secs() + REST.as_secs());

/// How many breakers are read before other tasks have their turn.
const AT_ONCE: usize = 64;

/// How many keys of a registry are shown at most.
const WORST: usize = 20;

/// What the task remembers from frame to frame.
#[derive(Default)]
pub(crate) struct Sampler {
    known: KnownCards,
    number: u64,
    snapshot: Option<Snapshot>,
    /// The fleets that breakers have joined, in this frame.
    fleets: HashMap<Arc<str>, FleetDetail>,
}

/// All that the sampler knows.
#[derive(Default)]
struct KnownCards {
    by_key: HashMap<Arc<str>, Known>,
    /// The cards whose keys other breakers have now.
    replaced: Vec<u32>,
    last_id: u32,
}

/// A breaker or a registry that the sampler knows.
struct Known {
    id: u32,
    row: Option<Arc<Row>>,
    seen_in: u64,
    /// What listens to the breaker.
    listener: Option<Listener>,
    totals: Totals,
    /// Calls a second, of the last ten seconds or so.
    pace: f64,
    at: Instant,
    open_until: Option<Millis>,
}

/// A listener of a breaker.
struct Listener {
    is_there: IsThere,
    _guard: ListeningGuard,
}

/// Tells whether a breaker is there. The breaker owns what its listener knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct IsThere(Weak<(Arc<Feed>, Arc<str>)>);

impl IsThere {
    pub(crate) fn get(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl KnownCards {
    /// Drops the card of a key if its breaker has gone, or if the key is for another name now.
    ///
    /// The later breakers of this name then have other keys than before. `moved` has such names,
    /// and their cards are dropped too.
    fn drop_replaced(&mut self, key: &str, name: &str, moved: &mut HashSet<String>) {
        let Some(known) = self.by_key.get(key) else {
            return;
        };
        let is_there = known
            .listener
            .as_ref()
            .is_some_and(|listener| listener.is_there.get());
        if !is_there {
            moved.insert(name.to_owned());
        }
        let has_name = known.row.as_ref().is_some_and(|row| *row.name == *name);
        if !has_name || moved.contains(name) {
            self.replaced.push(known.id);
            self.by_key.remove(key);
        }
    }

    /// What is known of a key that is there in frame `number`.
    fn entry(&mut self, key: &Arc<str>, number: u64) -> &mut Known {
        let last_id = &mut self.last_id;
        let known = self.by_key.entry(Arc::clone(key)).or_insert_with(|| {
            *last_id += 1;
            Known {
                id: *last_id,
                row: None,
                seen_in: number,
                listener: None,
                totals: Totals::default(),
                pace: 0.0,
                at: Instant::now(),
                open_until: None,
            }
        });
        known.seen_in = number;
        known
    }

    /// Forgets what wasn't there in frame `number`, and returns its cards.
    fn forget(&mut self, number: u64) -> Vec<u32> {
        let mut gone = std::mem::take(&mut self.replaced);
        self.by_key.retain(|_, known| {
            let stays = known.seen_in == number;
            if !stays {
                gone.push(known.id);
            }
            stays
        });
        gone
    }
}

impl Sampler {
    /// Looks at the breakers again and again, until the dashboard is dropped.
    pub(crate) async fn run(mut self, shared: Weak<Shared>) {
        loop {
            let begin = Instant::now();
            let asked = {
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                self.look(&shared).await;
                shared.asked()
            };
            // At most one frame a second, however many ask.
            sleep_until(begin + PERIOD).await;
            let is_watched = shared.upgrade().is_some_and(|it| it.is_watched());
            if !is_watched {
                let _asked_or_over = timeout(REST, asked.notified()).await;
            }
        }
    }

    /// Makes the next frame.
    async fn look(&mut self, shared: &Shared) {
        self.number += 1;
        let mut rows = Vec::new();
        let mut keys = Keys::default();
        let mut moved = HashSet::new();
        self.fleets = fleet::ask(&shared.settings.fleets);
        for (index, breaker) in shared.roster().breakers().iter().enumerate() {
            if index % AT_ONCE == AT_ONCE - 1 {
                yield_now().await;
            }
            let key = keys.next(breaker.name());
            self.known.drop_replaced(&key, breaker.name(), &mut moved);
            rows.push(self.look_at(breaker, key, shared));
        }
        for registry in shared.roster().registries() {
            let name = registry.name();
            let key = keys.next(&name);
            rows.push(self.look_at_registry(&registry, key, &name));
            yield_now().await;
        }
        shared.log().take(shared.feed());
        let number = self.number;
        let gone = self.known.forget(number);
        if !gone.is_empty() {
            shared.keep_histories(|key| self.known.by_key.contains_key(key));
        }
        rows.sort_by_key(|row| row.id);
        shared.publish(|former| Frame::next(former, number, clock::now(), rows, &gone));
    }

    fn look_at(&mut self, breaker: &CircuitBreaker, key: Arc<str>, shared: &Shared) -> Arc<Row> {
        let number = self.number;
        let known = self.known.entry(&key, number);
        let is_new = known.listener.is_none();
        let listener = known
            .listener
            .get_or_insert_with(|| listen(breaker, &key, shared));
        let is_there = listener.is_there.clone();
        // One breaker after the other uses the snapshot's memory.
        let snapshot = self.snapshot.get_or_insert_with(|| breaker.snapshot());
        breaker.snapshot_into(snapshot);
        let now = clock::now();
        if is_new {
            known.totals = snapshot.totals();
            shared.log().take(shared.feed());
            if let Some(opening) = snapshot.latest_opening() {
                let ago = millis(snapshot.at().saturating_sub(opening.at()));
                let at = now.saturating_sub(ago);
                shared
                    .log()
                    .add(Arc::clone(&key), at, What::opened_before(&opening));
            }
        }
        let elapsed = known.at.elapsed().as_secs_f64();
        let per_second = PerSecond::between(&known.totals, &snapshot.totals(), elapsed);
        known.totals = snapshot.totals();
        known.at = Instant::now();
        known.pace += (per_second.all() - known.pace) * 0.15;
        let pace = known.pace;
        let mut detail = BreakerDetail::new(snapshot, &breaker.trip_levels(), per_second);
        detail.in_flight = shared.in_flight(breaker.name());
        // Of several breakers with one name, one can join. It has most likely the first key.
        detail.fleet = self.fleets.remove(&key);
        let state = snapshot.state();
        let former = known.row.as_ref();
        let same = former.filter(|it| it.generation == snapshot.generation());
        let since = || now.saturating_sub(millis(snapshot.in_state_for()));
        let since_ms = same.map_or_else(since, |it| it.since_ms);
        let until = snapshot.remaining_open().map(|left| now + millis(left));
        // The end moves by some milliseconds from look to look.
        let is_close = |former: Millis, new: Millis| former.abs_diff(new) < 100;
        known.open_until = match (known.open_until, until) {
            (Some(former), Some(new)) if is_close(former, new) => Some(former),
            _ => until,
        };
        detail.open_until_ms = known.open_until;
        shared.with_history(&key, |history: &mut History| {
            history.note(
                now,
                Seen {
                    generation: snapshot.generation(),
                    failure_rate: detail.failure_rate,
                    fill: detail.fill(),
                    p99: detail.p99,
                    totals: snapshot.totals(),
                },
            );
        });
        let brief = Brief::new(state, detail.fill(), pace, former.map(|it| it.brief));
        let changed_at = former
            .filter(|it| it.brief == brief)
            .map_or(number, |it| it.changed_at);
        let row = Arc::new(Row {
            id: known.id,
            name: breaker.name().into(),
            key,
            generation: snapshot.generation(),
            state,
            since_ms,
            detail: Detail::Breaker(Box::new(detail)),
            brief,
            changed_at,
            is_there,
        });
        known.row = Some(Arc::clone(&row));
        row
    }

    fn look_at_registry(
        &mut self,
        registry: &EnlistedRegistry,
        key: Arc<str>,
        name: &str,
    ) -> Arc<Row> {
        let number = self.number;
        let known = self.known.entry(&key, number);
        let (states, worst) = states_of(registry);
        let all: u32 = states.iter().sum();
        let shut = states[usize::from(place_of(State::Open))]
            + states[usize::from(place_of(State::ForcedOpen))];
        let fill = f64::from(shut) / f64::from(all.max(1));
        // As `Roster::health` does by default: half of the breakers make the registry open.
        let state = if shut > 0 && fill >= 0.5 {
            State::Open
        } else if shut > 0 {
            State::HalfOpen
        } else {
            State::Closed
        };
        let former = known.row.as_ref();
        let brief = Brief::new(state, fill, 0.0, former.map(|it| it.brief));
        let same = former.filter(|it| it.state == state);
        let (since_ms, generation) = same.map_or((clock::now(), 0), |it| (it.since_ms, 0));
        let changed_at = former
            .filter(|it| it.brief == brief)
            .map_or(number, |it| it.changed_at);
        let row = Arc::new(Row {
            id: known.id,
            key,
            name: name.into(),
            generation,
            state,
            since_ms,
            detail: Detail::Registry(RegistryDetail { states, worst }),
            brief,
            changed_at,
            is_there: IsThere::default(),
        });
        known.row = Some(Arc::clone(&row));
        row
    }
}

/// Tells the feed of a breaker's transitions from now on.
fn listen(breaker: &CircuitBreaker, key: &Arc<str>, shared: &Shared) -> Listener {
    let owned = Arc::new((Arc::clone(shared.feed()), Arc::clone(key)));
    let is_there = IsThere(Arc::downgrade(&owned));
    let listening = breaker.on_transition(move |transition| {
        let (feed, key) = &*owned;
        feed.tell(Some(Arc::clone(key)), transition);
    });
    Listener {
        is_there,
        _guard: listening.until_dropped(),
    }
}

/// The keys of the breakers that were found so far.
#[derive(Default)]
struct Keys {
    used: HashSet<Arc<str>>,
    /// How many keys each name has tried.
    tried: HashMap<String, u32>,
}

impl Keys {
    /// The key of the next breaker of this name.
    fn next(&mut self, name: &str) -> Arc<str> {
        let tried = self.tried.entry(name.to_owned()).or_default();
        loop {
            *tried += 1;
            let key: Arc<str> = match *tried {
                1 => name.into(),
                count => format!("{name}~{count}").into(),
            };
            // Another breaker may have this key as its name.
            if self.used.insert(Arc::clone(&key)) {
                return key;
            }
        }
    }
}

/// How many breakers of a registry are in each state, and the worst of them.
fn states_of(registry: &EnlistedRegistry) -> ([u32; 6], Vec<WorstKey>) {
    let mut states = [0; 6];
    let mut worst = BTreeSet::new();
    registry.for_each(|breaker| {
        let state = breaker.state();
        states[usize::from(place_of(state))] += 1;
        let rank = rank_of(state);
        let last = worst.last().map(|it: &WorstKey| it.rank);
        if state == State::Closed || worst.len() == WORST && last.is_some_and(|it| it <= rank) {
            return;
        }
        worst.insert(WorstKey {
            rank,
            name: breaker.name().into(),
            state: state.as_str(),
            cut: false,
        });
        if worst.len() > WORST {
            worst.pop_last();
        }
    });
    // Only names in full are sure to differ, so they are cut last.
    (states, worst.into_iter().map(WorstKey::shortened).collect())
}

/// The breaker of a key, also a breaker of a registry.
pub(crate) fn find(shared: &Shared, key: &str) -> Option<CircuitBreaker> {
    let mut keys = Keys::default();
    let breakers = shared.roster().breakers();
    let found = breakers
        .into_iter()
        .find(|breaker| *keys.next(breaker.name()) == *key);
    found.or_else(|| shared.roster().get(key))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};
    use tripcurve::registry::{Registry, Roster};
    use tripcurve::time::{Clock, MockClock};
    use tripcurve::{CircuitBreaker, State};

    use super::{Keys, PERIOD, Sampler};
    use crate::clock;
    use crate::frame::Frame;
    use crate::row::{Detail, Row};
    use crate::shared::Shared;

    const MINUTE: Duration = Duration::from_secs(60);

    /// A sampler that looks when a test says so.
    struct Looking {
        shared: Arc<Shared>,
        sampler: Sampler,
        runtime: Runtime,
    }

    impl Looking {
        fn at(roster: &Roster) -> Self {
            let mut runtime = Builder::new_current_thread();
            runtime.enable_time().start_paused(true);
            Self {
                // Made outside of the runtime, it starts no sampler.
                shared: Shared::without_settings(roster.clone()),
                sampler: Sampler::default(),
                runtime: runtime.build().unwrap(),
            }
        }

        /// Looks once more, a second later.
        fn look(&mut self) -> Arc<Frame> {
            self.runtime.block_on(async {
                tokio::time::advance(PERIOD).await;
                self.sampler.look(&self.shared).await;
            });
            Arc::clone(&self.shared.frames().borrow())
        }

        fn row(&mut self) -> Arc<Row> {
            Arc::clone(&self.look().rows[0])
        }
    }

    fn breaker(roster: &Roster) -> (CircuitBreaker, MockClock) {
        let (clock, hand) = Clock::mock();
        let builder = CircuitBreaker::builder("payments").clock(clock);
        (builder.enlist(roster).build().unwrap(), hand)
    }

    fn open_until(row: &Row) -> Option<u64> {
        match &row.detail {
            Detail::Breaker(breaker) => breaker.open_until_ms,
            Detail::Registry(_) => None,
        }
    }

    /// Fails when: the traffic isn't an average of about ten seconds.
    #[test]
    fn the_traffic_of_a_card_follows_that_of_the_breaker() {
        let roster = Roster::new();
        let (breaker, _hand) = breaker(&roster);
        let mut looking = Looking::at(&roster);
        assert_eq!(looking.row().brief.traffic, 0);
        let mut second = || {
            for _ in 0..100 {
                breaker.try_acquire().unwrap().success();
            }
            looking.row().brief.traffic
        };
        assert_eq!(second(), 4, "15 calls a second");
        for _ in 0..40 {
            second();
        }
        assert_eq!(second(), 6, "100 calls a second, and the step before stays");
    }

    #[test]
    fn a_card_says_since_when_a_breaker_is_in_its_state() {
        let roster = Roster::new();
        let (breaker, hand) = breaker(&roster);
        let mut looking = Looking::at(&roster);
        hand.advance(60 * MINUTE);
        let begin = clock::now();
        let closed = looking.row();
        assert!(closed.since_ms.abs_diff(begin - 3_600_000) < 60_000);
        breaker.force_open();
        let shut = looking.row();
        assert!(shut.since_ms.abs_diff(begin) < 60_000, "{}", shut.since_ms);
        hand.advance(60 * MINUTE);
        assert_eq!(looking.row().since_ms, shut.since_ms);
    }

    /// Fails when: the end of an open time moves from look to look, or stays when it has moved.
    #[test]
    fn the_end_of_an_open_time_stays_unless_it_moves_far() {
        let roster = Roster::new();
        let (breaker, hand) = breaker(&roster);
        let mut looking = Looking::at(&roster);
        breaker.trip(MINUTE);
        let first = open_until(&looking.row()).unwrap();
        assert!(first.abs_diff(clock::now() + 60_000) < 30_000, "{first}");
        // On a busy machine, much time may pass between two looks. Then the end moves.
        let mut before = first;
        let stays = (0..20).any(|_| {
            hand.advance(Duration::from_millis(50));
            let now = open_until(&looking.row()).unwrap();
            std::mem::replace(&mut before, now) == now
        });
        assert!(stays, "{before} after {first}");
        breaker.trip(5 * MINUTE);
        let second = open_until(&looking.row()).unwrap();
        assert!(second > first + 200_000, "{second}");
    }

    #[test]
    fn a_card_says_in_which_frame_it_changed() {
        let roster = Roster::new();
        let (breaker, _hand) = breaker(&roster);
        let tenants = CircuitBreaker::builder("tenants");
        let tenants = Registry::<u32>::builder(tenants).enlist(&roster);
        let tenants = tenants.build().unwrap();
        tenants.get_or_create(&1);
        tenants.get_or_create(&2);
        let mut looking = Looking::at(&roster);
        let mut changed = || {
            let frame = looking.look();
            let of = |row: &Arc<Row>| (row.state, row.changed_at);
            [of(&frame.rows[0]), of(&frame.rows[1])]
        };
        let healthy = [(State::Closed, 1), (State::Closed, 1)];
        assert_eq!(changed(), healthy);
        assert_eq!(changed(), healthy);
        breaker.force_open();
        tenants.get_or_create(&1).force_open();
        let shut = [(State::ForcedOpen, 3), (State::Open, 3)];
        assert_eq!(changed(), shut);
        assert_eq!(changed(), shut);
    }

    #[test]
    fn the_worst_breakers_of_a_registry_are_shown_whenever_they_come() {
        let roster = Roster::new();
        let tenants = CircuitBreaker::builder("tenants");
        let tenants = Registry::<u32>::builder(tenants).name_with(u32::to_string);
        let tenants = tenants.enlist(&roster).build().unwrap();
        for tenant in 0..200 {
            let breaker = tenants.get_or_create(&tenant);
            if tenant % 10 == 0 {
                breaker.force_open();
            } else {
                breaker.metrics_only();
            }
        }
        let row = Looking::at(&roster).row();
        let Detail::Registry(registry) = &row.detail else {
            panic!("{row:?}");
        };
        assert_eq!(registry.worst.len(), 20);
        assert!(registry.worst.iter().all(|it| it.state == "forced-open"));
    }

    /// Fails when: two breakers have one key.
    #[test]
    fn each_breaker_has_a_key_of_its_own() {
        let keys = |names: [&str; 4]| {
            let mut keys = Keys::default();
            names.map(|name| keys.next(name).to_string())
        };
        assert_eq!(keys(["a", "a", "a~2", "b"]), ["a", "a~2", "a~2~2", "b"]);
        assert_eq!(keys(["a~2", "a", "a", "a"]), ["a~2", "a", "a~3", "a~4"]);
    }
}
