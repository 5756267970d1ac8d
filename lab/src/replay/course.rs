//! Runs a log's calls through a breaker.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

use crate::breaker::{Breaker, Nanos, Phase};
use crate::log::Call;

/// The breaker's decisions on the calls of a log.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// For each call, whether it was let through.
    pub admitted: Vec<bool>,
    /// The breaker's phases, each with the time of its begin.
    pub phases: Vec<(Nanos, Phase)>,
    /// The times when it left the closed phase.
    pub trips: Vec<Trip>,
}

/// One trip of a breaker that was closed before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    /// The time of the trip.
    pub at: Nanos,
    /// The cause of the trip, if the breaker reports it.
    pub cause: Option<String>,
    /// The time when the breaker closed again. `None` if the log ended earlier.
    pub closed: Option<Nanos>,
    /// How many times the breaker reopened after probing.
    pub relapses: u32,
    /// The calls that began between the trip and the closing.
    pub calls: Range<usize>,
}

/// A call that was let through and hasn't ended.
struct InFlight<P> {
    ends: Nanos,
    index: usize,
    permit: P,
}

impl<P> InFlight<P> {
    fn order(&self) -> (Nanos, usize) {
        (self.ends, self.index)
    }
}

/// The call that ends first is the greatest, because a heap pops its greatest element.
impl<P> Ord for InFlight<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.order().cmp(&self.order())
    }
}

impl<P> PartialOrd for InFlight<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> PartialEq for InFlight<P> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl<P> Eq for InFlight<P> {}

/// Runs calls through a breaker, in the order of their begins, at the times of the log.
///
/// If a call ends when another begins, the end comes first, so the breaker knows its outcome. After
/// a trip, `explain` returns the cause.
pub fn run<B: Breaker>(
    calls: &[Call],
    breaker: &mut B,
    explain: impl FnMut() -> Option<String>,
) -> Course {
    let course = Course {
        admitted: Vec::with_capacity(calls.len()),
        phases: vec![(0, breaker.phase(0))],
        trips: Vec::new(),
    };
    let mut run = Run {
        calls,
        breaker,
        explain,
        course,
    };
    let mut in_flight = BinaryHeap::new();
    for (index, call) in calls.iter().enumerate() {
        while let Some(over) = pop_until(&mut in_flight, call.began) {
            run.end(over);
        }
        if let Some(permit) = run.begin(call) {
            in_flight.push(InFlight {
                ends: call.ended(),
                index,
                permit,
            });
        }
    }
    while let Some(over) = in_flight.pop() {
        run.end(over);
    }
    run.finish()
}

fn pop_until<P>(in_flight: &mut BinaryHeap<InFlight<P>>, now: Nanos) -> Option<InFlight<P>> {
    (in_flight.peek()?.ends <= now).then(|| in_flight.pop())?
}

struct Run<'a, B, F> {
    calls: &'a [Call],
    breaker: &'a mut B,
    explain: F,
    course: Course,
}

impl<B: Breaker, F: FnMut() -> Option<String>> Run<'_, B, F> {
    /// An admission can change the phase, too: to recovering, or to open because of overdue calls.
    fn begin(&mut self, call: &Call) -> Option<B::Permit> {
        let permit = self.breaker.admit(call.began);
        self.look(call.began);
        self.course.admitted.push(permit.is_some());
        permit
    }

    fn end(&mut self, over: InFlight<B::Permit>) {
        let call = &self.calls[over.index];
        self.breaker
            .record(over.permit, over.ends, call.succeeded, call.took);
        self.look(over.ends);
    }

    fn look(&mut self, now: Nanos) {
        let phase = self.breaker.phase(now);
        let course = &mut self.course;
        let before = course
            .phases
            .last()
            .map_or(Phase::Closed, |&(_, last)| last);
        if before == phase {
            return;
        }
        course.phases.push((now, phase));
        let begun = course.admitted.len();
        if before == Phase::Closed {
            course.trips.push(Trip {
                at: now,
                cause: (self.explain)(),
                closed: None,
                relapses: 0,
                calls: begun..begun,
            });
        } else if let Some(trip) = course.trips.last_mut() {
            match phase {
                Phase::Closed => {
                    trip.closed = Some(now);
                    trip.calls.end = begun;
                }
                Phase::Open => trip.relapses += 1,
                Phase::Recovering => {}
            }
        }
    }

    fn finish(mut self) -> Course {
        if let Some(trip) = self.course.trips.last_mut()
            && trip.closed.is_none()
        {
            trip.calls.end = self.calls.len();
        }
        self.course
    }
}

/// The numbers of bad and good calls that were made and rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bad calls that were let through.
    pub bad_made: u64,
    /// Bad calls that were rejected.
    pub bad_saved: u64,
    /// Good calls that were let through.
    pub good_made: u64,
    /// Good calls that were rejected.
    pub good_lost: u64,
    /// The total duration of the bad calls that were rejected.
    pub wait_saved: u128,
}

impl Tally {
    /// Counts calls. `admitted` tells of each call whether it was let through.
    pub fn of(calls: &[Call], admitted: &[bool], is_bad: impl Fn(&Call) -> bool) -> Self {
        let mut tally = Self::default();
        for (call, &made) in calls.iter().zip(admitted) {
            match (is_bad(call), made) {
                (true, true) => tally.bad_made += 1,
                (true, false) => {
                    tally.bad_saved += 1;
                    tally.wait_saved += u128::from(call.took);
                }
                (false, true) => tally.good_made += 1,
                (false, false) => tally.good_lost += 1,
            }
        }
        tally
    }

    /// All bad calls.
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.bad_made + self.bad_saved
    }

    /// All good calls.
    #[must_use]
    pub fn good(&self) -> u64 {
        self.good_made + self.good_lost
    }
}
