//! What a store answers.

use super::FleetState;

/// A fleet as its store sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetView {
    /// A number that grows with each change of the state: 0 if there was none, below 2⁵³.
    pub epoch: u64,
    /// The state.
    pub state: FleetState,
    /// The share of calls that all members admit, in `0..=SHARE`.
    pub share: u32,
    /// The round of a ramp, from 1. 0 in other states.
    pub round: u32,
    /// The turn of probes while the fleet is open: a number that grows, also if the store has lost
    /// its data. 0 in other states.
    pub turn: u64,
    /// The time since the fleet opened, in ms, at most an hour. 0 while it is closed.
    pub outage_ms: u64,
    /// The time since the last change of state or round, in ms, at most an hour.
    pub age_ms: u64,
    /// The time until a probe may be leased, in ms. 0 if it may be, or if the fleet isn't open.
    pub due_ms: u64,
    /// How many members have announced their traffic within the last two minutes.
    pub members: u64,
    /// Their call rate, in 1/1000 call per second.
    pub rate: u64,
    /// The share of their calls that usually fails.
    pub normal: u32,
    /// The store's time, in ms.
    pub at_ms: u64,
}

/// The sums of an excursion: a time with evidence for an outage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// The number of the excursion, which no later one of this state has.
    pub excursion: u64,
    /// The failures of all members.
    pub failures: u64,
    /// Their surprise, in 1/256 nat.
    pub surprise: u64,
    /// The calls that all members were expected to make, in 1/1,000,000 call.
    pub expected: u64,
    /// The time since the excursion began, in ms.
    pub age_ms: u64,
}

/// The answer to a [`Report`](super::Report).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The fleet.
    pub view: FleetView,
    /// Whether the report was counted: not before, and while the fleet was closed.
    pub counted: bool,
    /// The excursion against the usual failure rate.
    pub usual: Sums,
    /// The excursion against the tolerated rate: no failures if none is tolerated.
    pub tolerated: Sums,
}

/// What one of the loudest members has added to an excursion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loud {
    /// Its failures.
    pub failures: u64,
    /// Their surprise, in 1/256 nat.
    pub surprise: u64,
    /// The calls that it was expected to make, in 1/1,000,000 call. It may have been more, but not
    /// fewer.
    pub expected: u64,
}

/// An excursion with the members that add most evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoudSums {
    /// The sums of all members.
    pub sums: Sums,
    /// How many members have failures in it.
    pub failing: u64,
    /// For each outage, the two members that add most evidence for it: at most eight.
    pub loudest: Vec<Loud>,
}

/// The answer to a [`Weigh`](super::Weigh).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// The fleet.
    pub view: FleetView,
    /// The excursion against the usual failure rate.
    pub usual: LoudSums,
    /// The excursion against the tolerated rate: empty if none is tolerated.
    pub tolerated: LoudSums,
}

/// The answer to a [`Pulse`](super::Pulse).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulsed {
    /// The fleet.
    pub view: FleetView,
    /// Whether the whole rate was counted. A store counts 100,000 members and 10⁸ calls per second.
    pub counted: bool,
}

/// The answer to a [`Trip`](super::Trip).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tripped {
    /// The fleet.
    pub view: FleetView,
    /// Whether this message opened the fleet.
    pub won: bool,
}

/// The right to make one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The turn in which the probe must end.
    pub turn: u64,
    /// The time until the turn ends, in ms.
    pub ends_ms: u64,
}

/// The answer to an [`AskLease`](super::AskLease).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leased {
    /// The fleet.
    pub view: FleetView,
    /// The lease, if the member got one.
    pub lease: Option<Lease>,
}

/// The answer to a [`ProbeResult`](super::ProbeResult).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resulted {
    /// The fleet.
    pub view: FleetView,
    /// Whether the result ended the turn.
    pub counted: bool,
}

/// The calls of one member in a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoudCalls {
    /// Its good calls.
    pub good: u64,
    /// Its bad calls.
    pub bad: u64,
}

/// The answer to a [`Round`](super::Round).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounded {
    /// The fleet.
    pub view: FleetView,
    /// Whether the calls were counted: not before, and in the current round.
    pub counted: bool,
    /// The good calls of all members in this round.
    pub good: u64,
    /// The bad calls of all members in this round.
    pub bad: u64,
    /// The two members with the most bad calls, the worst first.
    pub loudest: [LoudCalls; 2],
}

/// The answer to a [`Step`](super::Step).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stepped {
    /// The fleet.
    pub view: FleetView,
    /// Whether this message ended the round.
    pub won: bool,
}
