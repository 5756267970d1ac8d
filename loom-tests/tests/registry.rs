//! Breakers by key: eviction, against lookups.

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{UNBOUNDED, model, preemptions, race};
use std::sync::OnceLock;
use tripcurve::__model::{AtKey, Counted, EvictOutcome, RegistryEntry, find_or_make};

/// An atomic of this model, with a scheduling point before each load, like tripcurve's own in
/// `src/sync`. The documentation of the `loom-tests` crate says why.
#[derive(Debug)]
struct Word {
    word: AtomicU64,
    #[cfg(tripcurve_loom)]
    point: loom::sync::Condvar,
}

impl Word {
    fn new(value: u64) -> Self {
        Self {
            word: AtomicU64::new(value),
            #[cfg(tripcurve_loom)]
            point: loom::sync::Condvar::new(),
        }
    }

    fn load(&self, ordering: Ordering) -> u64 {
        #[cfg(tripcurve_loom)]
        self.point.notify_one();
        self.word.load(ordering)
    }
}

/// Stands for a breaker. It only counts failures.
#[derive(Debug)]
struct Breaker {
    failures: Word,
    handles: Word,
}

/// A handle to the breaker, counted with exactly the orderings of the standard library's `Arc`.
#[derive(Debug)]
struct Handle(std::sync::Arc<Breaker>);

impl Handle {
    fn new() -> Self {
        Self(std::sync::Arc::new(Breaker {
            failures: Word::new(0),
            handles: Word::new(1),
        }))
    }

    fn is(&self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(&self.0, &other.0)
    }

    fn fail(&self) {
        // Relaxed: the model tests whether the handles order it.
        self.0.failures.word.fetch_add(1, Ordering::Relaxed);
    }

    fn is_evictable(&self) -> bool {
        // Relaxed: the model tests whether the handles order it.
        self.0.failures.load(Ordering::Relaxed) == 0
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        // Relaxed: like `Arc::clone`.
        self.0.handles.word.fetch_add(1, Ordering::Relaxed);
        Self(std::sync::Arc::clone(&self.0))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Release: like the drop of an `Arc`. It pairs with the Acquire in `retire`, which must see
        // the work done with this handle.
        self.0.handles.word.fetch_add(u64::MAX, Ordering::Release);
    }
}

impl Counted for Handle {
    fn count(&self) -> usize {
        // Relaxed: like `Arc::strong_count`.
        usize::try_from(self.0.handles.load(Ordering::Relaxed)).unwrap()
    }
}

/// A map with one key. A compare-exchange replaces its entry, like papaya's.
///
/// Nothing that was in it is freed before the model ends. papaya frees nothing that a guard may
/// still see, either.
struct Map {
    /// The number of the entry in the map, or 0 for none.
    there: Word,
    places: [OnceLock<RegistryEntry<Handle>>; 4],
    made: AtomicU64,
}

impl Map {
    fn new() -> Self {
        Self {
            there: Word::new(0),
            places: std::array::from_fn(|_| OnceLock::new()),
            made: AtomicU64::new(0),
        }
    }

    fn place(&self, number: u64) -> &RegistryEntry<Handle> {
        let index = usize::try_from(number - 1).unwrap();
        self.places[index].get().unwrap()
    }

    /// The key's breaker, and whether this call has made it.
    fn of(&self) -> (Handle, bool) {
        let make = || {
            // Relaxed: only uniqueness counts, and each number is given once.
            let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
            RegistryEntry::new(Handle::new(), number)
        };
        let (handle, number) = find_or_make(self, make, |_, _| ());
        (handle, number.is_some())
    }

    /// Evicts as the registry does beyond its capacity. Returns whether the breaker is gone.
    fn evict(&self) -> bool {
        let Some(place) = self.get() else {
            return false;
        };
        let fate = place.retire(|it, _| it.is_evictable());
        if fate == EvictOutcome::Retired {
            self.take_away(place.number());
        }
        fate == EvictOutcome::Retired
    }
}

impl AtKey<Handle> for Map {
    fn get(&self) -> Option<&RegistryEntry<Handle>> {
        // Acquire: like papaya's load. It pairs with the Release in `put`. Without it, the entry
        // might not be visible yet.
        match self.there.load(Ordering::Acquire) {
            0 => None,
            number => Some(self.place(number)),
        }
    }

    fn put(&self, place: RegistryEntry<Handle>) -> &RegistryEntry<Handle> {
        let number = place.number();
        let index = usize::try_from(number - 1).unwrap();
        self.places[index].set(place).unwrap();
        // Release, Acquire: like papaya's exchange. Release pairs with the Acquire loads of `get`
        // and of this exchange. Without them, another thread's entry might not be visible yet.
        let put = self
            .there
            .word
            .compare_exchange(0, number, Ordering::Release, Ordering::Acquire);
        self.place(put.map_or_else(|there| there, |_| number))
    }

    fn take_away(&self, number: u64) {
        // Release, Relaxed: like papaya's removal. If it fails, another thread has removed the
        // entry.
        let _gone =
            self.there
                .word
                .compare_exchange(number, 0, Ordering::Release, Ordering::Relaxed);
    }
}

/// Two first uses of one key.
///
/// Fails when: `find_or_make` returns what it has made even if the map holds another entry.
#[test]
fn two_first_uses_of_a_key_get_one_breaker() {
    model(UNBOUNDED, || {
        let map = Arc::new(Map::new());
        let [(one, made_one), (other, made_other)] =
            race(&map, [|map: &Map| map.of(), |map| map.of()]);
        assert!(one.is(&other));
        assert!(made_one != made_other, "one of them has made it");
    });
}

/// Two uses of one key whose breaker was retired, but not removed by the thread that retired it.
///
/// Fails when: a thread that finds a retired entry doesn't remove it (then it never gets a
/// breaker), or removes another entry.
#[test]
fn two_uses_of_a_key_whose_breaker_was_retired_get_one_new_breaker() {
    model(preemptions(3).full(4), || {
        let map = Map::new();
        let (old, _) = map.of();
        let weak = std::sync::Arc::downgrade(&old.0);
        drop(old);
        let retired = map.get().unwrap().retire(|_, _| true);
        assert_eq!(retired, EvictOutcome::Retired);
        let map = Arc::new(map);
        let [one, other] = race(&map, [|map: &Map| map.of().0, |map| map.of().0]);
        assert!(one.is(&other));
        assert!(!std::ptr::eq(weak.as_ptr(), &raw const *one.0));
    });
}

/// An eviction against a lookup. Either the breaker stays and the lookup has it, or the breaker is
/// gone and the lookup has another.
///
/// Fails when: there is no fence in `take` or in `retire`; `take` returns a handle to a condemned
/// breaker unchecked; `retire` retires a breaker that isn't condemned any more, or doesn't count
/// itself among the handles.
#[test]
fn who_looks_a_breaker_up_while_it_is_evicted_has_the_one_that_is_there() {
    model(preemptions(3), || {
        let map = Arc::new(Map::new());
        drop(map.of());
        let [found, _] = race(
            &map,
            [
                |map: &Map| Some(map.of().0),
                |map| {
                    map.evict();
                    None
                },
            ],
        );
        let found = found.unwrap();
        assert!(map.of().0.is(&found));
    });
}

/// An eviction against an iteration over all breakers. A breaker that the iteration holds stays the
/// key's breaker for that time.
///
/// Fails when: `take_unnoted` returns a handle to a condemned breaker unchecked; or for a change
/// that the model above names.
#[test]
fn a_look_that_is_no_use_has_the_breaker_that_is_there() {
    model(preemptions(3), || {
        let map = Arc::new(Map::new());
        drop(map.of());
        let [found, _] = race(
            &map,
            [
                |map: &Map| map.get()?.take_unnoted(|_, _| ()),
                |map| {
                    map.evict();
                    None
                },
            ],
        );
        if let Some(found) = found {
            assert!(map.of().0.is(&found));
        }
    });
}

/// An eviction against a failure that is recorded.
///
/// Fails when: `retire` doesn't acquire the work done with dropped handles, or judges the breaker
/// before it has condemned it; or for a change that the models above name.
#[test]
fn a_failure_that_is_recorded_while_the_breaker_is_evicted_is_not_lost() {
    model(preemptions(3), || {
        let map = Arc::new(Map::new());
        drop(map.of());
        race(
            &map,
            [
                |map: &Map| map.of().0.fail(),
                |map| {
                    map.evict();
                },
            ],
        );
        assert!(!map.of().0.is_evictable());
    });
}

/// Three lookups that each record a failure, one after another for one thread, while the breaker is
/// evicted twice.
///
/// Fails when: a change that the models above name is made.
#[test]
fn of_the_failures_of_many_none_is_lost_to_evictions() {
    model(preemptions(2).full(3), || {
        let map = Arc::new(Map::new());
        drop(map.of());
        race(
            &map,
            [
                |map: &Map| {
                    map.of().0.fail();
                    map.of().0.fail();
                },
                |map| map.of().0.fail(),
                |map| {
                    map.evict();
                    map.evict();
                },
            ],
        );
        // Relaxed: the race is over.
        assert_eq!(map.of().0.0.failures.load(Ordering::Relaxed), 3);
    });
}

/// Two callers find a new breaker. Neither continues before the breaker was welcomed.
///
/// Fails when: `take_slow` notes the use before it has welcomed, or without Release; `take` doesn't
/// acquire.
#[test]
fn nobody_has_a_handle_to_a_breaker_that_was_not_welcomed() {
    model(UNBOUNDED, || {
        let shared = Arc::new((RegistryEntry::new(Handle::new(), 1), AtomicU64::new(0)));
        let take = |(place, welcomed): &(RegistryEntry<Handle>, AtomicU64)| {
            // Relaxed: the model tests whether the entry orders it.
            let taken = place.take(|_, _| welcomed.store(1, Ordering::Relaxed));
            assert!(taken.is_some());
            // Relaxed: the model tests whether the entry orders it.
            assert_eq!(welcomed.load(Ordering::Relaxed), 1);
        };
        race(&shared, [take, take]);
    });
}
