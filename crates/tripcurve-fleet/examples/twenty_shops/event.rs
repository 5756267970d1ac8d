//! What the story hears of a shop, as a value and as a line of text.

use std::fmt;

/// One of a shop's two breakers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Side {
    /// The breaker that has joined a fleet.
    Fleet,
    /// The breaker that decides alone.
    Alone,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Fleet, Self::Alone];

    pub(crate) fn from_byte(byte: u8) -> Self {
        if byte == Self::Fleet as u8 {
            Self::Fleet
        } else {
            Self::Alone
        }
    }
}

/// The state of a breaker, as the story shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shown {
    Closed,
    HalfOpen,
    /// Opened by the breaker's own decision.
    Open,
    /// Opened by the fleet.
    OpenByFleet,
}

/// Something that has happened in a shop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Event {
    /// The shop makes calls.
    Ready,
    /// A breaker has changed its state.
    State(Side, Shown),
}

const WORDS: [(&str, Event); 9] = {
    use Event::{Ready, State};
    use Shown::{Closed, HalfOpen, Open, OpenByFleet};
    use Side::{Alone, Fleet};
    [
        ("ready", Ready),
        ("fleet closed", State(Fleet, Closed)),
        ("fleet half-open", State(Fleet, HalfOpen)),
        ("fleet open", State(Fleet, Open)),
        ("fleet open by fleet", State(Fleet, OpenByFleet)),
        ("alone closed", State(Alone, Closed)),
        ("alone half-open", State(Alone, HalfOpen)),
        ("alone open", State(Alone, Open)),
        ("alone open by fleet", State(Alone, OpenByFleet)),
    ]
};

impl Event {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let found = WORDS.iter().find(|(words, _)| *words == line)?;
        Some(found.1)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = WORDS.iter().find(|(_, event)| event == self);
        f.write_str(found.map_or("", |(words, _)| words))
    }
}
