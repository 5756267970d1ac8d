//! Compares the lab's recloser with the real crate: each decision must be equal.
//!
//! The real one reads the system's clock. Each step waits until that clock has advanced, and then
//! advances the lab's time by one. So a wait of zero is over at the next call, and a wait of an
//! hour is never over. No decision depends on the test's speed.

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tripcurve_lab::breaker::{Breaker, Nanos};
use tripcurve_lab::peers::{Recloser, recloser};

const HOUR: Nanos = 3_600_000_000_000;

/// The ring lengths, the rates and the waits of one case.
#[derive(Clone, Copy, Debug)]
struct Choice {
    closed_length: u16,
    half_open_length: u16,
    closed_rate: f32,
    half_open_rate: f32,
    open_wait: Nanos,
    /// Whether it stays open for good once it has reopened three times.
    strategy: bool,
}

fn stay_open_after_three(times: u32, open_wait: Nanos) -> Nanos {
    if times < 3 { open_wait } else { HOUR }
}

impl Choice {
    fn ours(self) -> Recloser {
        Recloser::new(recloser::Settings {
            error_rate_closed: self.closed_rate,
            error_rate_half_open: self.half_open_rate,
            closed_length: self.closed_length,
            half_open_length: self.half_open_length,
            open_wait: self.open_wait,
            open_wait_strategy: self.strategy.then_some(stay_open_after_three),
        })
    }

    fn theirs(self) -> ::recloser::Recloser {
        let builder = ::recloser::Recloser::custom()
            .error_rate_closed(self.closed_rate)
            .error_rate_half_open(self.half_open_rate)
            .closed_len(self.closed_length.into())
            .half_open_len(self.half_open_length.into())
            .open_wait(Duration::from_nanos(self.open_wait));
        if self.strategy {
            let strategy = |times, open_wait: Duration| {
                let open_wait = u64::try_from(open_wait.as_nanos()).unwrap();
                Duration::from_nanos(stay_open_after_three(times, open_wait))
            };
            builder.open_wait_strategy(strategy).build()
        } else {
            builder.build()
        }
    }
}

/// Rates that such short rings reach exactly, and other rates.
fn rate() -> impl Strategy<Value = f32> {
    prop_oneof![
        Just(0.5),
        Just(0.1),
        (1_u8..=12, 1_u8..=12).prop_map(|(a, b)| f32::from(a.min(b)) / f32::from(a.max(b))),
        0.0_f32..=1.0,
    ]
}

fn choice() -> impl Strategy<Value = Choice> {
    let wait = prop_oneof![4 => Just(0), 1 => Just(HOUR)];
    (1_u16..=12, 1_u16..=6, rate(), rate(), wait, any::<bool>()).prop_map(
        |(closed_length, half_open_length, closed_rate, half_open_rate, open_wait, strategy)| {
            Choice {
                closed_length,
                half_open_length,
                closed_rate,
                half_open_rate,
                open_wait,
                strategy,
            }
        },
    )
}

/// Outcomes in stretches with failure rates of their own, so that each state lasts long.
fn outcomes() -> impl Strategy<Value = Vec<bool>> {
    (0.0..=1.0).prop_flat_map(|rate| prop::collection::vec(prop::bool::weighted(rate), 0..150))
}

fn await_next_instant() {
    let now = Instant::now();
    while Instant::now() <= now {
        std::hint::spin_loop();
    }
}

fn theirs_admits(theirs: &::recloser::Recloser, succeeded: bool) -> bool {
    let result = theirs.call(|| if succeeded { Ok(()) } else { Err(()) });
    !matches!(result, Err(::recloser::Error::Rejected))
}

/// Makes the calls one after another. Returns the decisions.
fn compare(choice: Choice, outcomes: &[bool]) -> Vec<bool> {
    let (mut ours, theirs) = (choice.ours(), choice.theirs());
    let mut decisions = Vec::new();
    for (now, &succeeded) in (0..).zip(outcomes) {
        await_next_instant();
        let permit = ours.admit(now);
        let admitted = permit.is_some();
        if let Some(permit) = permit {
            ours.record(permit, now, succeeded, 0);
        }
        assert_eq!(
            admitted,
            theirs_admits(&theirs, succeeded),
            "call {now} with {choice:?}"
        );
        decisions.push(admitted);
    }
    decisions
}

/// A call of the real crate that ends on request.
struct Running {
    ends: Rc<Cell<Option<bool>>>,
    call: Pin<Box<dyn Future<Output = bool>>>,
}

/// One step of overlapping calls.
#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    /// The call at this position in the queue of running calls ends.
    End(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    (0.0..=1.0).prop_flat_map(|rate| {
        let end = (0..4_usize, prop::bool::weighted(rate));
        let step = prop_oneof![
            Just(Step::Start),
            end.prop_map(|(place, succeeded)| Step::End(place, succeeded)),
        ];
        prop::collection::vec(step, 0..300)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_decide_alike_on_calls_in_turn(choice in choice(), outcomes in outcomes()) {
        compare(choice, &outcomes);
    }

    #[test]
    fn both_decide_alike_on_calls_that_overlap(choice in choice(), steps in steps()) {
        let mut ours = choice.ours();
        let theirs = ::recloser::AsyncRecloser::from(choice.theirs());
        let mut context = Context::from_waker(Waker::noop());
        let mut running = VecDeque::new();
        for (now, step) in (0..).zip(steps) {
            await_next_instant();
            match step {
                Step::Start => {
                    let ends = Rc::new(Cell::new(None::<bool>));
                    let told = Rc::clone(&ends);
                    let work = std::future::poll_fn(move |_| match told.get() {
                        None => Poll::Pending,
                        Some(true) => Poll::Ready(Ok(())),
                        Some(false) => Poll::Ready(Err(())),
                    });
                    let guarded = theirs.call(work);
                    let call = async { !matches!(guarded.await, Err(::recloser::Error::Rejected)) };
                    let mut call = Running { ends, call: Box::pin(call) };
                    let admitted = call.call.as_mut().poll(&mut context).is_pending();
                    prop_assert_eq!(ours.admit(now).is_some(), admitted, "step {}", now);
                    if admitted {
                        running.push_back(call);
                    }
                }
                Step::End(place, succeeded) => {
                    if let Some(mut call) = running.remove(place) {
                        call.ends.set(Some(succeeded));
                        let ended = call.call.as_mut().poll(&mut context);
                        prop_assert_eq!(ended, Poll::Ready(true));
                        ours.record((), now, succeeded, 0);
                    }
                }
            }
        }
    }
}

#[test]
fn both_decide_alike_on_a_recorded_trace_with_the_defaults() {
    let defaults = recloser::Settings::default();
    let choice = Choice {
        closed_length: defaults.closed_length,
        half_open_length: defaults.half_open_length,
        closed_rate: defaults.error_rate_closed,
        half_open_rate: defaults.error_rate_half_open,
        open_wait: 0,
        strategy: false,
    };
    // Health, an outage, a recovery that fails twice, then a brown-out in which every third call
    // fails.
    let trace: Vec<bool> = std::iter::repeat_n(true, 130)
        .chain(std::iter::repeat_n(false, 80))
        .chain(std::iter::repeat_n(true, 30))
        .chain((0..300).map(|number| number % 3 != 0))
        .collect();
    compare(choice, &trace);
    // With the default wait, no further call is let through after the trip.
    let decisions = compare(
        Choice {
            open_wait: defaults.open_wait,
            ..choice
        },
        &trace,
    );
    assert_eq!(decisions.iter().filter(|&&admitted| admitted).count(), 180);
    // These are the real crate's defaults: without any setting, it trips at the same call.
    let theirs = ::recloser::Recloser::default();
    let first = trace
        .iter()
        .position(|&succeeded| !theirs_admits(&theirs, succeeded));
    assert_eq!(first, Some(180));
}
