//! The effect of the hang, and whether the breaker saw it in time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tripcurve::State;
use tripcurve::events::Transition;

use crate::script::Phase;

#[derive(Clone, Copy)]
pub(crate) enum Ending {
    CameBack,
    TimedOut,
}

/// Notes the facts for the verdict. Its calls are few and short, so a lock is enough.
pub(crate) struct Witness {
    hang: Phase,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The latest transition before the hang.
    before: Option<(State, String)>,
    trip: Option<Trip>,
    /// The number of requests sent in the hang.
    sent: u64,
    /// The first of them to end, and how it ended.
    first: Option<(Duration, Ending)>,
    /// The number of requests without an answer or a timeout, and the last one's error.
    broken: Option<(u64, String)>,
}

struct Trip {
    at: Duration,
    /// The number of requests of the hang that had been sent by then.
    sent: u64,
}

impl Witness {
    pub(crate) fn new(hang: Phase) -> Self {
        Self {
            hang,
            seen: Mutex::default(),
        }
    }

    pub(crate) fn transition(&self, at: Duration, transition: &Transition) {
        let mut seen = self.seen();
        if at < self.hang.from {
            seen.before = Some((transition.to(), transition.to_string()));
        } else if at < self.hang.until && transition.from() == State::Closed {
            let sent = seen.sent;
            seen.trip.get_or_insert(Trip { at, sent });
        }
    }

    pub(crate) fn request_sent(&self, at: Duration) {
        if self.hang.contains(at) {
            self.seen().sent += 1;
        }
    }

    pub(crate) fn request_ended(&self, sent: Duration, at: Duration, ending: Ending) {
        if self.hang.contains(sent) {
            self.seen().first.get_or_insert((at, ending));
        }
    }

    pub(crate) fn request_broke(&self, what: String) {
        let mut seen = self.seen();
        let before = seen.broken.take().map_or(0, |(requests, _)| requests);
        seen.broken = Some((before + 1, what));
    }

    /// How long before the end of the hang's first request the breaker tripped.
    ///
    /// # Errors
    ///
    /// Returns why it didn't trip in time.
    pub(crate) fn verdict(&self) -> Result<String, String> {
        const BUSY: &str = "\nRun it again while the machine has nothing else to do.";
        let seen = self.seen();
        let broken = seen.broken.as_ref().map_or_else(String::new, |broken| {
            let (requests, what) = broken;
            format!("\n{requests} requests broke, the last with: {what}")
        });
        let Some(trip) = &seen.trip else {
            return Err(match &seen.before {
                Some((state, how)) if *state != State::Closed => {
                    format!("The breaker was {state} before the hang ({how}).{broken}{BUSY}")
                }
                _ => format!("The breaker did not trip in the hang.{broken}{BUSY}"),
            });
        };
        let into = seconds(trip.at.saturating_sub(self.hang.from));
        let tripped = format!("The breaker tripped {into} into the hang");
        let Some((first, ending)) = seen.first else {
            return Err(format!(
                "{tripped}, but no request of the hang ever ended.{broken}{BUSY}"
            ));
        };
        let ended = match ending {
            Ending::CameBack => "came back",
            Ending::TimedOut => "timed out",
        };
        match first.checked_sub(trip.at) {
            Some(ahead) if !ahead.is_zero() => Ok(format!(
                "{tripped}, with {} requests on their way:\n{} before the first of them {ended}.{broken}",
                trip.sent,
                seconds(ahead)
            )),
            _ => Err(format!(
                "{tripped}, {} after the first request of it {ended}.{broken}{BUSY}",
                seconds(trip.at.saturating_sub(first))
            )),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
