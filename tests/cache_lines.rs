//! Counts the cache lines that cores take from each other per call, which decides how a breaker
//! scales.
//!
//! A line stays in the caches that have it if only one core uses it, or if no core writes it. Any
//! other line moves from core to core. A move takes longer than a whole call without moves, and
//! only one core has the line at a time. So on many cores, the number of these transfers decides
//! the cost of a call. It can be counted on a machine of any size.
//!
//! One thread makes the calls of up to 32 cores, one call after the other, each in its core's
//! thread slot. Under `--cfg tripcurve_traced`, the atomics of `src/sync` note where they are
//! accessed. Everything else is the code that ships.
//!
//! The accesses then go through [`Caches`]. A core may read a line that it has, and write a line
//! that no other core has (the rule of MESI, without its names). Any other access is a transfer: it
//! fetches the line, or takes it away from cores that only read it. The caches are unbounded and
//! warm, so nothing else is counted.
//!
//! - Fields that aren't atomic are never written, but may share a line with a word that is. Reads
//!   of them aren't noted. So each call is assumed to read all of the breaker's fields, and a count
//!   window's. Separate allocations contain only words, or none.
//! - The allocator decides where in a line the breaker begins. The worst place counts.
//! - The assertions hold for lines of 64 and of 128 bytes. Processors fetch adjacent lines in
//!   pairs, and some have lines of 128 bytes.
//! - Thread-local words belong to one thread. The handle's reference count is the standard
//!   library's and isn't noted. `call` and `try_acquire` don't touch it.
//!
//! Overlapping calls are missing, in which a compare-exchange fails and is retried. Where the
//! number of transfers is zero, they make no difference: no core writes a line that another one
//! uses, in any order. Where it isn't zero, the number is a lower bound.
//!
//! ```text
//! RUSTFLAGS="--cfg tripcurve_traced" cargo test --features __model --target-dir target/traced \
//!     --test cache_lines -- --nocapture
//! ```
#![cfg(tripcurve_traced)]

#[path = "cache_lines/timed.rs"]
mod timed;
#[path = "cache_lines/weighed.rs"]
mod weighed;

use std::collections::HashMap;
use std::iter;
use std::ops::Range;
use std::time::Duration;

use tripcurve::__model::{
    Access, Core, CountRing, FixedContext, Generation, KeptTimes, Origin, Parts, Probes, Ring,
    Settings, Switch, Tally, ThreadSlot, TimeRing, accesses_of,
};
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, Outcome, State, TripPolicy};

const CORES: [u32; 6] = [1, 2, 4, 8, 16, 32];
/// Bytes of a line, and of two lines that are fetched together.
const LINES: [usize; 2] = [64, 128];
const ORDERS: [Order; 2] = [Order::RoundRobin, Order::Random];
/// The default window's number of buckets.
const BUCKETS: u32 = 10;
const WIDTH: u64 = 6_000_000_000;
/// The number of counted calls.
const CALLS: u32 = 6_400;
/// One call in this many fails. It has no divisor in common with the numbers of cores, so each core
/// has failures.
const SELDOM: u32 = 101;

/// The cores that have each line, one bit per core.
struct Caches(Vec<u64>);

impl Caches {
    /// Whether `core` must ask other caches: for the line, or for the right to write it.
    fn is_transfer(&mut self, core: u32, line: usize, writes: bool) -> bool {
        let holders = &mut self.0[line];
        let own = 1 << core;
        if writes {
            let is_alone = *holders == own;
            *holders = own;
            !is_alone
        } else {
            let is_there = *holders & own != 0;
            *holders |= own;
            !is_there
        }
    }
}

/// The order in which the cores call.
#[derive(Clone, Copy, Debug)]
enum Order {
    RoundRobin,
    Random,
}

/// The generator `SplitMix64` (Steele, Lea and Flood), so every run is equal.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((bits ^ (bits >> 31)) % u64::from(sides)).unwrap()
    }
}

/// A breaker, and its places in memory.
struct Subject {
    core: Box<Core>,
    /// The memory of fields that aren't atomic.
    plain: Vec<Range<usize>>,
    /// Memory that isn't aligned to lines. The allocator decides where in a line it begins.
    loose: Vec<Range<usize>>,
}

fn bytes_of<T>(value: &T) -> Range<usize> {
    let begin = std::ptr::from_ref(value).addr();
    begin..begin + size_of::<T>()
}

impl Subject {
    fn new(ring: Ring, policies: impl IntoIterator<Item = TripPolicy>) -> Self {
        let settings = Settings {
            name: "cache lines".into(),
            policies: Vec::from_iter(policies).into(),
            open_for: u64::MAX,
            probes: Probes::all(3),
            probe_timeout: u64::MAX,
            on_cancel: Outcome::Ignored,
            switch: Switch::default(),
        };
        Self::of(Core::new(
            Parts {
                settings,
                ring,
                optional: None,
            },
            None,
            State::Closed,
            0,
        ))
    }

    fn of(core: Core) -> Self {
        let core = Box::new(core);
        let bytes = bytes_of(&*core);
        Self {
            core,
            plain: vec![bytes.clone()],
            loose: vec![bytes],
        }
    }

    fn with_classic_policies(ring: Ring) -> Self {
        let rate = TripPolicy::failure_rate(0.5).min_calls(10).into();
        Self::new(ring, [TripPolicy::consecutive_failures(5), rate])
    }

    /// A window that grows when it gets busy.
    fn growing() -> Self {
        Self::with_classic_policies(Ring::Time(TimeRing::new(
            WIDTH,
            BUCKETS,
            ThreadSlot::OWNED,
            false,
        )))
    }

    fn grown_with(buckets: u32) -> Self {
        let ring = Ring::Time(TimeRing::new(WIDTH, buckets, ThreadSlot::OWNED, false));
        ring.grow();
        Self::with_classic_policies(ring)
    }

    fn grown() -> Self {
        Self::grown_with(BUCKETS)
    }

    /// A grown window, with policies that even all failures don't satisfy.
    fn never_tripping() -> Self {
        let ring = Ring::Time(TimeRing::new(WIDTH, BUCKETS, ThreadSlot::OWNED, false));
        ring.grow();
        let in_a_row = TripPolicy::consecutive_failures(u32::MAX);
        Self::new(ring, [in_a_row, TripPolicy::failure_count(u32::MAX).into()])
    }

    /// A breaker with `shards(1)`, like any window before it has grown.
    fn one_shard() -> Self {
        Self::with_classic_policies(Ring::Time(TimeRing::new(WIDTH, BUCKETS, 1, false)))
    }

    fn last_100_calls() -> Self {
        let ring = Box::new(CountRing::new(100, None, KeptTimes::NONE));
        let bytes = bytes_of(&*ring);
        // One turn of the ring shows which words are allocated separately.
        let accesses = accesses_of(|| {
            for _ in 0..200 {
                let context = at(0, 0);
                let origin = Origin::new(Generation::FIRST, &context);
                ring.record(Tally::Success, None, origin, || true);
            }
        });
        let outside = accesses.iter().map(|access| access.address);
        let outside: Vec<_> = outside.filter(|word| !bytes.contains(word)).collect();
        let groups = *outside.iter().min().unwrap()..outside.iter().max().unwrap() + 8;
        let mut subject = Self::with_classic_policies(Ring::Count(ring));
        subject.plain.push(bytes);
        subject.loose.push(groups);
        subject
    }

    fn opened(self) -> Self {
        self.core.trip(u64::MAX, 0);
        self
    }
}

type Make = fn() -> Subject;

fn at(nanos: u64, thread_slot: u32) -> FixedContext {
    let thread_slot = ThreadSlot(thread_slot);
    FixedContext { nanos, thread_slot }
}

/// One call of a core. Calls are numbered.
type Call = fn(&Core, &FixedContext, u32);

fn settle(core: &Core, context: &FixedContext, outcome: Outcome) {
    let ticket = core.admit(context).unwrap();
    core.record(ticket, outcome, None, context);
}

fn success(core: &Core, context: &FixedContext, _: u32) {
    settle(core, context, Outcome::Success);
}

/// A success on a thread that came when all thread slots were taken.
fn late_success(core: &Core, context: &FixedContext, _: u32) {
    let late = at(context.nanos, ThreadSlot::OWNED + context.thread_slot.0);
    settle(core, &late, Outcome::Success);
}

fn failure(core: &Core, context: &FixedContext, _: u32) {
    settle(core, context, Outcome::Failure);
}

fn seldom_failure(core: &Core, context: &FixedContext, number: u32) {
    let fails = number.is_multiple_of(SELDOM);
    let outcome = if fails {
        Outcome::Failure
    } else {
        Outcome::Success
    };
    settle(core, context, outcome);
}

fn rejection(core: &Core, context: &FixedContext, _: u32) {
    assert!(core.admit(context).is_err());
}

/// The first core takes snapshots while the other cores' calls succeed.
fn snapshot_or_success(core: &Core, context: &FixedContext, number: u32) {
    if context.thread_slot == ThreadSlot(0) {
        let _ = core.snapshot(context);
    } else {
        success(core, context, number);
    }
}

/// The words that calls have accessed.
struct Trace {
    words: Vec<usize>,
    loose: Vec<Range<usize>>,
    /// The core and the accesses of each call. An access is the word's index in `words` and whether
    /// it was written.
    calls: Vec<(u32, Vec<(usize, bool)>)>,
    /// The number of calls that only warm the caches.
    warm: usize,
}

impl Trace {
    /// Each core calls in all buckets of a window, twice. Then `counted` calls follow: the first
    /// number in the last of these buckets, the second in the next bucket, and so on.
    fn new(subject: &Subject, call: Call, cores: u32, order: Order, counted: &[u32]) -> Self {
        let mut words = Vec::new();
        let mut places = HashMap::new();
        let mut place_of = |address| {
            *places.entry(address).or_insert_with(|| {
                words.push(address);
                words.len() - 1
            })
        };
        let plain = subject.plain.iter().flat_map(|piece| {
            let ends = iter::once(piece.end - 1);
            piece.clone().step_by(LINES[0]).chain(ends)
        });
        let plain: Vec<_> = plain.map(|address| (place_of(address), false)).collect();

        let mut calls = Vec::new();
        let mut dice = Dice(1);
        let mut make = |tick: u64, count| {
            for number in 0..count {
                let core = match order {
                    Order::RoundRobin => number % cores,
                    Order::Random => dice.roll(cores),
                };
                let context = at(tick * WIDTH, core);
                let mut accesses = plain.clone();
                let noted = accesses_of(|| call(&subject.core, &context, number));
                accesses.extend(noted.iter().map(|it| (place_of(it.address), it.writes)));
                calls.push((core, accesses));
            }
            calls.len()
        };
        let last = u64::from(2 * BUCKETS);
        let warm = (1..=last).map(|tick| make(tick, 20 * cores)).max().unwrap();
        for (tick, count) in (last..).zip(counted) {
            make(tick, *count);
        }
        let loose = subject.loose.clone();
        Self {
            words,
            loose,
            calls,
            warm,
        }
    }

    /// The transfers between caches with lines of this length, at the worst place in memory.
    fn transfers(&self, line: usize) -> u32 {
        let offsets = (0..line).step_by(align_of::<Core>());
        let transfers = offsets.map(|offset| self.transfers_at(line, offset));
        transfers.max().unwrap()
    }

    /// The transfers if unaligned memory begins at `offset` in a line.
    fn transfers_at(&self, line: usize, offset: usize) -> u32 {
        let mut found = HashMap::new();
        let lines = self.words.iter().map(|word| {
            let mut loose = self.loose.iter().enumerate();
            let address = match loose.find(|(_, piece)| piece.contains(word)) {
                // These are low addresses, where the heap never is.
                Some((number, piece)) => 4_096 * number + offset + (word - piece.start),
                None => *word,
            };
            let next = found.len();
            *found.entry(address / line).or_insert(next)
        });
        let lines: Vec<_> = lines.collect();
        let mut caches = Caches(vec![0; found.len()]);
        let mut transfers = 0;
        for (number, (core, accesses)) in self.calls.iter().enumerate() {
            for (word, writes) in accesses {
                let is_transfer = caches.is_transfer(*core, lines[*word], *writes);
                transfers += u32::from(is_transfer && number >= self.warm);
            }
        }
        transfers
    }
}

/// Counts the transfers of `counted` calls, for all numbers of cores, orders and line lengths.
/// Asserts that each count is at most `allowed` for its number of cores.
fn check(subject: Make, call: Call, counted: &[u32], allowed: impl Fn(u32) -> u32) {
    for cores in CORES {
        for order in ORDERS {
            let trace = Trace::new(&subject(), call, cores, order, counted);
            for line in LINES {
                let transfers = trace.transfers(line);
                assert!(
                    transfers <= allowed(cores),
                    "{transfers} transfers of {line} bytes; {cores} cores, {order:?}"
                );
            }
        }
    }
}

/// Words of a core fill a part of a line, a line, a pair of lines, one and a quarter, and more.
///
/// Fails when: `Spread`'s stride isn't rounded up, or to one line only; `GenerationCounter::clear`
/// writes a zero over a zero; every call notes the bucket.
#[test]
fn a_success_transfers_no_line_however_many_cores_there_are() {
    let subjects: [Make; 5] = [
        || Subject::grown_with(1),
        || Subject::grown_with(4),
        || Subject::grown_with(8),
        || Subject::grown_with(BUCKETS),
        || Subject::grown_with(60),
    ];
    for subject in subjects {
        check(subject, success, &[CALLS], |_| 0);
    }
}

/// The latest bucket's place and its begin may be on two lines. One core writes them, and the
/// others read them.
///
/// Fails when: `record_rarely` notes the bucket although it was guessed.
#[test]
fn a_new_bucket_transfers_at_most_two_lines_to_each_core() {
    for buckets in [1, 10] {
        let counted = vec![200; buckets];
        let new = u32::try_from(buckets).unwrap() - 1;
        check(Subject::grown, success, &counted, |cores| 2 * cores * new);
    }
}

/// Fails when: only successes are counted in a core's own words; every call notes the bucket.
#[test]
fn a_rejection_transfers_no_line_however_many_cores_there_are() {
    check(|| Subject::grown().opened(), rejection, &[CALLS], |_| 0);
}

/// Fails when: a busy bucket doesn't let the window grow.
#[test]
fn a_busy_window_grows_and_then_transfers_no_line() {
    // Two for each of the bucket's first ten thousand calls. Then each core finds words of its own.
    let allowed = |cores| 2 * 10_000 + 10 * cores;
    check(Subject::growing, success, &[2 * 10_000], allowed);
}

/// The cursor is read and written. The group is read by each core, and written by the first of
/// sixteen.
///
/// Fails when: a success writes a zero over a zero in its group.
#[test]
fn a_success_among_the_last_calls_transfers_at_most_three_lines_and_a_sixteenth() {
    let allowed = |_| 3 * CALLS + CALLS / 16;
    check(Subject::last_100_calls, success, &[CALLS], allowed);
}

/// The bucket's failures and the run of failures are each read and then written.
///
/// Fails when: every call notes the bucket.
#[test]
fn a_failure_transfers_at_most_four_lines_however_many_cores_there_are() {
    check(Subject::never_tripping, failure, &[CALLS], |_| 4 * CALLS);
}

/// How often a failing call exchanges each word, in the order of the words.
fn exchanges_of_a_failure(make: Make, step: u64) -> Vec<usize> {
    let subject = make();
    let mut written = Vec::new();
    for call in 0..40 {
        let context = at(WIDTH + call * step, 0);
        let accesses = accesses_of(|| failure(&subject.core, &context, 0));
        let writes = accesses.iter().filter(|access| access.writes);
        written = writes.map(|access| access.address).collect();
    }
    let mut words = written.clone();
    words.sort_unstable();
    words.dedup();
    let times = |word: &usize| written.iter().filter(|it| *it == word).count();
    words.iter().map(times).collect()
}

/// Fails when: a failure writes another word. `BENCHMARKS.md` names them.
#[test]
fn a_failure_writes_two_words_and_as_evidence_four() {
    for step in [0, 1_000] {
        let classic = exchanges_of_a_failure(Subject::never_tripping, step);
        let adaptive = exchanges_of_a_failure(weighed::never_tripping, step);
        println!("{step} ns apart: {classic:?}, as evidence {adaptive:?}");
        assert_eq!((classic.len(), adaptive.len()), (2, 4));
    }
}

/// Four lines for the failure, and two for the success that ends the run. Each core that then
/// checks for a run adds one.
///
/// Fails when: `GenerationCounter::clear` writes a zero over a zero.
#[test]
fn a_seldom_failure_transfers_six_lines_and_one_to_each_core() {
    let failures = CALLS.div_ceil(SELDOM);
    let allowed = |cores| failures * (cores + 6);
    check(Subject::grown, seldom_failure, &[CALLS], allowed);
}

/// The snapshot reads the line in which a core counts, and the core takes it back.
///
/// Fails when: `GenerationCounter::clear` writes a zero over a zero.
#[test]
fn a_snapshot_transfers_at_most_two_lines_for_each_core_that_calls() {
    for cores in CORES {
        let trace = snapshots(cores);
        for line in LINES {
            assert!(trace.transfers(line) <= SNAPSHOTS * 2 * (cores - 1));
        }
    }
}

const SNAPSHOTS: u32 = 50;

fn snapshots(cores: u32) -> Trace {
    let counted = [SNAPSHOTS * cores];
    Trace::new(
        &Subject::grown(),
        snapshot_or_success,
        cores,
        Order::RoundRobin,
        &counted,
    )
}

/// Tests the caches themselves with a known case: a counter that all cores add to.
#[test]
fn an_addition_to_a_shared_counter_transfers_one_line_and_to_an_own_one_none() {
    for cores in CORES {
        let shared = one_counter(cores, |_| 0);
        assert_eq!(shared.transfers(64), if cores == 1 { 0 } else { CALLS });
        let own = one_counter(cores, |core| 64 * core);
        assert_eq!(own.transfers(64), 0);
        let in_pairs = own.transfers(128);
        assert_eq!(in_pairs, if cores == 1 { 0 } else { CALLS });
    }
}

fn one_counter(cores: u32, place: fn(u32) -> u32) -> Trace {
    let calls = (0..cores + CALLS).map(|number| {
        let core = number % cores;
        (core, vec![(core as usize, true)])
    });
    Trace {
        words: (0..cores).map(|core| place(core) as usize).collect(),
        loose: Vec::new(),
        calls: calls.collect(),
        warm: cores as usize,
    }
}

/// The public API adds no noted word to the calls counted above.
///
/// Fails when: `call` or `try_acquire` asks for the state first.
#[test]
fn a_call_through_the_public_face_makes_the_accesses_that_are_counted() {
    let breaker = CircuitBreaker::builder("cache lines")
        .window(Window::time(Duration::from_secs(86_400), BUCKETS))
        .shards(ThreadSlot::OWNED)
        .build()
        .unwrap();
    let subject = Subject::grown();
    let public = || breaker.call(|| Ok::<_, ()>(())).unwrap();
    let counted = || success(&subject.core, &at(0, 0), 0);
    // The first calls note the bucket.
    public();
    counted();
    let kinds = |accesses: Vec<Access>| accesses.iter().map(|it| it.writes).collect::<Vec<_>>();
    assert_eq!(kinds(accesses_of(public)), kinds(accesses_of(counted)));
    let permit = || breaker.try_acquire().unwrap().success();
    assert_eq!(kinds(accesses_of(permit)), kinds(accesses_of(counted)));
}

/// One row of the table: the transfers per call or event for each number of cores.
fn row(what: &str, transfers: impl Fn(u32) -> (u32, u32)) -> String {
    let cells = CORES.map(|cores| match transfers(cores) {
        (transfers, of) if transfers % of == 0 => format!("{}", transfers / of),
        (transfers, of) => format!("{:.2}", f64::from(transfers) / f64::from(of)),
    });
    format!("| {what} | {} |\n", cells.join(" | "))
}

fn table() -> String {
    let mut table = "| transfers a call, by number of cores | 1 | 2 | 4 | 8 | 16 | 32 |\n\
                     |---|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    let calls: [(&str, Make, Call); 13] = [
        ("a success", Subject::grown, success),
        ("a rejection", || Subject::grown().opened(), rejection),
        (
            "one call in 101 fails, the others succeed",
            Subject::grown,
            seldom_failure,
        ),
        (
            "all fail, out of reach of the policies",
            Subject::never_tripping,
            failure,
        ),
        (
            "a success, before the window has grown or with `shards(1)`",
            Subject::one_shard,
            success,
        ),
        (
            "a success, by threads that came after 64 others",
            Subject::grown,
            late_success,
        ),
        (
            "a success, window of the last 100 calls",
            Subject::last_100_calls,
            success,
        ),
        (
            "a rejection, window of the last 100 calls",
            || Subject::last_100_calls().opened(),
            rejection,
        ),
        (
            "a success that is timed, with histograms and a limit for slow calls",
            || timed::subject(10),
            timed::fast,
        ),
        ("the same, slow", || timed::subject(u32::MAX), timed::slow),
        ("a success, adaptive policy", weighed::subject, success),
        (
            "one call in 101 fails, adaptive policy",
            weighed::subject,
            seldom_failure,
        ),
        (
            "all fail, out of reach of an adaptive policy",
            weighed::never_tripping,
            failure,
        ),
    ];
    for (what, subject, call) in calls {
        table += &row(what, |cores| {
            let trace = Trace::new(&subject(), call, cores, Order::RoundRobin, &[CALLS]);
            (trace.transfers(64), CALLS)
        });
    }
    table += &row("for comparison: all add to one counter", |cores| {
        (one_counter(cores, |_| 0).transfers(64), CALLS)
    });
    table += "| **transfers in all** | | | | | | |\n";
    table += &row("a new bucket begins", |cores| {
        let trace = Trace::new(
            &Subject::grown(),
            success,
            cores,
            Order::RoundRobin,
            &[0, CALLS],
        );
        (trace.transfers(64), 1)
    });
    table += &row("a snapshot, while all other cores call", |cores| {
        (snapshots(cores).transfers(64), SNAPSHOTS)
    });
    table
}

#[test]
fn the_table_in_benchmarks_is_this_one() {
    let table = table();
    println!("{table}");
    assert!(
        include_str!("../BENCHMARKS.md").contains(&table),
        "the table has changed; put the one above into BENCHMARKS.md"
    );
}
