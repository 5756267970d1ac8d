//! Everything on the screen: the two sides, and the events.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tripcurve::State;
use tripcurve::events::Transition;

use crate::backend::Backend;
use crate::breakers::Breaker;
use crate::script::Script;
use crate::storefront::{Page, Payment, Recommendations, Storefront};
use crate::text;

/// A storefront, and its own backend.
pub(crate) struct Side {
    pub(crate) storefront: Arc<Storefront>,
    pub(crate) backend: Backend,
}

pub(crate) struct Stage {
    pub(crate) script: Script,
    pub(crate) rate: u32,
    pub(crate) protected: Side,
    pub(crate) bare: Side,
    pub(crate) events: Receiver<Event>,
}

impl Stage {
    pub(crate) fn sides(&self) -> [&Side; 2] {
        [&self.protected, &self.bare]
    }
}

/// A change of state of a breaker.
pub(crate) struct Event {
    pub(crate) at: Duration,
    pub(crate) to: State,
    pub(crate) what: String,
}

impl Event {
    pub(crate) fn new(at: Duration, transition: &Transition) -> Self {
        // Like its `Display`, without the generation, because 80 columns are few.
        let (from, to) = (transition.from(), transition.to());
        let (name, cause) = (transition.name(), transition.cause());
        Self {
            at,
            to,
            what: format!("{name}: {from} -> {to}, {cause}"),
        }
    }
}

/// The state of a breaker, and how long it still rejects calls.
pub(crate) fn state(breaker: &Breaker) -> (State, String) {
    let snapshot = breaker.snapshot();
    let state = snapshot.state();
    let detail = match (state, snapshot.remaining_open(), snapshot.failure_rate()) {
        (State::HalfOpen, ..) => format!(", {} probing", snapshot.probes_in_flight()),
        (_, Some(left), _) if !left.is_zero() => format!(", {} left", text::seconds(left)),
        (_, None, Some(rate)) => format!(", {} failed", text::percent(Some(rate))),
        _ => String::new(),
    };
    (state, format!("{state}{detail}"))
}

/// A page in a few words.
pub(crate) fn describe(page: &Page) -> String {
    let payment = match page.payment {
        Payment::Taken => "paid",
        Payment::Declined => "declined",
        Payment::Queued => "pay later",
    };
    let products = match &page.recommendations {
        Recommendations::Fresh(products) => format!("for you {products}"),
        Recommendations::Cached(products) => format!("seen before {products}"),
        Recommendations::Popular(products) => format!("popular {products}"),
        Recommendations::Empty => "nothing to recommend".to_owned(),
    };
    format!("{payment}; {products}")
}
