//! A log's calls through a breaker.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

use crate::breaker::{Breaker, Nanos, Phase};
use crate::log::Call;

/// What a breaker did with the calls of a log.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// Of each call, whether it was let through.
    pub admitted: Vec<bool>,
    /// From when on the breaker was in which phase.
    pub phases: Vec<(Nanos, Phase)>,
    /// The times when it left the closed phase.
    pub trips: Vec<Trip>,
}

/// A breaker that was closed until then tripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    /// When.
    pub at: Nanos,
    /// Why, if the breaker says so.
    pub cause: Option<String>,
    /// When it was closed again, unless the log ended before.
    pub closed: Option<Nanos>,
    /// How often it went back from probing to being open.
    pub relapses: u32,
    /// The calls that began meanwhile.
    pub calls: Range<usize>,
}

/// A call that was let through and has not ended.
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

/// The one that ends first is the greatest: a heap gives out its greatest.
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

/// Lets a breaker see calls, in the order in which they began, at the times of the log.
///
/// Of two things at one moment an end comes before a begin: what has ended can be known. After a
/// trip `explain` is asked for its cause.
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
    /// An admission can change the phase as well: to recovering, or, for calls overdue, to open.
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

/// What became of calls: those that the log shows as bad and those that it shows as good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bad calls that were let through.
    pub bad_made: u64,
    /// Bad calls that were spared.
    pub bad_saved: u64,
    /// Good calls that were let through.
    pub good_made: u64,
    /// Good calls that were rejected.
    pub good_lost: u64,
    /// How long the bad calls took that were spared.
    pub wait_saved: u128,
}

impl Tally {
    /// Counts calls; `admitted` says of each whether it was let through.
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
