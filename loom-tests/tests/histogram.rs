//! The histograms: a call is counted once, in its own turn of the ring. Threads share the
//! histograms, or one thread owns them. No reader sees a call that never was.

use std::time::Duration;

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{
    Bin, BinCounts, Call, CallContext, ClockReading, FixedContext, Generation, Histograms,
    Latencies, Now, Ring, Sample, Stamp, Tally, ThreadSlot, ThreadSlots, TimeRing, Took,
};
use tripcurve::time::{Clock, MockClock};

const FIRST: Generation = Generation::FIRST;

/// Bins that share the first word, and one in the second.
const BIN: usize = 0;
const NEIGHBOUR: usize = 1;
const APART: usize = Histograms::BINS_A_WORD;

/// The number of turns after which a bucket's sequences repeat.
const ROUND: u64 = 32;

fn stamp(turn: u64) -> Stamp {
    Stamp::new(FIRST, turn)
}

fn of_one_bucket() -> Histograms {
    Histograms::new(1, 2 * Histograms::BINS_A_WORD)
}

/// The bins of a turn that have calls, each with its count.
fn told(histograms: &Histograms, turn: u64) -> Vec<(usize, u64)> {
    let mut bins = Vec::new();
    histograms.read(
        0,
        |found| found == stamp(turn),
        |bin, count| bins.push((bin, count)),
    );
    bins
}

/// A ring of one bucket, whose histogram all threads share, and its current turn.
struct Turning {
    histograms: Histograms,
    turn: AtomicU64,
}

impl Turning {
    /// A ring in turn 1, with calls in all words.
    fn new() -> Self {
        let turning = Self {
            histograms: of_one_bucket(),
            turn: AtomicU64::new(1),
        };
        assert!(turning.add(1, BIN));
        assert!(turning.add(1, APART));
        turning
    }

    /// Counts a call that ended in `turn`, if the turn is still current.
    fn add(&self, turn: u64, bin: usize) -> bool {
        let is_current = || self.turn.load(Ordering::Acquire) == turn;
        self.histograms.add(0, stamp(turn), bin, is_current)
    }

    fn turn_to(&self, turn: u64) {
        self.turn.store(turn, Ordering::Release);
    }

    fn told(&self, turn: u64) -> Vec<(usize, u64)> {
        told(&self.histograms, turn)
    }
}

/// Two calls of the current turn.
///
/// Fails when: `Histograms::add` stores a word instead of exchanging it.
#[test]
fn of_two_calls_in_one_bin_none_is_lost() {
    model(UNBOUNDED, || {
        let turning = Arc::new(Turning::new());
        let add = |turning: &Turning| assert!(turning.add(1, BIN));
        race(&turning, [add, add]);
        assert_eq!(turning.told(1), [(BIN, 3), (APART, 1)]);
    });
}

/// The first two calls of a turn. Either may clear the previous turns' counts, even when the other
/// has counted already.
///
/// Fails when: `Histograms::sweep` doesn't check that the bucket is still the one to clear, or
/// checks it before it reads the word.
#[test]
fn who_takes_a_bucket_over_leaves_the_calls_of_its_own_turn() {
    model(preemptions(4), || {
        let turning = Turning::new();
        turning.turn_to(2);
        let turning = Arc::new(turning);
        race(
            &turning,
            [
                |turning| assert!(turning.add(2, BIN)),
                |turning| assert!(turning.add(2, APART)),
            ],
        );
        assert_eq!(turning.told(2), [(BIN, 1), (APART, 1)]);
    });
}

/// A call of an ending turn is counted while the next turn's first call is counted.
///
/// Fails when: `Histograms::add` doesn't read the header again before it replaces a word; it
/// doesn't ask `is_current` before it replaces the header; it reads either word relaxed; it stores
/// the header; its writes to either word don't release.
#[test]
fn a_call_is_counted_in_its_own_turn_or_not_at_all() {
    model(preemptions(4), || {
        let turning = Turning::new();
        turning.turn_to(2);
        let turning = Arc::new(turning);
        race(
            &turning,
            [
                |turning| {
                    turning.add(2, BIN);
                },
                |turning| {
                    turning.turn_to(3);
                    assert!(turning.add(3, BIN));
                },
            ],
        );
        assert_eq!(turning.told(3), [(BIN, 1)]);
    });
}

/// A call of an ending turn, against two calls of the next turn in the same word.
///
/// Fails when: `Histograms::add` doesn't read the header again before it replaces a word; it
/// doesn't ask `is_current` before it replaces the header; it reads either word relaxed; it stores
/// the header; its writes to either word don't release.
#[test]
fn a_late_call_takes_nothing_from_two_of_the_next_turn() {
    model(preemptions(2).full(3), || {
        let turning = Arc::new(Turning::new());
        let counted = race(
            &turning,
            [
                |turning| {
                    turning.add(1, BIN);
                    0
                },
                |turning| {
                    turning.turn_to(2);
                    assert!(turning.add(2, BIN));
                    0
                },
                |turning| {
                    let turn = turning.turn.load(Ordering::Acquire);
                    assert!(turning.add(turn, NEIGHBOUR) || turn == 1);
                    turn - 1
                },
            ],
        );
        let neighbour = counted.into_iter().sum();
        let all = [(BIN, 1), (NEIGHBOUR, neighbour)];
        let some = all.iter().filter(|(_, count)| *count > 0);
        assert_eq!(turning.told(2), some.copied().collect::<Vec<_>>());
    });
}

/// A late call uses a word that isn't written again before its sequence repeats.
///
/// Fails when: `Histograms::add` takes a bucket over without `sweep`.
#[test]
fn a_late_call_is_not_shown_when_the_sequences_come_round() {
    model(preemptions(4), || {
        let turning = Turning::new();
        turning.turn_to(2);
        assert!(turning.add(2, BIN));
        let turning = Arc::new(turning);
        race(
            &turning,
            [
                |turning| {
                    turning.add(2, APART);
                },
                |turning| {
                    turning.turn_to(3);
                    assert!(turning.add(3, BIN));
                },
            ],
        );
        for turn in 4..=2 + ROUND {
            turning.turn_to(turn);
            assert!(turning.add(turn, BIN));
            assert_eq!(turning.told(turn), [(BIN, 1)]);
        }
    });
}

/// A reader of shared histograms, against the first call of a turn.
///
/// Fails when: `Histograms::read` doesn't compare a word's sequence with the header's.
#[test]
fn what_a_reader_is_told_of_a_turn_is_of_that_turn() {
    model(preemptions(4), || {
        let turning = Turning::new();
        turning.turn_to(2);
        let turning = Arc::new(turning);
        race(
            &turning,
            [
                |turning| assert!(turning.add(2, NEIGHBOUR)),
                |turning| {
                    // The reader may miss any of the calls, because its turn is ending or
                    // beginning.
                    let of_first = turning.told(1);
                    assert!(
                        of_first
                            .iter()
                            .all(|bin| [(BIN, 1), (APART, 1)].contains(bin))
                    );
                    let of_second = turning.told(2);
                    assert!(of_second.is_empty() || of_second == [(NEIGHBOUR, 1)]);
                },
            ],
        );
    });
}

/// Adds to histograms that one thread owns, at a fixed time.
fn add_own(histograms: &Histograms, turn: u64, bin: usize) {
    assert!(histograms.add_own(0, stamp(turn), bin, || true));
}

/// The owner begins a turn while a reader reads.
///
/// Fails when: `Histograms::read` doesn't compare a word's sequence with the header's.
#[test]
fn what_a_reader_is_told_of_an_owners_turn_is_of_that_turn() {
    model(preemptions(4), || {
        let histograms = of_one_bucket();
        add_own(&histograms, 1, BIN);
        add_own(&histograms, 1, APART);
        let histograms = Arc::new(histograms);
        race(
            &histograms,
            [
                |histograms| {
                    add_own(histograms, 2, NEIGHBOUR);
                    add_own(histograms, 2, NEIGHBOUR);
                },
                |histograms| {
                    // The reader may miss some calls, because its turn is ending or beginning.
                    let of_first = told(histograms, 1);
                    assert!(
                        of_first
                            .iter()
                            .all(|bin| [(BIN, 1), (APART, 1)].contains(bin))
                    );
                    let of_second = told(histograms, 2);
                    assert!(
                        of_second
                            .iter()
                            .all(|(bin, count)| *bin == NEIGHBOUR && *count <= 2)
                    );
                },
            ],
        );
        assert_eq!(told(&histograms, 2), [(NEIGHBOUR, 2)]);
    });
}

/// A reader, against an owner that used another word at this sequence's previous use.
///
/// Fails when: `Histograms::add_own` doesn't clear the words.
#[test]
fn what_an_owner_counted_is_not_shown_when_the_sequences_come_round() {
    model(preemptions(4), || {
        let histograms = of_one_bucket();
        add_own(&histograms, 1, APART);
        for turn in 2..=ROUND {
            add_own(&histograms, turn, BIN);
        }
        let histograms = Arc::new(histograms);
        race(
            &histograms,
            [
                |histograms| add_own(histograms, 1 + ROUND, BIN),
                |histograms| {
                    let seen = told(histograms, 1 + ROUND);
                    assert!(seen.is_empty() || seen == [(BIN, 1)]);
                },
            ],
        );
    });
}

/// A thread ends, and another one gets its slot and so its histograms. Or both live at the same
/// time, and each has its own.
///
/// Fails when: `ThreadSlots::give_back` doesn't release; when `ThreadSlots::take` doesn't acquire.
#[test]
fn who_takes_over_a_lane_goes_on_with_the_histograms_of_the_thread_before() {
    model(preemptions(4), || {
        let shared = Arc::new((ThreadSlots::new(), [of_one_bucket(), of_one_bucket()]));
        let live = |(thread_slots, histograms): &(ThreadSlots, [Histograms; 2])| {
            let thread_slot = thread_slots.take().expect("there are more");
            add_own(&histograms[thread_slot.0 as usize], 1, BIN);
            thread_slots.give_back(thread_slot);
        };
        race(&shared, [live, live]);
        let told = shared.1.iter().flat_map(|own| told(own, 1));
        assert_eq!(told.map(|(_, count)| count).sum::<u64>(), 2);
    });
}

/// Width of a bucket, in nanoseconds.
const WIDTH: u64 = 10;

/// Durations of calls, in bins of different words.
const SHORT: u64 = 600;
const LONG: u64 = 6_000;

/// A window of one bucket with histograms, under a moving clock.
struct Timed {
    ring: Ring,
    latencies: Latencies,
    clock: Clock,
    hand: MockClock,
}

impl Timed {
    fn new() -> Self {
        let (clock, hand) = Clock::mock();
        Self {
            ring: Ring::Time(TimeRing::new(WIDTH, 1, 1, false)),
            latencies: Latencies::new(1, 1, false),
            clock,
            hand,
        }
    }

    /// Records a success. Returns whether it was counted.
    fn record_now(&self, nanos: u64) -> bool {
        let took = Took {
            nanos,
            is_slow: false,
        };
        let took = Sample::new(took, 0, Some(&self.latencies));
        let call = self.ring.call(FIRST, self);
        self.ring
            .record_timed_at(call, Tally::Success, took, || true)
    }

    fn turn_to(&self, tick: u64) {
        self.hand.advance_to(Duration::from_nanos(tick * WIDTH));
    }

    /// The number of calls of each duration in the window at `tick`. No other durations occur.
    fn told(&self, tick: u64) -> Told {
        let context = FixedContext::on_first_thread_slot(tick * WIDTH);
        let call = Call::new(FIRST, ClockReading::at(context.nanos), &context);
        let mut counts = BinCounts::default();
        self.ring
            .read_latencies(Some(&self.latencies), call, &mut counts);
        let of = |nanos| counts.calls[Bin::of(nanos).number()];
        let (short, long) = (of(SHORT), of(LONG));
        assert_eq!(counts.calls(), short + long);
        Told { short, long }
    }
}

impl Now for Timed {
    fn raw(&self) -> u64 {
        self.clock.raw()
    }

    fn nanos_at(&self, raw: u64) -> u64 {
        self.clock.nanos_at(raw)
    }
}

impl CallContext for Timed {
    fn thread_slot(&self) -> ThreadSlot {
        ThreadSlot(0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    short: u64,
    long: u64,
}

/// A reader while a call of its tick is recorded, and then one of the next tick, which takes the
/// bucket.
///
/// The reader may miss any of the calls. Calls of its own tick leave with the bucket. The others
/// may come after it has passed their bin. It may also see the next tick's call, whose writer has
/// read the clock later.
///
/// Fails when: `Histograms::read` doesn't compare a word's sequence with the header's.
#[test]
fn a_picture_shows_no_call_that_never_was() {
    model(preemptions(2).full(3), || {
        let timed = Timed::new();
        assert!(timed.record_now(LONG));
        assert!(timed.record_now(LONG));
        timed.turn_to(1);
        assert!(timed.record_now(SHORT));
        assert!(timed.record_now(SHORT));
        assert_eq!(timed.told(1), Told { short: 2, long: 0 });
        let timed = Arc::new(timed);
        race(
            &timed,
            [
                |timed| {
                    assert!(timed.record_now(SHORT));
                    timed.turn_to(2);
                    assert!(timed.record_now(LONG));
                },
                |timed| {
                    let Told { short, long } = timed.told(1);
                    assert!(short <= 3 && long <= 1, "{short}, {long}");
                },
            ],
        );
        assert_eq!(timed.told(2), Told { short: 0, long: 1 });
    });
}
