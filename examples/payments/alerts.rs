//! The alerts for operations, and the records that the run checks afterwards.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::State;
use tripcurve::events::Transition;

/// When the breaker opened, and how long it was open, if it has closed again.
type Opening = (Duration, Option<Duration>);

/// A listener of the bank's breaker. A listener must be short, so it only sends.
#[derive(Clone)]
pub(crate) struct Alerts {
    operations: Sender<String>,
    opened: Arc<Mutex<Vec<Opening>>>,
}

impl Alerts {
    pub(crate) fn new() -> (Self, Receiver<String>) {
        let (operations, told) = mpsc::channel();
        let opened = Arc::default();
        (Self { operations, opened }, told)
    }

    /// Operations hear of an outage once, not of each health check that fails.
    pub(crate) fn tell(&self, transition: &Transition) {
        let text = match (transition.from(), transition.to()) {
            (State::Closed, State::Open) => Some("OPEN, payments go to backup and queue"),
            (_, State::Closed) => Some("RECOVERED"),
            _ => None,
        };
        if let Some(text) = text {
            // When the program ends, the receiver may be gone.
            let _ended = self.operations.send(format!("{text} ({transition})"));
        }
        let mut opened = self.opened.lock().expect("nobody panics here");
        if transition.from() == State::Open
            && let Some((began, lasted)) = opened.last_mut()
        {
            *lasted = Some(transition.at().saturating_sub(*began));
        }
        // A failed health check leads from open to open.
        if transition.to() == State::Open {
            opened.push((transition.at(), None));
        }
    }

    /// The number of times that the breaker has opened.
    pub(crate) fn openings(&self) -> usize {
        self.opened.lock().expect("nobody panics here").len()
    }

    /// How long the breaker was open each time.
    pub(crate) fn open_times(&self) -> Vec<Duration> {
        let opened = self.opened.lock().expect("nobody panics here");
        opened.iter().filter_map(|(_, lasted)| *lasted).collect()
    }
}
