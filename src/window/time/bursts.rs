//! Tests of bursts and pauses against exact lists of calls.

use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::window::{Ring, Total};

const WIDTH: u64 = 64_000;
const FIRST: Generation = Generation::FIRST;

/// How late a clock reading may find that a bucket is over, and no call counts again.
const SOON: u64 = WIDTH / 64;

/// The calls of a thread that a pause may count again, at most.
const AGAIN: u64 = 16;

const THREADS: u32 = 3;

/// A clock that counts its readings, and a thread.
#[derive(Debug, Default)]
struct Caller {
    now: Cell<u64>,
    thread: Cell<u32>,
    readings: Cell<u64>,
}

impl Now for Caller {
    fn raw(&self) -> u64 {
        self.readings.set(self.readings.get() + 1);
        self.now.get()
    }

    fn nanos_at(&self, raw: u64) -> u64 {
        raw
    }
}

impl CallContext for Caller {
    fn thread_slot(&self) -> ThreadSlot {
        ThreadSlot(self.thread.get())
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many successes of a thread, so far apart.
    Burst {
        thread: u32,
        calls: u32,
        apart: u64,
    },
    Failure {
        thread: u32,
    },
    Pause(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let thread = || 0..THREADS;
    let bursts = prop_oneof![
        20 => (thread(), 1_000..3_000_u32, 0..4_u64),
        20 => (thread(), 1..40_u32, 0..40_u64),
        7 => (thread(), 1..40_u32, 0..20_000_u64),
        1 => (thread(), 140_000..150_000_u32, 0..2_u64),
    ];
    prop_oneof![
        12 => bursts.prop_map(|(thread, calls, apart)| Step::Burst { thread, calls, apart }),
        2 => thread().prop_map(|thread| Step::Failure { thread }),
        3 => (0..2 * WIDTH).prop_map(Step::Pause),
        1 => (0..10 * WIDTH).prop_map(Step::Pause),
    ]
}

/// A ring beside the exact list of its successes.
struct Life {
    ring: Ring,
    buckets: u64,
    caller: Caller,
    /// The times of the successes.
    exact: Vec<u64>,
    /// The bucket of the latest clock reading for a call.
    read_in: u64,
    /// The times of the clock readings that ended a pause.
    pauses: Vec<u64>,
    on_credit: u64,
}

impl Life {
    fn new(buckets: u32) -> Self {
        let ring = TimeRing::new(WIDTH, buckets, THREADS, false).lending();
        ring.shards.grow();
        Self {
            ring: Ring::Time(ring),
            buckets: buckets.into(),
            caller: Caller::default(),
            exact: Vec::new(),
            read_in: 0,
            pauses: Vec::new(),
            on_credit: 0,
        }
    }

    fn record(&mut self, tally: Tally, thread: u32) {
        let now = self.caller.now.get();
        self.caller.thread.set(thread);
        let before = self.caller.readings.get();
        assert!(self.ring.record(tally, FIRST, &self.caller, || true));
        if tally == Tally::Success {
            self.exact.push(now);
        }
        if self.caller.readings.get() == before {
            self.on_credit += 1;
            return;
        }
        let bucket = now / WIDTH;
        if bucket > self.read_in + 1 || bucket > self.read_in && now % WIDTH > SOON {
            self.pauses.push(now);
        }
        self.read_in = bucket;
    }

    fn go(&mut self, by: u64) {
        self.caller.now.set(self.caller.now.get() + by);
    }

    /// The successes that the ring shows, those that it may miss at most, and those that it must
    /// show, and may show.
    fn check(&self, is_judged: bool) {
        let now = self.caller.now.get();
        let begin = (now / WIDTH + 1).saturating_sub(self.buckets) * WIDTH;
        let count_from =
            |times: &[u64], from| times.iter().filter(|at| **at >= from).count() as u64;
        let shown = match &self.ring {
            Ring::Time(ring) => ring.sum(Tally::Success, FIRST, ClockReading::at(now)),
            Ring::Count(_) => unreachable!("it is a time window"),
        };
        // A word counts each call up to 131,071, and is a thousandth off above.
        let sum = count_from(&self.exact, begin);
        let slack = if sum < 131_072 { 0 } else { sum / 500 };
        let again = AGAIN * u64::from(THREADS);
        let missing = if is_judged {
            0
        } else {
            AGAIN * u64::from(THREADS)
        };
        let least = count_from(&self.exact, begin + SOON + 1).saturating_sub(missing + slack);
        let most = sum + again * count_from(&self.pauses, begin) + slack;
        assert!(
            (least..=most).contains(&shown),
            "{shown} isn't in {least}..={most} at {now}, pauses {:?}",
            self.pauses
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::effort::share_of(256)))]

    #[test]
    fn after_a_pause_no_success_is_missing_when_a_failure_is_judged(
        buckets in 1..6_u32,
        steps in proptest::collection::vec(steps(), 1..40),
    ) {
        let mut life = Life::new(buckets);
        for step in steps {
            match step {
                Step::Burst { thread, calls, apart } => {
                    for _ in 0..calls {
                        life.go(apart);
                        life.record(Tally::Success, thread);
                    }
                    life.check(false);
                }
                Step::Failure { thread } => {
                    life.record(Tally::Failure, thread);
                    life.check(true);
                }
                Step::Pause(length) => {
                    life.go(length);
                    life.check(false);
                }
            }
        }
    }
}

/// A bucket here counts each call at first, and then one in 2 and in 4.
#[test]
fn most_successes_of_a_burst_read_no_clock_and_are_in_the_totals_once() {
    let mut life = Life::new(3);
    for calls in 0..400_000 {
        life.go(u64::from(calls % 8 == 0));
        life.record(Tally::Success, 0);
    }
    assert!(life.on_credit > 370_000, "{}", life.on_credit);
    for _ in 0..20 {
        life.go(2 * WIDTH);
        life.record(Tally::Success, 0);
        life.record(Tally::Failure, 1);
        life.check(true);
    }
    let total = life.ring.totals().without(Total::Success, None);
    assert_eq!(total, 400_020);
}
