//! What a member says and decides, by the rule of its breaker.

use std::time::Duration;

use tripcurve::fleet::{EvidenceRule, FailureShare};

use crate::judge::{self, Excursion, MemberSums, Test, number};
use crate::message::{Alternative, Claim, FleetView, Loud, LoudSums, NAT, Report, Reported};
use crate::message::{SHARE, Sender, Sums, Trip, Weigh, Weighed};
use crate::standing::{Standing, TestStanding};

/// Judges the sums of a fleet by the rule of a breaker.
///
/// It does no input and output: it makes the messages, and reads the answers.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    rule: EvidenceRule,
}

/// The failures of a member since its last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// How many, in `1..=255`.
    pub failures: u32,
    /// Their surprise, in 1/256 nat: at most 8 nats each.
    pub surprise: u32,
    /// The time over which they are spread, in ms, at most 60,000.
    pub spread_ms: u32,
}

impl Judge {
    /// Makes a judge that follows the rule of a breaker.
    #[must_use]
    pub fn new(rule: EvidenceRule) -> Self {
        Self { rule }
    }

    /// Makes a report. See [`Report::number`].
    #[must_use]
    pub fn report(&self, sender: Sender, number: u64, it: Failures) -> Report {
        let Failures {
            failures,
            surprise,
            spread_ms,
        } = it;
        let [least, partial, most, _total] = self.usual();
        Report {
            sender,
            number,
            failures,
            surprise,
            spread_ms,
            usual: [least, partial, most],
            tolerated: self.tolerated().map(|them| them[0]),
        }
    }

    /// Makes a question for the members that add most evidence.
    #[must_use]
    pub fn weigh(&self, sender: Sender) -> Weigh {
        Weigh {
            sender,
            usual: self.usual(),
            tolerated: self.tolerated(),
        }
    }

    /// Whether there is enough evidence in all, so that [`weigh`](Self::weigh) is worth asking.
    #[must_use]
    pub fn may_trip(&self, it: &Reported) -> bool {
        let Some((test, beyond)) = self.tests(&it.view, &it.tolerated) else {
            return false;
        };
        let all = |sums: &Sums| of(sums, u64::MAX, &[]);
        let usual = judge::weigh(1, &all(&it.usual), &test);
        it.view.members > 1
            && usual.all >= test.needed
            && beyond.is_none_or(|test| {
                let excursion = all(&it.tolerated);
                judge::weigh_beyond_tolerated(1, &excursion, &test).all >= test.needed
            })
    }

    /// Makes the message that opens the fleet. `None` if there isn't enough evidence.
    ///
    /// `wait_ms` is the time until the first probe.
    #[must_use]
    pub fn trip(&self, it: &Weighed, sender: Sender, wait_ms: u32) -> Option<Trip> {
        let (test, beyond) = self.tests(&it.view, &it.tolerated.sums)?;
        let members = usize::try_from(it.view.members).unwrap_or(usize::MAX);
        let (usual, tolerated) = (loud(&it.usual), loud(&it.tolerated));
        let excursion = of(&it.usual.sums, it.usual.failing, &usual);
        let second = of(&it.tolerated.sums, it.tolerated.failing, &tolerated);
        let beyond = beyond.as_ref().map(|test| (&second, test));
        judge::trips(members, &excursion, &test, beyond).then(|| Trip {
            sender,
            epoch: it.view.epoch,
            at_ms: it.view.at_ms,
            usual: claim(&it.usual.sums),
            tolerated: beyond.map(|_| claim(&it.tolerated.sums)),
            wait_ms,
        })
    }

    /// How near the fleet is to a trip. `None` if no member has announced a rate.
    #[must_use]
    pub fn standing(&self, it: &Reported) -> Option<Standing> {
        let (test, beyond) = self.tests(&it.view, &it.tolerated)?;
        let (all, second) = (of(&it.usual, 0, &[]), of(&it.tolerated, 0, &[]));
        let of = |sums: &Sums, weighed, test: &Test| TestStanding::of(sums, weighed, false, test);
        Some(Standing {
            usual: of(&it.usual, judge::weigh(1, &all, &test), &test),
            beyond_tolerated: beyond.map(|test| {
                let weighed = judge::weigh_beyond_tolerated(1, &second, &test);
                of(&it.tolerated, weighed, &test)
            }),
            left_out: 0,
        })
    }

    /// How near the fleet is to a trip, also without the loudest members. `None` if no member has
    /// announced a rate.
    #[must_use]
    pub fn standing_without_loudest(&self, it: &Weighed) -> Option<Standing> {
        let (test, beyond) = self.tests(&it.view, &it.tolerated.sums)?;
        let members = usize::try_from(it.view.members).unwrap_or(usize::MAX);
        let (usual, tolerated) = (loud(&it.usual), loud(&it.tolerated));
        let excursion = of(&it.usual.sums, it.usual.failing, &usual);
        let second = of(&it.tolerated.sums, it.tolerated.failing, &tolerated);
        let of =
            |it: &LoudSums, weighed, test: &Test| TestStanding::of(&it.sums, weighed, true, test);
        let weighed = judge::weigh(members, &excursion, &test);
        let is_enough = |it: &TestStanding| it.evidence >= it.needed;
        let usual = of(&it.usual, weighed, &test);
        let beyond_tolerated = beyond.map(|test| {
            let weighed = judge::weigh_beyond_tolerated(members, &second, &test);
            of(&it.tolerated, weighed, &test)
        });
        let all = is_enough(&usual) && beyond_tolerated.as_ref().is_none_or(is_enough);
        let trips = judge::trips(
            members,
            &excursion,
            &test,
            beyond.as_ref().map(|test| (&second, test)),
        );
        Some(Standing {
            usual,
            beyond_tolerated,
            left_out: if all && !trips {
                judge::left_out(members)
            } else {
                0
            },
        })
    }

    /// The two tests at the fleet's call rate. `None` if no member has announced a rate.
    fn tests(&self, view: &FleetView, tolerated: &Sums) -> Option<(Test, Option<Test>)> {
        if view.rate == 0 {
            return None;
        }
        let rate = number(view.rate) / 1_000.0;
        let normal = f64::from(view.normal) / f64::from(SHARE);
        let age = Duration::from_millis(tolerated.age_ms);
        let beyond = Test::beyond_tolerated(&self.rule, rate, age);
        Some((Test::usual(&self.rule, normal, rate), beyond))
    }

    fn usual(&self) -> [Alternative; 4] {
        self.rule.outages().map(|it| alternative(it, 0.0, 0.0))
    }

    fn tolerated(&self) -> Option<[Alternative; 4]> {
        let tolerated = self.rule.tolerated()?;
        let outages = self.rule.outages_beyond_tolerated()?;
        Some(outages.map(|it| alternative(it, -tolerated.ln(), tolerated)))
    }
}

/// `surprise` is what each failure has besides the reported surprise.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn alternative(it: FailureShare, surprise: f64, tolerated: f64) -> Alternative {
    let gain = (surprise + it.share.ln()) * f64::from(NAT);
    let share = (it.share - tolerated) * f64::from(SHARE);
    Alternative {
        gain: gain.round() as i32,
        share: (share.round() as u32).max(1),
    }
}

fn of<'a>(sums: &Sums, failing: u64, loudest: &'a [MemberSums]) -> Excursion<'a> {
    Excursion {
        failures: sums.failures,
        surprise: sums.surprise,
        expected_calls: number(sums.expected) / 1e6,
        failing,
        loudest,
    }
}

fn loud(it: &LoudSums) -> Vec<MemberSums> {
    let sums = |it: &Loud| MemberSums {
        failures: it.failures,
        surprise: it.surprise,
        expected_calls: number(it.expected) / 1e6,
    };
    it.loudest.iter().map(sums).collect()
}

fn claim(sums: &Sums) -> Claim {
    Claim {
        excursion: sums.excursion,
        failures: sums.failures,
        surprise: sums.surprise,
    }
}
