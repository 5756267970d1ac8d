//! The percentiles of the calls in the window, compared with a plain sorted list.
//!
//! Each reported percentile is within a 32nd of the exact one. The exact one is the shortest
//! duration that at least that share of the calls doesn't exceed (nearest rank).

use std::time::Duration;

use base64::Engine;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, LogEntry,
};
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer, V2Serializer};
use proptest::collection::vec;
use proptest::prelude::*;
use tripcurve::outcome::Report;
use tripcurve::snapshot::Latency;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::{Recording, Timing, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, TripPolicy};

/// The durations that the octaves cover, in nanoseconds.
const OCTAVES: std::ops::Range<u64> = 512..1 << 36;

/// Percentiles in tenths of a percent, so that ranks are whole numbers.
const PERMILLES: [u64; 7] = [10, 100, 500, 900, 990, 999, 1_000];

// ------------------------------------------------------------------------------------- durations

/// A random number generator (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
/// generators"). So a hundred thousand durations are one seed for proptest.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A number in (0, 1].
    #[allow(clippy::cast_precision_loss, reason = "24 bits are enough")]
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 40) + 1) as f64 / (1_u64 << 24) as f64
    }

    /// A number from a normal distribution with mean 0 and deviation 1 (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "durations are positive, and those that don't fit are cut"
    )]
    fn log_normal(&mut self, median: f64, deviation: f64) -> u64 {
        (median * (deviation * self.normal()).exp()) as u64
    }
}

#[derive(Clone, Copy, Debug)]
enum Distribution {
    LogNormal {
        median: f64,
        deviation: f64,
    },
    /// A cache with a hit rate of nine in ten.
    Bimodal,
    /// One call in fifty waits for a time limit.
    Tail,
    /// Each octave is equally likely, including those beyond both ends.
    Octaves,
}

impl Distribution {
    fn draw(self, dice: &mut Dice) -> u64 {
        let share = dice.uniform();
        match self {
            Self::LogNormal { median, deviation } => dice.log_normal(median, deviation),
            Self::Bimodal if share < 0.9 => dice.log_normal(2e5, 0.2),
            Self::Bimodal => dice.log_normal(5e7, 0.3),
            Self::Tail if share < 0.98 => dice.log_normal(1e7, 0.5),
            Self::Tail => 30_000_000_000,
            Self::Octaves => {
                let octave = dice.next() % 40;
                (1 << octave) + dice.next() % (1 << octave)
            }
        }
    }
}

fn distributions() -> impl Strategy<Value = Distribution> {
    prop_oneof![
        (1e3..1e9, 0.1..2.0)
            .prop_map(|(median, deviation)| Distribution::LogNormal { median, deviation }),
        Just(Distribution::Bimodal),
        Just(Distribution::Tail),
        Just(Distribution::Octaves),
    ]
}

// ---------------------------------------------------------------------------------- the plain list

/// The durations of calls in nanoseconds, the shortest first.
#[derive(Clone, Debug)]
struct Sorted(Vec<u64>);

impl Sorted {
    fn new(nanos: impl IntoIterator<Item = u64>) -> Self {
        let mut sorted: Vec<_> = nanos.into_iter().collect();
        sorted.sort_unstable();
        Self(sorted)
    }

    /// The index of a percentile in the list.
    fn rank(&self, permille: u64) -> usize {
        let calls = self.0.len() as u64;
        let not_above = (calls * permille).div_ceil(1_000).max(1);
        usize::try_from(not_above).unwrap() - 1
    }

    fn percentile(&self, permille: u64) -> u64 {
        self.0[self.rank(permille)]
    }

    fn below(&self) -> usize {
        self.0.iter().filter(|it| **it < OCTAVES.start).count()
    }

    fn above(&self) -> usize {
        self.0.iter().filter(|it| **it >= OCTAVES.end).count()
    }

    /// The mean of the distinguishable values. Durations beyond the ends count as the last value.
    #[allow(clippy::cast_precision_loss, reason = "a mean needs no more")]
    fn mean(&self) -> f64 {
        let cut = |nanos: &u64| (*nanos).clamp(OCTAVES.start - 1, OCTAVES.end - 1) as f64;
        self.0.iter().map(cut).sum::<f64>() / self.0.len() as f64
    }
}

fn nanos(duration: Option<Duration>) -> u64 {
    duration.unwrap().as_nanos().try_into().unwrap()
}

#[allow(clippy::cast_precision_loss, reason = "tenths of a percent")]
fn percentile(latency: &Latency, permille: u64) -> u64 {
    nanos(latency.percentile(permille as f64 / 10.0))
}

/// Whether `reported` is a valid report of `exact`.
fn stands_for(reported: u64, exact: u64) -> bool {
    if exact < OCTAVES.start {
        reported == OCTAVES.start - 1
    } else if exact >= OCTAVES.end {
        reported == OCTAVES.end - 1
    } else {
        32 * reported.abs_diff(exact) <= exact
    }
}

fn compare(what: &str, latency: &Latency, exact: &Sorted) -> Result<(), TestCaseError> {
    prop_assert_eq!(latency.count(), exact.0.len() as u64, "{}", what);
    prop_assert_eq!(latency.below(), exact.below() as u64, "{}", what);
    prop_assert_eq!(latency.above(), exact.above() as u64, "{}", what);
    let (Some(first), Some(last)) = (exact.0.first(), exact.0.last()) else {
        let all = [latency.min(), latency.mean(), latency.max()];
        prop_assert_eq!(all, [None; 3], "{}", what);
        prop_assert_eq!(latency.percentile(50.0), None, "{}", what);
        return Ok(());
    };
    for (which, reported, exact) in [
        ("min", nanos(latency.min()), *first),
        ("max", nanos(latency.max()), *last),
    ] {
        let as_it_should = stands_for(reported, exact);
        prop_assert!(as_it_should, "{what}, {which}: {reported} for {exact}");
    }
    for permille in PERMILLES {
        let (reported, exact) = (percentile(latency, permille), exact.percentile(permille));
        let as_it_should = stands_for(reported, exact);
        prop_assert!(as_it_should, "{what}, {permille}: {reported} for {exact}");
    }
    let reported = 1e9 * latency.mean().unwrap().as_secs_f64();
    let off = reported / exact.mean() - 1.0;
    prop_assert!(off.abs() <= 0.034, "{what}: mean {off:+.4} off");
    Ok(())
}

// ------------------------------------------------------------------------------------- the window

#[derive(Clone, Copy, Debug)]
enum Kind {
    Time { length: u64, buckets: u32 },
    Count { calls: u32 },
    CountWithin { calls: u32, within: u64 },
}

impl Kind {
    fn window(self) -> Window {
        match self {
            Self::Time { length, buckets } => Window::time(Duration::from_nanos(length), buckets),
            Self::Count { calls } => Window::count(calls).into(),
            Self::CountWithin { calls, within } => Window::count(calls)
                .within(Duration::from_nanos(within))
                .into(),
        }
    }

    /// The width of a tick in nanoseconds and the number of the window's ticks, if it has ticks.
    fn ticks(self) -> Option<(u64, u64)> {
        match self {
            Self::Time { length, buckets } => Some((length / u64::from(buckets), buckets.into())),
            Self::Count { .. } => None,
            Self::CountWithin { within, .. } => Some((within / 64, 64)),
        }
    }

    fn capacity(self) -> usize {
        match self {
            Self::Time { .. } => usize::MAX,
            Self::Count { calls } | Self::CountWithin { calls, .. } => calls as usize,
        }
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    let length = || 1_000_000_000..300_000_000_000_u64;
    prop_oneof![
        3 => (length(), 1..=12_u32).prop_map(|(length, buckets)| Kind::Time { length, buckets }),
        1 => (1..150_u32).prop_map(|calls| Kind::Count { calls }),
        1 => (1..150_u32, length()).prop_map(|(calls, within)| Kind::CountWithin { calls, within }),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Call {
    at: u64,
    failed: bool,
    took: u64,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    /// Make calls, on this thread or on another one. They take as long as the clock moves, or
    /// report their durations.
    Calls {
        calls: u32,
        failed: bool,
        by_clock: bool,
        elsewhere: bool,
    },
    /// Advance the clock by this many hundredths of a tick.
    Advance(u64),
    Reset,
    Look,
}

fn operations() -> impl Strategy<Value = Operation> {
    prop_oneof![
        20 => (1..8_u32, any::<bool>(), 0..4_u8, 0..8_u8).prop_map(
            |(calls, failed, clock, thread)| Operation::Calls {
                calls,
                failed,
                by_clock: clock == 0,
                elsewhere: thread == 0,
            }
        ),
        10 => (1..400_u64).prop_map(Operation::Advance),
        2 => (400..2_000_u64).prop_map(Operation::Advance),
        1 => Just(Operation::Reset),
        10 => Just(Operation::Look),
    ]
}

/// A breaker that doesn't trip.
fn breaker(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("percentiles")
        .trip_when(TripPolicy::consecutive_failures(u32::MAX))
        .timing(Timing::EveryCall)
        .clock(clock);
    (settings(builder).build().unwrap(), hand)
}

/// A breaker, and the list of its calls.
struct Recorder {
    breaker: CircuitBreaker,
    hand: MockClock,
    now: u64,
    kind: Kind,
    calls: Vec<Call>,
    distribution: Distribution,
    dice: Dice,
}

impl Recorder {
    fn advance(&mut self, nanos: u64) {
        self.hand.advance(Duration::from_nanos(nanos));
        self.now += nanos;
    }

    fn call(&mut self, failed: bool, by_clock: bool, elsewhere: bool) {
        let took = self.distribution.draw(&mut self.dice);
        let outcome = if failed {
            Outcome::Failure
        } else {
            Outcome::Success
        };
        let permit = self.breaker.try_acquire_owned().unwrap();
        if by_clock {
            self.advance(took);
        }
        let record = move || {
            if by_clock {
                permit.record(outcome);
            } else {
                permit.record(Report::from(outcome).took(Duration::from_nanos(took)));
            }
        };
        if elsewhere {
            std::thread::scope(|threads| threads.spawn(record).join().unwrap());
        } else {
            record();
        }
        let at = self.now;
        self.calls.push(Call { at, failed, took });
    }

    fn apply(&mut self, operation: Operation) -> Result<(), TestCaseError> {
        match operation {
            Operation::Calls {
                calls,
                failed,
                by_clock,
                elsewhere,
            } => {
                for _ in 0..calls {
                    self.call(failed, by_clock, elsewhere);
                }
            }
            Operation::Advance(hundredths) => {
                let (width, _) = self.kind.ticks().unwrap_or((1_000_000, 1));
                self.advance(width * hundredths / 100);
            }
            Operation::Reset => {
                self.breaker.reset();
                self.calls.clear();
            }
            Operation::Look => self.look()?,
        }
        Ok(())
    }

    fn is_alive(&self, call: &Call) -> bool {
        let ticks = self.kind.ticks();
        ticks.is_none_or(|(width, ticks)| self.now / width - call.at / width < ticks)
    }

    fn sorted(&self, is_asked_for: impl Fn(&Call) -> bool) -> Sorted {
        let last = self.calls.iter().rev().take(self.kind.capacity());
        let alive = last.filter(|call| self.is_alive(call) && is_asked_for(call));
        Sorted::new(alive.map(|call| call.took))
    }

    fn look(&self) -> Result<(), TestCaseError> {
        let snapshot = self.breaker.snapshot();
        compare("all", snapshot.latency().unwrap(), &self.sorted(|_| true))?;
        if let Some(latency) = snapshot.latency_of_successes() {
            compare("successes", latency, &self.sorted(|call| !call.failed))?;
        }
        if let Some(latency) = snapshot.latency_of_failures() {
            compare("failures", latency, &self.sorted(|call| call.failed))?;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: crate::effort::share_of(256),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_a_histogram_says_is_at_most_a_32nd_off_what_a_list_of_the_windows_calls_says(
        kind in kinds(),
        distribution in distributions(),
        by_outcome: bool,
        shards in prop_oneof![Just(1_u32), Just(4)],
        seed: u64,
        operations in vec(operations(), 1..100),
    ) {
        let recording = if by_outcome { Recording::ByOutcome } else { Recording::Combined };
        let (breaker, hand) =
            breaker(|builder| builder.window(kind.window()).latency(recording).shards(shards));
        let mut recorder = Recorder {
            breaker,
            hand,
            now: 0,
            kind,
            calls: Vec::new(),
            distribution,
            dice: Dice(seed),
        };
        for operation in operations {
            recorder.apply(operation)?;
        }
        recorder.look()?;
        let snapshot = recorder.breaker.snapshot();
        prop_assert_eq!(snapshot.latency_of_successes().is_some(), by_outcome);
        prop_assert_eq!(snapshot.latency_of_failures().is_some(), by_outcome);
    }
}

// ------------------------------------------------------------------------------- more than it counts

/// Records successful calls of these durations.
fn record(breaker: &CircuitBreaker, nanos: impl IntoIterator<Item = u64>) {
    for took in nanos {
        let permit = breaker.try_acquire().unwrap();
        permit.record(Report::success().took(Duration::from_nanos(took)));
    }
}

/// Whether `reported` stands for a value at most `reach` places from `rank`.
fn stands_near(reported: u64, exact: &Sorted, rank: usize, reach: usize) -> bool {
    let last = exact.0.len() - 1;
    let near = rank.saturating_sub(reach)..=(rank + reach).min(last);
    exact.0[near].iter().any(|it| stands_for(reported, *it))
}

#[test]
fn of_a_hundred_thousand_calls_in_a_bucket_a_percentile_is_of_nearly_the_right_rank() {
    const CALLS: usize = 100_000;

    let deviations = [0.05, 2.0, 0.5, 0.2, 1.0];
    let some = crate::effort::share_of(5).max(2) as usize;
    for (seed, deviation) in deviations.into_iter().take(some).enumerate() {
        for shards in [1, 8] {
            let (breaker, _hand) =
                breaker(|builder| builder.latency(Recording::Combined).shards(shards));
            let mut dice = Dice(seed as u64);
            let took: Vec<_> = (0..CALLS)
                .map(|_| dice.log_normal(1e7, deviation))
                .collect();
            record(&breaker, took.iter().copied());
            let snapshot = breaker.snapshot();
            let latency = snapshot.latency().unwrap();
            let exact = Sorted::new(took);
            // The bound is five times the standard deviation of the count. A thread's random
            // numbers decide.
            assert!(
                latency.count().abs_diff(CALLS as u64) <= CALLS as u64 / 50,
                "{latency} of {CALLS}"
            );
            for permille in PERMILLES {
                // The longest calls share a word with the most frequent ones, of which few are
                // counted. So the very longest may be left out, as a thread's numbers decide.
                let reach = match permille {
                    ..990 => 500,
                    1_000 => 1_000,
                    _ => 100,
                };
                let reported = percentile(latency, permille);
                assert!(
                    stands_near(reported, &exact, exact.rank(permille), reach),
                    "deviation {deviation}, {shards} shards, {permille}: {reported} for {}",
                    exact.percentile(permille)
                );
            }
        }
    }
}

#[test]
fn one_slow_call_in_a_thousand_is_above_the_percentile_of_999_in_a_thousand() {
    let (breaker, _hand) = breaker(|builder| builder.latency(Recording::Combined));
    // Each bin has so few calls that all of them are counted.
    for millis in 1..=3 {
        record(&breaker, [millis * 1_000_000; 333]);
    }
    record(&breaker, [1_000_000_000]);
    let snapshot = breaker.snapshot();
    let reported = percentile(snapshot.latency().unwrap(), 999);
    assert!(stands_for(reported, 3_000_000), "{reported}");
}

// --------------------------------------------------------------------------------- merged, corrected

/// The report of a duration: the last nanosecond of the lower half of its sixteenth of an octave.
fn reported_as(nanos: u64) -> u64 {
    let octave = 1 << nanos.ilog2();
    let sixteenth = octave / 16;
    nanos - (nanos - octave) % sixteenth + sixteenth / 2 - 1
}

/// Fails when: a correction by a tiny interval takes minutes.
#[test]
fn a_correction_adds_at_most_a_hundred_thousand_calls_to_one() {
    for longest in [1_u64 << 20, 3_000_000_000, 60_000_000_000] {
        let (breaker, _hand) = breaker(|builder| builder.latency(Recording::Combined));
        record(&breaker, [longest]);
        let latency = breaker.snapshot().latency().unwrap().clone();
        let calls = latency.corrected(Duration::from_nanos(1)).count();
        assert!((90_000..=110_000).contains(&calls), "{longest}: {calls}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_merged_histograms_of_two_breakers_are_those_of_all_their_calls(
        distributions in [distributions(), distributions()],
        calls in [1..200_usize, 1..200_usize],
        seed: u64,
    ) {
        let mut dice = Dice(seed);
        let mut all = Vec::new();
        let mut merged = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 1 << 36, 2).unwrap();
        for (distribution, calls) in distributions.into_iter().zip(calls) {
            let (breaker, _hand) = breaker(|builder| builder.latency(Recording::Combined));
            let took: Vec<_> = (0..calls).map(|_| distribution.draw(&mut dice)).collect();
            record(&breaker, took.iter().copied());
            merged.add(breaker.snapshot().latency().unwrap().histogram()).unwrap();
            all.extend(took);
        }
        let exact = Sorted::new(all);
        prop_assert_eq!(merged.len(), exact.0.len() as u64);
        for permille in PERMILLES {
            #[allow(clippy::cast_precision_loss, reason = "tenths of a percent")]
            let reported = merged.value_at_percentile(permille as f64 / 10.0);
            let exact = exact.percentile(permille);
            prop_assert!(stands_for(reported, exact), "{}: {} for {}", permille, reported, exact);
        }
    }

    #[test]
    fn the_corrected_view_has_a_call_for_each_interval_that_a_caller_waited(
        medians in vec(1e5..1e8, 1..60),
        interval in 1_000_000..50_000_000_u64,
        seed: u64,
    ) {
        let (breaker, _hand) = breaker(|builder| builder.latency(Recording::Combined));
        let mut dice = Dice(seed);
        let took: Vec<_> = medians.into_iter().map(|it| dice.log_normal(it, 0.5).max(512)).collect();
        record(&breaker, took.iter().copied());
        let with_those_that_were_not_made = took.iter().flat_map(|took| {
            let first = reported_as(*took);
            let waits = std::iter::successors(Some(first), |left| left.checked_sub(interval));
            let later = waits.skip(1).take_while(|left| *left >= interval);
            std::iter::once(first).chain(later)
        });
        let exact = Sorted::new(with_those_that_were_not_made);
        let snapshot = breaker.snapshot();
        let corrected = snapshot.latency().unwrap().corrected(Duration::from_nanos(interval));
        prop_assert_eq!(corrected.count(), exact.0.len() as u64);
        for permille in PERMILLES {
            let (reported, exact) = (percentile(&corrected, permille), exact.percentile(permille));
            // As close as two significant digits allow.
            prop_assert!(100 * reported.abs_diff(exact) <= exact, "{} for {}", reported, exact);
        }
        let unchanged = snapshot.latency().unwrap().corrected(Duration::ZERO);
        prop_assert_eq!(Some(&unchanged), snapshot.latency());
    }
}

#[test]
fn a_histogram_is_the_same_after_it_was_written_in_the_formats_of_its_tools() {
    let breaker = CircuitBreaker::builder("exported")
        .latency(Recording::Combined)
        .build()
        .unwrap();
    for millis in 1..=500 {
        let permit = breaker.try_acquire().unwrap();
        permit.record(Report::success().took(Duration::from_millis(millis)));
    }
    let snapshot = breaker.snapshot();
    let written = snapshot.latency().unwrap().histogram();

    let mut bytes = Vec::new();
    V2Serializer::new().serialize(written, &mut bytes).unwrap();
    let read: Histogram<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .unwrap();
    assert_eq!(&read, written);

    // A log contains it compressed and in base64.
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    IntervalLogWriterBuilder::new()
        .begin_log_with(&mut log, &mut serializer)
        .unwrap()
        .write_histogram(written, Duration::ZERO, Duration::from_secs(60), None)
        .unwrap();
    let mut entries = IntervalLogIterator::new(&log).filter_map(Result::ok);
    let Some(LogEntry::Interval(interval)) = entries.next() else {
        panic!("no interval in the log")
    };
    let base64 = interval.encoded_histogram().as_bytes();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(base64)
        .unwrap();
    let read: Histogram<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .unwrap();
    assert_eq!(&read, written);
}
