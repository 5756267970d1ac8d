//! Calls that have not come back, as evidence: a sample of those in flight, with their start times.
//!
//! A dependency that hangs returns nothing that could be counted. So some of the calls are watched.
//! A watched call notes when it began, and removes the note when it comes back. A note that is
//! still there after the limit is of an overdue call. The caller that makes the next watched call
//! sees it.
//!
//! At low traffic all calls are watched. As traffic grows, the odds are halved again and again. A
//! watched call then stands for several, and the estimate of calls in flight is right on average
//! (Horvitz and Thompson 1952, "A generalization of sampling without replacement from a finite
//! universe"). The last digits of the clock decide whether a call is watched. So calls that aren't
//! watched write nothing.

use crate::clock::Now;
use crate::latency::odds::Odds;
use crate::state::Generation;
use crate::sync::field::Field;
use crate::sync::{Hint, Ordering, Payload, Publisher, fence};
use crate::util::random::mixed;

/// The fields of a `Note`.
///
/// ```text
///     63     62             42 41     37 36   35 34                0
/// +---------+-----------------+---------+-------+-------------------+
/// |charged,1|  generation, 21 |weight, 5|phase,2|   sequence, 35    |
/// +---------+-----------------+---------+-------+-------------------+
/// ```
///
/// *Charged*: the call was found overdue, and is weighed. *Weight*: the call stands for 2^weight
/// calls. *Phase*: whether the place is free, being taken, or taken. *Sequence*: how often the
/// place was taken. If a reader finds one note both before and after it reads a start time, that
/// time is the note's. The sequence repeats after 3.4 × 10¹⁰ calls in one place.
mod layout {
    use super::Field;

    pub(super) const SEQUENCE: Field = Field::lowest(35);
    pub(super) const PHASE: Field = SEQUENCE.then(2);
    pub(super) const WEIGHT: Field = PHASE.then(5);
    pub(super) const GENERATION: Field = WEIGHT.then(super::Generation::BITS);

    pub(super) const CHARGED: Field = GENERATION.then(1);

    const _: () = assert!(CHARGED.end_bit() == 64);
}

/// The note of a place: all about its call except when the call began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note(u64);

impl Note {
    const FREE: u64 = 0;
    const BEING_TAKEN: u64 = 1;
    const TAKEN: u64 = 2;
    /// The bits that change while a call has its place.
    const CHANGING: u64 = layout::WEIGHT.of(u64::MAX) | layout::CHARGED.of(1);

    fn with_phase(self, phase: u64) -> Self {
        Self(self.0 & !layout::PHASE.of(u64::MAX) | layout::PHASE.of(phase))
    }

    fn is(self, phase: u64) -> bool {
        layout::PHASE.get(self.0) == phase
    }

    /// The note while the next call takes the place; it says nothing of that call yet.
    fn next(self) -> Self {
        let sequence = layout::SEQUENCE.get(self.0).wrapping_add(1);
        Self(layout::SEQUENCE.of(sequence)).with_phase(Self::BEING_TAKEN)
    }

    /// The note of the call that has just taken the place.
    fn of(self, generation: Generation, weight: u32) -> Self {
        let sequence = layout::SEQUENCE.of(layout::SEQUENCE.get(self.0));
        let generation = layout::GENERATION.of(generation.bits());
        let weight = layout::WEIGHT.of(u64::from(weight));
        Self(generation | weight | sequence).with_phase(Self::TAKEN)
    }

    fn is_charged(self) -> bool {
        layout::CHARGED.get(self.0) == 1
    }

    fn charged(self) -> Self {
        Self(self.0 | layout::CHARGED.of(1))
    }

    fn generation(self) -> Generation {
        Generation::standing_in(self.0, layout::GENERATION)
    }

    fn is_of(self, generation: Generation) -> bool {
        self.is(Self::TAKEN) && self.generation() == generation
    }

    #[allow(clippy::cast_possible_truncation, reason = "five bits")]
    fn weight(self) -> u32 {
        layout::WEIGHT.get(self.0) as u32
    }

    /// Whether the call stays in the sample when that is thinned to this weight.
    fn stays(self, weight: u32, began: u64) -> bool {
        thinned(self.weight(), weight, began).is_some()
    }

    /// The note after the odds were halved to this weight. A call that is dropped from the sample
    /// leaves the place free.
    fn thinned(self, weight: u32, began: u64) -> Self {
        match thinned(self.weight(), weight, began) {
            Some(weight) if self.is_charged() => self.of(self.generation(), weight).charged(),
            Some(weight) => self.of(self.generation(), weight),
            None => self.with_phase(Self::FREE),
        }
    }
}

/// The new weight of a call of weight `own` when the sample is thinned to `weight`.
///
/// Returns `None` if the call is dropped from the sample. A call of more weight keeps its own.
fn thinned(own: u32, weight: u32, began: u64) -> Option<u32> {
    let halvings = weight.saturating_sub(own);
    let tosses = mixed(began) >> own & ((1 << halvings) - 1);
    (tosses == 0).then_some(own + halvings)
}

/// A place for a watched call: two words, of which the note publishes the start time.
///
/// A caller takes the place by exchanging the note for one that readers skip. It then writes the
/// start time, and last its own note. If a reader finds one note both before and after it reads the
/// start time, the two belong to one call. Nobody waits for a caller that sleeps in between:
/// readers skip the place.
#[derive(Debug, Default)]
struct CallSlot {
    /// When the call began, in nanoseconds. The note publishes it.
    began: Payload,
    note: Publisher,
}

impl CallSlot {
    fn note(&self) -> Note {
        // The start time that is read next is that of this note or of a later one. Otherwise it
        // could be that of an earlier call.
        Note(self.note.load())
    }

    /// When the call of this note began, if it still has the place. The note may be charged or get
    /// another weight meanwhile.
    fn began(&self, note: Note) -> Option<u64> {
        // The note, read before and after, shows whose start time this is.
        let began = self.began.load();
        // Acquire: pairs with the Release fence in `take`. If a later call's start time was read,
        // the note that is read next is a later one too. Otherwise two calls would be mixed.
        fence(Ordering::Acquire);
        // The fence above orders this load after the load of `began`.
        let found = Note(self.note.peek());
        let is_same_call = (found.0 ^ note.0) & !Note::CHANGING == 0;
        is_same_call.then_some(began)
    }

    /// Changes the note, if it still is `seen`.
    fn change(&self, seen: Note, new: Note) -> Result<(), Note> {
        // The next call that takes the place finds this change. It then writes its start time after
        // this call has read its own. Otherwise this call could read another's start time.
        self.note.exchange(seen.0, new.0).map_err(Note)
    }

    /// Notes that the call of this note is weighed. Returns whether this thread is the one that
    /// noted it.
    ///
    /// Of the threads that find the call overdue and the one in which it comes back, one exchanges
    /// the note first. That one weighs the call.
    fn charge(&self, mut seen: Note) -> bool {
        let call = seen.0 & !Note::CHANGING;
        while seen.0 & !Note::CHANGING == call && !seen.is_charged() {
            match self.change(seen, seen.charged()) {
                Ok(()) => return true,
                Err(found) => seen = found,
            }
        }
        false
    }

    /// Takes the place, if its note still is `seen`.
    fn take(&self, seen: Note, generation: Generation, weight: u32, began: u64) -> bool {
        let taking = seen.next();
        if self.change(seen, taking).is_err() {
            return false;
        }
        // Release: pairs with the Acquire fence in `began`. A reader that reads the start time
        // written next also finds the note changed. Otherwise it would take that time for the
        // former call's.
        fence(Ordering::Release);
        self.began.store(began);
        // A reader of this note finds this call's start time, and not an earlier call's. No other
        // thread changes the note of a place that is being taken.
        self.note.publish(taking.of(generation, weight).0);
        true
    }
}

/// The limit, window and period of the watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// A call that has been in flight for longer than this many nanoseconds is overdue.
    pub limit: u64,
    /// An overdue call leaves the window this many nanoseconds after the limit.
    pub window: u64,
    /// A fourth of the limit, in the clock's units.
    pub period: u64,
}

/// The sample of watched calls.
#[derive(Debug)]
pub struct InFlight {
    /// A call is watched if its dice show less; `u64::MAX` watches all calls. The number of leading
    /// zeros is the weight of a watched call.
    odds: Hint,
    /// From this time on, the next call is watched whatever its random bits are. It sets new odds.
    look_at: Hint,
    /// The number of calls watched since the odds were last set.
    watched: Hint,
    places: Box<[CallSlot]>,
    pub(crate) watch: Watch,
}

impl InFlight {
    /// Under loom there are fewer places, since loom would explore each of them.
    const PLACES: u32 = if cfg!(tripcurve_loom) { 2 } else { 127 };
    /// The most calls watched in a period before the odds are halved. It leaves places for the
    /// calls of a whole limit.
    const MANY: u64 = if cfg!(tripcurve_loom) { 8 } else { 32 };
    /// With so many calls watched in a period or fewer, the odds are doubled. A steady stream of
    /// calls then has more than these, and half as many as would be too many for the places.
    const FEW: u64 = Self::MANY / 8 * 3;

    /// Creates a sample that watches all calls at first.
    #[must_use]
    pub fn new(watch: Watch) -> Self {
        Self {
            odds: Hint::new(u64::MAX),
            look_at: Hint::new(0),
            watched: Hint::new(0),
            places: (0..Self::PLACES).map(|_| CallSlot::default()).collect(),
            watch,
        }
    }

    /// Whether a call that begins now is watched.
    #[inline]
    pub fn picks(&self, begin: u64, clock: &impl Now) -> bool {
        // Old values do no harm, since the two words only choose the sample. They share a cache
        // line that is rarely written.
        clock.random_bits(begin) < self.odds.load() || begin >= self.look_at.load()
    }

    /// Watches a timed call that begins at `begin`, in the clock's units, and stands for
    /// 2^`timed_weight` calls.
    ///
    /// Returns the number of its place, or `None` if the call isn't watched.
    pub fn watch(
        &self,
        generation: Generation,
        (begin, timed_weight): (u64, u32),
        clock: &impl Now,
    ) -> Option<u32> {
        let now = clock.nanos_at(begin);
        let odds = self.odds.load();
        // A call that is watched because of the time, not the dice, stands for no other timed call.
        let weight = if self.takes_look(begin) {
            0
        } else {
            self.count_watched(odds);
            odds.leading_zeros()
        };
        let weight = timed_weight + weight;
        let take = |weight| self.take_place(generation, weight, now);
        take(weight)
            .or_else(|| self.take_place_of_charged(generation, weight, now))
            .or_else(|| {
                self.thin_out(timed_weight);
                let thinner = timed_weight + self.odds.load().leading_zeros();
                take(thinned(weight, thinner, now)?)
            })
    }

    /// One watched call stands for 2^this timed calls, at the odds of now.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.odds.load().leading_zeros()
    }

    /// Whether this caller sets the odds, because a period is over. If so, it has set them by the
    /// number of calls watched in that period.
    fn takes_look(&self, begin: u64) -> bool {
        // A count or a change that threads lose to each other delays the odds a little.
        let look_at = self.look_at.load();
        let next = begin.saturating_add(self.watch.period);
        let takes = begin >= look_at && self.look_at.exchange(look_at, next).is_ok();
        if takes {
            let watched = self.watched.load();
            self.watched.store(0);
            // The odds double once if few calls were watched, and once more for each period without
            // a call.
            let missed = (begin - look_at) / self.watch.period.max(1);
            let few = u64::from(watched <= Self::FEW);
            let doublings = u32::try_from(missed.saturating_add(few))
                .unwrap_or(u32::MAX)
                .min(63);
            let odds = self.odds.load();
            let raised = if doublings >= odds.leading_zeros() {
                u64::MAX
            } else {
                odds << doublings
            };
            self.change_odds(odds, raised);
        }
        takes
    }

    /// Counts a call that is watched at these odds. If there are many, it halves the odds.
    fn count_watched(&self, odds: u64) {
        let watched = self.watched.load() + 1;
        if watched > Self::MANY {
            self.watched.store(Self::MANY / 2);
            self.change_odds(odds, Self::halved(odds));
        } else {
            self.watched.store(watched);
        }
    }

    fn halved(odds: u64) -> u64 {
        // A weight has 5 bits. It includes the weight of a timed call.
        (odds / 2).max(u64::MAX >> (layout::WEIGHT.max() - u64::from(Odds::MAX_WEIGHT)))
    }

    fn change_odds(&self, from: u64, to: u64) -> bool {
        let changed = self.odds.exchange(from, to);
        changed.is_ok() && from != to
    }

    fn take_place(&self, generation: Generation, weight: u32, now: u64) -> Option<u32> {
        self.take_place_if(generation, weight, now, |place, seen| {
            // A call of an earlier generation doesn't matter any more.
            if seen.is(Note::TAKEN) {
                let has_left = |began| self.has_left(began, now);
                generation.is_after(seen.generation()) || place.began(seen).is_some_and(has_left)
            } else {
                seen.is(Note::FREE)
            }
        })
    }

    /// Takes the place of a call that is overdue and weighed already. Otherwise few long calls
    /// would fill the places, and the sample would have mostly them.
    fn take_place_of_charged(&self, generation: Generation, weight: u32, now: u64) -> Option<u32> {
        self.take_place_if(generation, weight, now, |_, seen| {
            seen.is_of(generation) && seen.is_charged()
        })
    }

    /// Takes the first place that `may_take`, if it is still as it was then.
    fn take_place_if(
        &self,
        generation: Generation,
        weight: u32,
        now: u64,
        may_take: impl Fn(&CallSlot, Note) -> bool,
    ) -> Option<u32> {
        let first = mixed(now ^ mixed(generation.number())) >> 32;
        (0..u64::from(Self::PLACES)).find_map(|step| {
            let number = (first + step) % u64::from(Self::PLACES);
            let number = u32::try_from(number).ok()?;
            let place = self.places.get(number as usize)?;
            let seen = place.note();
            let takes = may_take(place, seen) && place.take(seen, generation, weight, now);
            takes.then_some(number)
        })
    }

    /// Halves the odds and drops calls from the sample when all places are taken.
    ///
    /// The calls that are left are those that would be watched at the new odds.
    fn thin_out(&self, timed_weight: u32) {
        // The thread that halves the odds does the rest; other threads return.
        let odds = self.odds.load();
        let halved = Self::halved(odds);
        if !self.change_odds(odds, halved) {
            return;
        }
        for place in &self.places {
            let seen = place.note();
            if let (true, Some(began)) = (seen.is(Note::TAKEN), place.began(seen)) {
                let weight = timed_weight + halved.leading_zeros();
                let thinned = seen.thinned(weight, began);
                // This fails if the call has come back meanwhile. Its place then stays free.
                let _has_come_back = place.change(seen, thinned);
            }
        }
    }

    /// Removes the note of a call that began at `began` nanoseconds and has come back.
    ///
    /// Returns whether the call is to be weighed: its note was there and not charged, and the call
    /// is in a sample of one call in 2^`weight`. The caller does this before it records the call.
    /// So a thread that finds the call recorded doesn't find it in flight.
    pub fn unwatch(&self, place: u32, generation: Generation, began: u64, weight: u32) -> bool {
        let Some(place) = self.places.get(place as usize) else {
            return false;
        };
        let mut seen = place.note();
        while seen.is_of(generation) && place.began(seen) == Some(began) {
            // The caller records the outcome next, with Release. A reader reads the outcome first,
            // then a fence, and then this note.
            match place.change(seen, seen.with_phase(Note::FREE)) {
                Ok(()) => return !seen.is_charged() && seen.stays(weight, began),
                Err(found) => seen = found,
            }
        }
        false
    }

    /// Whether a call that began at `began` would have left the window, had it ended at the limit.
    #[must_use]
    pub fn has_left(&self, began: u64, now: u64) -> bool {
        let late = began.saturating_add(self.watch.limit);
        now > late.saturating_add(self.watch.window)
    }

    /// An estimate of the calls of `generation` that have been in flight for longer than the limit.
    /// It is exact while all calls are watched.
    ///
    /// A call counts until it comes back. It counts no longer than it would if it had come back at
    /// the limit.
    #[must_use]
    pub fn overdue(&self, generation: Generation, now: u64) -> u64 {
        self.overdue_notes(generation, now)
            .map(|note| 1 << note.weight())
            .sum()
    }

    /// Charges the overdue calls of `generation` that aren't charged yet. Returns how many of them
    /// are in a sample of one call in 2^`weight`; the caller weighs as many failures. `is_late`
    /// returns whether a call that began then is overdue without the client's stalls.
    ///
    /// The calls that they stand for are left out, because only a watched call is evidence of its
    /// own.
    #[must_use]
    pub fn charge(
        &self,
        generation: Generation,
        now: u64,
        weight: u32,
        is_late: impl Fn(u64) -> bool,
    ) -> usize {
        let overdue = self.overdue_places(generation, now);
        let late = overdue.filter(|(.., began)| is_late(*began));
        let charged = late.filter(|(place, seen, _)| place.charge(*seen));
        charged
            .filter(|(_, seen, began)| seen.stays(weight, *began))
            .count()
    }

    fn overdue_notes(&self, generation: Generation, now: u64) -> impl Iterator<Item = Note> {
        let overdue = self.overdue_places(generation, now);
        overdue.map(|(_, note, _)| note)
    }

    fn overdue_places(
        &self,
        generation: Generation,
        now: u64,
    ) -> impl Iterator<Item = (&CallSlot, Note, u64)> {
        // The fence in `began` also orders the load that follows it after the caller's own loads.
        // So a call that the caller has found recorded isn't found here.
        self.places.iter().filter_map(move |place| {
            let note = place.note();
            if !note.is_of(generation) {
                return None;
            }
            // A call that leaves its place meanwhile has come back. It is missed here, as it would
            // be a moment later.
            let began = place.began(note)?;
            let is_overdue = now > began.saturating_add(self.watch.limit);
            (is_overdue && !self.has_left(began, now)).then_some((place, note, began))
        })
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::clock::context::FixedContext;

    const MS: u64 = 1_000_000;
    const FIRST: Generation = Generation::FIRST;

    fn in_flight() -> InFlight {
        InFlight::new(Watch {
            limit: 100 * MS,
            window: 10_000 * MS,
            period: 25 * MS,
        })
    }

    /// Begins a call at `now`, if the sample picks it.
    fn watch_call(in_flight: &InFlight, now: u64) -> Option<u32> {
        let context = FixedContext::on_first_thread_slot(now);
        if in_flight.picks(now, &context) {
            in_flight.watch(FIRST, (now, 0), &context)
        } else {
            None
        }
    }

    #[test]
    fn a_call_is_overdue_from_the_limit_on_until_it_comes_back() {
        let in_flight = in_flight();
        let place = watch_call(&in_flight, 5 * MS).unwrap();
        assert_eq!(in_flight.overdue(FIRST, 105 * MS), 0);
        assert_eq!(in_flight.overdue(FIRST, 105 * MS + 1), 1);
        assert_eq!(in_flight.overdue(FIRST.next(), 106 * MS), 0);
        in_flight.unwatch(place, FIRST, 5 * MS, 0);
        assert_eq!(in_flight.overdue(FIRST, 106 * MS), 0);
    }

    /// Fails when: `charge` charges a call twice, or `unwatch` ignores whether it is charged.
    #[test]
    fn an_overdue_call_is_charged_once_or_comes_back_uncharged() {
        let in_flight = in_flight();
        let places = [5, 6, 7].map(|begin| watch_call(&in_flight, begin * MS).unwrap());
        assert!(in_flight.unwatch(places[0], FIRST, 5 * MS, 0));
        assert_eq!(in_flight.charge(FIRST, 106 * MS, 0, |_| true), 0);
        assert_eq!(in_flight.charge(FIRST, 106 * MS + 1, 0, |_| true), 1);
        assert_eq!(in_flight.charge(FIRST, 107 * MS, 0, |_| true), 0);
        assert_eq!(in_flight.overdue(FIRST, 107 * MS), 1, "it hasn't come back");
        assert!(!in_flight.unwatch(places[1], FIRST, 6 * MS, 0));
        assert!(in_flight.unwatch(places[2], FIRST, 7 * MS, 0));
        assert!(
            !in_flight.unwatch(places[2], FIRST, 7 * MS, 0),
            "it was back"
        );
    }

    /// Fails when: `charge` or `unwatch` weighs all calls that were watched at higher odds.
    #[test]
    fn calls_in_flight_are_thinned_out_alike_whether_they_come_back_or_are_charged() {
        let mut weighed = 0;
        for begin in (1..=1_000).map(|call| call * MS) {
            let [back, late] = [in_flight(), in_flight()];
            let place = watch_call(&back, begin).unwrap();
            watch_call(&late, begin).unwrap();
            let comes_back = back.unwatch(place, FIRST, begin, 3);
            let is_charged = late.charge(FIRST, begin + 101 * MS, 3, |_| true) == 1;
            assert_eq!(comes_back, is_charged);
            assert_eq!(late.charge(FIRST, begin + 102 * MS, 0, |_| true), 0);
            weighed += u32::from(comes_back);
        }
        assert!((100..=150).contains(&weighed), "{weighed} of 1,000 at 1/8");
    }

    /// Fails when: `watch` takes no places of charged calls.
    #[test]
    fn calls_that_are_charged_leave_their_places_to_others() {
        let in_flight = in_flight();
        for call in 0..127 {
            assert!(watch_call(&in_flight, call * 10 * MS).is_some());
        }
        assert_eq!(in_flight.charge(FIRST, 500 * MS, 0, |_| true), 40);
        for call in 0..40 {
            assert!(watch_call(&in_flight, (1_300 + 10 * call) * MS).is_some());
        }
        assert_eq!(in_flight.weight(), 0, "it was thinned out");
    }

    #[test]
    fn a_call_that_never_comes_back_leaves_with_the_window_and_its_place_is_taken_again() {
        let in_flight = in_flight();
        for call in 0..127 {
            assert!(watch_call(&in_flight, call * 10 * MS).is_some());
        }
        assert_eq!(in_flight.overdue(FIRST, 5_000 * MS), 127);
        assert_eq!(in_flight.overdue(FIRST, 20_000 * MS), 0);
        assert!(watch_call(&in_flight, 20_000 * MS).is_some());
    }

    #[test]
    fn at_high_traffic_few_are_watched_and_stand_for_all() {
        for (calls_a_ms, hanging) in [(10, 200), (1_000, 150), (1_000, 1_000), (3_000, 300)] {
            let in_flight = in_flight();
            let at = |call| 7 * MS + call * MS / calls_a_ms;
            let mut watched = 0;
            let healthy = 300 * calls_a_ms;
            for now in (0..healthy).map(at) {
                if let Some(place) = watch_call(&in_flight, now) {
                    in_flight.unwatch(place, FIRST, now, 0);
                    watched += 1;
                }
            }
            assert!(watched < 1_000, "{watched} were watched");
            for now in (healthy..healthy + hanging * calls_a_ms).map(at) {
                watch_call(&in_flight, now);
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
            if let Some(place) = watch_call(&in_flight, now) {
                in_flight.unwatch(place, FIRST, now, 0);
            }
        }
        assert!(in_flight.odds.load() < u64::MAX >> 8);
        // There are only five calls a second, so the odds have no reason to stay low.
        let watched =
            (0..20).filter(|call| watch_call(&in_flight, 1_000 * MS + call * 200 * MS).is_some());
        assert_eq!(watched.count(), 20);
    }

    #[test]
    fn a_later_generation_takes_the_places_of_an_earlier_one_and_not_the_other_way_round() {
        let in_flight = in_flight();
        let watch = |generation, begin| {
            let context = FixedContext::on_first_thread_slot(begin);
            in_flight.watch(generation, (begin, 0), &context).is_some()
        };
        for call in 0..127 {
            assert!(watch(FIRST, call * 10 * MS));
        }
        for call in 127..254 {
            assert!(watch(FIRST.next(), call * 10 * MS));
        }
        assert_eq!(in_flight.overdue(FIRST.next(), 5_000 * MS), 127);
        assert!(
            !watch(FIRST, 5_000 * MS),
            "an earlier one takes no place of a later one"
        );
    }

    #[test]
    fn a_call_is_overdue_in_no_other_of_all_the_generations() {
        let in_flight = in_flight();
        watch_call(&in_flight, 5 * MS).unwrap();
        for number in (1..21).map(|bit| 1 << bit).chain([3 << 11, (1 << 21) - 1]) {
            let other = Generation::of_number(number);
            assert_eq!(in_flight.overdue(other, 106 * MS), 0, "{number}");
        }
        assert_eq!(
            in_flight.overdue(Generation::of_number(1 << 21), 106 * MS),
            1
        );
    }

    #[test]
    fn who_comes_back_to_a_place_that_is_anothers_takes_nothing_away() {
        let in_flight = in_flight();
        let place = watch_call(&in_flight, 5 * MS).unwrap();
        in_flight.unwatch(place, FIRST, 6 * MS, 0);
        in_flight.unwatch(place, FIRST.next(), 5 * MS, 0);
        in_flight.unwatch(1_000, FIRST, 5 * MS, 0);
        assert_eq!(in_flight.overdue(FIRST, 106 * MS), 1);
    }
}
