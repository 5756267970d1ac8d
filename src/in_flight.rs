//! Calls that have not come back, as evidence: a sample of those in flight, with the times at which
//! they began.
//!
//! A dependency that hangs returns nothing that could be counted. So some of the calls are watched:
//! each notes when it began, and takes the note away when it comes back. What still stands there after
//! the limit is overdue, and who makes the next call that is to be watched sees it.
//!
//! At low traffic all calls are watched. As traffic grows the odds fall by halves, and a watched call
//! stands for as many as there were to one watched, so the estimate of calls in flight is right on
//! average (Horvitz and Thompson 1952, "A generalization of sampling without replacement from a finite
//! universe"). Whether a call is watched is read off the clock's last digits, so those that aren't
//! write nothing.

use crate::chance::mixed;
use crate::clock::Now;
use crate::pack::Field;
use crate::state::Generation;
use crate::sync::{AtomicU64, Ordering};

/// ```text
///  63         53 52     48 47                           0
/// +-------------+---------+------------------------------+
/// |generation,11|weight, 5| when it began, in 2¹² ns, 48 |
/// +-------------+---------+------------------------------+
/// ```
///
/// *Weight*: the call stands for 2^weight. Zero as a whole: nobody is there. 48 bits of 4.1 µs are 36
/// years. The generation's low 11 bits: by the time they repeat, a call has left the window.
mod layout {
    use super::Field;

    pub(super) const BEGAN: Field = Field::lowest(48);
    pub(super) const WEIGHT: Field = BEGAN.then(5);
    pub(super) const GENERATION: Field = WEIGHT.then(11);

    const _: () = assert!(GENERATION.end() == 64);
}

/// A call in flight, as its note says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note(u64);

impl Note {
    const UNIT_SHIFT: u32 = 12;

    fn new(generation: Generation, weight: u32, began: u64) -> Self {
        // Rounded up, so that no call is overdue too early; and never zero as a whole.
        let began = began.div_ceil(1 << Self::UNIT_SHIFT).max(1);
        Self(
            layout::GENERATION.of(generation.number())
                | layout::WEIGHT.of(u64::from(weight))
                | layout::BEGAN.of(began),
        )
    }

    fn is_of(self, generation: Generation) -> bool {
        layout::GENERATION.get(self.0 ^ layout::GENERATION.of(generation.number())) == 0
    }

    /// Whether it is of an earlier generation than the other: by less than half of the range.
    fn is_of_a_generation_before(self, other: Self) -> bool {
        let [own, other] = [self.0, other.0].map(|note| layout::GENERATION.get(note));
        let behind = other.wrapping_sub(own) & layout::GENERATION.max();
        (1..=layout::GENERATION.max() / 2).contains(&behind)
    }

    fn began(self) -> u64 {
        layout::BEGAN.get(self.0) << Self::UNIT_SHIFT
    }

    fn stands_for(self) -> u64 {
        1 << layout::WEIGHT.get(self.0)
    }

    /// Whether it is the same call, with whatever weight.
    fn is_same_call(self, other: Self) -> bool {
        (self.0 ^ other.0) & !layout::WEIGHT.of(u64::MAX) == 0
    }

    /// The same call with this weight, if it is one of as many as it then stands for; zero as a whole
    /// if it isn't. Nothing happens to a call of more weight.
    fn thinned(self, weight: u32) -> Self {
        let own = layout::WEIGHT.get(self.0);
        let halvings = u64::from(weight).saturating_sub(own);
        let tosses = mixed(self.began()) >> own & ((1 << halvings) - 1);
        if halvings == 0 {
            self
        } else if tosses == 0 {
            Self(self.0 + layout::WEIGHT.of(halvings))
        } else {
            Self(0)
        }
    }
}

/// What is watched, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// From how many nanoseconds on, not included, a call is overdue.
    pub limit: u64,
    /// How many nanoseconds later it has left the window.
    pub window: u64,
    /// A fourth of the limit, in the clock's units.
    pub period: u64,
}

/// The calls that are watched.
#[derive(Debug)]
pub struct InFlight {
    /// A call is watched if its dice show less; a power of two, less one for all calls.
    odds: AtomicU64,
    /// The first call from then on is watched whatever its dice show, and sets the odds anew.
    look_at: AtomicU64,
    /// How many were watched since.
    watched: AtomicU64,
    notes: Box<[AtomicU64]>,
    watch: Watch,
}

impl InFlight {
    /// Fewer under loom, which would have to look at each.
    const PLACES: u32 = if cfg!(tripcurve_loom) { 2 } else { 127 };
    /// How many calls may be watched in a period before the odds are halved, so that those of a whole
    /// limit find places. Below a fourth of it they are doubled.
    const MANY: u64 = if cfg!(tripcurve_loom) { 8 } else { 32 };

    /// Watches all calls at first.
    #[must_use]
    pub fn new(watch: Watch) -> Self {
        Self {
            odds: AtomicU64::new(u64::MAX),
            look_at: AtomicU64::new(0),
            watched: AtomicU64::new(0),
            notes: (0..Self::PLACES).map(|_| AtomicU64::new(0)).collect(),
            watch,
        }
    }

    /// Whether both watch the same.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        self.watch == other.watch
    }

    /// Whether a call that begins now is to be watched.
    #[inline]
    pub fn picks(&self, begin: u64, clock: &impl Now) -> bool {
        // Relaxed, both: they only choose the sample. They share a line that is rarely written.
        clock.dice(begin) < self.odds.load(Ordering::Relaxed)
            || begin >= self.look_at.load(Ordering::Relaxed)
    }

    /// Watches a call that begins at `begin`, in the clock's units; says where, if there was a place for
    /// it.
    pub fn watch(&self, generation: Generation, begin: u64, clock: &impl Now) -> Option<u32> {
        let now = clock.nanos_at(begin);
        // Relaxed: the odds are a matter of tuning.
        let odds = self.odds.load(Ordering::Relaxed);
        // Who is picked by the time, not by the dice, stands for itself.
        let weight = if self.takes_look(begin) {
            0
        } else {
            self.count_watched(odds);
            odds.leading_zeros()
        };
        let note = Note::new(generation, weight, now);
        self.take_place(note, now).or_else(|| {
            self.thin_out();
            // Relaxed: as above.
            let odds = self.odds.load(Ordering::Relaxed);
            let note = note.thinned(odds.leading_zeros());
            (note.0 != 0).then(|| self.take_place(note, now))?
        })
    }

    /// Whether the caller is the one to set the odds by how many were watched in the past period, if
    /// that is over; it then has set them.
    fn takes_look(&self, begin: u64) -> bool {
        // Relaxed, all: a count or a change that is lost among threads delays the odds by a little.
        let look_at = self.look_at.load(Ordering::Relaxed);
        let next = begin.saturating_add(self.watch.period);
        let takes = begin >= look_at
            && self
                .look_at
                .compare_exchange(look_at, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if takes {
            // Relaxed, here and below: as above.
            let watched = self.watched.load(Ordering::Relaxed);
            self.watched.store(0, Ordering::Relaxed);
            // Twofold for few, and again for each period in which nobody came.
            let missed = (begin - look_at) / self.watch.period.max(1);
            let few = u64::from(watched <= Self::MANY / 4);
            let doublings = u32::try_from(missed.saturating_add(few))
                .unwrap_or(u32::MAX)
                .min(63);
            let odds = self.odds.load(Ordering::Relaxed);
            let raised = if doublings >= odds.leading_zeros() {
                u64::MAX
            } else {
                odds << doublings
            };
            self.change_odds(odds, raised);
        }
        takes
    }

    /// Counts a call that is watched by these odds, and halves them if there are many.
    fn count_watched(&self, odds: u64) {
        // Relaxed, all: as above.
        let watched = self.watched.load(Ordering::Relaxed) + 1;
        if watched > Self::MANY {
            self.watched.store(Self::MANY / 2, Ordering::Relaxed);
            self.change_odds(odds, Self::halved(odds));
        } else {
            self.watched.store(watched, Ordering::Relaxed);
        }
    }

    fn halved(odds: u64) -> u64 {
        // A weight has 5 bits.
        (odds / 2).max(u64::MAX >> 31)
    }

    fn change_odds(&self, from: u64, to: u64) -> bool {
        // Relaxed: as in `takes_look`.
        let changed = self
            .odds
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        changed.is_ok() && from != to
    }

    fn take_place(&self, note: Note, now: u64) -> Option<u32> {
        let first = mixed(note.0) >> 32;
        (0..u64::from(Self::PLACES)).find_map(|step| {
            let place = (first + step) % u64::from(Self::PLACES);
            let place = u32::try_from(place).ok()?;
            let word = self.notes.get(place as usize)?;
            // Relaxed, all: the note is all that is read, and it says whose it is.
            let seen = word.load(Ordering::Relaxed);
            // Who belongs to an earlier generation is of no interest any more.
            let is_free = seen == 0
                || Note(seen).is_of_a_generation_before(note)
                || self.has_left(Note(seen), now);
            let exchange =
                || word.compare_exchange(seen, note.0, Ordering::Relaxed, Ordering::Relaxed);
            (is_free && exchange().is_ok()).then_some(place)
        })
    }

    /// When all places are taken: halves the odds, and gives up so many notes that those left are as
    /// good as taken by these odds.
    fn thin_out(&self) {
        // Relaxed, here and below: as above. Who is not the one to halve the odds leaves it to that one.
        let odds = self.odds.load(Ordering::Relaxed);
        let halved = Self::halved(odds);
        if !self.change_odds(odds, halved) {
            return;
        }
        for word in &self.notes {
            // Relaxed, both: as above; should the call have come back meanwhile, it stays away.
            let seen = word.load(Ordering::Relaxed);
            if seen != 0 {
                let thinned = Note(seen).thinned(halved.leading_zeros()).0;
                let _has_come_back =
                    word.compare_exchange(seen, thinned, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    /// The call that began at `began` nanoseconds has come back.
    ///
    /// Before it is recorded: who finds it recorded no longer finds it in flight.
    pub fn unwatch(&self, place: u32, generation: Generation, began: u64) {
        let own = Note::new(generation, 0, began);
        let Some(word) = self.notes.get(place as usize) else {
            return;
        };
        // Relaxed: the note says whose it is; this call's, or another's that was put in its place.
        let mut seen = word.load(Ordering::Relaxed);
        while seen != 0 && Note(seen).is_same_call(own) {
            // Relaxed: what is recorded next is written with Release, and read by who then looks here
            // with a fence between.
            match word.compare_exchange(seen, 0, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(found) => seen = found,
            }
        }
    }

    fn has_left(&self, note: Note, now: u64) -> bool {
        let left = note.began() + self.watch.limit.saturating_add(self.watch.window);
        now > left
    }

    /// About how many calls of `generation` have been in flight for longer than the limit; exactly, as
    /// long as all are watched.
    ///
    /// A call counts until it comes back, but not longer than it would count if it had come back at
    /// the limit.
    #[must_use]
    pub fn overdue(&self, generation: Generation, now: u64) -> u64 {
        self.overdue_notes(generation, now)
            .map(Note::stands_for)
            .sum()
    }

    /// How many calls that are watched have been in flight for longer than the limit, without the others
    /// that they stand for. Each is evidence of its own; what it stands for is not.
    #[must_use]
    pub fn overdue_of_watched(&self, generation: Generation, now: u64) -> u64 {
        self.overdue_notes(generation, now).map(|_| 1).sum()
    }

    fn overdue_notes(&self, generation: Generation, now: u64) -> impl Iterator<Item = Note> {
        let notes = self.notes.iter().map(|word| {
            // Relaxed: the note says all. Where it matters, a fence stands before (see
            // `Ring::failures_and_slow`).
            Note(word.load(Ordering::Relaxed))
        });
        notes
            .filter(move |note| note.0 != 0 && note.is_of(generation))
            .filter(move |note| now > note.began().saturating_add(self.watch.limit))
            .filter(move |note| !self.has_left(*note, now))
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::caller::At;

    const MS: u64 = 1_000_000;
    const FIRST: Generation = Generation::FIRST;

    fn in_flight() -> InFlight {
        InFlight::new(Watch {
            limit: 100 * MS,
            window: 10_000 * MS,
            period: 25 * MS,
        })
    }

    /// Begins a call at `now`, if it is picked.
    fn begin(in_flight: &InFlight, now: u64) -> Option<u32> {
        let caller = At::on_one_lane(now);
        if in_flight.picks(now, &caller) {
            in_flight.watch(FIRST, now, &caller)
        } else {
            None
        }
    }

    #[test]
    fn a_call_is_overdue_from_the_limit_on_until_it_comes_back() {
        let in_flight = in_flight();
        let place = begin(&in_flight, 5 * MS).unwrap();
        assert_eq!(in_flight.overdue(FIRST, 105 * MS), 0);
        assert_eq!(in_flight.overdue(FIRST, 106 * MS), 1);
        assert_eq!(in_flight.overdue(FIRST.next(), 106 * MS), 0);
        in_flight.unwatch(place, FIRST, 5 * MS);
        assert_eq!(in_flight.overdue(FIRST, 106 * MS), 0);
    }

    #[test]
    fn a_call_that_never_comes_back_leaves_with_the_window_and_its_place_is_taken_again() {
        let in_flight = in_flight();
        for call in 0..100 {
            assert!(begin(&in_flight, call * 10 * MS).is_some());
        }
        assert_eq!(in_flight.overdue(FIRST, 5_000 * MS), 100);
        assert_eq!(in_flight.overdue(FIRST, 20_000 * MS), 0);
        assert!(begin(&in_flight, 20_000 * MS).is_some());
    }

    #[test]
    fn at_high_traffic_few_are_watched_and_stand_for_all() {
        for (calls_a_ms, hanging) in [(10, 200), (1_000, 150), (1_000, 1_000), (3_000, 300)] {
            let in_flight = in_flight();
            let at = |call| 7 * MS + call * MS / calls_a_ms;
            let mut watched = 0;
            let healthy = 300 * calls_a_ms;
            for now in (0..healthy).map(at) {
                if let Some(place) = begin(&in_flight, now) {
                    in_flight.unwatch(place, FIRST, now);
                    watched += 1;
                }
            }
            assert!(watched < 1_000, "{watched} were watched");
            for now in (healthy..healthy + hanging * calls_a_ms).map(at) {
                begin(&in_flight, now);
            }
            let all = (hanging - 100) * calls_a_ms;
            let overdue = in_flight.overdue(FIRST, at(healthy + hanging * calls_a_ms));
            assert!(
                overdue.abs_diff(all) <= all / 3,
                "{overdue} of {all} overdue after {hanging} ms of {calls_a_ms} calls a ms"
            );
        }
    }

    #[test]
    fn when_traffic_falls_all_are_watched_again_soon() {
        let in_flight = in_flight();
        for now in 0..1_000_000_u64 {
            let now = now * 1_000;
            if let Some(place) = begin(&in_flight, now) {
                in_flight.unwatch(place, FIRST, now);
            }
        }
        assert!(in_flight.odds.load(Ordering::Relaxed) < u64::MAX >> 8);
        // Five calls a second: the odds have no reason to stay low.
        let watched =
            (0..20).filter(|call| begin(&in_flight, 1_000 * MS + call * 200 * MS).is_some());
        assert_eq!(watched.count(), 20);
    }

    #[test]
    fn a_later_generation_takes_the_places_of_an_earlier_one_and_not_the_other_way_round() {
        let in_flight = in_flight();
        let watch = |generation, begin| {
            let caller = At::on_one_lane(begin);
            in_flight.watch(generation, begin, &caller).is_some()
        };
        for call in 0..127 {
            assert!(watch(FIRST, call * 10 * MS));
        }
        for call in 127..254 {
            assert!(watch(FIRST.next(), call * 10 * MS));
        }
        assert_eq!(in_flight.overdue(FIRST.next(), 5_000 * MS), 127);
        let [earlier, later] = [FIRST, FIRST.next()].map(|own| Note::new(own, 0, MS));
        assert!(earlier.is_of_a_generation_before(later));
        assert!(!later.is_of_a_generation_before(earlier));
        assert!(!later.is_of_a_generation_before(later));
    }

    #[test]
    fn who_comes_back_to_a_place_that_is_anothers_takes_nothing_away() {
        let in_flight = in_flight();
        let place = begin(&in_flight, 5 * MS).unwrap();
        in_flight.unwatch(place, FIRST, 6 * MS);
        in_flight.unwatch(place, FIRST.next(), 5 * MS);
        in_flight.unwatch(1_000, FIRST, 5 * MS);
        assert_eq!(in_flight.overdue(FIRST, 106 * MS), 1);
    }
}
