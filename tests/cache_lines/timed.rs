//! Cache line transfers of a breaker that measures durations: histograms, slow calls, calls in
//! flight.

use std::num::NonZero;
use std::time::Duration;

use tripcurve::__model::{
    CallContext, Core, FixedContext, Latencies, Now, OptionalParts, Parts, Probes, Recording, Ring,
    Settings, Switch, ThreadSlot, TimeRing, Timed, Times,
};
use tripcurve::{Outcome, State, TripPolicy};

use super::{BUCKETS, CALLS, SELDOM, Subject, WIDTH, bytes_of, check};

/// The duration above which a call is slow, in nanoseconds.
const LIMIT: u64 = 1_000_000_000;

/// A grown window with a histogram per core, and policies that judge failed and slow calls.
pub(super) fn subject(min_calls: u32) -> Subject {
    let slower_than = Duration::from_nanos(LIMIT);
    let slow = TripPolicy::slow_rate(0.5).slower_than(slower_than);
    let errors = TripPolicy::failure_rate(0.5).min_calls(10);
    let settings = Settings {
        name: "cache lines".into(),
        policies: [TripPolicy::from(slow.min_calls(min_calls)), errors.into()].into(),
        open_for: u64::MAX,
        probes: Probes::all(3),
        probe_timeout: u64::MAX,
        on_cancel: Outcome::Ignored,
        switch: Switch::default(),
    };
    let spans = Times {
        slower_than: Some(slower_than),
        window: Duration::from_nanos(u64::from(BUCKETS) * WIDTH),
        tick: Duration::from_secs(1),
        tick_units: 1_000_000_000,
        watch_units: LIMIT / 4,
        sample_units: None,
        recording: Recording::Combined,
    };
    let latencies = Latencies::new(BUCKETS, ThreadSlot::OWNED, false);
    let timed = Timed::new(&spans, Some(latencies), &settings.policies);
    let beside = OptionalParts {
        timed: Some(Box::new(timed)),
        ..OptionalParts::default()
    }
    .boxed();
    // A separate allocation that contains words and other fields.
    let bytes = bytes_of(beside.as_deref().unwrap());
    let ring = Ring::Time(TimeRing::new(WIDTH, BUCKETS, ThreadSlot::OWNED, true));
    ring.grow();
    let core = Core::new(
        Parts {
            settings,
            ring,
            optional: beside,
        },
        None,
        State::Closed,
        0,
    );
    let mut subject = Subject::of(core);
    subject.plain.push(bytes.clone());
    subject.loose.push(bytes);
    subject
}

/// A core whose dice decide whether its calls are watched. The first call in a fourth of the limit
/// is always watched; it is among the calls that warm the caches.
struct Dicing {
    at: FixedContext,
    dice: u64,
}

impl Now for Dicing {
    fn raw(&self) -> u64 {
        self.at.raw()
    }

    fn nanos_at(&self, raw: u64) -> u64 {
        self.at.nanos_at(raw)
    }

    fn random_bits(&self, _: u64) -> u64 {
        self.dice
    }
}

impl CallContext for Dicing {
    fn thread_slot(&self) -> ThreadSlot {
        self.at.thread_slot()
    }
}

fn call(core: &Core, context: &FixedContext, dice: u64, nanos: u64) {
    let context = Dicing { at: *context, dice };
    let ticket = core.admit(&context).unwrap();
    core.record(ticket, Outcome::Success, NonZero::new(nanos), &context);
}

pub(super) fn fast(core: &Core, context: &FixedContext, _: u32) {
    call(core, context, u64::MAX, LIMIT / 1_000);
}

pub(super) fn slow(core: &Core, context: &FixedContext, _: u32) {
    call(core, context, u64::MAX, 2 * LIMIT);
}

fn seldom_slow(core: &Core, context: &FixedContext, number: u32) {
    let is_slow = number.is_multiple_of(SELDOM);
    if is_slow {
        slow(core, context, number);
    } else {
        fast(core, context, number);
    }
}

fn watched(core: &Core, context: &FixedContext, _: u32) {
    call(core, context, 0, LIMIT / 1_000);
}

/// Fails when: all threads share the histograms although the window has grown; all calls are
/// watched; all are counted as slow.
#[test]
fn a_timed_success_transfers_no_line_however_many_cores_there_are() {
    check(|| subject(10), fast, &[CALLS], |_| 0);
}

/// The bucket's slow calls and the run of failures are each read and then written.
///
/// Fails when: all threads share the histograms although the window has grown; all calls are
/// watched.
#[test]
fn a_slow_success_transfers_at_most_four_lines_however_many_cores_there_are() {
    // The policy's minimum is out of reach, so no call sums the other cores' successes.
    check(|| subject(u32::MAX), slow, &[CALLS], |_| 4 * CALLS);
}

/// Four lines for the slow call, and one for each core that then checks for a run. Also, a core's
/// first slow call fetches the data of slow calls: the slow words and the places of calls in
/// flight.
///
/// Fails when: all threads share the histograms although the window has grown; all calls are
/// watched.
#[test]
fn a_seldom_slow_success_transfers_four_lines_and_one_to_each_core() {
    let calls = CALLS.div_ceil(SELDOM);
    let allowed = |cores| calls * (cores + 4) + 32 * cores;
    check(|| subject(10), seldom_slow, &[CALLS], allowed);
}

/// The number of watched calls and a note are each read and then written. The odds are the fifth,
/// because they may be on another line. Here all calls are watched at any odds, so every sixteenth
/// call changes the odds.
///
/// Fails when: each watched call sets the odds.
#[test]
fn a_watched_success_transfers_at_most_five_lines_and_a_sixteenth() {
    check(
        || subject(10),
        watched,
        &[CALLS],
        |_| 5 * CALLS + CALLS / 16,
    );
}
