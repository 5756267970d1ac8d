//! The orders of a fleet that a breaker follows.

use super::order::{Order, OrderKind, RoundCalls};
use crate::state::{Generation, Round, Share};
use crate::sync::field::Field;
use crate::sync::stamped::{Next, Stamped};
use crate::sync::{Payload, Publisher, SelfContained};

/// The fields of the word that holds the latest order.
///
/// ```text
///  63        55     54      53     52                     0
/// +------------+---------+--------+-----------------------+
/// | unused, 9  |by hand,1|holds, 1|       epoch, 53       |
/// +------------+---------+--------+-----------------------+
/// ```
///
/// *Holds*: the fleet isn't closed. *By hand*: a command overrides it until it closes.
mod latest {
    use super::Field;

    pub(super) const EPOCH: Field = Field::lowest(53);
    pub(super) const HOLDS: Field = EPOCH.then(1);
    pub(super) const BY_HAND: Field = HOLDS.then(1);

    const _: () = assert!(EPOCH.max() == super::Order::MAX_EPOCH);
}

/// The fields of the calls of a round that have come back and weren't taken yet.
///
/// ```text
///  63  62          42 41     34 33      17 16       0
/// +---+--------------+---------+----------+----------+
/// | 0 |generation, 21| round, 8|  bad, 17 | good, 17 |
/// +---+--------------+---------+----------+----------+
/// ```
///
/// A count that is full stays.
mod counted {
    use super::Field;

    pub(super) const GOOD: Field = Field::lowest(17);
    pub(super) const BAD: Field = GOOD.then(17);
    pub(super) const ROUND: Field = BAD.then(8);
    pub(super) const GENERATION: Field = ROUND.then(21);

    const _: () = assert!(GENERATION.end_bit() == 63);
}

/// The latest order that a breaker knows, as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LatestOrder(u64);

impl LatestOrder {
    fn of(order: &Order, before: Self) -> Self {
        let holds = order.kind() != OrderKind::Closed;
        let by_hand = holds && before.is_overridden();
        let (holds, by_hand) = (holds.into(), by_hand.into());
        Self(
            latest::EPOCH.of(order.epoch()) | latest::HOLDS.of(holds) | latest::BY_HAND.of(by_hand),
        )
    }

    fn epoch(self) -> u64 {
        latest::EPOCH.get(self.0)
    }

    fn holds(self) -> bool {
        latest::HOLDS.get(self.0) == 1
    }

    /// Whether a command by hand overrides the fleet until it closes.
    pub(crate) fn is_overridden(self) -> bool {
        latest::BY_HAND.get(self.0) == 1
    }
}

/// The result of noting an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotedOrder {
    /// The word that holds it.
    pub(crate) latest: LatestOrder,
    /// Whether it is the first one of its epoch.
    pub(crate) is_first: bool,
}

/// The orders that a breaker follows: the latest one, and the calls of the round that it has set.
#[derive(Debug, Default)]
pub struct Orders {
    /// The latest order. A thread that follows one writes it before the state. A command by hand
    /// marks it before and after it changes the state, and publishes the state with it.
    latest: Publisher,
    /// One more than the number of the generation in which the breaker follows an order; else zero.
    followed: SelfContained,
    /// When the latest order to ramp ends, in nanoseconds. It never goes back, and the state word
    /// publishes it.
    until: Payload,
    /// The whole number of the latest round. The state word has its low eight bits, and publishes
    /// it.
    round: Payload,
    /// The sum of the shares of all calls that have asked in rounds of the fleet, and of a random
    /// number for each ramp.
    asked: SelfContained,
    counted: Stamped,
}

impl Orders {
    /// Notes an order before it is followed. `None` if a later epoch is known.
    pub(crate) fn note(&self, order: &Order) -> Option<NotedOrder> {
        let mut seen = LatestOrder(self.latest.peek());
        loop {
            if order.epoch() < seen.epoch() {
                return None;
            }
            let latest = LatestOrder::of(order, seen);
            // An order that comes after a command by hand finds the state that the command has
            // entered. Otherwise the order could change that state.
            match self.latest.claim(seen.0, latest.0) {
                Ok(()) => {
                    let is_first = seen.epoch() < order.epoch() || seen.0 == 0;
                    return Some(NotedOrder { latest, is_first });
                }
                Err(found) => seen = LatestOrder(found),
            }
        }
    }

    /// The latest order. The caller has loaded the state before.
    pub(crate) fn latest(&self) -> LatestOrder {
        LatestOrder(self.latest.peek())
    }

    /// Notes that a command by hand overrides the fleet until it closes.
    ///
    /// Before the caller changes the state: a thread that finds the changed state finds this note.
    /// After it, for an order that has come meanwhile. The word is always exchanged. So either this
    /// thread finds that order's note, or the order's thread finds the changed state.
    pub(crate) fn override_by_hand(&self) {
        let mut seen = LatestOrder(self.latest.peek());
        loop {
            let marked = seen.0 | latest::BY_HAND.of(seen.holds().into());
            match self.latest.hand_over(seen.0, marked) {
                Ok(()) => return,
                Err(found) => seen = LatestOrder(found),
            }
        }
    }

    /// Notes that the breaker follows an order in `generation`.
    pub(crate) fn follow_in(&self, generation: Generation) {
        self.followed.store(generation.number() + 1);
    }

    /// Notes that the breaker follows no order.
    pub(crate) fn follow_none(&self) {
        self.followed.store(0);
    }

    /// Whether the breaker follows an order in `generation`, unless the order has ended.
    pub(crate) fn is_followed_in(&self, generation: Generation) -> bool {
        self.followed.load() == generation.number() + 1
    }

    /// Begins a ramp at a random place between two admitted calls.
    ///
    /// A member of a large fleet makes few calls. If all of them began at zero, a fleet whose share
    /// is a sixteenth would admit no call until its members have made sixteen each.
    pub(crate) fn begin_ramp(&self, random: u64) {
        self.asked.add(random);
    }

    /// Notes a round that lasts until `until`, before the state shows it.
    pub(crate) fn begin_round(&self, round: u32, until: u64) {
        self.round.store(round.into());
        self.until.raise(until);
    }

    /// Lengthens the time in which the breaker follows the present round.
    pub(crate) fn extend(&self, until: u64) {
        self.until.raise(until);
    }

    /// When the breaker stops following the round that the state shows, in nanoseconds.
    pub(crate) fn until(&self) -> u64 {
        self.until.load()
    }

    /// Whether the next call is one of the share.
    ///
    /// Of any n successive calls as many are as their shares add up to, rounded up or down.
    pub(crate) fn admits(&self, share: Share) -> bool {
        let share = share.units();
        // The sum wraps at a multiple of the whole.
        self.asked.add(share) % Share::ALL.units() + share >= Share::ALL.units()
    }

    /// Counts a call that `round` of `generation` has admitted, while `is_current`.
    pub(crate) fn count(
        &self,
        (generation, round): (Generation, Round),
        is_good: bool,
        is_current: impl Fn() -> bool,
    ) {
        let stamp = Self::stamp(generation, round.number);
        let field = if is_good { counted::GOOD } else { counted::BAD };
        let next = |seen| {
            if Self::stamp_of(seen) != stamp {
                return Next::Other(stamp | field.of(1));
            }
            let is_full = field.get(seen) == field.max();
            Next::Own(seen + field.of(u64::from(!is_full)))
        };
        if is_current() {
            self.counted.update(next, is_current);
        }
    }

    /// Takes the calls of the round with this number in `generation`. `None` if there are none.
    pub(crate) fn take(&self, generation: Generation, number: u8) -> Option<RoundCalls> {
        let stamp = Self::stamp(generation, number);
        let round = u32::try_from(self.round.load()).unwrap_or(u32::MAX);
        let mut seen = self.counted.load();
        loop {
            if Self::stamp_of(seen) != stamp || seen == stamp || round.to_le_bytes()[0] != number {
                return None;
            }
            match self.counted.exchange(seen, stamp) {
                Ok(()) => break,
                Err(found) => seen = found,
            }
        }
        // Each field has 17 bits.
        let get = |field: Field| u32::try_from(field.get(seen)).unwrap_or(u32::MAX);
        Some(RoundCalls {
            round,
            good: get(counted::GOOD),
            bad: get(counted::BAD),
        })
    }

    fn stamp(generation: Generation, round: u8) -> u64 {
        counted::GENERATION.of(generation.number()) | counted::ROUND.of(round.into())
    }

    fn stamp_of(word: u64) -> u64 {
        word & (counted::GENERATION.of(u64::MAX) | counted::ROUND.of(u64::MAX))
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    const FIRST: Generation = Generation::FIRST;

    #[test]
    fn a_count_that_is_full_stays_and_leaves_the_other_alone() {
        let orders = Orders::default();
        orders.begin_round(256 + 3, 0);
        let round = Round::ordered(256 + 3, Share::ALL);
        for _ in 0..140_000 {
            orders.count((FIRST, round), true, || true);
        }
        orders.count((FIRST, round), false, || true);
        let taken = orders.take(FIRST, round.number).unwrap();
        assert_eq!(
            (taken.round(), taken.good(), taken.bad()),
            (259, 131_071, 1)
        );
        assert_eq!(orders.take(FIRST, round.number), None);
        orders.count((FIRST, round), true, || false);
        assert_eq!(orders.take(FIRST, round.number), None);
    }

    #[test]
    fn a_mark_by_hand_stays_until_the_fleet_is_closed_and_needs_an_open_fleet() {
        let orders = Orders::default();
        orders.override_by_hand();
        let opens = orders.note(&Order::open(1)).unwrap();
        assert!(opens.is_first && !opens.latest.is_overridden());
        orders.override_by_hand();
        assert!(
            orders
                .note(&Order::ramp(2, 1, 1.0))
                .unwrap()
                .latest
                .is_overridden()
        );
        assert!(!orders.note(&Order::ramp(2, 2, 1.0)).unwrap().is_first);
        assert_eq!(orders.note(&Order::closed(1)), None);
        assert!(
            !orders
                .note(&Order::closed(3))
                .unwrap()
                .latest
                .is_overridden()
        );
        assert!(
            !orders
                .note(&Order::open(u64::MAX))
                .unwrap()
                .latest
                .is_overridden()
        );
        assert_eq!(orders.latest().epoch(), Order::MAX_EPOCH);
    }

    /// Fails when: all breakers of a fleet begin a ramp at the same place.
    #[test]
    fn of_many_breakers_that_make_one_call_each_a_share_admits_it() {
        let admits = |seed: u64| {
            let orders = Orders::default();
            orders.begin_ramp(crate::util::random::mixed(seed));
            orders.admits(Share::nearest(0.0625))
        };
        let admitted = (0..1_600).filter(|&seed| admits(seed)).count();
        assert!((80..120).contains(&admitted), "{admitted}");
    }

    #[test]
    fn of_any_successive_calls_a_share_is_admitted_exactly() {
        let orders = Orders::default();
        let share = Share::nearest(0.3);
        let admitted = (0..10_000).filter(|_| orders.admits(share)).count();
        // 0.3 is 307 of 1,024.
        assert_eq!(admitted, 10_000 * 307 / 1_024);
    }
}
