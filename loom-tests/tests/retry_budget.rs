//! A retry budget: concurrent callers never get more retries than were deposited, and no deposit is
//! lost.

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{
    Core, FixedContext, Parts, Probes, Ring, Settings, Switch, ThreadSlot, Ticket, TimeRing,
    Tokens, Turn,
};
use tripcurve::{Outcome, State, TripPolicy};

const TENTH: u64 = 100_000_000;

const AT: FixedContext = FixedContext {
    nanos: 5,
    thread_slot: ThreadSlot(0),
};

/// An empty budget that can save two retries. It gets `share` thousandths of a retry per success,
/// and `floor` retries per second.
fn empty(share: u64, floor: u32) -> Tokens {
    let tokens = Tokens::new(share, floor, 2, Turn::of(0));
    for _ in 0..2 {
        assert_eq!(tokens.withdraw(0, 0), Ok(()));
    }
    tokens
}

fn is_given(tokens: &Tokens) -> bool {
    tokens.withdraw(0, 0).is_ok()
}

/// Two callers want the only retry.
///
/// Fails when: a withdrawal is stored instead of exchanged.
#[test]
fn of_two_who_want_the_last_retry_one_gets_it() {
    model(UNBOUNDED, || {
        let tokens = Arc::new(empty(1_000, 0));
        tokens.deposit();
        let given = race(&tokens, [is_given, is_given]);
        assert_eq!(given.iter().filter(|given| **given).count(), 1);
        assert_eq!(tokens.saved(0, 0), 0);
    });
}

/// Two callers deposit half of a retry each.
///
/// Fails when: a deposit is stored instead of exchanged.
#[test]
fn of_two_deposits_none_is_lost() {
    model(UNBOUNDED, || {
        let tokens = Arc::new(empty(500, 0));
        race(&tokens, [Tokens::deposit, Tokens::deposit]);
        assert!(is_given(&tokens));
        assert!(!is_given(&tokens));
    });
}

/// One caller deposits a retry, and two want one.
///
/// Fails when: a deposit or a withdrawal is stored instead of exchanged.
#[test]
fn what_is_paid_in_while_others_withdraw_is_given_once() {
    model(preemptions(3), || {
        let tokens = Arc::new(empty(1_000, 0));
        tokens.deposit();
        let given = race(
            &tokens,
            [
                |tokens: &Tokens| {
                    tokens.deposit();
                    false
                },
                is_given,
                is_given,
            ],
        );
        let given = given.iter().filter(|given| **given).count();
        let left = tokens.saved(0, 0) as usize;
        assert!(given >= 1);
        assert_eq!(given + left, 2);
    });
}

/// Two callers deposit where there is room for one retry.
///
/// Fails when: a deposit isn't cut at the limit.
#[test]
fn of_two_deposits_with_room_for_one_the_budget_gets_no_fuller() {
    model(UNBOUNDED, || {
        let tokens = Arc::new(empty(1_000, 0));
        tokens.deposit();
        race(&tokens, [Tokens::deposit, Tokens::deposit]);
        assert_eq!(tokens.saved(0, 0), 2);
        assert!(is_given(&tokens) && is_given(&tokens) && !is_given(&tokens));
    });
}

fn is_given_in_the_next_turn(tokens: &Tokens) -> bool {
    tokens.withdraw(TENTH, 0).is_ok()
}

/// Two callers ask first in a turn whose floor pays for one retry.
///
/// Fails when: a withdrawal doesn't note up to which turn the floor was added.
#[test]
fn of_two_who_ask_first_in_a_turn_one_gets_the_floor() {
    model(UNBOUNDED, || {
        let tokens = Arc::new(empty(0, 10));
        let asks = is_given_in_the_next_turn;
        let given = race(&tokens, [asks, asks]);
        assert_eq!(given.iter().filter(|given| **given).count(), 1);
    });
}

/// A caller that has read the clock one turn later comes first.
///
/// Fails when: a late caller moves the turn back.
#[test]
fn a_late_reader_of_the_clock_adds_no_turn_twice() {
    model(UNBOUNDED, || {
        let tokens = Arc::new(empty(0, 10));
        let in_two = |tokens: &Tokens| tokens.withdraw(2 * TENTH, 0).is_ok();
        let given = race(&tokens, [is_given_in_the_next_turn, in_two]);
        assert_eq!(given, [true, true]);
        assert!(tokens.withdraw(2 * TENTH, 0).is_err());
    });
}

/// A breaker that trips on a second failure, two admitted calls, and a budget with enough retries.
struct Both {
    core: Core,
    calls: [Ticket; 2],
    tokens: Tokens,
}

impl Both {
    fn new() -> Self {
        let settings = Settings {
            name: "model".into(),
            policies: [TripPolicy::failure_count(2)].into(),
            open_for: 1_000_000,
            probes: Probes::all(1),
            probe_timeout: u64::MAX,
            on_cancel: Outcome::Ignored,
            switch: Switch::default(),
        };
        let ring = Ring::Time(TimeRing::new(10, 1, 1, false));
        let core = Core::new(
            Parts {
                settings,
                ring,
                optional: None,
            },
            None,
            State::Closed,
            0,
        );
        let call = || core.admit(&AT).expect("it is closed");
        let calls = [call(), call()];
        Self {
            core,
            calls,
            tokens: Tokens::new(0, 1, 2, Turn::of(0)),
        }
    }

    /// Records a failure. Returns whether the call may be retried.
    fn fails(&self, call: Ticket) -> bool {
        self.core.record(call, Outcome::Failure, None, &AT);
        let since = self.core.lets_all_through_since(AT.nanos);
        since.is_ok_and(|since| self.tokens.withdraw(AT.nanos, since).is_ok())
    }
}

/// Both failures together trip. So if two calls fail at once, at most the first is retried.
///
/// Fails when: a retry doesn't check the state.
#[test]
fn of_two_whose_failures_trip_at_most_one_is_tried_again() {
    model(preemptions(2), || {
        let both = Arc::new(Both::new());
        let retries = race(
            &both,
            [
                |both: &Both| both.fails(both.calls[0]),
                |both: &Both| both.fails(both.calls[1]),
            ],
        );
        assert!(!retries.iter().all(|retries| *retries));
        assert_eq!(both.core.state(), State::Open);
    });
}
