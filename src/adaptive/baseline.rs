//! The usual behaviour of a dependency: how often calls fail while nothing is wrong, and how much
//! traffic there is.

#[cfg(feature = "fleet")]
use super::excursion::Place;
use super::nats::{Nats, Surprise};
#[cfg(feature = "serde")]
use super::persist::{Ages, SavedBaseline};
use crate::sync::field::Field;
use crate::sync::{AtomicU64, Ordering, SelfContained};
use crate::util::number::whole;
use crate::window::rate;

/// The fields of a packed `Learnt`.
///
/// ```text
///  63      50 49      40     39     38     30 29      20 19                0
/// +----------+----------+-----------+---------+----------+-------------------+
/// |inside, 14|starts, 10|conceded, 1| pairs, 9|failed, 10|     calls, 20     |
/// +----------+----------+-----------+---------+----------+-------------------+
/// ```
///
/// *Starts*: failures that began an excursion. *Pairs*: failures right after another failure.
/// *Inside*: calls in an excursion that came right after a success. *Conceded*: a recovery has
/// accepted a share that the trip rule didn't.
mod learnt {
    use super::Field;

    pub(super) const CALLS: Field = Field::lowest(20);
    pub(super) const FAILED: Field = CALLS.then(10);
    pub(super) const PAIRS: Field = FAILED.then(9);
    pub(super) const CONCEDED: Field = PAIRS.then(1);
    pub(super) const STARTS: Field = CONCEDED.then(10);
    pub(super) const INSIDE: Field = STARTS.then(14);

    const _: () = assert!(INSIDE.end_bit() == 64);
}

/// The fields of a packed `Logs`.
///
/// ```text
///  62         52 51           37 36         26 25           11 10          0
/// +-------------+---------------+-------------+---------------+-------------+
/// | failure, 11 |  success, 15  | failure, 11 |  success, 15  | failure, 11 |
/// +-------------+---------------+-------------+---------------+-------------+
///        after a failure               after a success          at the start
/// ```
///
/// Each field is a surprise. A failure's is in units of 1/256 nat, up to 8 nats; a success's is in
/// units of 1/8,192 nat, up to 4 nats.
mod logs {
    use super::Field;

    pub(super) const START: Field = Field::lowest(11);
    pub(super) const SUCCESS: Field = START.then(15);
    pub(super) const FAILURE: Field = SUCCESS.then(11);
    pub(super) const NEXT_SUCCESS: Field = FAILURE.then(15);
    pub(super) const NEXT_FAILURE: Field = NEXT_SUCCESS.then(11);

    /// The units of evidence in one unit of a failure's field.
    pub(super) const COARSE: i64 = 32;
}

/// How surprising outcomes usually are.
///
/// `start` is for a failure that starts an excursion. The other two are for outcomes in an
/// excursion, after a success and after a failure. Keeping them apart stops clusters and runs of
/// failures from looking like an outage. Retries of a request that can't succeed make such runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Logs {
    pub(super) start: Nats,
    pub(super) after_success: Surprise,
    pub(super) after_failure: Surprise,
}

impl Logs {
    fn unpack(word: u64) -> Self {
        // Each field has at most 15 bits.
        let get = |field: Field| i64::try_from(field.get(word)).unwrap_or(0);
        let failure = |field: Field| Nats(logs::COARSE * get(field));
        let success = |field: Field| Nats(get(field));
        Self {
            start: failure(logs::START),
            after_success: Surprise {
                failure: failure(logs::FAILURE),
                success: success(logs::SUCCESS),
            },
            after_failure: Surprise {
                failure: failure(logs::NEXT_FAILURE),
                success: success(logs::NEXT_SUCCESS),
            },
        }
    }

    fn pack(self) -> u64 {
        let of =
            |field: Field, units: i64| field.of(u64::try_from(units).unwrap_or(0).min(field.max()));
        let failure = |field: Field, nats: Nats| of(field, nats.0 / logs::COARSE);
        let success = |field: Field, nats: Nats| of(field, nats.0);
        failure(logs::START, self.start)
            | failure(logs::FAILURE, self.after_success.failure)
            | success(logs::SUCCESS, self.after_success.success)
            | failure(logs::NEXT_FAILURE, self.after_failure.failure)
            | success(logs::NEXT_SUCCESS, self.after_failure.success)
    }
}

/// The counts that were learnt while nothing was wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Learnt {
    pub(super) calls: u64,
    pub(super) failed: u64,
    pub(super) pairs: u64,
    pub(super) starts: u64,
    pub(super) inside: u64,
    /// Whether a recovery has accepted a share that the trip rule didn't.
    pub(super) conceded: bool,
}

impl Learnt {
    /// Above this many failures, all counts are halved. The share is then known to within a
    /// twentieth.
    const MEMORY: u64 = 512;

    /// The weight of the belief of a new breaker about calls in an excursion.
    const UNSEEN_INSIDE: u64 = 10;

    /// The largest share of failures that may be usual.
    pub(super) const LARGEST_SHARE: f64 = 0.15;
    /// The largest share that may be usual once a recovery has accepted it.
    pub(super) const LARGEST_CONCEDED: f64 = 0.25;
    /// A conceded share holds while at most this share of the failures comes right after another.
    ///
    /// With a larger chance of a failure after a failure and so many other failures, an outage of
    /// 60 % would be no surprise. `deafness.rs` has the bound.
    pub(super) const ALONE: f64 = 0.3;
    /// The calls outside of excursions, and the calls inside, that a conceded share weighs as.
    const CONCEDED: f64 = 200.0;

    fn unpack(word: u64) -> Self {
        Self {
            calls: learnt::CALLS.get(word),
            failed: learnt::FAILED.get(word),
            pairs: learnt::PAIRS.get(word),
            starts: learnt::STARTS.get(word),
            inside: learnt::INSIDE.get(word),
            conceded: learnt::CONCEDED.get(word) == 1,
        }
    }

    fn pack(self) -> u64 {
        learnt::CALLS.of(self.calls)
            | learnt::FAILED.of(self.failed)
            | learnt::PAIRS.of(self.pairs.min(learnt::PAIRS.max()))
            | learnt::CONCEDED.of(self.conceded.into())
            | learnt::STARTS.of(self.starts)
            | learnt::INSIDE.of(self.inside)
    }

    /// Whether a breaker can have learnt these numbers.
    #[cfg(feature = "serde")]
    fn is_possible(self) -> bool {
        // Each excursion began with a failure. Each of its calls failed, or counts as inside, or
        // came right after a failure.
        self.pairs + self.starts <= self.failed && self.failed + self.inside <= self.calls
    }

    fn plus(self, other: Self) -> Self {
        let mut sum = Self {
            calls: self.calls.saturating_add(other.calls),
            failed: self.failed + other.failed,
            pairs: self.pairs + other.pairs,
            starts: self.starts + other.starts,
            inside: self.inside + other.inside,
            conceded: self.conceded || other.conceded,
        };
        while sum.failed > Self::MEMORY
            || sum.calls > learnt::CALLS.max()
            || sum.inside > learnt::INSIDE.max()
        {
            sum = Self {
                calls: sum.calls / 2,
                failed: sum.failed / 2,
                pairs: sum.pairs / 2,
                starts: sum.starts / 2,
                inside: sum.inside / 2,
                ..sum
            };
        }
        sum
    }

    /// The share of calls that usually fails.
    ///
    /// It is one standard deviation above what was seen, and one in a hundred while little was
    /// seen. It stays in `0.001..=0.15`. A share above 15 % may be usual, but it isn't healthy. Up
    /// to 25 % are believed if a recovery has conceded such a share.
    pub(super) fn share(self) -> f64 {
        self.cautious(self.failed, self.calls, 100)
    }

    fn cautious(self, failed: u64, calls: u64, unseen: u64) -> f64 {
        let failed = rate(failed, 1);
        let share = (failed + failed.sqrt() + 1.0) / rate(calls + unseen, 1);
        share.clamp(0.001, self.largest_share())
    }

    fn largest_share(self) -> f64 {
        if self.conceded && self.come_alone() {
            Self::LARGEST_CONCEDED
        } else {
            Self::LARGEST_SHARE
        }
    }

    /// Whether few failures come right after another.
    fn come_alone(self) -> bool {
        rate(self.pairs, 1) <= Self::ALONE * rate(self.failed, 1)
    }

    /// What is usual after a recovery has accepted `share`, unless that isn't more than was known.
    ///
    /// The conceded share replaces what was learnt, apart from how often a failure follows a
    /// failure. Where failures come in company, nothing is conceded.
    fn conceding(self, share: f64) -> Option<Self> {
        let usual = self.share();
        if 2.0 * share <= usual || !self.come_alone() {
            return None;
        }
        let share = share.max(usual).min(Self::LARGEST_CONCEDED);
        let next = rate(self.pairs, self.failed.max(1)).max(share);
        // As many failures start an excursion as come inside after a success. Rounded down, the
        // pairs are no larger a part of the failures than before.
        let starts = whole((Self::CONCEDED * share).round());
        let pairs = whole((rate(2 * starts, 1) * next / (1.0 - next)).floor());
        let failed = 2 * starts + pairs;
        let inside = whole(Self::CONCEDED);
        Some(Self {
            calls: 2 * inside - starts + failed,
            failed,
            pairs,
            starts,
            inside,
            conceded: true,
        })
    }

    /// The weight of the belief that one call in an excursion fails, besides those of runs.
    ///
    /// A new breaker believes in one of ten. With one of fifty, a dependency of which a tenth
    /// always fails would trip many new breakers. After 2,000 calls it is one of fifty.
    fn unseen_inside(self) -> u64 {
        (Self::UNSEEN_INSIDE + self.calls / 50).min(50)
    }

    /// The chance of a failure after a failure that is believed while nothing was seen, at `pace`
    /// calls a second.
    ///
    /// It is a tenth at two calls a second and more. With fewer calls a trip takes less evidence.
    /// There it is so large that three failures in a row trip no breaker: a request that can't
    /// succeed and is tried three times. A trip teaches nothing, so each such request would trip.
    fn unseen_next(pace: f64) -> f64 {
        (0.14 / pace.sqrt()).clamp(0.1, 0.25)
    }

    /// The chance of a failure after a failure, as far as it was seen.
    fn next(self, pace: f64) -> f64 {
        // What is believed weighs as much as two failures.
        let unseen = 2.0 * Self::unseen_next(pace);
        (rate(self.pairs, 1) + unseen) / (rate(self.failed, 1) + 2.0)
    }

    /// How many failures more than by their [`share`](Self::share) are usual among calls right
    /// after a failure, in 1/256 for each call.
    #[cfg(feature = "fleet")]
    fn more_after_failure(self, pace: f64) -> u64 {
        let most = self.next(pace).min(0.95);
        whole((most - self.share()).max(0.0) * 256.0)
    }

    fn logs(self, pace: f64) -> Logs {
        // Calls that came while there was no evidence.
        let outside = self.calls.saturating_sub(self.inside + self.failed);
        let start = self.cautious(self.starts, outside + self.starts, 100);
        // Failures that neither started an excursion nor came right after another failure.
        let again = self.failed.saturating_sub(self.starts + self.pairs);
        let inside = self
            .cautious(again, self.inside, self.unseen_inside())
            .max(start);
        let next = self.next(pace);
        let most = if self.conceded && self.come_alone() {
            Self::ALONE
        } else {
            0.95
        };
        Logs {
            start: Surprise::at(start).failure,
            after_success: Surprise::at(inside),
            after_failure: Surprise::at(next.max(inside).clamp(0.02, most)),
        }
    }
}

/// The usual behaviour of the dependency. It outlasts generations.
#[derive(Debug)]
pub(super) struct Baseline {
    learnt: SelfContained,
    logs: AtomicU64,
    /// See [`Learnt::more_after_failure`].
    #[cfg(feature = "fleet")]
    more_after_failure: SelfContained,
    /// The time up to which calls are learnt, in nanoseconds.
    learnt_until: SelfContained,
    /// Calls per second, as the bits of an `f64`.
    pace: SelfContained,
    /// When the pace was last measured, in nanoseconds; zero if never.
    paced_at: SelfContained,
}

impl Baseline {
    /// The time between two looks at the traffic, in nanoseconds. A generation's first second has
    /// shorter ones.
    const INTERVAL: u64 = 1_000_000_000;
    /// The highest pace that is believed, in calls per second. It bounds the evidence that a trip
    /// takes.
    pub(super) const FASTEST: f64 = 1e8;
    /// The shortest time over which a pace is measured, in nanoseconds.
    const MOMENT: u64 = 10_000_000;

    pub(super) fn new() -> Self {
        let learnt = Learnt::default();
        Self {
            learnt: SelfContained::new(learnt.pack()),
            logs: AtomicU64::new(learnt.logs(1.0).pack()),
            #[cfg(feature = "fleet")]
            more_after_failure: SelfContained::new(learnt.more_after_failure(1.0)),
            learnt_until: SelfContained::new(0),
            pace: SelfContained::new(1.0_f64.to_bits()),
            paced_at: SelfContained::new(0),
        }
    }

    #[cfg(feature = "serde")]
    pub(super) fn save(&self, ages: Ages) -> SavedBaseline {
        // A call that is learnt between two of these loads is saved twice or not at all.
        let learnt = Learnt::unpack(self.learnt.load());
        let learnt_until = self.learnt_until.load();
        let paced_at = self.paced_at.load();
        SavedBaseline {
            learnt: [
                learnt.calls,
                learnt.failed,
                learnt.pairs,
                learnt.starts,
                learnt.inside,
            ],
            learnt_until: ages.of(learnt_until),
            pace: self.pace().to_bits(),
            paced_at: ages.of(paced_at),
        }
    }

    #[cfg(feature = "serde")]
    fn learnt_of([calls, failed, pairs, starts, inside]: [u64; 5]) -> Learnt {
        Learnt {
            calls,
            failed,
            pairs,
            starts,
            inside,
            // A restored breaker concedes again.
            conceded: false,
        }
    }

    /// Whether a breaker can have learnt these numbers. Each must be in its range already.
    #[cfg(feature = "serde")]
    pub(super) fn can_have_learnt(saved: [u64; 5]) -> bool {
        Self::learnt_of(saved).is_possible()
    }

    #[cfg(feature = "serde")]
    pub(super) fn restore(saved: &SavedBaseline, ages: Ages) -> Self {
        let learnt = Self::learnt_of(saved.learnt);
        Self {
            learnt: SelfContained::new(learnt.pack()),
            logs: AtomicU64::new(learnt.logs(f64::from_bits(saved.pace)).pack()),
            #[cfg(feature = "fleet")]
            more_after_failure: SelfContained::new(
                learnt.more_after_failure(f64::from_bits(saved.pace)),
            ),
            learnt_until: SelfContained::new(ages.moment(saved.learnt_until)),
            pace: SelfContained::new(saved.pace),
            paced_at: SelfContained::new(ages.moment(saved.paced_at)),
        }
    }

    /// The largest value of each count, in the order in which they are saved.
    #[cfg(feature = "serde")]
    pub(super) const MOST: [u64; 5] = [
        learnt::CALLS.max(),
        Learnt::MEMORY,
        Learnt::MEMORY,
        Learnt::MEMORY,
        learnt::INSIDE.max(),
    ];

    /// Copies what another baseline has learnt. Lessons that come meanwhile may be lost.
    pub(super) fn inherit(&self, other: &Self) {
        // Words copied at different moments may disagree. The next look makes up for it.
        self.learnt.store(other.learnt.load());
        self.learnt_until.store(other.learnt_until.load());
        self.pace.store(other.pace.load());
        self.paced_at.store(other.paced_at.load());
        self.take_logs();
    }

    pub(super) fn logs(&self) -> Logs {
        // Relaxed: the word holds a whole value, and no other memory is read on the strength of it.
        // A thread that reads an old word weighs its outcome by what was usual then.
        Logs::unpack(self.logs.load(Ordering::Relaxed))
    }

    /// How surprising a failure at `place` is for a fleet, in 1/256 nat: at most 8 nats.
    ///
    /// A fleet isn't told of successes. It compares failures with the usual share of all expected
    /// calls. But more calls usually fail right after a failure. So each failure of an excursion
    /// but the first carries more: by how much more than usual the call after the failure before
    /// was expected to fail. That call is over by then. Otherwise a fleet whose failures usually
    /// follow one another would see no outage: each failure says little, and each expected call
    /// speaks against an outage as if only the usual share of such calls failed.
    #[cfg(feature = "fleet")]
    pub(super) fn surprise_of_failure(&self, place: Place) -> u64 {
        // A value from another lesson than the logs does no harm: both are nearly right.
        let more = || self.more_after_failure.load();
        let (field, more) = match place {
            Place::AtStart => (logs::START, 0),
            Place::AfterSuccess => (logs::FAILURE, more()),
            Place::AfterFailure => (logs::NEXT_FAILURE, more()),
        };
        // Relaxed: see `logs`.
        let surprise = field.get(self.logs.load(Ordering::Relaxed)) + more;
        surprise.min(logs::START.max())
    }

    /// The share of calls that usually fail.
    pub(super) fn share(&self) -> f64 {
        Learnt::unpack(self.learnt.load()).share()
    }

    /// The traffic, in calls per second.
    pub(super) fn pace(&self) -> f64 {
        f64::from_bits(self.pace.load())
    }

    /// Learns the counts of an excursion that was no outage and ended at `now`.
    ///
    /// It also learns that earlier calls went well: those of the `nanos` nanoseconds before `began`
    /// that aren't learnt yet.
    pub(super) fn learn(&self, more: Learnt, began: u64, now: u64, nanos: u64) {
        // Calls that come between two of these accesses are learnt with the next excursion.
        let before = self.learnt_until.raise(now);
        let passed = began.min(now).saturating_sub(before).min(nanos);
        let calls = whole(self.pace() * rate(passed, 1) / 1e9);
        let calls = calls.saturating_add(more.calls);
        let more = Learnt { calls, ..more };
        let mut seen = self.learnt.load();
        loop {
            let new = Learnt::unpack(seen).plus(more);
            match self.learnt.exchange(seen, new.pack()) {
                Ok(()) => return self.take_logs(),
                Err(found) => seen = found,
            }
        }
    }

    /// Concedes that `share` of the calls fails, because a recovery has accepted it.
    pub(super) fn concede(&self, share: f64) {
        let mut seen = self.learnt.load();
        while let Some(new) = Learnt::unpack(seen).conceding(share) {
            match self.learnt.exchange(seen, new.pack()) {
                Ok(()) => return self.take_logs(),
                Err(found) => seen = found,
            }
        }
    }

    /// Recomputes from what is learnt and from the pace what follows from them.
    fn take_logs(&self) {
        self.exchange_logs();
        #[cfg(feature = "fleet")]
        {
            // An older lesson than another thread's may win. The next lesson makes up for it.
            let learnt = Learnt::unpack(self.learnt.load());
            let more = learnt.more_after_failure(self.pace());
            self.more_after_failure.store(more);
        }
    }

    fn exchange_logs(&self) {
        // Relaxed: the exchange below fails if this value is out of date.
        let mut seen = self.logs.load(Ordering::Relaxed);
        loop {
            // This word is loaded again below, to see whether it has changed.
            let learnt = self.learnt.load();
            // An old pace does no harm: the next look corrects it.
            let new = Learnt::unpack(learnt).logs(self.pace()).pack();
            // AcqRel: pairs with the same exchange in other threads. The last thread to exchange
            // then sees all that the others have learnt when it loads `learnt` again. Otherwise the
            // logs could leave out another thread's lesson. Relaxed: a failed exchange only gives
            // the word for the next attempt, which acquires.
            match self
                .logs
                .compare_exchange(seen, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if self.learnt.load() == learnt => return,
                Ok(_) => seen = new,
                Err(found) => seen = found,
            }
        }
    }

    /// Whether it is time to look at the traffic again, in a generation that began at `since`.
    ///
    /// It is time once per second. In a generation's first second it is time whenever its age has
    /// doubled. If the pace is known from an earlier generation, the first look comes after a
    /// second.
    pub(super) fn is_due(&self, now: u64, since: u64) -> bool {
        Self::is_due_after(self.paced_at.load(), now, since)
    }

    fn is_due_after(before: u64, now: u64, since: u64) -> bool {
        let next = match before {
            0 => 0,
            before if before < since => since.saturating_add(Self::INTERVAL),
            before => before.saturating_add(Self::INTERVAL.min(before - since)),
        };
        now >= next
    }

    /// Measures the pace if it is time, and returns whether it was.
    ///
    /// `calls` returns the number of calls in a window of `window` nanoseconds.
    pub(super) fn take_pace(
        &self,
        now: u64,
        since: u64,
        window: u64,
        calls: impl FnOnce() -> u64,
    ) -> bool {
        // If two threads meet here, one of them measures.
        let before = self.paced_at.load();
        let takes = Self::is_due_after(before, now, since)
            && self.paced_at.exchange(before, now.max(1)).is_ok();
        if takes {
            // One call in the first microsecond doesn't mean a million calls per second.
            let covered = now.saturating_sub(since).min(window).max(Self::MOMENT);
            let pace = rate(calls().max(1), 1) / (rate(covered, 1) / 1e9);
            self.pace.store(pace.min(Self::FASTEST).to_bits());
            self.take_logs();
        }
        takes
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
impl Logs {
    /// What is usual with these chances of a failure: at the start of an excursion, after a success
    /// and after a failure.
    pub(super) fn of_chances(start: f64, inside: f64, next: f64) -> Self {
        let logs = Self {
            start: Surprise::at(start).failure,
            after_success: Surprise::at(inside),
            after_failure: Surprise::at(next),
        };
        Self::unpack(logs.pack())
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
impl Baseline {
    /// Makes this usual, at `pace` calls a second.
    pub(super) fn teach(&self, logs: Logs, pace: f64) {
        self.logs.store(logs.pack(), Ordering::Relaxed);
        self.pace.store(pace.to_bits());
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn learnt() -> impl Strategy<Value = Learnt> {
        let parts = |failed| (0..=failed, 0..=failed);
        let inside = 0..=learnt::INSIDE.max();
        (0..=learnt::CALLS.max(), 0..=Learnt::MEMORY, inside).prop_flat_map(
            move |(calls, failed, inside)| {
                parts(failed).prop_map(move |(one, other)| Learnt {
                    calls,
                    failed,
                    pairs: one.min(other),
                    starts: failed - one.max(other),
                    inside,
                    conceded: false,
                })
            },
        )
    }

    /// Counts of runs of failures; each run is an excursion that two successes ended.
    fn of(calls: u64, failed: u64, pairs: u64) -> Learnt {
        let runs = failed - pairs;
        Learnt {
            calls,
            failed,
            pairs,
            starts: runs,
            inside: runs,
            conceded: false,
        }
    }

    /// Fails when: a failure after a failure is as surprising for a fleet as for the breaker; the
    /// first failure of an excursion is more surprising.
    #[cfg(feature = "fleet")]
    #[test]
    fn where_failures_follow_one_another_all_but_the_first_say_more_to_a_fleet() {
        let baseline = Baseline::new();
        baseline.learn(of(2_000, 200, 100), 0, SECOND, SECOND);
        let logs = baseline.logs();
        // Half of the failures follow another, and a tenth of the calls fails.
        for (place, own, more) in [
            (Place::AtStart, logs.start, 0.0),
            (Place::AfterSuccess, logs.after_success.failure, 0.394),
            (Place::AfterFailure, logs.after_failure.failure, 0.394),
        ] {
            let found = rate(baseline.surprise_of_failure(place), 256);
            let expected = own.get() + more;
            assert!(
                (found - expected).abs() < 0.01,
                "{place:?}: {found}, not {expected}"
            );
        }
    }

    proptest! {
        /// Fails when: rounding makes pairs a larger part of the failures.
        #[test]
        fn a_concession_holds(known in learnt(), share in 0.01_f64..0.25) {
            if let Some(new) = known.conceding(share) {
                prop_assert!(new.come_alone(), "{known:?} became {new:?}");
                prop_assert!(new.share() >= share.min(Learnt::LARGEST_CONCEDED) - 0.01);
            }
        }
    }

    #[test]
    fn a_share_of_11_percent_with_many_pairs_is_conceded() {
        let known = Learnt {
            calls: 5_000,
            failed: 500,
            pairs: 149,
            starts: 200,
            inside: 1_000,
            conceded: false,
        };
        let new = known.conceding(0.112).unwrap();
        assert!(new.come_alone(), "{new:?}");
    }

    /// The chance of an outcome with this surprise.
    fn chance(surprise: Nats) -> f64 {
        (-surprise.get()).exp()
    }

    #[track_caller]
    fn assert_close(found: f64, expected: f64, factor: f64) {
        let is_close = found < expected * factor && found > expected / factor;
        assert!(is_close, "{found}, not {expected}");
    }

    #[test]
    fn as_long_as_nothing_was_seen_one_in_a_hundred_fails_and_more_after_that() {
        let nothing = Learnt::default();
        assert_close(nothing.share(), 0.01, 1.000_001);
        let logs = nothing.logs(1_000.0);
        assert_close(chance(logs.start), 0.01, 1.001);
        assert_close(chance(logs.after_success.failure), 0.1, 1.003);
        assert_close(chance(logs.after_failure.failure), 0.1, 1.003);
        let well = of(2_000, 0, 0).logs(1_000.0);
        assert_close(chance(well.after_success.failure), 0.02, 1.003);
    }

    #[test]
    fn once_enough_was_seen_the_share_is_what_was_seen_and_a_little_more() {
        for share in [0.002, 0.01, 0.05, 0.12] {
            let failed = 400.0;
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a few thousand"
            )]
            let calls = (failed / share) as u64;
            let learnt = of(calls, 400, 0);
            for found in [learnt.share(), chance(learnt.logs(1_000.0).start)] {
                assert!(found > share, "{found} of {share}");
                assert_close(found, share, 1.25);
            }
        }
    }

    /// Some requests can't succeed, and each is tried three times.
    #[test]
    fn failures_that_come_by_threes_are_learnt_as_runs() {
        let threes = of(30_000, 300, 200).logs(1_000.0);
        assert_close(chance(threes.after_failure.failure), 2.0 / 3.0, 1.02);
        assert_close(chance(threes.start), 100.0 / 30_000.0, 1.2);
        let alone = of(30_000, 300, 3).logs(1_000.0);
        assert_close(chance(alone.after_failure.failure), 0.02, 1.001);
    }

    /// Fails when: all failures are taken for the start of an excursion.
    #[test]
    fn failures_that_come_in_clusters_are_learnt_as_such() {
        // A hundred excursions hold two more failures each, among forty calls after a success.
        let clusters = Learnt {
            calls: 30_000,
            failed: 300,
            pairs: 0,
            starts: 100,
            inside: 4_000,
            conceded: false,
        };
        let logs = clusters.logs(1_000.0);
        // 100 of 25,800 calls outside and 200 of 4,000 inside, plus a standard deviation and one.
        assert_close(chance(logs.start), 111.0 / 25_900.0, 1.001);
        assert_close(chance(logs.after_success.failure), 215.1 / 4_050.0, 1.001);
    }

    #[test]
    fn lessons_are_added_up_and_the_past_fades() {
        let mut learnt = Learnt::default();
        for _ in 0..10_000 {
            learnt = learnt.plus(of(20, 1, 0));
        }
        assert_close(learnt.share(), 0.05, 1.15);
        // After as many lessons again, the old ones hardly count.
        for _ in 0..4 * Learnt::MEMORY {
            learnt = learnt.plus(of(100, 1, 0));
        }
        assert_close(learnt.share(), 0.01, 1.15);
    }

    /// Fails when: the calls are counted from the clock's origin, or those of an excursion by the pace.
    #[test]
    fn between_two_lessons_calls_are_counted_by_the_pace() {
        let baseline = Baseline::new();
        assert!(baseline.take_pace(10 * SECOND, 5 * SECOND, 60 * SECOND, || 500));
        assert_close(baseline.pace(), 100.0, 1.000_001);
        baseline.learn(of(0, 1, 0), 10 * SECOND, 10 * SECOND, 5 * SECOND);
        baseline.learn(of(0, 2, 1), 12 * SECOND, 12 * SECOND, 5 * SECOND);
        // A late lesson, from a thread that slept, adds no calls.
        baseline.learn(of(0, 0, 0), 11 * SECOND, 11 * SECOND, 5 * SECOND);
        let learnt = || Learnt::unpack(baseline.learnt.load());
        assert_eq!(learnt(), of(700, 3, 1));
        // An excursion of two seconds adds one second's calls before it, and its own ten.
        baseline.learn(of(10, 4, 1), 13 * SECOND, 15 * SECOND, 5 * SECOND);
        assert_eq!(learnt(), of(810, 7, 2));
        assert_eq!(baseline.logs(), Logs::unpack(learnt().logs(100.0).pack()));
    }

    /// Fails when: `take_pace` divides by whatever time has passed, or by more than the window.
    #[test]
    fn a_call_in_the_first_moment_is_no_million_a_second() {
        let pace = |now, since, calls| {
            let baseline = Baseline::new();
            assert!(baseline.take_pace(now, since, 60 * SECOND, || calls));
            baseline.pace()
        };
        assert_close(pace(0, 0, 1), 100.0, 1.000_001);
        assert_close(pace(SECOND / 10, 0, 50), 500.0, 1.000_001);
        assert_close(pace(600 * SECOND, 0, 600), 10.0, 1.000_001);
        assert_close(pace(601 * SECOND, 600 * SECOND, 10), 10.0, 1.000_001);
    }

    #[test]
    fn it_is_due_each_second_and_in_the_first_one_whenever_it_is_twice_as_old() {
        let is_due = |before, now, since| Baseline::is_due_after(before, now, since);
        assert!(is_due(0, 0, 0), "it never was");
        let since = 5 * SECOND;
        for (before, next) in [
            (since + 1_000, since + 2_000),
            (since + SECOND / 3, since + SECOND / 3 * 2),
            (since + SECOND, since + 2 * SECOND),
            (since + 100 * SECOND, since + 101 * SECOND),
            // The pace is known from the generation before.
            (since - 1, since + SECOND),
            (1, since + SECOND),
        ] {
            assert!(!is_due(before, next - 1, since), "{before}");
            assert!(is_due(before, next, since), "{before}");
        }
        let baseline = Baseline::new();
        assert!(baseline.take_pace(since + 1_000, since, SECOND, || 1));
        assert!(!baseline.take_pace(since + 1_999, since, SECOND, || 1));
        assert!(!baseline.is_due(since + 1_999, since) && baseline.is_due(since + 2_000, since));
        assert!(baseline.take_pace(since + 2_000, since, SECOND, || 1));
    }

    proptest! {
        /// Fails when: surprises are rounded up.
        #[test]
        fn words_give_back_what_was_packed_and_failures_surprise_no_more(learnt in learnt()) {
            let pairs = learnt.pairs.min(511);
            prop_assert_eq!(Learnt::unpack(learnt.pack()), Learnt { pairs, ..learnt });
            let logs = learnt.logs(1_000.0);
            let found = Logs::unpack(logs.pack());
            prop_assert_eq!(Logs::unpack(found.pack()), found);
            prop_assert_eq!(found.after_success.success, logs.after_success.success);
            prop_assert_eq!(found.after_failure.success, logs.after_failure.success);
            for (packed, found) in [
                (logs.start, found.start),
                (logs.after_success.failure, found.after_success.failure),
                (logs.after_failure.failure, found.after_failure.failure),
            ] {
                prop_assert!((0..logs::COARSE).contains(&(packed - found).0));
            }
        }

        #[test]
        fn whatever_is_learnt_a_thousandth_to_15_percent_fail_and_no_less_after_that(
            learnt in learnt(),
        ) {
            prop_assert!((0.001..=0.15).contains(&learnt.share()));
            let Logs { start, after_success, after_failure } = learnt.logs(1_000.0);
            prop_assert!(start <= Surprise::at(0.001).failure);
            prop_assert!(start >= after_success.failure);
            prop_assert!(after_success.failure >= Surprise::at(0.15).failure);
            prop_assert!(after_failure.failure <= after_success.failure);
            prop_assert!(after_failure.failure <= Surprise::at(0.02).failure);
            prop_assert!(after_failure.failure >= Surprise::at(0.95).failure);
        }

        #[test]
        fn a_sum_has_room_in_its_word_and_shares_that_are_those_of_its_parts(
            one in learnt(), other in learnt(),
        ) {
            let sum = one.plus(other);
            prop_assert_eq!(Learnt::unpack(sum.pack()), Learnt { pairs: sum.pairs.min(511), ..sum });
            prop_assert!(sum.failed <= Learnt::MEMORY && sum.pairs + sum.starts <= sum.failed);
            let failed = rate(one.failed + other.failed, one.calls + other.calls);
            if sum.failed > 0 && sum.calls > 1_000 {
                let rounding = 1.0 / rate(sum.failed, 1) + 0.001;
                let found = rate(sum.failed, sum.calls);
                prop_assert!((found / failed - 1.0).abs() <= rounding, "{found}, not {failed}");
            }
        }
    }
}
