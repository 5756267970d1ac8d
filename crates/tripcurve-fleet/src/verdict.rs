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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Member;

    /// The rule that every breaker has unless its policy says otherwise: a quarter is tolerated.
    fn rule() -> EvidenceRule {
        let breaker = tripcurve::CircuitBreaker::builder("any").build().unwrap();
        breaker.fleet_port().unwrap().rule().unwrap()
    }

    fn sender() -> Sender {
        Sender::new(Member(1))
    }

    /// A fleet that makes a thousand calls a second, of which one in 64 usually fails.
    fn view() -> FleetView {
        FleetView {
            members: 10,
            rate: 1_000_000,
            normal: SHARE / 64,
            ..FleetView::default()
        }
    }

    /// Failures that each surprise by 4 nats, where one call was expected.
    ///
    /// A trip takes 18 nats against the usual rate: five failures. It takes 10 against the
    /// tolerated one: nine.
    fn sums(failures: u64) -> Sums {
        Sums {
            excursion: 1,
            failures,
            surprise: 1_024 * failures,
            expected: 1_000_000,
            age_ms: 1_000,
        }
    }

    fn reported(usual: u64, tolerated: u64) -> Reported {
        Reported {
            view: view(),
            counted: true,
            usual: sums(usual),
            tolerated: sums(tolerated),
        }
    }

    /// Sums of which the two loudest members have so many failures each.
    fn loud_sums(failures: u64, loudest: u64) -> LoudSums {
        let loud = Loud {
            failures: loudest,
            surprise: 1_024 * loudest,
            expected: 0,
        };
        LoudSums {
            sums: sums(failures),
            failing: 2 + failures - 2 * loudest,
            loudest: vec![loud; 2],
        }
    }

    fn weighed(usual: LoudSums, tolerated: LoudSums) -> Weighed {
        Weighed {
            view: view(),
            usual,
            tolerated,
        }
    }

    #[test]
    fn messages_name_the_outages_of_the_rule_in_their_own_units() {
        let (judge, units) = (Judge::new(rule()), f64::from(SHARE));
        let is = |sent: Alternative, gain: f64, share: f64| {
            let gain = f64::from(sent.gain) - gain * f64::from(NAT);
            let share = f64::from(sent.share) - share * units;
            assert!(gain.abs() <= 0.5 && share.abs() <= 0.5, "{sent:?}");
        };
        let weigh = judge.weigh(sender());
        for (sent, of) in weigh.usual.iter().zip(rule().outages()) {
            is(*sent, of.share.ln(), of.share);
        }
        let tolerated = weigh.tolerated.unwrap();
        let outages = rule().outages_beyond_tolerated().unwrap();
        for (sent, of) in tolerated.iter().zip(outages) {
            is(*sent, (of.share / 0.25).ln(), of.share - 0.25);
        }
        let one = Failures {
            failures: 1,
            surprise: 2,
            spread_ms: 3,
        };
        let report = judge.report(sender(), 4, one);
        assert_eq!(report.usual[..], weigh.usual[..3]);
        assert_eq!(report.tolerated, Some(tolerated[0]));
    }

    #[test]
    fn the_loudest_are_asked_for_only_if_both_tests_have_enough_evidence() {
        let judge = Judge::new(rule());
        assert!(judge.may_trip(&reported(20, 20)));
        assert!(!judge.may_trip(&reported(4, 20)));
        assert!(!judge.may_trip(&reported(20, 8)));
        let of = |members, rate| {
            let view = FleetView {
                members,
                rate,
                ..view()
            };
            judge.may_trip(&Reported {
                view,
                ..reported(20, 20)
            })
        };
        assert!(of(2, 1_000_000) && !of(1, 1_000_000));
        assert!(!of(2, 0));
    }

    /// Fails when: a number of an answer is taken in another unit.
    #[test]
    fn the_standing_has_the_evidence_of_both_tests_at_the_fleets_call_rate() {
        let it = reported(3, 5);
        let test = Test::usual(&rule(), 1.0 / 64.0, 1_000.0);
        let age = Duration::from_secs(1);
        let beyond = Test::beyond_tolerated(&rule(), 1_000.0, age).unwrap();
        assert!((beyond.normal - 0.25).abs() < 1e-9);
        let excursion = |failures| Excursion {
            failures,
            surprise: 1_024 * failures,
            expected_calls: 1.0,
            failing: 0,
            loudest: &[],
        };
        let standing = |evidence: judge::Evidence, failures, needed| TestStanding {
            failures,
            expected_calls: 1.0,
            evidence: evidence.all,
            without_loudest: None,
            needed,
        };
        let usual = judge::weigh(1, &excursion(3), &test);
        let second = judge::weigh_beyond_tolerated(1, &excursion(5), &beyond);
        // Total outages explain the failures best.
        assert!((usual.all - (3.0 * 4.0 - 63.0 / 64.0)).abs() < 1e-9);
        let expected = Standing {
            usual: standing(usual, 3, rule().needed(1_000.0)),
            beyond_tolerated: Some(standing(second, 5, beyond.needed)),
            left_out: 0,
        };
        let judge = Judge::new(rule());
        assert_eq!(judge.standing(&it), Some(expected));
        let view = FleetView { rate: 0, ..view() };
        assert_eq!(judge.standing(&Reported { view, ..it }), None);
    }

    #[test]
    fn members_are_left_out_only_if_they_alone_have_what_is_missing() {
        let judge = Judge::new(rule());
        let left_out = |usual, tolerated| {
            let it = weighed(usual, tolerated);
            let standing = judge.standing_without_loudest(&it).unwrap();
            let trips = judge.trip(&it, sender(), 100).is_some();
            (standing.left_out, trips)
        };
        let (few, enough, loud) = (loud_sums(4, 1), loud_sums(20, 1), loud_sums(20, 9));
        assert_eq!(left_out(enough.clone(), enough.clone()), (0, true));
        assert_eq!(left_out(loud.clone(), enough.clone()), (2, false));
        assert_eq!(left_out(enough.clone(), loud.clone()), (2, false));
        assert_eq!(left_out(few.clone(), few.clone()), (0, false));
        // One test has too little evidence, also with all members.
        assert_eq!(left_out(loud.clone(), few.clone()), (0, false));
        assert_eq!(left_out(few, loud), (0, false));
    }

    #[test]
    fn the_standing_without_the_loudest_lacks_their_evidence() {
        let judge = Judge::new(rule());
        let it = weighed(loud_sums(20, 9), loud_sums(20, 9));
        let standing = judge.standing_without_loudest(&it).unwrap();
        let (usual, second) = (standing.usual, standing.beyond_tolerated.unwrap());
        assert_eq!((usual.failures, second.failures), (20, 20));
        // In a total outage. The loudest have 18 failures, and no call was expected of them.
        let rest = usual.without_loudest.unwrap();
        assert!((usual.evidence - rest - 18.0 * 4.0).abs() < 1e-9);
        let rest = second.without_loudest.unwrap();
        assert!((second.evidence - rest - 18.0 * 4_f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn a_trip_claims_the_sums_that_were_judged() {
        let judge = Judge::new(rule());
        let view = FleetView {
            epoch: 7,
            at_ms: 9,
            ..view()
        };
        let it = Weighed {
            view,
            ..weighed(loud_sums(20, 1), loud_sums(30, 1))
        };
        let claim = |failures| Claim {
            excursion: 1,
            failures,
            surprise: 1_024 * failures,
        };
        let expected = Trip {
            sender: sender(),
            epoch: 7,
            at_ms: 9,
            usual: claim(20),
            tolerated: Some(claim(30)),
            wait_ms: 100,
        };
        assert_eq!(judge.trip(&it, sender(), 100), Some(expected));
    }
}
