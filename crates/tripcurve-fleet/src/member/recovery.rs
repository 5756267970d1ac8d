//! A breaker's part in the recovery of its fleet: leased probes, and rounds of a ramp.

use std::time::Duration;

use tripcurve::State;
use tripcurve::events::{Cause, Transition};
use tripcurve::fleet::{FleetPort, FleetRecovery, FleetRound, FleetVerdict, Order};

use super::known::Known;
use super::random::Random;
use super::reporting::Reporting;
use super::request::Request;
use crate::judge::{left_out, number};
use crate::message::{AfterProbe, AfterRound, AskLease, FleetState, Leased, Member, ProbeResult};
use crate::message::{Round, Rounded, SHARE, Step};

/// The shortest time between two reports of a round.
const ROUND_EVERY: Duration = Duration::from_millis(50);

/// The shortest time between two questions for a lease.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The calls that the holders of leases should make within the wait.
const CALLS: f64 = 2.0;

/// The leases of a turn, at most.
const MAX_LEASES: f64 = 64.0;

/// How a change of a breaker's state ends a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probed {
    /// The probe was good.
    Good,
    /// The probe failed.
    Bad,
    /// The change has nothing to do with a probe.
    Neither,
}

impl Probed {
    /// What a transition says about a probe.
    #[must_use]
    pub fn by(it: &Transition) -> Self {
        match (it.from(), it.to(), it.cause()) {
            (_, _, Cause::Fleet { .. } | Cause::Manual) => Self::Neither,
            (_, _, Cause::ProbeSucceeded { .. }) | (State::HalfOpen, State::Closed, _) => {
                Self::Good
            }
            (State::HalfOpen, State::Open, _) => Self::Bad,
            _ => Self::Neither,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Held {
    epoch: u64,
    turn: u64,
    ends: Duration,
    /// How the probe has ended.
    result: Option<bool>,
}

/// What a breaker does while its fleet recovers.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// The epoch and the turn for which `ask_at` was drawn.
    turn: (u64, u64),
    ask_at: Duration,
    held: Option<Held>,
    ramp: Option<InRamp>,
}

/// The round that a breaker is in.
#[derive(Debug)]
struct InRamp {
    epoch: u64,
    number: u32,
    round: FleetRound,
    /// When to look at the calls again.
    look_at: Duration,
    /// The calls that a store hasn't answered for yet.
    unanswered: Option<Round>,
}

/// What a message needs of the breaker that sends it.
pub(super) struct Own<'a> {
    pub(super) known: &'a Known,
    pub(super) member: Member,
    pub(super) port: &'a FleetPort,
    pub(super) rule: FleetRecovery,
    /// The calls that ask this breaker for admission, in 1/1000 per second.
    pub(super) rate: u64,
}

impl Own<'_> {
    fn fleet_rate(&self) -> f64 {
        number(self.known.view().rate) / 1_000.0
    }

    fn wait(&self, now: Duration) -> Duration {
        self.rule
            .wait(self.fleet_rate(), self.known.outage_age(now))
    }

    fn wait_ms(&self, now: Duration) -> u32 {
        millis(self.wait(now))
    }

    /// The chance with which this member asks for a lease: four times as many members ask as leases
    /// are needed.
    fn chance(&self, now: Duration) -> f64 {
        let members = number(self.known.view().members.max(1));
        let calls_of_one = self.fleet_rate() / members * self.wait(now).as_secs_f64();
        let leases = (CALLS / calls_of_one.max(1e-9))
            .ceil()
            .clamp(1.0, MAX_LEASES);
        4.0 * leases / members
    }
}

/// The evidence in nats from which a member's calls fail for a reason of its own, in a fleet of
/// one. In a larger fleet some member has bad luck more often.
const BROKEN: f64 = 4.5;

/// The failing share of the other members' calls, at least.
const FAILS: f64 = 0.05;

/// The good and the bad calls of a round without those of broken members: of the two with the most
/// bad calls, those whose calls fail clearly more often than the others'.
///
/// Without this condition a fleet of ten would leave out a third of the failures that too much load
/// has caused.
fn without_broken(it: &Rounded) -> (u64, u64) {
    let members = usize::try_from(it.view.members).unwrap_or(usize::MAX);
    let loudest = &it.loudest[..left_out(members)];
    let (mut good, mut bad) = (it.good, it.bad);
    for loud in loudest {
        good = good.saturating_sub(loud.good);
        bad = bad.saturating_sub(loud.bad);
    }
    let others = (number(bad) + 1.0) / (number(good + bad) + 2.0);
    let usual = others.max(FAILS);
    let needed = BROKEN + number(it.view.members.max(1)).ln();
    for loud in loudest {
        if evidence(loud.good, loud.bad, usual) < needed {
            good += loud.good;
            bad += loud.bad;
        }
    }
    (good, bad)
}

/// The evidence in nats that calls fail more often than a usual share: 0.0 if they don't.
fn evidence(good: u64, bad: u64, usual: f64) -> f64 {
    let (good, bad) = (number(good), number(bad));
    let failing = bad / (good + bad).max(1.0);
    if failing <= usual {
        return 0.0;
    }
    let of = |calls: f64, share: f64, usual: f64| {
        if calls > 0.0 {
            calls * (share / usual).ln()
        } else {
            0.0
        }
    };
    of(bad, failing, usual) + of(good, 1.0 - failing, 1.0 - usual)
}

/// A wait in a message: `1..=60_000` ms.
pub(super) fn millis(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis()).map_or(60_000, |it| it.clamp(1, 60_000))
}

/// A share in a message: `1..=SHARE`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn units(share: f64) -> u32 {
    let units = (share * f64::from(SHARE)).round() as u32;
    units.clamp(1, SHARE)
}

fn share(units: u32) -> f64 {
    f64::from(units) / f64::from(SHARE)
}

impl Recovery {
    /// Takes a state that was heard. Returns what the breaker must do.
    pub(super) fn hear(&mut self, own: &Own<'_>, now: Duration, random: &mut Random) -> Order {
        let view = own.known.view();
        if view.state != FleetState::Ramp {
            self.ramp = None;
        }
        if self
            .held
            .is_some_and(|it| it.epoch != view.epoch || it.turn < view.turn)
        {
            self.held = None;
        }
        match view.state {
            FleetState::Closed => Order::closed(view.epoch),
            FleetState::Open => {
                if self.turn != (view.epoch, view.turn) {
                    self.turn = (view.epoch, view.turn);
                    self.ask_at = own.known.due() + random.part_of(own.wait(now) / 4);
                }
                if self.held.is_some_and(|it| it.result.is_none()) {
                    Order::probe(view.epoch)
                } else {
                    Order::open(view.epoch)
                }
            }
            FleetState::Ramp => {
                self.enter(own, now);
                Order::ramp(view.epoch, view.round, share(view.share))
            }
        }
    }

    /// Enters the round that was heard of.
    fn enter(&mut self, own: &Own<'_>, now: Duration) {
        let view = own.known.view();
        let share = share(view.share);
        let round = match &self.ramp {
            Some(it) if (it.epoch, it.number) == (view.epoch, view.round) => return,
            Some(it) if it.epoch == view.epoch && it.number + 1 == view.round => {
                it.round.followed_by(share)
            }
            _ if view.round == 1 => own.rule.first_round(own.fleet_rate()).with_share(share),
            _ => own.rule.unknown_round(share),
        };
        // Calls under the load of the round before say nothing yet.
        let age = own.known.age(now);
        self.ramp = Some(InRamp {
            epoch: view.epoch,
            number: view.round,
            round,
            look_at: now + round.settling().saturating_sub(age),
            unanswered: None,
        });
    }

    pub(super) fn wake_at(&self, state: FleetState) -> Duration {
        match (state, &self.held, &self.ramp) {
            (FleetState::Open, Some(held), _) if held.result.is_some() => Duration::ZERO,
            (FleetState::Open, Some(held), _) => held.ends,
            (FleetState::Open, None, _) => self.ask_at,
            (FleetState::Ramp, _, Some(ramp)) => ramp.look_at,
            _ => Duration::MAX,
        }
    }

    /// What to send now.
    pub(super) fn request(
        &mut self,
        own: &Own<'_>,
        reporting: &mut Reporting,
        now: Duration,
        random: &mut Random,
    ) -> Option<Request> {
        match own.known.state() {
            FleetState::Closed => None,
            FleetState::Open => match self.held {
                Some(held) => {
                    let good = held.result?;
                    Some(Request::Result(own.result(held, good, now)))
                }
                None => self.ask(own, now, random).map(Request::Lease),
            },
            FleetState::Ramp => self.round(own, reporting, now).map(Request::Round),
        }
    }

    /// Takes the lease back if its turn is over. Returns what the breaker must do then.
    pub(super) fn expire(&mut self, known: &Known, now: Duration) -> Option<Order> {
        let held = self
            .held
            .filter(|it| it.ends <= now && it.result.is_none())?;
        self.held = None;
        self.ask_at = now;
        let is_current = known.state() == FleetState::Open && known.view().epoch == held.epoch;
        is_current.then(|| Order::open(held.epoch))
    }

    fn ask(&mut self, own: &Own<'_>, now: Duration, random: &mut Random) -> Option<AskLease> {
        if self.ask_at > now {
            return None;
        }
        // If too few have asked, others do so a little later.
        self.ask_at = now + ASK_EVERY + random.part_of(own.wait(now) / 4);
        let asks = own.rate > 0 && random.happens(own.chance(now));
        asks.then(|| AskLease {
            sender: own.known.sender(own.member),
            epoch: own.known.view().epoch,
            rate: own.rate,
            check: false,
            wait_ms: own.wait_ms(now),
        })
    }

    /// Takes the answer to a question for a lease. Returns what the breaker must do.
    pub(super) fn leased(
        &mut self,
        it: &Leased,
        own: &Own<'_>,
        now: Duration,
        random: &mut Random,
    ) -> Option<Order> {
        let is_current = own.known.state() == FleetState::Open
            && own.known.view().epoch == it.view.epoch
            && own.known.view().turn <= it.view.turn;
        let Some(lease) = it.lease.filter(|_| is_current) else {
            self.ask_at = own.known.due().max(now + ASK_EVERY) + random.part_of(own.wait(now) / 4);
            return None;
        };
        self.held = Some(Held {
            epoch: it.view.epoch,
            turn: lease.turn,
            ends: now + Duration::from_millis(lease.ends_ms),
            result: None,
        });
        Some(Order::probe(it.view.epoch))
    }

    /// The breaker has changed its state. Returns what it must do.
    pub(super) fn probed(&mut self, probed: Probed) -> Option<Order> {
        let held = self.held.as_mut().filter(|it| it.result.is_none())?;
        match probed {
            Probed::Neither => None,
            Probed::Good => {
                held.result = Some(true);
                None
            }
            Probed::Bad => {
                held.result = Some(false);
                Some(Order::open(held.epoch))
            }
        }
    }

    /// A store has answered the result of the probe.
    pub(super) fn resulted(&mut self) {
        self.held = None;
    }

    fn round(&mut self, own: &Own<'_>, reporting: &mut Reporting, now: Duration) -> Option<Round> {
        let ramp = self.ramp.as_mut().filter(|it| it.look_at <= now)?;
        ramp.look_at = now + ROUND_EVERY;
        if own.known.age(now) < ramp.round.settling() {
            let _unsettled = own.port.take_round();
            return None;
        }
        if ramp.unanswered.is_none() {
            let calls = own.port.take_round()?;
            ramp.unanswered = (calls.round() == ramp.number).then(|| Round {
                sender: own.known.sender(own.member),
                number: reporting.number(),
                epoch: ramp.epoch,
                round: ramp.number,
                good: calls.good().min(100_000),
                bad: calls.bad().min(100_000),
            });
        }
        ramp.unanswered
    }

    /// Takes the answer to a round's calls. Returns the end of the round, if it has a verdict.
    pub(super) fn rounded(&mut self, it: &Rounded, own: &Own<'_>, now: Duration) -> Option<Step> {
        let ramp = self.ramp.as_mut()?;
        ramp.unanswered = None;
        if !it.counted || (it.view.epoch, it.view.round) != (ramp.epoch, ramp.number) {
            return None;
        }
        let calls = without_broken(it);
        let lasted = own.known.age(now);
        let verdict = own.rule.judge(ramp.round, calls, lasted, own.fleet_rate());
        let next = match verdict {
            FleetVerdict::Next { share } => AfterRound::Round {
                share: units(share),
            },
            FleetVerdict::Close => AfterRound::Close,
            FleetVerdict::Reopen => AfterRound::Open {
                wait_ms: own.wait_ms(now),
            },
            _ => return None,
        };
        Some(Step {
            sender: own.known.sender(own.member),
            epoch: ramp.epoch,
            round: ramp.number,
            next,
        })
    }

    /// The store is gone.
    pub(super) fn lose(&mut self) {
        *self = Self::default();
    }
}

impl Own<'_> {
    fn result(&self, held: Held, good: bool, now: Duration) -> ProbeResult {
        let next = if good {
            let first = self.rule.first_round(self.fleet_rate());
            AfterProbe::Ramp {
                share: units(first.share()),
            }
        } else {
            AfterProbe::Turn {
                wait_ms: self.wait_ms(now),
            }
        };
        ProbeResult {
            sender: self.known.sender(self.member),
            epoch: held.epoch,
            turn: held.turn,
            next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{FleetView, LoudCalls};

    const NOW: Duration = Duration::from_secs(100);

    /// A member of a fleet that makes a thousand calls a second.
    struct OneMember {
        port: FleetPort,
        known: Known,
    }

    impl OneMember {
        fn new() -> Self {
            let breaker = tripcurve::CircuitBreaker::builder("any").build().unwrap();
            Self {
                port: breaker.fleet_port().unwrap().clone(),
                known: Known::default(),
            }
        }

        fn own(&self) -> Own<'_> {
            Own {
                known: &self.known,
                member: Member(7),
                port: &self.port,
                rule: FleetRecovery::new(&self.port.rule().unwrap()),
                rate: 100_000,
            }
        }

        /// Hears of a round of a ramp. Returns its view and what the breaker must do.
        fn hear(&mut self, recovery: &mut Recovery, round: u32, part: f64) -> (FleetView, Order) {
            let view = FleetView {
                epoch: 3,
                state: FleetState::Ramp,
                round,
                share: units(part),
                members: 10,
                rate: 1_000_000,
                ..FleetView::default()
            };
            self.known.learn(&view, NOW);
            let order = recovery.hear(&self.own(), NOW, &mut Random::new(1));
            (view, order)
        }

        /// What follows from the calls of a round, a second later.
        fn after(
            &self,
            recovery: &mut Recovery,
            view: FleetView,
            (good, bad): (u64, u64),
        ) -> Option<Step> {
            let it = Rounded {
                view,
                counted: true,
                good,
                bad,
                loudest: [LoudCalls { good: 0, bad: 0 }; 2],
            };
            recovery.rounded(&it, &self.own(), NOW + Duration::from_secs(1))
        }
    }

    #[test]
    fn a_round_ends_as_the_calls_of_all_members_say() {
        let after = |part, calls| {
            let (mut member, mut recovery) = (OneMember::new(), Recovery::default());
            let (view, order) = member.hear(&mut recovery, 1, part);
            assert_eq!(order, Order::ramp(3, 1, share(view.share)));
            let step = member.after(&mut recovery, view, calls)?;
            assert_eq!((step.epoch, step.round), (3, 1));
            Some(step.next)
        };
        let quarter = AfterRound::Round { share: SHARE / 4 };
        assert_eq!(after(0.0625, (1_000, 0)), Some(quarter));
        assert_eq!(after(1.0, (1_000, 0)), Some(AfterRound::Close));
        match after(0.0625, (0, 1_000)) {
            Some(AfterRound::Open { wait_ms: 1.. }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(after(0.0625, (0, 0)), None);
    }

    #[test]
    fn calls_that_are_not_counted_or_of_another_round_end_nothing() {
        let (mut member, mut recovery) = (OneMember::new(), Recovery::default());
        let (view, _) = member.hear(&mut recovery, 1, 0.0625);
        let other = FleetView { round: 2, ..view };
        assert_eq!(member.after(&mut recovery, other, (1_000, 0)), None);
        let other = FleetView { epoch: 4, ..view };
        assert_eq!(member.after(&mut recovery, other, (1_000, 0)), None);
        let uncounted = Rounded {
            view,
            counted: false,
            good: 1_000,
            bad: 0,
            loudest: [LoudCalls { good: 0, bad: 0 }; 2],
        };
        let now = NOW + Duration::from_secs(1);
        assert_eq!(recovery.rounded(&uncounted, &member.own(), now), None);
        assert!(member.after(&mut recovery, view, (1_000, 0)).is_some());
    }

    /// Fails when: a member judges a round otherwise than the one that began it.
    #[test]
    fn a_round_is_that_which_follows_the_one_before() {
        let round_of = |heard: &[(u32, f64)]| {
            let (mut member, mut recovery) = (OneMember::new(), Recovery::default());
            for (number, part) in heard {
                member.hear(&mut recovery, *number, *part);
            }
            recovery.ramp.unwrap().round
        };
        let member = OneMember::new();
        let rule = member.own().rule;
        let first = rule.first_round(1_000.0).with_share(0.25);
        assert_eq!(round_of(&[(1, 0.25)]), first);
        assert_eq!(round_of(&[(1, 0.25), (2, 0.125)]), first.followed_by(0.125));
        assert_eq!(round_of(&[(1, 0.25), (1, 0.25)]), first);
        assert_eq!(round_of(&[(2, 0.125)]), rule.unknown_round(0.125));
        let unknown = rule.unknown_round(0.125);
        assert_eq!(round_of(&[(1, 0.25), (3, 0.125)]), unknown);
        assert_ne!(first.followed_by(0.125), unknown);
        assert_ne!(first, rule.unknown_round(0.25));
    }

    #[test]
    fn evidence_against_a_member_is_its_likelihood_under_its_own_share() {
        let is = |it: f64, wanted: f64| assert!((it - wanted).abs() < 1e-9, "{it}, {wanted}");
        is(
            evidence(8, 2, 0.05),
            2.0 * 4_f64.ln() + 8.0 * (0.8_f64 / 0.95).ln(),
        );
        is(evidence(0, 10, 0.05), 10.0 * 20_f64.ln());
        for (good, bad) in [(95, 5), (99, 1), (10, 0), (0, 0)] {
            is(evidence(good, bad, 0.05), 0.0);
        }
    }

    /// Fails when: too few members ask for a lease, or all of a large fleet do.
    #[test]
    fn four_times_as_many_members_ask_for_a_lease_as_are_needed() {
        let chance = |members, rate| {
            let mut member = OneMember::new();
            let view = FleetView {
                epoch: 3,
                state: FleetState::Open,
                members,
                rate,
                ..FleetView::default()
            };
            member.known.learn(&view, NOW);
            let own = member.own();
            (own.chance(NOW), own.wait(NOW).as_secs_f64())
        };
        // A member makes enough calls within the wait.
        let (one, wait) = chance(100, 100_000_000);
        assert!(1_000.0 * wait > CALLS, "{wait}");
        assert!((one - 0.04).abs() < 1e-9, "{one}");
        // A member makes far too few.
        let (most, wait) = chance(1_000, 1_000);
        assert!(0.001 * wait < CALLS / MAX_LEASES, "{wait}");
        assert!((most - 4.0 * MAX_LEASES / 1_000.0).abs() < 1e-9, "{most}");
        // Half as many calls take twice as many leases.
        let (some, wait) = chance(1_000, 500_000);
        let leases = (CALLS / (0.5 * wait)).ceil();
        assert!((1.0..=MAX_LEASES).contains(&leases), "{leases}");
        assert!((some - 4.0 * leases / 1_000.0).abs() < 1e-9, "{some}");
    }

    #[test]
    fn shares_and_waits_fit_into_messages() {
        let sent = [0.0, 0.25, 1.0, 2.0].map(units);
        assert_eq!(sent, [1, SHARE / 4, SHARE, SHARE]);
        let waits = [0, 1, 1_500, 90_000].map(|ms| millis(Duration::from_millis(ms)));
        assert_eq!(waits, [1, 1, 1_500, 60_000]);
    }

    fn left(members: u64, (good, bad): (u64, u64), loudest: [(u64, u64); 2]) -> (u64, u64) {
        without_broken(&Rounded {
            view: FleetView {
                members,
                ..FleetView::default()
            },
            counted: true,
            good,
            bad,
            loudest: loudest.map(|(good, bad)| LoudCalls { good, bad }),
        })
    }

    #[test]
    fn a_member_whose_calls_all_fail_is_left_out_of_a_round() {
        assert_eq!(left(10, (90, 10), [(0, 10), (0, 0)]), (90, 0));
        assert_eq!(left(10, (80, 20), [(0, 10), (0, 10)]), (80, 0));
        assert_eq!(left(1_000, (50, 51), [(0, 50), (0, 1)]), (50, 1));
        // A fleet of one leaves out nobody.
        assert_eq!(left(1, (0, 50), [(0, 50), (0, 0)]), (0, 50));
    }

    #[test]
    fn members_that_fail_like_the_others_count() {
        assert_eq!(left(10, (19, 10), [(1, 2), (4, 1)]), (19, 10));
        assert_eq!(left(10, (60, 40), [(3, 7), (4, 6)]), (60, 40));
        assert_eq!(left(1_000, (60, 2), [(0, 1), (0, 1)]), (60, 2));
    }

    /// Fails when: the other members' share is taken as it is, however few calls they have made.
    #[test]
    fn few_calls_of_the_others_say_little_against_a_member() {
        assert_eq!(left(10, (0, 9), [(0, 9), (0, 0)]), (0, 9));
        assert_eq!(left(10, (0, 10), [(0, 10), (0, 0)]), (0, 0));
    }
}
