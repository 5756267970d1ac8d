//! The `Retry-After` of a dependency.

use std::time::Duration;

use tripcurve::outcome::{Classify, Report};
use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn built(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("wishes")
        .recovery(Recovery::fixed(5 * SECOND, 1))
        .clock(clock);
    (settings(builder).build().unwrap(), hand)
}

fn come_back(breaker: &CircuitBreaker, outcome: Outcome, wish: Duration) {
    let permit = breaker.try_acquire().unwrap();
    permit.record(Report::from(outcome).retry_after(wish));
}

/// How many seconds the breaker stays open from now on, rounded down.
fn open_for<C>(breaker: &CircuitBreaker<C>) -> Option<u64> {
    let left = breaker.snapshot().remaining_open();
    left.map(|left| left.as_secs())
}

#[test]
fn a_wish_lengthens_the_open_time_that_begins_with_it() {
    let (breaker, hand) = built(|builder| builder);
    come_back(&breaker, Outcome::Trip, MINUTE);
    assert_eq!(open_for(&breaker), Some(60));
    hand.advance(59 * SECOND);
    assert!(breaker.try_acquire().is_err());
    hand.advance(2 * SECOND);
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_wish_of_a_call_that_opens_nothing_lengthens_the_next_open_time() {
    let (breaker, hand) = built(|builder| builder);
    come_back(&breaker, Outcome::Failure, MINUTE);
    assert_eq!(breaker.state(), State::Closed);
    hand.advance(20 * SECOND);
    breaker.try_acquire().unwrap().record(Outcome::Trip);
    assert_eq!(open_for(&breaker), Some(40));
}

/// Settings from a file, without the classifier.
#[test]
fn wishes_are_heeded_after_settings_that_say_nothing_of_them() {
    let (clock, _hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("wishes")
        .classify(|_: &Result<(), Duration>| Outcome::Trip)
        .retry_after(|result: &Result<(), Duration>| result.err())
        .clock(clock)
        .build()
        .unwrap();
    let settings = CircuitBreaker::builder("wishes").probes(2);
    breaker.reconfigure(settings).unwrap();
    let _ = breaker.call(|| Err::<(), _>(MINUTE));
    assert_eq!(open_for(&breaker), Some(60));
    breaker.reset();
    let _ = breaker.call(|| Err::<(), _>(60 * MINUTE));
    assert_eq!(open_for(&breaker), Some(300), "5 minutes at most");
    breaker.reset();
    let settings = CircuitBreaker::builder("wishes").max_retry_after(70 * MINUTE);
    breaker.reconfigure(settings).unwrap();
    let _ = breaker.call(|| Err::<(), _>(60 * MINUTE));
    assert_eq!(open_for(&breaker), Some(3_600));
}

#[test]
fn a_wish_that_is_over_or_shorter_changes_nothing() {
    let (breaker, hand) = built(|builder| builder);
    come_back(&breaker, Outcome::Failure, MINUTE);
    hand.advance(58 * SECOND);
    breaker.try_acquire().unwrap().record(Outcome::Trip);
    assert_eq!(open_for(&breaker), Some(5));
}

#[test]
fn a_call_that_comes_back_late_lengthens_the_present_open_time() {
    let (breaker, _hand) = built(|builder| builder);
    let late = breaker.try_acquire().unwrap();
    let later = breaker.try_acquire_owned().unwrap();
    breaker.try_acquire().unwrap().record(Outcome::Trip);
    assert_eq!(open_for(&breaker), Some(5));
    late.record(Report::failure().retry_after(MINUTE));
    assert_eq!(open_for(&breaker), Some(60));
    later.record(Report::failure().retry_after(30 * SECOND));
    assert_eq!(open_for(&breaker), Some(60), "and none makes it shorter");
    assert_eq!(breaker.snapshot().generation(), 1);
}

#[test]
fn a_probe_that_fails_can_wish_as_well() {
    let (breaker, hand) = built(|builder| builder);
    breaker.try_acquire().unwrap().record(Outcome::Trip);
    hand.advance(6 * SECOND);
    come_back(&breaker, Outcome::Failure, MINUTE);
    assert_eq!(open_for(&breaker), Some(60));
}

#[test]
fn with_an_adaptive_recovery_the_first_probe_waits_and_a_ramp_that_fails_too() {
    let (breaker, hand) = built(|builder| builder.recovery(Recovery::adaptive()));
    come_back(&breaker, Outcome::Trip, MINUTE);
    assert_eq!(open_for(&breaker), Some(60));
    hand.advance(61 * SECOND);
    breaker.try_acquire().unwrap().success();
    assert!(breaker.snapshot().admitted_share().is_some(), "it ramps");
    let permit = (0..100).find_map(|_| breaker.try_acquire().ok()).unwrap();
    permit.record(Report::trip().retry_after(MINUTE));
    assert_eq!(open_for(&breaker), Some(60));
}

#[test]
fn what_is_wished_beyond_the_longest_is_cut() {
    let (breaker, _hand) = built(|builder| builder);
    come_back(&breaker, Outcome::Trip, Duration::MAX);
    assert_eq!(open_for(&breaker), Some(300));
}

#[test]
fn a_retry_after_is_honoured_by_a_breaker_whose_settings_say_nothing_of_it() {
    let breaker = CircuitBreaker::new("payments");
    come_back(&breaker, Outcome::Trip, 20 * SECOND);
    assert!(open_for(&breaker) >= Some(19));
    let named = CircuitBreaker::new("payments").with_classifier(ByStatus);
    let _ = named.call(|| Ok((429, Some(MINUTE))));
    assert!(open_for(&named) >= Some(59));
    let owned = CircuitBreaker::new("payments");
    let permit = owned.try_acquire_owned().unwrap();
    permit.record(Report::trip().retry_after(Duration::MAX));
    assert!((299..=300).contains(&open_for(&owned).unwrap()));
}

#[test]
fn a_longest_retry_after_of_zero_switches_it_off() {
    let (breaker, hand) = built(|builder| builder.max_retry_after(Duration::ZERO));
    let late = breaker.try_acquire_owned().unwrap();
    come_back(&breaker, Outcome::Trip, MINUTE);
    assert_eq!(open_for(&breaker), Some(5));
    late.record(Report::failure().retry_after(MINUTE));
    assert_eq!(open_for(&breaker), Some(5));
    hand.advance(6 * SECOND);
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_retry_after_that_is_noted_is_cut_to_the_bound_of_another_configuration() {
    for (longest, open) in [(Duration::ZERO, 5), (20 * SECOND, 20), (10 * MINUTE, 60)] {
        let (breaker, _hand) = built(|builder| builder);
        come_back(&breaker, Outcome::Failure, MINUTE);
        let settings = CircuitBreaker::builder("wishes")
            .recovery(Recovery::fixed(5 * SECOND, 1))
            .max_retry_after(longest);
        breaker.reconfigure(settings).unwrap();
        breaker.try_acquire().unwrap().record(Outcome::Trip);
        assert_eq!(open_for(&breaker), Some(open));
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_retry_after_is_saved_and_restored_by_default() {
    let (clock, _hand) = Clock::mock();
    let builder = || {
        let builder = CircuitBreaker::builder("wishes").clock(clock.clone());
        builder.recovery(Recovery::fixed(5 * SECOND, 1))
    };
    let breaker = builder().build().unwrap();
    come_back(&breaker, Outcome::Failure, MINUTE);
    let restored = builder().restore(breaker.save()).build().unwrap();
    restored.try_acquire().unwrap().record(Outcome::Trip);
    assert_eq!(open_for(&restored), Some(60));
    let off = builder().max_retry_after(Duration::ZERO);
    let off = off.restore(breaker.save()).build().unwrap();
    off.try_acquire().unwrap().record(Outcome::Trip);
    assert_eq!(open_for(&off), Some(5));
}

#[test]
fn a_wish_does_not_grow_a_backoff() {
    let backoff = Backoff::exponential(SECOND, 2.0, MINUTE).jitter(Jitter::None);
    let (breaker, hand) = built(|builder| builder.recovery(Recovery::probes(1).backoff(backoff)));
    come_back(&breaker, Outcome::Trip, MINUTE);
    hand.advance(61 * SECOND);
    breaker.try_acquire().unwrap().failure();
    assert_eq!(open_for(&breaker), Some(2));
}

/// A user's quota says nothing about the dependency.
#[test]
fn only_an_outcome_that_counts_against_the_dependency_lengthens_the_open_time() {
    for (outcome, open) in [
        (Outcome::Success, 5),
        (Outcome::Ignored, 5),
        (Outcome::Failure, 300),
        (Outcome::TimedOut, 300),
        (Outcome::Trip, 300),
    ] {
        let (breaker, _hand) = built(|builder| builder);
        come_back(&breaker, outcome, 5 * MINUTE);
        breaker.reset();
        breaker.try_acquire().unwrap().record(Outcome::Trip);
        assert_eq!(open_for(&breaker), Some(open), "{outcome:?}");
    }
}

#[test]
fn a_late_outcome_lengthens_the_present_open_time_only_if_it_counts_against_the_dependency() {
    let (breaker, _hand) = built(|builder| builder);
    let late = [Outcome::Success, Outcome::Ignored].map(|outcome| {
        let permit = breaker.try_acquire_owned().unwrap();
        (permit, outcome)
    });
    breaker.try_acquire().unwrap().record(Outcome::Trip);
    for (permit, outcome) in late {
        permit.record(Report::from(outcome).retry_after(MINUTE));
        assert_eq!(open_for(&breaker), Some(5), "{outcome:?}");
    }
}

#[test]
fn a_probe_that_succeeds_or_is_ignored_lengthens_no_open_time() {
    for outcome in [Outcome::Success, Outcome::Ignored] {
        let (breaker, hand) = built(|builder| builder);
        breaker.trip(Duration::ZERO);
        hand.advance(SECOND);
        come_back(&breaker, outcome, MINUTE);
        let probe = breaker.try_acquire().unwrap();
        probe.record(Outcome::Trip);
        assert_eq!(open_for(&breaker), Some(5), "{outcome:?}");
    }
}

/// Metrics-only measures what would happen, so it notes a `Retry-After`. A disabled breaker records
/// nothing.
#[test]
fn a_disabled_breaker_notes_no_retry_after_and_one_that_measures_does() {
    for (state, open) in [(State::Disabled, 5), (State::MetricsOnly, 60)] {
        let (breaker, _hand) = built(|builder| builder.start_in(state));
        come_back(&breaker, Outcome::Failure, MINUTE);
        breaker.reset();
        breaker.try_acquire().unwrap().record(Outcome::Trip);
        assert_eq!(open_for(&breaker), Some(open), "{state:?}");
    }
}

/// Counts how many times it is asked.
struct Asked<'a>(&'a std::cell::Cell<u32>);

impl Classify<Outcome, ()> for Asked<'_> {
    fn classify(&self, answer: &Result<Outcome, ()>) -> Outcome {
        answer.unwrap()
    }

    fn retry_after(&self, _: &Result<Outcome, ()>) -> Option<Duration> {
        self.0.set(self.0.get() + 1);
        Some(5 * MINUTE)
    }
}

/// The calls of every handle end in one place.
#[test]
fn a_classifier_is_asked_for_it_only_after_an_outcome_that_counts_against_the_dependency() {
    let (breaker, _hand) = built(|builder| builder);
    let asked = std::cell::Cell::new(0);
    let quotas = breaker.with_classifier(Asked(&asked));
    for outcome in [Outcome::Success, Outcome::Ignored] {
        let _ = quotas.call(|| Ok(outcome));
    }
    breaker.try_acquire().unwrap().record(Outcome::Trip);
    assert_eq!((asked.get(), open_for(&breaker)), (0, Some(5)));
    breaker.reset();
    let _ = quotas.call(|| Ok(Outcome::Trip));
    assert_eq!((asked.get(), open_for(&breaker)), (1, Some(300)));
}

/// An HTTP status, and the `Retry-After` of the header.
type Answer = (u16, Option<Duration>);

#[test]
fn a_call_is_asked_by_the_classifier_and_its_result_stays_what_it_is() {
    let (clock, _hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("http")
        .classify(|answer: &Result<Answer, String>| match answer {
            Ok((503, _)) => Outcome::Trip,
            _ => Outcome::Success,
        })
        .retry_after(|answer: &Result<Answer, String>| answer.as_ref().ok()?.1)
        .clock(clock)
        .build()
        .unwrap();
    assert!(breaker.call(|| Ok((200, None))).is_ok());
    let answer = (503, Some(2 * MINUTE));
    assert_eq!(breaker.call(|| Ok(answer)), Ok(answer));
    let left = breaker.snapshot().remaining_open();
    assert_eq!(left.map(|left| left.as_secs()), Some(120));
}

/// A classifier with a type of its own.
#[derive(Clone, Copy)]
struct ByStatus;

impl Classify<Answer, ()> for ByStatus {
    fn classify(&self, answer: &Result<Answer, ()>) -> Outcome {
        match answer {
            Ok((200, _)) => Outcome::Success,
            _ => Outcome::Trip,
        }
    }

    fn retry_after(&self, answer: &Result<Answer, ()>) -> Option<Duration> {
        answer.ok()?.1
    }
}

#[test]
fn a_classifier_of_ones_own_tells_both() {
    let (breaker, _hand) = built(|builder| builder);
    let answer = breaker
        .with_classifier(ByStatus)
        .call(|| Ok((429, Some(MINUTE))));
    assert!(answer.is_ok());
    assert_eq!(open_for(&breaker), Some(60));
}

#[test]
fn a_longest_wish_that_makes_no_sense_is_refused() {
    for (longest, value) in [
        (Duration::from_micros(999), "999µs"),
        (Duration::MAX, "18446744073709551615.999999999s"),
    ] {
        let builder = CircuitBreaker::builder("nonsense").max_retry_after(longest);
        assert_eq!(
            builder.build().unwrap_err().to_string(),
            format!(
                "max_retry_after: {value} is not 0 (to honour none) or in 1ms..=365 days; 5 min suit \
                 most services: what is wished once is not taken back"
            )
        );
    }
}
