//! A retry budget equals a plain sequential model. With any number of threads, it never gives more
//! retries than were deposited.
#![cfg(feature = "retry")]

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use tripcurve::error::ConfigError;
use tripcurve::retry::{RetryBudget, RetryBudgetBuilder, RetryRefused};
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

fn breaker() -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("payments")
        .trip_when(TripPolicy::consecutive_failures(5))
        .open_for(2 * SECOND)
        .probes(1)
        .clock(clock);
    (breaker.build().unwrap(), hand)
}

fn budget(
    breaker: &CircuitBreaker,
    settings: impl Fn(RetryBudgetBuilder) -> RetryBudgetBuilder,
) -> RetryBudget {
    settings(RetryBudget::builder(breaker)).build().unwrap()
}

/// The number of retries that it gives before it refuses one.
fn drained(budget: &RetryBudget) -> u32 {
    let mut given = 0;
    while budget.try_withdraw().is_ok() {
        given += 1;
    }
    given
}

#[test]
fn it_begins_with_a_burst_of_a_hundred() {
    let (breaker, _hand) = breaker();
    let budget = RetryBudget::new(&breaker);
    assert_eq!(budget.left(), 100);
    assert_eq!(drained(&budget), 100);
}

#[test]
fn five_successes_pay_for_a_retry() {
    let (breaker, _hand) = breaker();
    let budget = RetryBudget::new(&breaker);
    drained(&budget);
    for _ in 0..4 {
        budget.deposit();
    }
    assert!(budget.try_withdraw().is_err());
    budget.deposit();
    assert_eq!(budget.try_withdraw(), Ok(()));
    assert!(budget.try_withdraw().is_err());
}

#[test]
fn a_share_is_exact_to_the_thousandth() {
    // tower 0.5 makes a whole retry of 0.6 (tower-rs/tower issue 857).
    for (share, retries) in [
        (0.6, 600),
        (0.001, 1),
        (0.0014, 1),
        (0.0016, 2),
        (1.0, 1_000),
    ] {
        let (breaker, _hand) = breaker();
        let budget = budget(&breaker, |it| it.share(share).burst(1_000));
        drained(&budget);
        for _ in 0..1_000 {
            budget.deposit();
        }
        assert_eq!(drained(&budget), retries, "{share}");
    }
}

#[test]
fn a_second_pays_for_the_floor_whatever_fails() {
    let (breaker, hand) = breaker();
    let budget = budget(&breaker, |it| it.floor(3));
    drained(&budget);
    let given = |seconds: u32| {
        hand.advance(seconds * SECOND);
        drained(&budget)
    };
    assert_eq!([1, 2, 10].map(given), [3, 6, 30]);
}

#[test]
fn the_floor_comes_in_tenths_of_a_second() {
    let (breaker, hand) = breaker();
    let budget = RetryBudget::new(&breaker);
    drained(&budget);
    // With repeated requests, a small floor isn't rounded away.
    let given = (0..1_000).filter(|_| {
        hand.advance(10 * MILLI);
        budget.try_withdraw().is_ok()
    });
    assert_eq!(given.count(), 10);
}

#[test]
fn no_more_is_saved_than_a_burst() {
    let (breaker, hand) = breaker();
    let budget = budget(&breaker, |it| it.burst(7));
    hand.advance(3_600 * SECOND);
    for _ in 0..1_000 {
        budget.deposit();
    }
    assert_eq!(budget.left(), 7);
    assert_eq!(drained(&budget), 7);
}

#[test]
fn there_is_no_retry_while_the_breaker_is_not_closed() {
    let (breaker, hand) = breaker();
    let budget = RetryBudget::new(&breaker);
    let refused = || match budget.try_withdraw() {
        Err(RetryRefused::NotClosed(rejected)) => (rejected.state(), rejected.earliest()),
        other => panic!("{other:?}"),
    };

    breaker.trip(2 * SECOND);
    let (state, earliest) = refused();
    assert_eq!(state, State::Open);
    assert!((2 * SECOND..2 * SECOND + 2 * MILLI).contains(&earliest.unwrap()));

    hand.advance(3 * SECOND);
    assert_eq!(refused(), (State::Open, Some(Duration::ZERO)));
    let probe = breaker.try_acquire().unwrap();
    assert_eq!(refused(), (State::HalfOpen, None));
    probe.success();
    assert_eq!(budget.left(), 100, "what is refused costs nothing");
    assert_eq!(budget.try_withdraw(), Ok(()));

    breaker.force_open();
    assert_eq!(refused(), (State::ForcedOpen, None));
}

#[test]
fn a_breaker_that_is_to_change_nothing_keeps_no_retry_away() {
    let (breaker, _hand) = breaker();
    let budget = budget(&breaker, |it| it.burst(2));
    breaker.disable();
    assert_eq!(budget.try_withdraw(), Ok(()));
    breaker.metrics_only();
    assert_eq!(budget.try_withdraw(), Ok(()));
    assert!(matches!(
        budget.try_withdraw(),
        Err(RetryRefused::Exhausted(_))
    ));
}

#[test]
fn the_time_of_an_outage_pays_for_no_retry() {
    let (breaker, hand) = breaker();
    let budget = budget(&breaker, |it| it.floor(10));
    drained(&budget);
    breaker.force_open();
    hand.advance(60 * SECOND);
    assert_eq!(budget.left(), 0);
    breaker.reset();
    assert_eq!(budget.left(), 0);
    hand.advance(SECOND);
    assert_eq!(drained(&budget), 10);
}

#[test]
fn clones_share_the_budget_and_outlive_their_breaker() {
    let (breaker, _hand) = breaker();
    let budget = budget(&breaker, |it| it.burst(3));
    let clone = budget.clone();
    drop(breaker);
    assert_eq!(clone.try_withdraw(), Ok(()));
    assert_eq!(drained(&budget), 2);
}

#[test]
fn a_refusal_says_why() {
    let (breaker, hand) = breaker();
    let message = |budget: &RetryBudget| budget.try_withdraw().unwrap_err().to_string();

    let with_floor = RetryBudget::new(&breaker);
    drained(&with_floor);
    assert_eq!(
        message(&with_floor),
        "no retry: the retry budget of payments is exhausted, the next is due in 1.0s"
    );
    let Err(RetryRefused::Exhausted(exhausted)) = with_floor.try_withdraw() else {
        panic!("there was a retry");
    };
    assert_eq!(exhausted.name(), "payments");
    assert_eq!(exhausted.due_in(), Some(SECOND));
    hand.advance(SECOND);
    assert_eq!(with_floor.try_withdraw(), Ok(()));

    let without = budget(&breaker, |it| it.floor(0));
    drained(&without);
    assert_eq!(
        message(&without),
        "no retry: the retry budget of payments is exhausted until more calls have succeeded"
    );

    breaker.trip(2 * SECOND);
    assert_eq!(
        message(&without),
        "no retry: circuit breaker payments is open, retry after 2.0s; opened: by hand"
    );
    breaker.force_open();
    assert_eq!(
        message(&without),
        "no retry: circuit breaker payments is forced-open; opened: by hand"
    );
}

#[test]
fn a_setting_that_makes_no_sense_is_refused() {
    let (breaker, _hand) = breaker();
    let refused = |settings: fn(RetryBudgetBuilder) -> RetryBudgetBuilder| {
        let error: ConfigError = settings(RetryBudget::builder(&breaker))
            .build()
            .unwrap_err();
        error.to_string()
    };
    let widest = RetryBudget::builder(&breaker).share(1.0).floor(10_000);
    assert!(widest.burst(1_000_000).build().is_ok());
    for (said, share) in [
        ("0.0009", refused(|it| it.share(0.0009))),
        ("1.1", refused(|it| it.share(1.1))),
        ("-0.2", refused(|it| it.share(-0.2))),
        ("NaN", refused(|it| it.share(f64::NAN))),
    ] {
        let expected = "is not 0 or in 0.001..=1; 0.2 suits most services";
        assert_eq!(share, format!("retry_budget.share: {said} {expected}"));
    }
    assert_eq!(
        refused(|it| it.floor(10_001)),
        "retry_budget.floor: 10001 is not in 0..=10000; 1 a second suits most services"
    );
    for (said, burst) in [
        (0, refused(|it| it.burst(0))),
        (1_000_001, refused(|it| it.burst(1_000_001))),
    ] {
        let expected = "is not in 1..=1000000; 100 suits most services";
        assert_eq!(burst, format!("retry_budget.burst: {said} {expected}"));
    }
    assert_eq!(
        refused(|it| it.share(0.0).floor(0)),
        "retry_budget.share: 0 is not above 0, with a floor of 0; else nothing ever pays for a retry \
         once the first ones are spent"
    );
}

/// A client that tries each call up to three times, and a dependency that fails in part. Returns
/// the attempts per call, in thousandths.
fn attempts_a_thousand_calls(fails: impl Fn(u32) -> bool, budget: &RetryBudget) -> u32 {
    let mut attempts = 0;
    for _ in 0..10_000 {
        for attempt in 1..=3 {
            attempts += 1;
            if !fails(attempts) {
                budget.deposit();
                break;
            }
            if attempt == 3 || budget.try_withdraw().is_err() {
                break;
            }
        }
    }
    attempts / 10
}

#[test]
fn what_fails_now_and_then_is_retried_and_an_outage_is_not_multiplied() {
    let (breaker, _hand) = breaker();
    breaker.metrics_only();
    let attempts =
        |fails: fn(u32) -> bool| attempts_a_thousand_calls(fails, &RetryBudget::new(&breaker));
    assert_eq!(
        attempts(|attempt| attempt % 10 == 0),
        1_111,
        "all are retried"
    );
    assert_eq!(
        attempts(|attempt| attempt % 2 == 0),
        1_122,
        "of half the calls a fifth of the rest"
    );
    assert_eq!(attempts(|_| true), 1_010, "of all calls what was saved");
}

#[test]
fn of_retries_that_many_threads_ask_for_no_more_are_given_than_were_paid_for() {
    const THREADS: u32 = 8;
    const CALLS: u32 = 20_000;
    let (breaker, hand) = breaker();
    let budget = budget(&breaker, |it| it.share(0.25).floor(10).burst(1_000_000));
    drained(&budget);
    let start = Barrier::new(THREADS as usize);
    let given: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (budget, start, hand) = (&budget, &start, &hand);
                scope.spawn(move || {
                    start.wait();
                    let retries = (0..CALLS).filter(|call| {
                        budget.deposit();
                        if thread == 0 && call % 1_000 == 0 {
                            hand.advance(SECOND / 10);
                        }
                        budget.try_withdraw().is_ok()
                    });
                    u32::try_from(retries.count()).unwrap()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    // All deposits are given out, and not one retry more.
    let paid = THREADS * CALLS / 4 + 20;
    assert_eq!(given + drained(&budget), paid);
}

/// The events of a budget.
#[derive(Clone, Copy, Debug)]
enum Step {
    Deposits(u16),
    Withdraw,
    Advance(Duration),
    Trip,
    Hold(State),
    Reset,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let hold = prop_oneof![
        Just(State::ForcedOpen),
        Just(State::Disabled),
        Just(State::MetricsOnly),
    ];
    let step = prop_oneof![
        3 => (1..40_u16).prop_map(Step::Deposits),
        9 => Just(Step::Withdraw),
        4 => (0..3_000_u64).prop_map(|millis| Step::Advance(Duration::from_millis(millis))),
        1 => Just(Step::Trip),
        1 => hold.prop_map(Step::Hold),
        3 => Just(Step::Reset),
    ];
    prop::collection::vec(step, 1..200)
}

/// The plain model: thousandths of a token and a floor. The floor is added whenever the clock
/// enters a tenth of a second while the breaker lets all calls through.
struct Model {
    share: u64,
    floor: u64,
    full: u64,
    saved: u64,
    /// The floor's tokens since the last request.
    coming: u64,
    lets_through: bool,
    now: Duration,
}

impl Model {
    fn advance(&mut self, by: Duration) {
        let tenths = |time: Duration| u64::try_from(time.as_millis()).unwrap() / 100;
        let before = tenths(self.now);
        self.now += by;
        if self.lets_through {
            self.coming += (tenths(self.now) - before) * self.floor * 100;
        }
    }

    fn deposits(&mut self, count: u16) {
        self.saved = (self.saved + u64::from(count) * self.share).min(self.full);
    }

    fn left(&self) -> u64 {
        (self.saved + self.coming).min(self.full)
    }

    fn withdraws(&mut self) -> bool {
        if !self.lets_through || self.left() < 1_000 {
            return false;
        }
        self.saved = self.left() - 1_000;
        self.coming = 0;
        true
    }

    /// The floor's unused tokens of a generation end with it.
    fn enters(&mut self, lets_through: bool) {
        self.lets_through = lets_through;
        self.coming = 0;
    }
}

proptest! {
    #[test]
    fn step_by_step_it_is_the_plain_model(
        thousandths in 0..=1_000_u32,
        floor in 1..30_u32,
        burst in 1..40_u32,
        steps in steps(),
    ) {
        let (breaker, hand) = breaker();
        let share = f64::from(thousandths) / 1_000.0;
        let budget = budget(&breaker, |it| it.share(share).floor(floor).burst(burst));
        let full = u64::from(burst) * 1_000;
        let mut model = Model {
            share: thousandths.into(),
            floor: floor.into(),
            full,
            saved: full,
            coming: 0,
            lets_through: true,
            now: Duration::ZERO,
        };
        for step in steps {
            match step {
                Step::Deposits(count) => {
                    (0..count).for_each(|_| budget.deposit());
                    model.deposits(count);
                }
                Step::Withdraw => {
                    prop_assert_eq!(budget.try_withdraw().is_ok(), model.withdraws());
                }
                Step::Advance(by) => {
                    hand.advance(by);
                    model.advance(by);
                }
                Step::Trip => {
                    breaker.trip(SECOND);
                    model.enters(false);
                }
                Step::Hold(state) if breaker.state() == state => {}
                Step::Hold(state) => {
                    match state {
                        State::ForcedOpen => breaker.force_open(),
                        State::Disabled => breaker.disable(),
                        _ => breaker.metrics_only(),
                    }
                    model.enters(state != State::ForcedOpen);
                }
                Step::Reset => {
                    breaker.reset();
                    model.enters(true);
                }
            }
            prop_assert_eq!(u64::from(budget.left()), model.left() / 1_000);
        }
    }
}
