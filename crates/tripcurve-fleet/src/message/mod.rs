//! What members tell a store, and what it answers.
//!
//! All numbers are integers with bounds, so that every store computes the same from them:
//!
//! | quantity | unit |
//! |---|---|
//! | call rate | 1/1000 call per second |
//! | expected calls | 1/1,000,000 call |
//! | share of calls | 1/65,536; see [`SHARE`] |
//! | surprise of failures | 1/256 nat; see [`SURPRISE_UNITS`](crate::judge::SURPRISE_UNITS) |
//! | evidence of a failure | 1/65,536 nat; see [`NAT`] |
//! | time | ms of the store's clock |
//!
//! A store refuses a message whole if one of its numbers is out of bounds.

mod answer;
mod field;

pub use answer::{FleetView, Lease, Leased, Loud, LoudCalls, LoudSums, Pulsed, Reported, Resulted};
pub use answer::{Rounded, Stepped, Sums, Tripped, Weighed};
#[cfg(feature = "redis")]
pub(crate) use field::all_fields;
pub use field::{Field, Message, Refused};

/// The units of a share of calls in the whole: 65,536.
pub const SHARE: u32 = 65_536;

/// The units of evidence in one nat: 65,536.
pub const NAT: i32 = 65_536;

/// The largest number that every store keeps exactly: 2⁵³ − 1.
pub(crate) const EXACT: u64 = (1 << 53) - 1;

/// The highest call rate of a member: 10⁷ calls per second.
pub const MAX_RATE: u64 = 10_000_000_000;

/// The highest round of a ramp.
pub(crate) const MAX_ROUND: u32 = 1_000_000_000;

/// What a fleet's breakers do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FleetState {
    /// Each breaker decides for itself.
    #[default]
    Closed,
    /// All breakers are open, except for leased probes.
    Open,
    /// All breakers admit one share of their calls.
    Ramp,
}

/// A member of a fleet: a random number that a process draws when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member(pub u64);

/// Who sends a message, and the newest state of the fleet that the sender has seen.
///
/// A store that knows an older epoch takes over the sender's state. So a store that lost its data
/// catches up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The member.
    pub member: Member,
    /// The epoch of the state: 0 if the member has seen none. At most one day, in ms, above the
    /// store's time.
    pub epoch: u64,
    /// The state.
    pub state: FleetState,
    /// The share of calls that a ramp admits, in `1..=SHARE`. Other states ignore it.
    pub share: u32,
    /// The round of a ramp, from 1. Other states ignore it.
    pub round: u32,
}

impl Sender {
    /// Makes the sender of a member that has seen no state yet.
    #[must_use]
    pub fn new(member: Member) -> Self {
        Self {
            member,
            epoch: 0,
            state: FleetState::Closed,
            share: SHARE,
            round: 1,
        }
    }

    /// Makes the sender of a member that has seen `view`.
    #[must_use]
    pub fn knowing(member: Member, view: &FleetView) -> Self {
        let in_ramp = view.state == FleetState::Ramp;
        Self {
            member,
            epoch: view.epoch,
            state: view.state,
            share: if in_ramp { view.share } else { SHARE },
            round: if in_ramp { view.round } else { 1 },
        }
    }
}

/// An outage that a failure may be evidence for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// What a failure adds to its surprise, in 1/65,536 nat, in `-524_288..=524_288`.
    pub gain: i32,
    /// The share of calls that fails in this outage, in `1..=SHARE`. In a test against a tolerated
    /// rate it is what exceeds this rate.
    pub share: u32,
}

/// Some of a member's calls have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who reports.
    pub sender: Sender,
    /// The number of this report: 1 or more, and larger than that of the member's last report or
    /// round. A report that is sent again keeps its number, and counts once.
    pub number: u64,
    /// How many calls failed since the last report, in `1..=255`.
    pub failures: u32,
    /// How surprising they were by the member's own baseline, in 1/256 nat: at most 8 nats each.
    pub surprise: u32,
    /// The time over which they are spread, in ms: 0 for one failure, at most 60,000.
    pub spread_ms: u32,
    /// The outages that aren't total, the smallest first. An excursion ends when no evidence for
    /// any of them is left.
    pub usual: [Alternative; 3],
    /// The smallest outage beyond the tolerated rate, if any is tolerated. All members of a fleet
    /// send the same. When no evidence for it is left, there is none for a larger one either.
    pub tolerated: Option<Alternative>,
}

/// A member asks which members add most evidence.
///
/// It asks when the sums of a [`Reported`] have enough evidence in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weigh {
    /// Who asks.
    pub sender: Sender,
    /// The outages of the test against the usual failure rate, the smallest first.
    pub usual: [Alternative; 4],
    /// The outages of the test against the tolerated rate, if any is tolerated.
    pub tolerated: Option<[Alternative; 4]>,
}

/// A member's traffic. It replaces what the member announced before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Whose traffic it is.
    pub sender: Sender,
    /// The call rate in 1/1000 call per second, in `0..=MAX_RATE`. It is 0 while the member's
    /// breaker is open by its own decision.
    pub rate: u64,
    /// The share of calls that usually fails, in `0..=16_384`, which is a quarter.
    pub normal: u32,
}

/// The sums that a member judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The number of the excursion.
    pub excursion: u64,
    /// Its failures.
    pub failures: u64,
    /// Its surprise, in 1/256 nat.
    pub surprise: u64,
}

/// A member has judged that the fleet must open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// Who judged.
    pub sender: Sender,
    /// The epoch that ends.
    pub epoch: u64,
    /// The store's time when it gave the sums. They may be 1 s old.
    pub at_ms: u64,
    /// The excursion against the usual failure rate.
    pub usual: Claim,
    /// The excursion against the tolerated rate, if any is tolerated.
    pub tolerated: Option<Claim>,
    /// The time until the first probe is due, in `1..=60_000` ms.
    pub wait_ms: u32,
}

/// A member asks for the right to make one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskLease {
    /// Who asks.
    pub sender: Sender,
    /// The epoch of the open state.
    pub epoch: u64,
    /// How many calls ask this member for admission, in 1/1000 per second, in `0..=MAX_RATE`.
    pub rate: u64,
    /// Whether the member probes without waiting for a call. Then one lease is enough.
    pub check: bool,
    /// The time within which a call should come, in `1..=60_000` ms. The turn ends after it, but
    /// not within its first second.
    pub wait_ms: u32,
}

/// A leased probe has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    /// Who held the lease.
    pub sender: Sender,
    /// The lease's epoch.
    pub epoch: u64,
    /// The lease's turn.
    pub turn: u64,
    /// What comes next.
    pub next: AfterProbe,
}

/// What follows a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterProbe {
    /// The probe was good. A ramp begins.
    Ramp {
        /// The share of calls that its first round admits, in `1..=SHARE`.
        share: u32,
    },
    /// The probe failed. Another turn comes.
    Turn {
        /// The time until it is due, in `1..=60_000` ms.
        wait_ms: u32,
    },
}

/// The calls of a member in a round of a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Who reports.
    pub sender: Sender,
    /// The number of this report; see [`Report::number`].
    pub number: u64,
    /// The epoch of the ramp.
    pub epoch: u64,
    /// The round.
    pub round: u32,
    /// The good calls since the member's last report, at most 100,000.
    pub good: u32,
    /// The bad calls since the member's last report, at most 100,000.
    pub bad: u32,
}

/// A member has judged a round of a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who judged.
    pub sender: Sender,
    /// The epoch of the ramp.
    pub epoch: u64,
    /// The round that ends.
    pub round: u32,
    /// What comes next.
    pub next: AfterRound,
}

/// What follows a round of a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRound {
    /// Another round.
    Round {
        /// The share of calls that it admits, in `1..=SHARE`.
        share: u32,
    },
    /// The fleet closes.
    Close,
    /// The fleet opens again.
    Open {
        /// The time until the first probe is due, in `1..=60_000` ms.
        wait_ms: u32,
    },
}
