//! The bulkhead: it never has more calls in flight than places, it serves waiters in order, and it
//! loses no place.
#![cfg(feature = "bulkhead")]

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::race::{THREADS, in_rounds};
use proptest::prelude::*;
use tripcurve::bulkhead::{Bulkhead, BulkheadPermit};
use tripcurve::error::BulkheadFull;
use tripcurve::time::Sleep;

const SECOND: Duration = Duration::from_secs(1);

fn bulkhead(max_concurrent: u32) -> Bulkhead {
    Bulkhead::new(max_concurrent).unwrap()
}

type Acquire<'a> =
    Pin<Box<dyn Future<Output = Result<BulkheadPermit<'a>, BulkheadFull>> + Send + 'a>>;

fn acquire<S: Sleep + Sync>(bulkhead: &Bulkhead<S>) -> Acquire<'_> {
    Box::pin(bulkhead.acquire_async())
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A task that has asked for a place, and waits.
#[track_caller]
fn waits<S: Sleep + Sync>(bulkhead: &Bulkhead<S>) -> Acquire<'_> {
    let mut future = acquire(bulkhead);
    assert!(poll(&mut future).is_pending());
    future
}

#[track_caller]
fn got<'a>(future: &mut Acquire<'a>) -> BulkheadPermit<'a> {
    match poll(future) {
        Poll::Ready(Ok(permit)) => permit,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_at_rest<S: Sleep + Sync>(bulkhead: &Bulkhead<S>) {
    assert_eq!((bulkhead.in_flight(), bulkhead.waiting()), (0, 0));
}

/// A timer that fires only when the test lets all timers fire.
#[derive(Clone, Default)]
struct Hand {
    is_over: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<Duration>>>,
}

impl Hand {
    fn gives_time_to(&self, bulkhead: Bulkhead) -> Bulkhead<impl Sleep + Clone + use<>> {
        let hand = self.clone();
        bulkhead.sleep_with(move |wait: Duration| {
            hand.asked.lock().unwrap().push(wait);
            let is_over = Arc::clone(&hand.is_over);
            std::future::poll_fn(move |_| {
                if is_over.load(Ordering::SeqCst) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
        })
    }

    fn let_time_pass(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_number_of_places_out_of_range_is_refused() {
    for max_concurrent in [0, 1 << 20, u32::MAX] {
        let error = Bulkhead::new(max_concurrent).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "bulkhead.max_concurrent: {max_concurrent} is not in 1..=1048575; as many as the \
                 dependency serves at a time"
            )
        );
    }
    assert_eq!(bulkhead(1).max_concurrent(), 1);
    assert_eq!(bulkhead((1 << 20) - 1).max_concurrent(), (1 << 20) - 1);
}

#[test]
fn as_many_get_in_as_there_are_places() {
    let bulkhead = bulkhead(3);
    let permits: Vec<_> = (0..3).map(|_| bulkhead.try_acquire().unwrap()).collect();
    assert_eq!(bulkhead.in_flight(), 3);
    let full = bulkhead.try_acquire().unwrap_err();
    assert_eq!((full.in_flight(), full.max_concurrent()), (3, 3));
    assert_eq!(full.waited(), Duration::ZERO);
    drop(permits);
    assert_at_rest(&bulkhead);
    assert!(bulkhead.try_acquire().is_ok());
}

#[test]
fn what_is_full_says_its_name_its_places_and_how_long_the_call_waited() {
    let bulkhead = bulkhead(1).named(String::from("reports"));
    assert_eq!(bulkhead.name(), "reports");
    let _permit = bulkhead.try_acquire().unwrap();
    let full = bulkhead.acquire().unwrap_err();
    assert_eq!(full.name(), "reports");
    assert_eq!(
        full.to_string(),
        "bulkhead reports is full, 1 of 1 calls in flight"
    );
    let waits = bulkhead.clone().max_wait(Duration::from_millis(2));
    assert_eq!(
        waits.acquire().unwrap_err().to_string(),
        "bulkhead reports is full, 1 of 1 calls in flight, waited 2ms"
    );
    assert_eq!(waits.waiting(), 0);
}

#[test]
fn clones_and_handles_with_settings_of_their_own_share_the_places() {
    let bulkhead = bulkhead(1);
    let other = bulkhead.clone().named("other").max_wait(SECOND);
    let permit = other.try_acquire().unwrap();
    assert!(bulkhead.try_acquire().is_err());
    drop(permit);
    assert!(bulkhead.try_acquire().is_ok());
}

#[test]
fn a_call_that_panics_gives_its_place_back() {
    let bulkhead = bulkhead(1);
    let panic = catch_unwind(|| bulkhead.call(|| panic!("a call's own")));
    assert!(panic.is_err());
    assert_at_rest(&bulkhead);
}

#[test]
fn a_call_that_is_dropped_gives_its_place_back() {
    let bulkhead = bulkhead(1);
    let mut call = Box::pin(bulkhead.call_async(std::future::pending::<()>));
    assert!(poll(&mut call).is_pending());
    assert_eq!(bulkhead.in_flight(), 1);
    drop(call);
    assert_at_rest(&bulkhead);
}

#[test]
fn an_owned_permit_keeps_the_one_place_it_is_made_of() {
    let bulkhead = bulkhead(2);
    let permit = bulkhead.try_acquire().unwrap().into_owned();
    assert_eq!(bulkhead.in_flight(), 1);
    drop(permit);
    assert_at_rest(&bulkhead);
}

#[test]
fn without_a_wait_a_task_is_rejected_at_once() {
    let bulkhead = bulkhead(1);
    let _permit = bulkhead.try_acquire().unwrap();
    let rejected = poll(&mut acquire(&bulkhead));
    assert!(matches!(rejected, Poll::Ready(Err(_))), "{rejected:?}");
}

#[test]
fn who_waits_is_served_in_the_order_of_coming() {
    let bulkhead = bulkhead(1).max_wait(Duration::MAX);
    let permit = bulkhead.try_acquire().unwrap();
    let mut line: Vec<_> = (0..4).map(|_| waits(&bulkhead)).collect();
    assert_eq!(bulkhead.waiting(), 4);
    drop(permit);
    for first in 0..line.len() {
        for later in (first + 1..line.len()).rev() {
            assert!(poll(&mut line[later]).is_pending());
        }
        drop(got(&mut line[first]));
    }
    assert_at_rest(&bulkhead);
}

#[test]
fn who_comes_late_does_not_overtake_who_waits() {
    let bulkhead = bulkhead(1).max_wait(Duration::MAX);
    let permit = bulkhead.try_acquire().unwrap();
    let mut first = waits(&bulkhead);
    drop(permit);
    assert_eq!(bulkhead.in_flight(), 1, "the place is the waiter's");
    assert!(bulkhead.try_acquire().is_err());
    let mut late = waits(&bulkhead);
    drop(got(&mut first));
    drop(got(&mut late));
    assert_at_rest(&bulkhead);
}

#[test]
fn a_thread_and_a_task_wait_in_the_same_line() {
    let bulkhead = bulkhead(1).max_wait(Duration::MAX);
    let permit = bulkhead.try_acquire().unwrap();
    let mut first = waits(&bulkhead);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| drop(bulkhead.acquire().unwrap()));
        while bulkhead.waiting() < 2 {
            std::thread::yield_now();
        }
        let mut last = waits(&bulkhead);
        drop(permit);
        assert!(poll(&mut last).is_pending());
        assert!(!thread.is_finished());
        drop(got(&mut first));
        thread.join().unwrap();
        drop(got(&mut last));
    });
    assert_at_rest(&bulkhead);
}

#[test]
fn a_waiter_that_is_dropped_loses_no_place() {
    let bulkhead = bulkhead(1).max_wait(Duration::MAX);
    let permit = bulkhead.try_acquire().unwrap();
    let leaves = waits(&bulkhead);
    let given = waits(&bulkhead);
    let mut next = waits(&bulkhead);
    // One waiter that wasn't given the place, and one that was.
    drop(leaves);
    drop(permit);
    drop(given);
    drop(got(&mut next));
    assert_at_rest(&bulkhead);
}

#[test]
fn the_last_waiter_that_is_dropped_frees_the_place_that_it_was_given() {
    let bulkhead = bulkhead(1).max_wait(Duration::MAX);
    let permit = bulkhead.try_acquire().unwrap();
    let given = waits(&bulkhead);
    drop(permit);
    drop(given);
    assert_at_rest(&bulkhead);
    assert!(bulkhead.try_acquire().is_ok());
}

/// A waiter that isn't polled keeps its turn, as the first paragraph of `Bulkhead` says.
#[test]
fn a_waiter_that_is_no_longer_polled_keeps_its_place_until_its_future_is_dropped() {
    let hand = Hand::default();
    let bulkhead = hand.gives_time_to(bulkhead(1).max_wait(SECOND));
    let first = bulkhead.try_acquire().unwrap();
    let idle = waits(&bulkhead);
    let mut next = waits(&bulkhead);
    drop(first);
    assert!(poll(&mut next).is_pending());
    assert!(bulkhead.try_acquire().is_err());
    drop(idle);
    drop(got(&mut next));
    assert_at_rest(&bulkhead);
}

#[test]
fn a_task_waits_as_long_as_the_timer_says() {
    let hand = Hand::default();
    let bulkhead = hand.gives_time_to(bulkhead(1).max_wait(SECOND));
    let permit = bulkhead.try_acquire().unwrap();
    let mut task = waits(&bulkhead);
    assert_eq!(*hand.asked.lock().unwrap(), [SECOND]);
    hand.let_time_pass();
    let Poll::Ready(Err(full)) = poll(&mut task) else {
        panic!("its time is over");
    };
    assert_eq!(full.waited(), SECOND);
    drop(permit);
    assert_at_rest(&bulkhead);
}

#[test]
fn a_task_whose_time_is_over_as_it_is_given_a_place_has_it() {
    let hand = Hand::default();
    let bulkhead = hand.gives_time_to(bulkhead(1).max_wait(SECOND));
    let permit = bulkhead.try_acquire().unwrap();
    let mut task = waits(&bulkhead);
    drop(permit);
    hand.let_time_pass();
    drop(got(&mut task));
    assert_at_rest(&bulkhead);
}

#[test]
fn who_finds_a_place_asks_no_timer() {
    let hand = Hand::default();
    let bulkhead = hand.gives_time_to(bulkhead(1).max_wait(SECOND));
    drop(got(&mut acquire(&bulkhead)));
    let unbounded = bulkhead.clone().max_wait(Duration::MAX);
    let _permit = bulkhead.try_acquire().unwrap();
    drop(waits(&unbounded));
    assert!(hand.asked.lock().unwrap().is_empty());
}

#[test]
fn a_timer_that_panics_leaves_nobody_in_line() {
    let bulkhead = bulkhead(1)
        .max_wait(SECOND)
        .sleep_with(|_: Duration| -> std::future::Ready<()> { panic!("the timer's own") });
    let permit = bulkhead.try_acquire().unwrap();
    let mut task = acquire(&bulkhead);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut task))).is_err());
    assert_eq!(bulkhead.waiting(), 0);
    drop(permit);
    assert_at_rest(&bulkhead);
}

#[tokio::test]
async fn a_task_without_a_timer_of_its_own_is_rejected_when_its_time_is_over() {
    let bulkhead = bulkhead(1).max_wait(Duration::from_millis(1));
    let _permit = bulkhead.try_acquire().unwrap();
    let full = bulkhead.acquire_async().await.unwrap_err();
    assert_eq!(full.waited(), Duration::from_millis(1));
}

/// The operations of one thread on a bulkhead.
#[derive(Clone, Debug)]
enum Step {
    TryAcquire,
    /// Begin to wait for a place.
    Ask,
    /// Give back the permit at this index, modulo the number of held permits. The other indices
    /// work alike.
    GiveBack(usize),
    /// Poll the task for its place.
    Poll(usize),
    /// Drop the task.
    Cancel(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::TryAcquire),
        3 => Just(Step::Ask),
        3 => any::<usize>().prop_map(Step::GiveBack),
        2 => any::<usize>().prop_map(Step::Poll),
        1 => any::<usize>().prop_map(Step::Cancel),
    ];
    prop::collection::vec(step, 1..100)
}

/// A plain model of a bulkhead: places, and a queue.
#[derive(Default)]
struct Model {
    taken: usize,
    /// The waiting tasks, by their numbers.
    line: VecDeque<usize>,
    /// The tasks that were given a place and haven't noticed yet.
    given: Vec<usize>,
}

impl Model {
    fn give_back(&mut self) {
        match self.line.pop_front() {
            Some(first) => self.given.push(first),
            None => self.taken -= 1,
        }
    }

    fn cancel(&mut self, number: usize) {
        self.line.retain(|waits| *waits != number);
        if let Some(at) = self.given.iter().position(|given| *given == number) {
            self.given.remove(at);
            self.give_back();
        }
    }

    fn has_got(&mut self, number: usize) -> bool {
        let at = self.given.iter().position(|given| *given == number);
        at.map(|at| self.given.remove(at)).is_some()
    }
}

fn pick(index: usize, length: usize) -> Option<usize> {
    index.checked_rem(length)
}

proptest! {
    #[test]
    fn driven_by_one_thread_a_bulkhead_does_what_the_model_does(
        max in 1_usize..4, steps in steps(),
    ) {
        let bulkhead = bulkhead(u32::try_from(max).unwrap()).max_wait(Duration::MAX);
        let mut model = Model::default();
        let mut permits = Vec::new();
        let mut tasks = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::TryAcquire => {
                    let permit = bulkhead.try_acquire();
                    prop_assert_eq!(permit.is_ok(), model.taken < max);
                    model.taken += usize::from(permit.is_ok());
                    permits.extend(permit);
                }
                Step::Ask => {
                    let mut task = acquire(&bulkhead);
                    match poll(&mut task) {
                        Poll::Ready(permit) => {
                            prop_assert!(model.taken < max);
                            model.taken += 1;
                            permits.push(permit.unwrap());
                        }
                        Poll::Pending => {
                            prop_assert_eq!(model.taken, max);
                            model.line.push_back(number);
                            tasks.push((number, task));
                        }
                    }
                }
                Step::GiveBack(index) => {
                    if let Some(index) = pick(index, permits.len()) {
                        drop(permits.swap_remove(index));
                        model.give_back();
                    }
                }
                Step::Poll(index) => {
                    if let Some(index) = pick(index, tasks.len()) {
                        let polled = poll(&mut tasks[index].1);
                        prop_assert_eq!(polled.is_ready(), model.has_got(tasks[index].0));
                        if let Poll::Ready(permit) = polled {
                            permits.push(permit.unwrap());
                            drop(tasks.swap_remove(index));
                        }
                    }
                }
                Step::Cancel(index) => {
                    if let Some(index) = pick(index, tasks.len()) {
                        let (number, task) = tasks.swap_remove(index);
                        drop(task);
                        model.cancel(number);
                    }
                }
            }
            prop_assert_eq!(bulkhead.in_flight() as usize, model.taken);
            prop_assert_eq!(bulkhead.waiting() as usize, model.line.len() + model.given.len());
        }
        drop(tasks);
        drop(permits);
        assert_at_rest(&bulkhead);
    }
}

/// Counts the calls that are in, and notes whether there were ever too many.
#[derive(Default)]
struct Room {
    inside: AtomicU32,
    entered: AtomicU32,
    was_crowded: AtomicBool,
}

impl Room {
    fn visit(&self, places: u32) {
        if self.inside.fetch_add(1, Ordering::SeqCst) >= places {
            self.was_crowded.store(true, Ordering::SeqCst);
        }
        self.entered.fetch_add(1, Ordering::SeqCst);
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn threads_that_wait_all_get_in_and_never_too_many_at_once() {
    const VISITS: u32 = 20;
    for places in 1..THREADS {
        let bulkhead = bulkhead(places).max_wait(Duration::MAX);
        let room = Room::default();
        let work = |_| {
            for _ in 0..VISITS {
                bulkhead.call(|| room.visit(places)).unwrap();
            }
        };
        in_rounds(200, work, |round| {
            assert_at_rest(&bulkhead);
            let entered = room.entered.load(Ordering::SeqCst);
            assert_eq!(entered, THREADS * VISITS * (round + 1));
            assert!(!room.was_crowded.load(Ordering::SeqCst));
        });
    }
}

#[test]
fn no_place_is_lost_among_those_who_wait_try_and_give_up() {
    for places in 1..3 {
        let bulkhead = bulkhead(places).max_wait(Duration::MAX);
        let room = Room::default();
        let work = |thread| {
            for turn in 0..20 {
                match (thread + turn) % 4 {
                    0 => drop(bulkhead.try_acquire().map(|_permit| room.visit(places))),
                    1 => {
                        let mut task = acquire(&bulkhead);
                        let permit = poll(&mut task);
                        if let Poll::Ready(Ok(_permit)) = permit {
                            room.visit(places);
                        }
                    }
                    _ => bulkhead.call(|| room.visit(places)).unwrap(),
                }
            }
        };
        in_rounds(500, work, |_| {
            assert_at_rest(&bulkhead);
            assert!(!room.was_crowded.load(Ordering::SeqCst));
        });
    }
}

#[test]
fn a_wait_that_ends_as_the_place_comes_free_loses_it_to_nobody() {
    let bulkhead = bulkhead(1).max_wait(Duration::from_micros(20));
    let room = Room::default();
    let work = |_| {
        for _ in 0..10 {
            let _late = bulkhead.call(|| room.visit(1));
        }
    };
    in_rounds(300, work, |_| {
        assert_at_rest(&bulkhead);
        assert!(!room.was_crowded.load(Ordering::SeqCst));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_wait_all_get_in_and_never_too_many_at_once() {
    let bulkhead = bulkhead(2).max_wait(Duration::MAX);
    let room = Arc::new(Room::default());
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let (bulkhead, room) = (bulkhead.clone(), Arc::clone(&room));
            tokio::spawn(async move {
                for _ in 0..10 {
                    let call = async {
                        tokio::task::yield_now().await;
                        room.visit(2);
                    };
                    bulkhead.call_async(|| call).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(room.entered.load(Ordering::SeqCst), 2_000);
    assert!(!room.was_crowded.load(Ordering::SeqCst));
    assert_at_rest(&bulkhead);
}
