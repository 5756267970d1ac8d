//! Probes and calls of a ramp that take longer than `probe_timeout`.

use std::time::Duration;

use tripcurve::handles::OwnedPermit;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, Outcome, Recovery, State};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// The order of two events at the same time: a call begins, and another ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum First {
    Begin,
    End,
}

/// A dependency behind a breaker that has tripped. It is called once a second.
struct Outage {
    breaker: CircuitBreaker,
    hand: MockClock,
    in_flight: Vec<(Duration, Outcome, OwnedPermit)>,
    now: Duration,
}

impl Outage {
    fn of(recovery: Recovery) -> Self {
        let (clock, hand) = Clock::mock();
        let builder = CircuitBreaker::builder("slow").recovery(recovery);
        let breaker = builder.clock(clock).build().unwrap();
        breaker.trip(Duration::ZERO);
        Self {
            breaker,
            hand,
            in_flight: Vec::new(),
            now: Duration::ZERO,
        }
    }

    fn end(&mut self) {
        while let Some(next) = self.in_flight.iter().position(|(end, ..)| *end <= self.now) {
            let (_, outcome, permit) = self.in_flight.remove(next);
            permit.record(outcome);
        }
    }

    /// One second, in which a call asks that would take this long and end with `outcome`.
    fn second(&mut self, first: First, takes: Duration, outcome: Outcome) {
        if first == First::End {
            self.end();
        }
        if let Ok(permit) = self.breaker.try_acquire_owned() {
            self.in_flight.push((self.now + takes, outcome, permit));
        }
        self.end();
        self.now += SECOND;
        self.hand.advance(SECOND);
    }

    /// The time until the breaker is closed, at most an hour, if each call succeeds after the time
    /// that `takes` returns.
    fn closes(&mut self, first: First, mut takes: impl FnMut() -> Duration) -> Option<Duration> {
        let begin = self.now;
        while self.now < begin + HOUR {
            self.second(first, takes(), Outcome::Success);
            if self.breaker.state() == State::Closed {
                return Some(self.now.saturating_sub(begin));
            }
        }
        None
    }
}

fn recoveries() -> [Recovery; 5] {
    [
        Recovery::default(),
        Recovery::fixed(5 * SECOND, 1),
        Recovery::fixed(5 * SECOND, 5).success_threshold(3),
        Recovery::adaptive(),
        Recovery::steps(&[0.1, 0.5, 1.0], 10 * SECOND),
    ]
}

#[test]
fn a_breaker_closes_though_every_call_takes_longer_than_a_probe_may() {
    for recovery in recoveries() {
        for first in [First::Begin, First::End] {
            for seconds in [29, 30, 31, 45, 100, 300] {
                let mut outage = Outage::of(recovery);
                let closed = outage.closes(first, || seconds * SECOND);
                let closed = closed.unwrap_or_else(|| {
                    panic!("{recovery:?}: {seconds} s, {first:?} first: never closes")
                });
                // A round or a step lasts at least as long as its calls.
                assert!(
                    closed <= 8 * seconds * SECOND + 40 * SECOND,
                    "{recovery:?}: {seconds} s, {first:?} first: only after {closed:?}"
                );
            }
        }
    }
}

#[test]
fn a_breaker_closes_though_calls_take_now_less_and_now_more_than_a_probe_may() {
    for recovery in recoveries() {
        for (least, most) in [(1, 60), (20, 120), (1, 300), (31, 300)] {
            let mut random = 1_u64;
            let mut outage = Outage::of(recovery);
            let closed = outage.closes(First::Begin, || {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let span = u64::from(most - least) + 1;
                let more = u32::try_from((random >> 33) % span).unwrap();
                (least + more) * SECOND
            });
            assert!(closed.is_some(), "{recovery:?}: {least} to {most} s");
        }
    }
}

#[test]
fn a_call_timeout_above_the_time_of_a_probe_keeps_no_breaker_half_open() {
    for recovery in recoveries() {
        let mut outage = Outage::of(recovery);
        let mut opened = false;
        for _ in 0..600 {
            outage.second(First::Begin, 60 * SECOND, Outcome::TimedOut);
            opened |= outage.breaker.state() == State::Open;
        }
        assert!(opened, "{recovery:?}: what times out opens");
        let closed = outage.closes(First::Begin, || SECOND / 10);
        let closed = closed.unwrap_or_else(|| panic!("{recovery:?}: never closes"));
        assert!(closed <= 240 * SECOND, "{recovery:?}: {closed:?}");
    }
}

#[test]
fn a_probe_that_never_reports_still_gives_its_place_back() {
    for recovery in recoveries() {
        let outage = Outage::of(recovery);
        // Each probe keeps its place until it is overdue. One of them reports late.
        let late = outage.breaker.try_acquire_owned().unwrap();
        let lost: Vec<_> = std::iter::from_fn(|| outage.breaker.try_acquire_owned().ok()).collect();
        outage.hand.advance(40 * SECOND);
        let taken_over: Vec<_> =
            std::iter::from_fn(|| outage.breaker.try_acquire_owned().ok()).collect();
        assert!(!taken_over.is_empty(), "{recovery:?}");
        late.success();
        // The probes in flight now have twice the late one's time.
        outage
            .hand
            .advance(Duration::from_nanos(80_000_000_000 - 1));
        assert!(outage.breaker.try_acquire().is_err(), "{recovery:?}");
        outage.hand.advance(Duration::from_nanos(1));
        outage.breaker.try_acquire().unwrap().success();
        drop((lost, taken_over));
    }
}

#[test]
fn what_is_cancelled_late_lengthens_nothing() {
    let outage = Outage::of(Recovery::fixed(SECOND, 1));
    let cancelled = outage.breaker.try_acquire_owned().unwrap();
    outage.hand.advance(30 * SECOND);
    let _lost = outage.breaker.try_acquire_owned().unwrap();
    drop(cancelled);
    outage.hand.advance(30 * SECOND);
    assert!(outage.breaker.try_acquire().is_ok());
}

#[test]
fn a_late_report_changes_nothing_else() {
    let outage = Outage::of(Recovery::fixed(SECOND, 1));
    let late = outage.breaker.try_acquire_owned().unwrap();
    outage.hand.advance(30 * SECOND);
    let _present = outage.breaker.try_acquire_owned().unwrap();
    let before = outage.breaker.snapshot();
    late.failure();
    let after = outage.breaker.snapshot();
    assert_eq!(after.generation(), before.generation());
    assert_eq!(after.state(), State::HalfOpen);
    assert_eq!(after.probes_failed(), 0);
    assert_eq!(after.failures(), 0);
}

#[test]
fn a_clock_that_has_jumped_ahead_keeps_no_place_taken_for_long() {
    let outage = Outage::of(Recovery::fixed(SECOND, 1));
    let late = outage.breaker.try_acquire_owned().unwrap();
    outage.hand.advance(365 * 24 * HOUR);
    let _lost = outage.breaker.try_acquire_owned().unwrap();
    late.success();
    // A hundred times the limit of a probe.
    outage.hand.advance(3_000 * SECOND);
    assert!(outage.breaker.try_acquire().is_ok());
}
