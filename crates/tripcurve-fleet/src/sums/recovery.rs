//! Probes by lease, and the rounds of a ramp.

use super::excursions::RoundPart;
use super::{Applied, FleetSums, next};
use crate::message::{AfterProbe, AfterRound, AskLease, FleetState, Lease, Leased, LoudCalls};
use crate::message::{
    MAX_RATE, MAX_ROUND, ProbeResult, Refused, Resulted, Round, Rounded, Step, Stepped,
};

/// How many leases a turn has at most.
const MAX_LEASES: usize = 64;

/// The calls that the holders should make within the wait: two, in 1/1,000,000 call.
const CALLS: u64 = 2_000_000;

/// The shortest turn with a lease, in ms.
const SHORTEST_MS: u64 = 1_000;

/// A turn of probes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// 0 while the fleet isn't open.
    pub(super) number: u64,
    due: u64,
    /// When the turn ends. 0 until there is a lease.
    ends: u64,
    wait: u64,
    /// The rate of the holders.
    rate: u64,
    holders: Vec<u64>,
}

impl Turn {
    /// The first turn of an epoch. A state that was lost and is learned again repeats no number.
    pub(super) fn first(now: u64, wait_ms: u32) -> Self {
        Self {
            number: now,
            due: now + u64::from(wait_ms),
            ..Self::default()
        }
    }

    fn end(&mut self, due: u64) {
        *self = Self {
            number: self.number + 1,
            due,
            ..Self::default()
        };
    }

    /// The time until a member may get a lease.
    pub(super) fn due_in(&self, now: u64) -> u64 {
        if self.is_full() {
            return self.ends.saturating_sub(now);
        }
        self.due.saturating_sub(now)
    }

    fn is_full(&self) -> bool {
        self.ends > 0 && (self.rate * self.wait >= CALLS || self.holders.len() >= MAX_LEASES)
    }

    fn lease(&mut self, it: &AskLease, now: u64) -> Option<Lease> {
        let member = it.sender.member.0;
        if self.ends > 0 && now >= self.ends {
            self.end(now);
        }
        if !self.holders.contains(&member) {
            if now < self.due || self.is_full() {
                return None;
            }
            if self.ends == 0 {
                self.wait = it.wait_ms.into();
                self.ends = now + self.wait.max(SHORTEST_MS);
            }
            self.rate += if it.check { MAX_RATE } else { it.rate };
            self.holders.push(member);
        }
        Some(Lease {
            turn: self.number,
            ends_ms: self.ends - now,
        })
    }
}

/// The calls of a round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ramp {
    /// A number that no other round has.
    number: u64,
    good: u64,
    bad: u64,
    /// The two members with the most bad calls, the worst first.
    loudest: [(u64, LoudCalls); 2],
}

impl Ramp {
    pub(super) fn restart(&mut self, now: u64) {
        *self = Self {
            number: next(self.number, now),
            ..Self::default()
        };
    }

    fn add(&mut self, member: u64, part: &mut RoundPart, it: &Round) {
        if part.round != self.number {
            *part = RoundPart {
                round: self.number,
                ..RoundPart::default()
            };
        }
        let (good, bad) = (u64::from(it.good), u64::from(it.bad));
        part.good += good;
        part.bad += bad;
        self.good += good;
        self.bad += bad;
        let calls = LoudCalls {
            good: part.good,
            bad: part.bad,
        };
        let mut ranked = self.loudest.to_vec();
        ranked.retain(|it| it.0 != member && it.1.bad > 0);
        ranked.push((member, calls));
        // Of equal ones the lowest number comes first, so that their order makes no difference.
        ranked.sort_unstable_by_key(|it| (std::cmp::Reverse(it.1.bad), it.0));
        ranked.retain(|it| it.1.bad > 0);
        ranked.resize(2, (0, LoudCalls::default()));
        self.loudest = [ranked[0], ranked[1]];
    }
}

impl FleetSums {
    /// Grants a probe, until the holders' calls are enough.
    ///
    /// # Errors
    /// The message is refused for the reasons for which [`report`](Self::report) refuses one.
    pub fn lease(&mut self, it: &AskLease, now: u64) -> Result<Applied<Leased>, Refused> {
        self.apply(it, now, |sums, now, _| {
            let open = sums.state == FleetState::Open && sums.epoch == it.epoch;
            let lease = if open { sums.turn.lease(it, now) } else { None };
            Leased {
                view: sums.view(now),
                lease,
            }
        })
    }

    /// Takes the result of a probe, if it is the first of its turn.
    ///
    /// # Errors
    /// The message is refused for the reasons for which [`report`](Self::report) refuses one.
    pub fn result(&mut self, it: &ProbeResult, now: u64) -> Result<Applied<Resulted>, Refused> {
        self.apply(it, now, |sums, now, changed| {
            let turn = &mut sums.turn;
            let counted = sums.state == FleetState::Open
                && sums.epoch == it.epoch
                && turn.number == it.turn
                && now < turn.ends
                && turn.holders.contains(&it.sender.member.0);
            if counted {
                match it.next {
                    AfterProbe::Ramp { share } => {
                        sums.enter(FleetState::Ramp, now);
                        sums.begin_round(share, 1, now);
                    }
                    AfterProbe::Turn { wait_ms } => turn.end(now + u64::from(wait_ms)),
                }
                *changed = true;
            }
            Resulted {
                view: sums.view(now),
                counted,
            }
        })
    }

    /// Counts calls of the current round.
    ///
    /// # Errors
    /// The message is refused for the reasons for which [`report`](Self::report) refuses one.
    pub fn round(&mut self, it: &Round, now: u64) -> Result<Applied<Rounded>, Refused> {
        self.apply(it, now, |sums, now, _| {
            let member = it.sender.member.0;
            let counted = sums.is_round(it.epoch, it.round) && sums.is_new(member, it.number, now);
            if counted {
                let entry = sums.entries.entry(member).or_default();
                entry.number = it.number;
                sums.ramp.add(member, &mut entry.round, it);
            }
            Rounded {
                view: sums.view(now),
                counted,
                good: sums.ramp.good,
                bad: sums.ramp.bad,
                loudest: sums.ramp.loudest.map(|it| it.1),
            }
        })
    }

    /// Ends the current round. Of several members that judge it, the first wins.
    ///
    /// # Errors
    /// The message is refused for the reasons for which [`report`](Self::report) refuses one.
    pub fn step(&mut self, it: &Step, now: u64) -> Result<Applied<Stepped>, Refused> {
        self.apply(it, now, |sums, now, changed| {
            let won = sums.is_round(it.epoch, it.round);
            if won {
                match it.next {
                    AfterRound::Round { share } => {
                        sums.begin_round(share, (it.round + 1).min(MAX_ROUND), now);
                    }
                    AfterRound::Close => sums.enter(FleetState::Closed, now),
                    AfterRound::Open { wait_ms } => {
                        sums.enter(FleetState::Open, now);
                        sums.turn = Turn::first(now, wait_ms);
                    }
                }
                *changed = true;
            }
            Stepped {
                view: sums.view(now),
                won,
            }
        })
    }

    fn is_round(&self, epoch: u64, round: u32) -> bool {
        self.state == FleetState::Ramp && self.epoch == epoch && self.round == round
    }

    pub(super) fn begin_round(&mut self, share: u32, round: u32, now: u64) {
        self.share = share;
        self.round = round;
        self.changed = now;
        self.ramp.restart(now);
    }
}

#[cfg(any(all(test, feature = "redis"), feature = "__fuzz"))]
impl Turn {
    /// Its numbers and its holders, in the order of the script.
    pub(super) fn stored(&self) -> ([u64; 5], &[u64]) {
        let Self {
            number,
            due,
            ends,
            wait,
            rate,
            ..
        } = *self;
        ([number, due, ends, wait, rate], &self.holders)
    }
}

#[cfg(any(all(test, feature = "redis"), feature = "__fuzz"))]
impl Ramp {
    /// Its numbers and its two worst members, in the order of the script.
    pub(super) fn stored(&self) -> ([u64; 3], [(u64, LoudCalls); 2]) {
        ([self.number, self.good, self.bad], self.loudest)
    }
}
