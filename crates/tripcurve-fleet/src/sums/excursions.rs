//! Failures, their surprise and the calls expected meanwhile, in all and of each member.

use super::rates::{Announced, MAX_EXPECTED};
use super::{FleetSums, MAX_ENTRIES, next, since};
use crate::judge::left_out;
use crate::message::{Claim, FleetState, Loud, LoudSums, NAT, Report, Sums, Weigh};

/// The failures of one member that an excursion counts. All sums stay exact with it.
const MAX_FAILURES: u64 = 100_000;

/// The surprise of one member that an excursion counts, in 1/256 nat.
const MAX_SURPRISE: u64 = 2_048 * MAX_FAILURES;

/// The others' evidence for each outage below which an excursion ends: −2 nats.
const BLIND: i64 = -2 * NAT as i64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Excursion {
    pub(super) number: u64,
    failures: u64,
    surprise: u64,
    expected: u64,
    began: u64,
    /// When failures were last added.
    added: u64,
}

/// What one member has added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The number of its last report.
    pub(super) number: u64,
    usual: Part,
    tolerated: Part,
    pub(super) round: RoundPart,
}

/// What a member has added to one excursion. It is void in any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Part {
    excursion: u64,
    failures: u64,
    surprise: u64,
}

/// The calls of a member in a round of a ramp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RoundPart {
    pub(super) round: u64,
    pub(super) good: u64,
    pub(super) bad: u64,
}

/// The evidence of failures for an outage, in 1/65,536 nat.
fn evidence(surprise: u64, failures: u64, expected: u64, gain: i32, excess: u32) -> i64 {
    let against = expected / 1_000 * u64::from(excess) / 1_000;
    signed(surprise) * 256 + signed(failures) * i64::from(gain) - signed(against)
}

/// All sums here are far below 2⁵³.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Excursion {
    pub(super) fn end(&mut self, now: u64) {
        *self = Self {
            number: next(self.number, now),
            ..Self::default()
        };
    }

    /// Adds calls that are expected of all members.
    pub(super) fn expect(&mut self, calls: u64) {
        if self.failures > 0 {
            self.expected = (self.expected + calls).min(MAX_EXPECTED);
        }
    }

    pub(super) fn sums(&self, now: u64) -> Sums {
        Sums {
            excursion: self.number,
            failures: self.failures,
            surprise: self.surprise,
            expected: self.expected,
            age_ms: since(self.began, now),
        }
    }

    /// Whether the sums are still at least those of the claim.
    pub(super) fn holds(&self, claim: &Claim) -> bool {
        self.number == claim.excursion
            && self.failures >= claim.failures
            && self.surprise >= claim.surprise
    }

    /// Ends the excursion if no evidence is left for any outage.
    ///
    /// Where failures usually follow one another, each says little. Then the smallest outage may
    /// explain them no better than what is usual does, while a larger one does.
    ///
    /// Not within the millisecond of the last failures. So it makes no difference how failures of
    /// one moment are divided into reports.
    fn end_without_evidence(&mut self, outages: &[(i32, u32)], now: u64) {
        if self.failures == 0 || self.added == now {
            return;
        }
        let is_left = outages.iter().any(|it| self.evidence(*it) > 0);
        if !is_left || self.expected >= MAX_EXPECTED {
            self.end(now);
        }
    }

    fn evidence(&self, (gain, excess): (i32, u32)) -> i64 {
        evidence(self.surprise, self.failures, self.expected, gain, excess)
    }

    /// Adds failures that are spread over the time since `begin`. `rate` is the fleet's.
    fn add(&mut self, part: &mut Part, new: Part, begin: u64, now: u64, rate: u64) {
        if self.number == 0 {
            self.end(now);
        }
        if self.failures == 0 {
            self.began = now;
        }
        if begin < self.began {
            let earlier = rate.saturating_mul(self.began - begin).min(MAX_EXPECTED);
            self.expected = (self.expected + earlier).min(MAX_EXPECTED);
            self.began = begin;
        }
        if part.excursion != self.number {
            *part = Part {
                excursion: self.number,
                ..Part::default()
            };
        }
        let failures = new.failures.min(MAX_FAILURES - part.failures);
        let surprise = new.surprise.min(MAX_SURPRISE - part.surprise);
        part.failures += failures;
        part.surprise += surprise;
        self.failures += failures;
        self.surprise += surprise;
        self.added = now;
    }
}

/// How much of a share exceeds the usual one.
fn excess(share: u32, normal: u32) -> u32 {
    share.saturating_sub(normal).max(1)
}

fn nothing(excursion: &Excursion, now: u64) -> LoudSums {
    LoudSums {
        sums: excursion.sums(now),
        ..LoudSums::default()
    }
}

impl FleetSums {
    /// Returns whether the report counts.
    ///
    /// It doesn't if the member has announced no traffic. Its failures would be compared with the
    /// calls of others: all members fail a little, and an emptied store knows the traffic of few.
    pub(super) fn count(&mut self, it: &Report, now: u64) -> bool {
        if self.state != FleetState::Closed || it.sender.epoch != self.epoch {
            return false;
        }
        let member = it.sender.member.0;
        if self.rates.of(member).is_none() || !self.is_new(member, it.number, now) {
            return false;
        }
        let (normal, rate) = (self.rates.normal(), self.rates.sum());
        let begin = now.saturating_sub(it.spread_ms.into()).max(1);
        let entry = self.entries.entry(member).or_default();
        entry.number = it.number;
        let mut new = Part {
            excursion: 0,
            failures: it.failures.into(),
            surprise: it.surprise.into(),
        };
        let outages = it.usual.map(|it| (it.gain, excess(it.share, normal)));
        self.usual.end_without_evidence(&outages, now);
        self.usual.add(&mut entry.usual, new, begin, now, rate);
        if let Some(first) = it.tolerated {
            new.surprise = 0;
            let first = (first.gain, first.share);
            self.tolerated.end_without_evidence(&[first], now);
            self.tolerated
                .add(&mut entry.tolerated, new, begin, now, rate);
        }
        true
    }

    /// Whether a member's report hasn't been counted yet. Makes room for the member.
    pub(super) fn is_new(&mut self, member: u64, number: u64, now: u64) -> bool {
        if let Some(entry) = self.entries.get(&member) {
            return number > entry.number;
        }
        if self.entries.len() >= MAX_ENTRIES {
            self.entries.clear();
            self.usual.end(now);
            self.tolerated.end(now);
            self.ramp.restart(now);
        }
        true
    }

    pub(super) fn loudest(&mut self, it: &Weigh, now: u64) -> (LoudSums, LoudSums) {
        let normal = self.rates.normal();
        let usual = it.usual.map(|it| (it.gain, excess(it.share, normal)));
        let (mut found, blind) = self.find(&self.usual, |entry| entry.usual, usual, now);
        if blind {
            self.usual.end(now);
            found = nothing(&self.usual, now);
        }
        let Some(tolerated) = it.tolerated else {
            return (found, LoudSums::default());
        };
        let tolerated = tolerated.map(|it| (it.gain, it.share));
        let (mut beyond, blind) = self.find(&self.tolerated, |it| it.tolerated, tolerated, now);
        if blind {
            self.tolerated.end(now);
            beyond = nothing(&self.tolerated, now);
        }
        (found, beyond)
    }

    /// Finds the loudest members of an excursion, and says whether they hide an outage that the
    /// others see.
    fn find(
        &self,
        excursion: &Excursion,
        part: impl Fn(&Entry) -> Part,
        outages: [(i32, u32); 4],
        now: u64,
    ) -> (LoudSums, bool) {
        let mut failing = 0;
        // For each outage, the two that add most: what they add, and who they are.
        let mut most = [[(0_i64, 0_u64, Loud::default()); 2]; 4];
        for (&member, entry) in &self.entries {
            let part = part(entry);
            if part.excursion != excursion.number || part.failures == 0 {
                continue;
            }
            failing += 1;
            let expected = |it: Announced| it.expected_since(excursion.began, now);
            let loud = Loud {
                failures: part.failures,
                surprise: part.surprise,
                expected: self.rates.of(member).map_or(0, expected),
            };
            for (most, (gain, excess)) in most.iter_mut().zip(outages) {
                let adds = evidence(loud.surprise, loud.failures, loud.expected, gain, excess);
                // Members come in order: of equal ones the first stays.
                if adds > most[0].0 {
                    *most = [(adds, member, loud), most[0]];
                } else if adds > most[1].0 {
                    most[1] = (adds, member, loud);
                }
            }
        }
        let mut listed = Vec::new();
        let mut loudest = Vec::new();
        for (adds, member, loud) in most.into_iter().flatten() {
            if adds > 0 && !listed.contains(&member) {
                listed.push(member);
                loudest.push(loud);
            }
        }
        let left_out = left_out(usize::try_from(self.rates.members()).unwrap_or(usize::MAX));
        let others = outages.iter().zip(&most).map(|(&outage, most)| {
            let loud: i64 = most[..left_out].iter().map(|it| it.0).sum();
            excursion.evidence(outage) - loud
        });
        let blind = others.max().is_none_or(|it| it < BLIND);
        let sums = excursion.sums(now);
        (
            LoudSums {
                sums,
                failing,
                loudest,
            },
            blind,
        )
    }
}

#[cfg(any(all(test, feature = "redis"), feature = "__fuzz"))]
impl Excursion {
    /// Its numbers, in the order of the script.
    pub(super) fn stored(&self) -> [u64; 6] {
        let Self {
            number,
            failures,
            surprise,
            expected,
            began,
            added,
        } = *self;
        [number, failures, surprise, expected, began, added]
    }
}

#[cfg(any(all(test, feature = "redis"), feature = "__fuzz"))]
impl Entry {
    /// Its numbers, in the order of the script.
    pub(super) fn stored(&self) -> [u64; 9] {
        let Self {
            number,
            usual,
            tolerated,
            round,
        } = self;
        assert_eq!(tolerated.surprise, 0);
        [
            *number,
            usual.excursion,
            usual.failures,
            usual.surprise,
            tolerated.excursion,
            tolerated.failures,
            round.round,
            round.good,
            round.bad,
        ]
    }
}
