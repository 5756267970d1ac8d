//! The ring of buckets: a call is counted once, in the bucket of its time, on its thread's own
//! words or on shared ones. Meanwhile the clock moves, the ring grows, or a thread takes over from
//! another.

use loom_tests::sync::Arc;
use loom_tests::{model, preemptions, race};
use std::time::Duration;
use tripcurve::__model::{
    AtomicState, Call, CallContext, ClockReading, Counts, FixedContext, Generation, Now, Phase,
    Ring, Tally, ThreadSlot, ThreadSlots, TimeRing,
};
use tripcurve::time::{Clock, MockClock};

const FIRST: Generation = Generation::FIRST;

/// Width of a bucket, in nanoseconds.
const WIDTH: u64 = 10;

/// A ring under a moving clock.
struct Turning {
    ring: TimeRing,
    clock: Clock,
    hand: MockClock,
}

impl Turning {
    fn new(buckets: u32) -> Arc<Self> {
        let (clock, hand) = Clock::mock();
        Arc::new(Self {
            ring: TimeRing::new(WIDTH, buckets, 1, false),
            clock,
            hand,
        })
    }

    /// Records a failure. Returns the tick of the clock reading, and whether the failure was
    /// counted.
    fn fail(&self) -> (u64, bool) {
        let reading = self.ring.read(self);
        (reading.raw / WIDTH, self.fail_at(reading))
    }

    fn fail_at(&self, reading: ClockReading) -> bool {
        let call = Call::new(FIRST, reading, self);
        self.ring.record_at(call, Tally::Failure, || true)
    }

    fn failures(&self, now: u64) -> u64 {
        self.ring.sum(Tally::Failure, FIRST, ClockReading::at(now))
    }

    fn turn(&self, ticks: u64) {
        self.hand.advance_to(Duration::from_nanos(ticks * WIDTH));
    }
}

impl Now for Turning {
    fn raw(&self) -> u64 {
        self.clock.raw()
    }

    fn nanos_at(&self, raw: u64) -> u64 {
        self.clock.nanos_at(raw)
    }
}

impl CallContext for Turning {
    fn thread_slot(&self) -> ThreadSlot {
        ThreadSlot(0)
    }
}

/// Two threads read the clock and record, while it moves on to the next bucket.
///
/// Fails when: `Latest::read` reads the clock first, or the place first.
#[test]
fn each_call_is_counted_in_the_bucket_of_its_time() {
    model(preemptions(3), || {
        let ring = Turning::new(2);
        let record = |ring: &Turning| {
            let (tick, counted) = ring.fail();
            assert!(counted, "both ticks are in the window");
            tick
        };
        let ticks = race(
            &ring,
            [record, record, |ring| {
                ring.turn(1);
                0
            }],
        );
        let late: u64 = ticks.into_iter().sum();
        assert_eq!(ring.failures(WIDTH), 2);
        assert_eq!(ring.failures(2 * WIDTH), late, "the first tick is over");
    });
}

/// Two threads record in a ring of one bucket, so the later bucket takes the earlier one's place.
#[test]
fn a_ring_that_turns_loses_nothing_of_the_newer_bucket() {
    model(preemptions(3), || {
        let ring = Turning::new(1);
        let record = |ring: &Turning| {
            let (tick, counted) = ring.fail();
            assert!(counted || tick == 0);
            tick
        };
        let ticks = race(
            &ring,
            [record, record, |ring| {
                ring.turn(1);
                0
            }],
        );
        assert_eq!(ring.failures(WIDTH), ticks.into_iter().sum::<u64>());
    });
}

/// A writer has read the clock and sleeps while the ring turns and another thread records.
///
/// Fails when: `TimeRing::record_at` doesn't read the clock again.
#[test]
fn a_writer_that_slept_through_a_turn_of_the_ring_does_not_damage_the_newer_bucket() {
    model(preemptions(4), || {
        let ring = Turning::new(1);
        let slept = ring.ring.read(&*ring);
        assert!(ring.fail_at(slept));
        race(
            &ring,
            [
                |ring| {
                    ring.fail_at(ClockReading::at(0));
                },
                |ring| {
                    ring.turn(1);
                    assert!(ring.fail().1);
                },
            ],
        );
        assert_eq!(ring.failures(WIDTH), 1);
    });
}

/// Two threads note the buckets of two ticks, and a third one records by these notes.
///
/// Fails when: `Latest::note` writes the begin before the place; `Latest::read` loads the begin
/// relaxed.
#[test]
fn what_two_threads_note_of_two_ticks_is_not_mistaken_for_each_other() {
    model(preemptions(1).full(3), || {
        let ring = Turning::new(3);
        ring.turn(1);
        let ticks = race(
            &ring,
            [
                |ring| ring.fail().0,
                |ring| {
                    ring.turn(2);
                    ring.fail().0
                },
                |ring| ring.fail().0,
            ],
        );
        let count = |tick| ticks.iter().filter(|noted| **noted == tick).count() as u64;
        assert_eq!(ring.failures(2 * WIDTH), 3);
        assert_eq!(ring.failures(4 * WIDTH), count(2), "the first tick is over");
    });
}

fn fail_in(generation: Generation, state: &AtomicState, ring: &TimeRing) -> bool {
    let context = FixedContext::on_first_thread_slot(5);
    let is_current = || state.load().generation() == generation;
    let call = Call::new(generation, ring.read(&context), &context);
    ring.record_at(call, Tally::Failure, is_current)
}

/// A generation ends while one of its calls is recorded, and the bucket of the new generation is
/// noted.
///
/// Fails when: `Latest::guess` doesn't check whose place it is.
#[test]
fn a_call_of_an_ended_generation_is_not_counted_where_the_new_one_was_noted() {
    model(preemptions(4), || {
        let state = AtomicState::new(Phase::Closed);
        let ring = TimeRing::new(WIDTH, 1, 1, false);
        fail_in(FIRST, &state, &ring);
        let shared = Arc::new((state, ring));
        race(
            &shared,
            [
                |(state, ring)| {
                    fail_in(FIRST, state, ring);
                },
                |(state, ring)| {
                    let next = state.force(Phase::Closed).generation;
                    assert!(fail_in(next, state, ring));
                },
            ],
        );
        let (state, ring) = &*shared;
        let next = state.load().generation();
        assert_eq!(ring.sum(Tally::Failure, next, ClockReading::at(5)), 1);
    });
}

fn on(thread_slot: ThreadSlot) -> FixedContext {
    FixedContext {
        nanos: 5,
        thread_slot,
    }
}

fn record(ring: &Ring, tally: Tally, thread_slot: ThreadSlot) {
    assert!(ring.record(tally, FIRST, &on(thread_slot), || true));
}

/// A call of the first generation whose clock reading knows no bucket.
fn call_at_five(context: &FixedContext) -> Call<'_, FixedContext> {
    Call::new(FIRST, ClockReading::at(5), context)
}

fn counts(ring: &Ring) -> Counts {
    let context = on(ThreadSlot(0));
    let call = call_at_five(&context);
    ring.all_counts(ring.failures_and_slow(call), call)
}

fn two_lanes() -> Ring {
    Ring::Time(TimeRing::new(WIDTH, 1, 2, false))
}

/// A thread ends, and another one gets its slot and so its words. Or both live at the same time,
/// and each has its own.
///
/// Fails when: `ThreadSlots::give_back` doesn't release; when `ThreadSlots::take` doesn't acquire.
#[test]
fn who_takes_over_a_lane_goes_on_with_the_counts_of_the_thread_before() {
    model(preemptions(3).full(4), || {
        let ring = two_lanes();
        ring.grow();
        let shared = Arc::new((ThreadSlots::new(), ring));
        let live = |(thread_slots, ring): &(ThreadSlots, Ring)| {
            let thread_slot = thread_slots.take().expect("there are more");
            record(ring, Tally::Success, thread_slot);
            thread_slots.give_back(thread_slot);
            thread_slot.0
        };
        race(&shared, [live, live]);
        assert_eq!(counts(&shared.1).successes, 2);
    });
}

/// Like the model above, with three threads. One of them has nothing to do with the slot's words.
///
/// Fails when: `ThreadSlots::give_back` doesn't release; `ThreadSlots::take` doesn't acquire.
#[test]
fn a_lane_is_handed_on_past_a_thread_that_takes_another() {
    model(preemptions(3), || {
        let ring = two_lanes();
        ring.grow();
        let shared = Arc::new((ThreadSlots::new(), ring));
        race(
            &shared,
            [
                |(thread_slots, ring)| {
                    let thread_slot = thread_slots.take().expect("there are more");
                    record(ring, Tally::Success, thread_slot);
                    thread_slots.give_back(thread_slot);
                },
                |(thread_slots, ring)| {
                    let thread_slot = thread_slots.take().expect("there are more");
                    record(ring, Tally::Success, thread_slot);
                },
                |(thread_slots, _)| {
                    let _other = thread_slots.take();
                },
            ],
        );
        assert_eq!(counts(&shared.1).successes, 2);
    });
}

/// The ring grows while two threads record on their own words, and a third one on shared words.
///
/// Fails when: `Shards::add` treats a thread without words of its own as one that has some.
#[test]
fn of_what_is_recorded_while_the_ring_grows_nothing_is_lost() {
    model(preemptions(2), || {
        let ring = Arc::new(two_lanes());
        race(
            &ring,
            [
                |ring| {
                    record(ring, Tally::Success, ThreadSlot(0));
                    record(ring, Tally::Success, ThreadSlot(0));
                },
                |ring| record(ring, Tally::Success, ThreadSlot(2)),
                |ring| {
                    ring.grow();
                    record(ring, Tally::Success, ThreadSlot(4));
                },
            ],
        );
        assert_eq!(counts(&ring).successes, 4);
    });
}

/// One thread records a success and then a failure, while another reads the window by `reads`.
/// `grows` decides whether the ring grows before.
fn a_failure_after_a_success(ring: Ring, grows: fn(&Ring), reads: fn(&Ring) -> Counts) {
    // Both words belong to this generation already, so calls are added on the fast path.
    record(&ring, Tally::Success, ThreadSlot(0));
    record(&ring, Tally::Failure, ThreadSlot(0));
    let shared = Arc::new((ring, grows, reads));
    let [seen, _] = race(
        &shared,
        [
            |(ring, _, reads)| reads(ring),
            |(ring, grows, _)| {
                grows(ring);
                record(ring, Tally::Success, ThreadSlot(0));
                record(ring, Tally::Failure, ThreadSlot(0));
                Counts::default()
            },
        ],
    );
    assert!(seen.failures <= seen.successes, "{seen:?}");
}

/// Fails when: `TimeRing::failures_and_slow` reads the successes first, or without the fence at its
/// end; `Stamped::update_own` doesn't release.
#[test]
fn a_reader_sees_no_failure_without_the_success_before_it() {
    model(preemptions(3), || {
        a_failure_after_a_success(two_lanes(), |_| {}, counts);
    });
}

/// Fails when: `TimeRing::failures_and_slow` reads the successes first, or without the fence at its
/// end; `Stamped::update_own` doesn't release.
#[test]
fn a_reader_sees_no_failure_without_the_success_on_its_threads_own_words_before_it() {
    model(preemptions(3), || {
        let ring = two_lanes();
        ring.grow();
        a_failure_after_a_success(ring, |_| {}, counts);
    });
}

/// Fails when: `TimeRing::failures_and_slow` checks before the fence whether the ring has grown.
#[test]
fn a_reader_sees_no_failure_without_the_success_before_it_when_the_ring_grew_before_that() {
    model(preemptions(3), || {
        a_failure_after_a_success(two_lanes(), Ring::grow, counts);
    });
}

/// A window of another size takes the calls over while a success and then a failure are recorded.
///
/// Fails when: `TimeRing::carry_over` has no fence between failures and successes.
#[test]
fn a_failure_is_carried_over_with_the_success_before_it() {
    let carried = |ring: &Ring| {
        let own = two_lanes();
        assert!(own.carry_over(ring, (FIRST, FIRST), &on(ThreadSlot(0))));
        counts(&own)
    };
    model(preemptions(3), move || {
        a_failure_after_a_success(two_lanes(), |_| {}, carried);
    });
}

/// A success and a failure in the short stretch that a burn rate judges.
///
/// Fails when: `TimeRing::short_counts` reads the successes without the fence before them.
#[test]
fn a_reader_sees_no_failure_of_the_last_bucket_without_the_success_before_it() {
    let short = |ring: &Ring| {
        let context = on(ThreadSlot(0));
        let counts = ring.short_counts(1, call_at_five(&context), |_| true);
        counts.expect("it is worth knowing")
    };
    model(preemptions(3), move || {
        a_failure_after_a_success(two_lanes(), |_| {}, short);
    });
}
