//! Breakers that share a limit on how many are open: never more than may be, and no place is lost.

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{breaker, model, preemptions, race};
use tripcurve::__model::{Core, FixedContext, OpenShare, Phase};
use tripcurve::{Outcome, State};

/// A breaker that trips on a failure.
fn core() -> Core {
    breaker(1, 1 << 20, State::Closed)
}

/// Two breakers, of which so many have joined.
struct Pair {
    share: std::sync::Arc<OpenShare>,
    cores: [Core; 2],
    /// For what a thread hands to another.
    note: AtomicU64,
}

impl Pair {
    /// One may be open.
    fn new(joined: usize) -> Self {
        Self::with(0.5, joined)
    }

    fn with(share: f64, joined: usize) -> Self {
        let pair = Self {
            share: std::sync::Arc::new(OpenShare::new(share)),
            cores: [core(), core()],
            note: AtomicU64::new(0),
        };
        for core in &pair.cores {
            // The parts that come late are there, as loom doesn't explore how they come.
            core.hold(Phase::MetricsOnly, 0);
            core.reset(0);
        }
        for core in &pair.cores[..joined] {
            core.join_share(&pair.share);
        }
        pair
    }

    fn open(&self) -> u64 {
        let is_open = |core: &&Core| core.state() == State::Open;
        self.cores.iter().filter(is_open).count() as u64
    }
}

fn fail(core: &Core) {
    let context = FixedContext::on_first_thread_slot(0);
    if let Ok(ticket) = core.admit(&context) {
        core.record(ticket, Outcome::Failure, None, &context);
    }
}

fn would_have_opened(core: &Core) -> u64 {
    core.snapshot(&FixedContext::on_first_thread_slot(0))
        .would_have_opened()
}

/// Both breakers have cause to open, of which one may.
///
/// Fails when: a place is taken by a store.
#[test]
fn of_two_breakers_that_trip_one_opens_and_the_other_reports() {
    model(preemptions(2), || {
        let pair = Arc::new(Pair::new(2));
        race(
            &pair,
            [
                |pair: &Pair| fail(&pair.cores[0]),
                |pair: &Pair| fail(&pair.cores[1]),
            ],
        );
        assert_eq!(pair.open(), 1);
        assert_eq!(pair.share.open(), 1);
        let reports = pair.cores.iter().map(would_have_opened).sum::<u64>();
        assert_eq!(reports, 1);
    });
}

/// A breaker trips while a command ends its generation. Its place is taken exactly if it is open.
///
/// Fails when: a late thread settles an earlier generation.
#[test]
fn a_trip_and_a_command_leave_a_place_only_with_an_open_breaker() {
    model(preemptions(2), || {
        let pair = Arc::new(Pair::new(2));
        race(
            &pair,
            [
                |pair: &Pair| fail(&pair.cores[0]),
                |pair: &Pair| pair.cores[0].reset(0),
            ],
        );
        assert_eq!(pair.share.open(), pair.open());
    });
}

/// Two threads find cause in one breaker. Both may take a place, and one is returned.
///
/// Fails when: a thread whose place isn't needed keeps it.
#[test]
fn two_trips_of_one_breaker_take_one_place() {
    model(preemptions(1), || {
        let pair = Arc::new(Pair::with(1.0, 2));
        race(
            &pair,
            [
                |pair: &Pair| fail(&pair.cores[0]),
                |pair: &Pair| fail(&pair.cores[0]),
            ],
        );
        assert_eq!(pair.open(), 1);
        assert_eq!(pair.share.open(), 1);
    });
}

/// A breaker joins while it trips. It counts, whoever comes first.
///
/// Fails when: the thread that joins doesn't look at the state again, or there is no fence.
#[test]
fn a_breaker_that_joins_while_it_trips_counts() {
    model(preemptions(2), || {
        let pair = Arc::new(Pair::new(0));
        race(
            &pair,
            [
                |pair: &Pair| fail(&pair.cores[0]),
                |pair: &Pair| pair.cores[0].join_share(&pair.share),
            ],
        );
        assert_eq!(pair.open(), 1);
        assert_eq!(pair.share.open(), 1);
    });
}

/// A breaker leaves while it trips. Its place is free afterwards.
///
/// Fails when: a breaker that has left is settled.
#[test]
fn a_breaker_that_leaves_while_it_trips_holds_no_place() {
    model(preemptions(2), || {
        let pair = Arc::new(Pair::new(2));
        race(
            &pair,
            [
                |pair: &Pair| fail(&pair.cores[0]),
                |pair: &Pair| pair.cores[0].leave_share(),
            ],
        );
        assert_eq!(pair.share.open(), 0);
    });
}

/// An open breaker closes, and its thread says so. The other one then has cause to open, and may.
///
/// Fails when: a closing breaker keeps its place.
#[test]
fn a_place_is_free_once_its_breaker_has_closed() {
    model(preemptions(2), || {
        let pair = Pair::new(2);
        fail(&pair.cores[0]);
        assert_eq!(pair.share.open(), 1);
        let pair = Arc::new(pair);
        race(
            &pair,
            [
                |pair: &Pair| {
                    pair.cores[0].reset(0);
                    pair.note.store(1, Ordering::Release);
                },
                |pair: &Pair| {
                    if pair.note.load(Ordering::Acquire) == 1 {
                        fail(&pair.cores[1]);
                        assert_eq!(pair.cores[1].state(), State::Open);
                    }
                },
            ],
        );
        assert_eq!(pair.share.open(), pair.open());
    });
}
