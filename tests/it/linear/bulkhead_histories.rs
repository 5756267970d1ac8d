//! A bulkhead against a list of places and a line of waiters.

use std::collections::VecDeque;
use std::future::{Future, Pending, pending};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tripcurve::bulkhead::{Bulkhead, OwnedBulkheadPermit};

use super::checker::Specification;
use super::history::Event;
use super::threads::{Draw, Scenario, Subject, calls_of_each, check_histories};

#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    /// Take a place if one is free.
    Try,
    /// Begin to wait for a place, and poll. A thread waits for one place at a time.
    Wait,
    /// The first step of `Wait`. The second one is `Poll`: a place may be handed over in between.
    Join,
    /// Poll the waiting future.
    Poll,
    /// Drop the waiting future.
    GiveUp,
    /// Give back the place that this thread took first.
    Leave,
    InFlight,
    /// Only one thread runs then: a waiter stands in line a little before it is counted.
    Waiting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Got,
    Full,
    Pending,
    Done,
    /// The thread held nothing for this call, or waited already.
    Skipped,
    Number(usize),
}

type WaitingFuture = Pin<Box<dyn Future<Output = OwnedBulkheadPermit> + Send>>;

#[derive(Default)]
pub(super) struct Held {
    permits: VecDeque<OwnedBulkheadPermit>,
    future: Option<WaitingFuture>,
}

impl Held {
    fn poll(&mut self) -> Answer {
        let Some(future) = &mut self.future else {
            return Answer::Skipped;
        };
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Pending => Answer::Pending,
            Poll::Ready(permit) => {
                self.future = None;
                self.permits.push_back(permit);
                Answer::Got
            }
        }
    }
}

/// A bulkhead whose waiters wait without bound. Its timer is never asked.
type Subjected = Bulkhead<fn(Duration) -> Pending<()>>;

fn never(_: Duration) -> Pending<()> {
    pending()
}

impl Subject for Subjected {
    type Held = Held;
    type Call = Call;
    type Answer = Answer;

    fn make(&self, held: &mut Held, call: &Call) -> Answer {
        match call {
            Call::Try => match self.try_acquire() {
                Ok(permit) => {
                    held.permits.push_back(permit.into_owned());
                    Answer::Got
                }
                Err(_full) => Answer::Full,
            },
            Call::Wait if held.future.is_some() => Answer::Skipped,
            Call::Wait => {
                let bulkhead = self.clone();
                let wait = async move {
                    let permit = bulkhead.acquire_async().await;
                    permit.expect("it waits without bound").into_owned()
                };
                held.future = Some(Box::pin(wait));
                held.poll()
            }
            Call::Join => unreachable!("a part of another call"),
            Call::Poll => held.poll(),
            Call::GiveUp => held.future.take().map_or(Answer::Skipped, |_| Answer::Done),
            Call::Leave => {
                let permit = held.permits.pop_front();
                permit.map_or(Answer::Skipped, |_| Answer::Done)
            }
            Call::InFlight => Answer::Number(self.in_flight() as usize),
            Call::Waiting => Answer::Number(self.waiting() as usize),
        }
    }

    fn steps(event: Event<Call, Answer>) -> Vec<Event<Call, Answer>> {
        match (event.call, event.answer) {
            (Call::Wait, Answer::Got | Answer::Pending) => {
                let step = |call, answer| Event {
                    call,
                    answer,
                    ..event
                };
                vec![
                    step(Call::Join, Answer::Done),
                    step(Call::Poll, event.answer),
                ]
            }
            _ => vec![event],
        }
    }
}

/// What a bulkhead does according to its documentation.
#[derive(Clone, Debug)]
pub(super) struct Places {
    free: usize,
    /// How many places each thread holds.
    held: Vec<usize>,
    /// The threads that found a free place and haven't polled.
    entered: Vec<usize>,
    /// The waiting threads. The first of them is the next to get a place.
    line: VecDeque<usize>,
    /// The threads that were handed a place and haven't polled since.
    handed: Vec<usize>,
    max: usize,
}

impl Places {
    fn new(max: usize, threads: usize) -> Self {
        Self {
            free: max,
            held: vec![0; threads],
            entered: Vec::new(),
            line: VecDeque::new(),
            handed: Vec::new(),
            max,
        }
    }

    fn waits(&self, thread: usize) -> bool {
        self.line.contains(&thread) || self.handed.contains(&thread)
    }

    fn take(&mut self, thread: usize) -> bool {
        let is_free = self.free > 0;
        if is_free {
            self.free -= 1;
            self.held[thread] += 1;
        }
        is_free
    }

    fn give_back(&mut self) {
        match self.line.pop_front() {
            Some(next) => self.handed.push(next),
            None => self.free += 1,
        }
    }

    fn answer(&mut self, thread: usize, call: Call) -> Answer {
        match call {
            Call::Try if self.take(thread) => Answer::Got,
            Call::Try => Answer::Full,
            Call::Wait => {
                assert!(self.waits(thread), "other waits are in two steps");
                Answer::Skipped
            }
            Call::Join => {
                if self.free > 0 {
                    self.free -= 1;
                    self.entered.push(thread);
                } else {
                    self.line.push_back(thread);
                }
                Answer::Done
            }
            Call::Poll if self.entered.contains(&thread) => {
                self.entered.retain(|other| *other != thread);
                self.held[thread] += 1;
                Answer::Got
            }
            Call::Poll if self.line.contains(&thread) => Answer::Pending,
            Call::Poll if self.waits(thread) => {
                self.handed.retain(|other| *other != thread);
                self.held[thread] += 1;
                Answer::Got
            }
            Call::GiveUp if self.line.contains(&thread) => {
                self.line.retain(|other| *other != thread);
                Answer::Done
            }
            Call::GiveUp if self.waits(thread) => {
                self.handed.retain(|other| *other != thread);
                self.give_back();
                Answer::Done
            }
            Call::Leave if self.held[thread] > 0 => {
                self.held[thread] -= 1;
                self.give_back();
                Answer::Done
            }
            Call::Poll | Call::GiveUp | Call::Leave => Answer::Skipped,
            Call::InFlight => Answer::Number(self.max - self.free),
            Call::Waiting => Answer::Number(self.line.len() + self.handed.len()),
        }
    }
}

impl Specification for Places {
    type Call = Call;
    type Answer = Answer;

    fn allows(&mut self, thread: usize, call: &Call, answer: &Answer) -> bool {
        self.answer(thread, *call) == *answer
    }

    fn key(&self) -> String {
        format!("{self:?}")
    }
}

fn check(name: &'static str, histories: u32, calls: &'static [Call]) {
    check_histories(name, histories, move |draw: &mut Draw, threads| {
        let max = 1 + draw.below(threads);
        let bulkhead = Bulkhead::new(max.try_into().unwrap()).unwrap();
        let length = calls_of_each(threads);
        Scenario {
            subject: bulkhead
                .max_wait(Duration::MAX)
                .sleep_with(never as fn(Duration) -> Pending<()>),
            specification: Places::new(max, threads),
            before: Vec::new(),
            threads: (0..threads)
                .map(|_| (0..length).map(|_| draw.one_of(calls)).collect())
                .collect(),
            after: vec![Call::InFlight, Call::Waiting],
        }
    });
}

#[test]
fn places_are_taken_and_given_back_as_if_one_after_another() {
    check(
        "places",
        30,
        &[
            Call::Try,
            Call::Try,
            Call::Leave,
            Call::Leave,
            Call::InFlight,
        ],
    );
}

#[test]
fn waiters_get_places_as_if_calls_came_one_after_another() {
    use Call::{GiveUp, InFlight, Leave, Poll, Try, Wait};
    check(
        "waiters",
        30,
        &[Try, Wait, Wait, Poll, Poll, Leave, Leave, GiveUp, InFlight],
    );
}
