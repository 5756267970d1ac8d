//! Measures one life of a breaker.

use crate::backend::{Answer, Backend};
use crate::breaker::{Nanos, Phase};
use crate::simulation::Witness;
use crate::time::{MILLISECOND, SECOND, nanos, number, seconds};

/// The time at which a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When the breaker trips in the fault, or the fault is over.
    Trip,
    /// When the breaker has been closed for a while after the fault.
    Closed,
    /// This long after the onset.
    Time(Nanos),
}

/// The figures of one life: healthy service, a fault, and the time after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    /// The number of calls that came in.
    pub calls: u64,
    /// When the fault began.
    pub onset: Nanos,
    /// Trips before the onset.
    pub trips_before: u32,
    /// Whether the breaker was closed at the onset. Otherwise it could not trip.
    pub was_closed: bool,
    /// The first trip after the onset.
    pub tripped_at: Option<Nanos>,
    /// Trips after the onset.
    pub trips: u32,
    /// Failed calls that began and were let through between the onset and the trip or the fault's
    /// end.
    pub leaked: u64,
    /// Calls that came in between the trip and the fault's end.
    pub while_tripped: u64,
    /// The calls of `while_tripped` that were let through.
    pub onto_dead: u64,
    /// How long after the fault's end the breaker closed or was given up. `None` if it was closed
    /// by then.
    pub closed_after: Option<Nanos>,
    /// Whether the breaker never closed again.
    pub stayed_open: bool,
    /// Trips after the fault's end.
    pub trips_after: u32,
    /// How many times the backend was killed.
    pub kills: u32,
    /// Rejected calls since the onset that would have succeeded.
    pub lost: u64,
    /// Calls let through since the onset that failed only because of the fault.
    pub failed: u64,
    /// Calls since the fault's end that were rejected or failed, but would have succeeded without
    /// the fault.
    pub unanswered: u64,
    /// How long the life was watched after the onset.
    pub watched: Nanos,
}

/// Measures a life while the simulation runs.
#[derive(Clone, Debug)]
pub struct Measure {
    life: Life,
    until: Until,
    onset: Nanos,
    end: Nanos,
    is_closed: bool,
    /// Whether the breaker was closed at the fault's end. `None` until the fault ends.
    was_closed_at_end: Option<bool>,
    closed_since: Nanos,
    /// How long the breaker must stay closed after the fault for the life to end.
    calm: Nanos,
    last: Nanos,
}

impl Measure {
    /// A breaker that hasn't closed this long after the fault is given up.
    const GIVEN_UP: Nanos = 300 * SECOND;
    /// A trip within this time after the fault's end still counts as caused by the fault's last
    /// calls.
    const STILL_THE_FAULT: Nanos = 500 * MILLISECOND;

    /// Measures a life with this backend and `rate` calls per second.
    #[must_use]
    pub fn new(backend: &Backend, rate: f64, until: Until) -> Self {
        Self {
            life: Life {
                calls: 0,
                onset: backend.onset(),
                trips_before: 0,
                was_closed: true,
                tripped_at: None,
                trips: 0,
                leaked: 0,
                while_tripped: 0,
                onto_dead: 0,
                closed_after: None,
                stayed_open: false,
                trips_after: 0,
                kills: 0,
                lost: 0,
                failed: 0,
                unanswered: 0,
                watched: 0,
            },
            until,
            onset: backend.onset(),
            end: backend.end(),
            is_closed: true,
            was_closed_at_end: None,
            closed_since: 0,
            calm: (5 * SECOND).max(nanos(20.0 / rate)),
            last: 0,
        }
    }

    /// The figures after this many calls.
    #[must_use]
    pub fn finish(self, calls: u64, backend: &Backend) -> Life {
        let since_end = self.last.saturating_sub(self.end);
        let is_given_up = self.until == Until::Closed && since_end >= Self::GIVEN_UP;
        let stayed_open = is_given_up
            && self.was_closed_at_end == Some(false)
            && self.life.closed_after.is_none();
        Life {
            calls,
            kills: backend.kills(),
            watched: self.last.saturating_sub(self.onset),
            closed_after: self.life.closed_after.or(stayed_open.then_some(since_end)),
            stayed_open,
            ..self.life
        }
    }

    fn is_over(&self, at: Nanos, backend: &Backend) -> bool {
        match self.until {
            Until::Trip => {
                (self.life.tripped_at.is_some() && self.life.was_closed)
                    || at >= self.end + Self::STILL_THE_FAULT
            }
            Until::Time(time) => at >= self.onset.saturating_add(time),
            Until::Closed => {
                let calm_since = self.closed_since.max(self.end);
                let is_calm = self.is_closed && at >= calm_since + self.calm;
                (is_calm && backend.has_recovered(at)) || at >= self.end + Self::GIVEN_UP
            }
        }
    }

    /// Notes the breaker's phase at the fault's begin and end. The first event after each of them
    /// does so.
    #[inline]
    fn pass(&mut self, at: Nanos) {
        if self.last < self.onset && at >= self.onset {
            self.life.was_closed = self.is_closed;
        }
        if at >= self.end {
            self.was_closed_at_end.get_or_insert(self.is_closed);
        }
        self.last = at;
    }

    fn during(&mut self, answer: &Answer, let_through: bool) {
        if self.life.tripped_at.is_none() {
            self.life.leaked += u64::from(let_through && answer.fails);
        } else {
            self.life.while_tripped += 1;
            self.life.onto_dead += u64::from(let_through);
        }
    }
}

impl Witness for Measure {
    #[inline]
    fn call(&mut self, at: Nanos, answer: &Answer, let_through: bool, backend: &Backend) -> bool {
        self.pass(at);
        if at < self.onset {
            return true;
        }
        if at < self.end {
            self.during(answer, let_through);
        }
        let by_the_fault = answer.fails && !answer.fails_anyway;
        let lost = !let_through && !answer.fails;
        self.life.lost += u64::from(lost);
        self.life.failed += u64::from(let_through && by_the_fault);
        if at >= self.end {
            let unanswered = !answer.fails_anyway && (!let_through || answer.fails);
            self.life.unanswered += u64::from(unanswered);
        }
        !self.is_over(at, backend)
    }

    fn phase(&mut self, at: Nanos, phase: Phase) {
        let is_closed = phase == Phase::Closed;
        if is_closed == self.is_closed {
            return;
        }
        self.pass(at);
        self.is_closed = is_closed;
        if is_closed {
            self.closed_since = at;
            if self.was_closed_at_end == Some(false) {
                self.life.closed_after.get_or_insert(at - self.end);
            }
        } else if at < self.onset {
            self.life.trips_before += 1;
        } else {
            self.life.trips += 1;
            if at < self.end + Self::STILL_THE_FAULT {
                self.life.tripped_at.get_or_insert(at);
            }
            if at >= self.end {
                self.life.trips_after += 1;
            }
        }
    }
}

impl Life {
    /// Calls lost and calls failed because of the fault, in seconds' worth of traffic.
    #[must_use]
    pub fn harm(&self, rate: f64) -> f64 {
        number(self.lost + self.failed) / rate
    }

    /// How many hours the life was watched after the onset.
    #[must_use]
    pub fn hours(&self) -> f64 {
        seconds(self.watched) / 3_600.0
    }
}
