//! A ramp: which calls it admits, and how their reports lead from round to round.

use super::clients::Clients;
use super::steps::{Ladder, Steps};
use super::verdict::{Pace, Rules, Verdict};
use crate::events::Cause;
#[cfg(feature = "fleet")]
use crate::state::RampMode;
use crate::state::history::date_of;
use crate::state::{AtomicState, Generation, Phase, Round, Share, StateChange, StateWord};
use crate::sync::field::Field;
use crate::sync::stamped::{Next, Stamped};
use crate::sync::{Hint, Payload, Publisher};

/// The fields of the calls of a ramp that have reported in rounds of little load.
///
/// ```text
///  63         43 42       21 20        0
/// +-------------+-----------+-----------+
/// |generation,21|  bad, 22  | calls, 21 |
/// +-------------+-----------+-----------+
/// ```
///
/// When the calls are full, both counts are halved.
mod reported {
    use super::Field;

    pub(super) const CALLS: Field = Field::lowest(21);
    pub(super) const BAD: Field = CALLS.then(22);
    pub(super) const GENERATION: Field = BAD.then(21);

    const _: () = assert!(GENERATION.end_bit() == 64);
}

/// The answer to a call that asks for admission during a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The call is one of the share.
    Admitted,
    /// The call isn't one of the share.
    Rejected {
        /// Nanoseconds until the share may be larger.
        retry_after: u64,
    },
    /// No admitted call has reported for too long.
    Overdue,
}

/// The report of the probe that starts a ramp, or of a call that a ramp admitted.
#[derive(Clone, Copy, Debug)]
pub struct RampReport {
    /// The state word by which the call was admitted.
    pub ticket: StateWord,
    /// Whether the call succeeded and was quick enough.
    pub is_good: bool,
    /// When the call began, in nanoseconds.
    pub began: u64,
    /// The present time, in nanoseconds.
    pub now: u64,
    /// The mean time between two calls that ask, in nanoseconds.
    pub spacing: u64,
    /// How many times as much evidence as for independent failures it takes to judge a round.
    pub dispersion: f64,
    /// Whether more than the acceptable share of the calls may fail.
    pub tolerates_more: bool,
}

/// Decides how a ramp goes from round to round.
#[derive(Debug, PartialEq)]
enum Guide {
    /// By what the dependency bears.
    Rules(Rules),
    /// By the steps that the user chose.
    Ladder(Ladder),
}

impl Guide {
    fn first(&self, pace: Pace) -> Round {
        match self {
            Self::Rules(_) => Rules::first(pace),
            Self::Ladder(ladder) => ladder.first(),
        }
    }

    /// The shortest time that a round lasts, in nanoseconds.
    fn least(&self, round: Round, pace: Pace) -> u64 {
        match self {
            Self::Rules(_) => pace.least(round),
            Self::Ladder(ladder) => ladder.each,
        }
    }

    fn judge(&self, round: Round, lasted: u64, pace: Pace) -> Verdict {
        match self {
            Self::Rules(rules) => rules.judge(round, lasted, pace),
            Self::Ladder(ladder) => ladder.judge(round, lasted),
        }
    }
}

/// The state of a ramp, except its round. The round is in the state word.
///
/// An admission adds to one word, so it can't make another admission fail. Reports change the state
/// word by compare-exchange. Each report belongs to a round, and the report that completes a round
/// begins the next.
#[derive(Debug)]
pub struct Ramp {
    guide: Guide,
    clients: Clients,
    /// The sum of the shares of all calls that have asked. A call is admitted if it carries the sum
    /// over the next whole number. So of any n successive calls, as many run as their shares add up
    /// to, rounded up or down. It publishes the state word that the callers have seen. So who loads
    /// the sum before the state finds no sum of a later round.
    asked: Publisher,
    /// When the rounds with an even number and with an odd number began, in nanoseconds. They never
    /// go back, and the state word publishes them. With two words, a thread about to begin the next
    /// round leaves the present round's beginning alone. If another thread changes the state word
    /// first, the present round keeps its length.
    began: [Payload; 2],
    /// `asked` when the rounds with an even number and with an odd number began. Like `began`.
    asked_before: [Payload; 2],
    /// The calls of this ramp that have reported in rounds of little load, and how many of them
    /// were bad.
    reported: Stamped,
    /// When the ramp began, in nanoseconds. It never goes back, and the state word publishes it.
    since: Payload,
    /// The date at which a ramp last had too many failures. The state word publishes it.
    cut: Payload,
    /// The shortest time that a round takes, in nanoseconds. The state word publishes it.
    round: Payload,
    /// When the first call since the latest report was admitted, in nanoseconds; zero if none was.
    unanswered: Hint,
    /// Twice the time that calls of the recovery take, in nanoseconds. That time is the longest of
    /// three: the slowest call since the ramp began, its probe, and half of what was known before.
    patience: Hint,
}

impl Ramp {
    const SHORTEST_ROUND: u64 = 150_000_000;
    const LONGEST_ROUND: u64 = 1_000_000_000;
    /// The number of calls that the known spacing counts for.
    const INERTIA: u64 = 4;

    /// Creates a ramp for one of so many clients. It accepts this share of failing calls, and the
    /// larger share `more` while its reports say so.
    #[must_use]
    pub fn new(acceptable: f64, more: f64, clients: Clients) -> Self {
        Self::guided_by(Guide::Rules(Rules::new(acceptable, more)), clients)
    }

    /// Creates a ramp that goes by the user's steps.
    pub(crate) fn in_steps(steps: &Steps, max_failure_rate: f64) -> Self {
        let ladder = Ladder::new(steps, max_failure_rate);
        Self::guided_by(Guide::Ladder(ladder), Clients::ONE)
    }

    fn guided_by(guide: Guide, clients: Clients) -> Self {
        Self {
            guide,
            clients,
            asked: Publisher::new(0),
            began: [Payload::new(0), Payload::new(0)],
            asked_before: [Payload::new(0), Payload::new(0)],
            reported: Stamped::default(),
            since: Payload::new(0),
            cut: Payload::new(0),
            round: Payload::new(Self::SHORTEST_ROUND),
            unanswered: Hint::new(0),
            patience: Hint::new(0),
        }
    }

    /// Whether both go by equal rules.
    #[must_use]
    pub fn same_config(&self, other: &Self) -> bool {
        self.guide == other.guide && self.clients == other.clients
    }

    /// The date at which a ramp last had too many failures, or zero.
    #[must_use]
    pub fn latest_cut(&self) -> u64 {
        self.cut.load()
    }

    /// Takes over what `other` knows.
    pub fn inherit(&self, other: &Self) {
        self.cut.store(other.cut.load());
    }

    fn began(&self, round: Round) -> &Payload {
        &self.began[usize::from(round.number % 2)]
    }

    fn asked_before(&self, round: Round) -> &Payload {
        &self.asked_before[usize::from(round.number % 2)]
    }

    /// Notes that `round` begins at `now`, before the state word shows it. `asked` is the sum of
    /// the shares, read before the present state.
    ///
    /// Both words never go back, so a thread that comes late changes nothing.
    fn note_begin(&self, round: Round, now: u64, asked: u64) {
        self.began(round).raise(now);
        self.asked_before(round).raise(asked);
    }

    fn pace(&self, spacing: u64, dispersion: f64) -> Pace {
        Pace {
            spacing,
            round: self.round.load(),
            dispersion,
            clients: self.clients,
            tolerates_more: false,
        }
    }

    /// The pace of a round that has lasted for `lasted` nanoseconds.
    ///
    /// The spacing of calls is known from before the ramp. If less than half as many calls ask in
    /// the round, the traffic has fallen.
    fn pace_in(&self, round: Round, lasted: u64, known: Pace) -> Pace {
        let seen = lasted / self.asked_in(round).saturating_add(Self::INERTIA);
        let has_fallen = seen > known.spacing.saturating_mul(2);
        let spacing = if has_fallen { seen } else { known.spacing };
        Pace { spacing, ..known }
    }

    /// The number of calls that have asked in `round`, which the caller has found in the state
    /// word.
    #[must_use]
    pub fn asked_in(&self, round: Round) -> u64 {
        // Calls that ask meanwhile are counted or not.
        let sum = self.asked.peek();
        sum.saturating_sub(self.asked_before(round).load()) / round.share.units()
    }

    /// Counts a report of the ramp of `generation`.
    fn count(&self, generation: Generation, is_good: bool, is_current: impl Fn() -> bool) {
        let next = |seen| {
            let is_own = reported::GENERATION.get(seen) == generation.number();
            let (calls, bad) = Self::reported(if is_own { seen } else { 0 });
            let shift = u32::from(calls == reported::CALLS.max());
            let new = reported::GENERATION.of(generation.number())
                | reported::CALLS.of((calls >> shift) + 1)
                | reported::BAD.of((bad >> shift) + u64::from(!is_good));
            if is_own {
                Next::Own(new)
            } else {
                Next::Other(new)
            }
        };
        self.reported.update(next, is_current);
    }

    /// Whether the call of this ticket is of a round with little load, by the rules.
    fn is_little(&self, ticket: StateWord) -> bool {
        let round = match ticket.phase() {
            Phase::Ramp(round) => round.unpack(),
            _ => return false,
        };
        matches!(self.guide, Guide::Rules(_)) && Rules::is_little(round)
    }

    /// The calls that have reported, and how many of them were bad.
    fn reported(word: u64) -> (u64, u64) {
        (reported::CALLS.get(word), reported::BAD.get(word))
    }

    /// The calls of the ramp and the bad ones, if the ramp is over whatever its round shows.
    fn over(&self, round: Round, now: u64, pace: Pace) -> Option<(u32, u32)> {
        let Guide::Rules(rules) = &self.guide else {
            return None;
        };
        let lasted = now.saturating_sub(self.since.load());
        // The caller has counted its own report, so the word is that of its ramp or of a later one.
        // In the latter case the caller's exchange fails.
        let counts @ (calls, bad) = Self::reported(self.reported.load());
        let narrow = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let is_over = rules.is_over(round, lasted, counts, pace);
        is_over.then(|| (narrow(calls), narrow(bad)))
    }

    /// Leaves the generation of `probe`, which took `took` nanoseconds, for a ramp.
    ///
    /// Returns `None` if the generation is over.
    pub fn start(
        &self,
        state: &AtomicState,
        probe: RampReport,
        took: u64,
    ) -> Option<(StateChange, Cause)> {
        let generation = probe.ticket.generation();
        let round = self.bounded(took.saturating_mul(3));
        let asked = self.asked.load();
        // A probe may come back after another has begun the ramp. It must change nothing then.
        if state.load().generation() != generation {
            return None;
        }
        // The compare-exchange that follows publishes all of these words. Another thread may have
        // ended the generation since the check above. Then these words are hints that do little
        // harm. The next ramp writes its own, and begins no earlier than `now`. If it is there
        // already, its rounds last as long as this ramp's would. Calls that don't report are missed
        // later, once.
        self.round.store(round);
        let patience = self.patience.load() / 2;
        self.patience.store(patience.max(took.saturating_mul(2)));
        self.unanswered.store(0);
        let pace = Pace {
            spacing: probe.spacing,
            round,
            dispersion: probe.dispersion,
            clients: self.clients,
            tolerates_more: probe.tolerates_more,
        };
        let first = self.guide.first(pace);
        self.note_begin(first, probe.now, asked);
        self.since.raise(probe.now);
        let moved = state.leave(generation, Phase::Ramp(first.pack()))?;
        let share = first.share.as_f64();
        Some((moved, Cause::ProbeSucceeded { share }))
    }

    /// Goes on from the share of `seen`, in which a fleet has led the ramp so far.
    ///
    /// # Errors
    /// Another thread has changed the word since `seen`. The error is the word that was found.
    #[cfg(feature = "fleet")]
    pub fn take_over(
        &self,
        state: &AtomicState,
        (seen, led): (StateWord, Round),
        now: u64,
    ) -> Result<(), StateWord> {
        let own = match &self.guide {
            Guide::Rules(_) => Round {
                number: led.number.wrapping_add(1),
                ..Round::first(led.share, RampMode::Fast)
            },
            Guide::Ladder(ladder) => ladder.within(led.share),
        };
        let asked = self.asked.load();
        // A thread that slept may come when calls have asked in a round of the next state. It must
        // not take them for calls of this one.
        let found = state.load();
        if found != seen {
            return Err(found);
        }
        // As in `start`: the exchange publishes these words, and a thread that comes late does
        // little harm. Twice the time that calls take is known.
        let round = self.patience.load() / 2 * 3;
        self.round.store(self.bounded(round));
        self.unanswered.store(0);
        self.note_begin(own, now, asked);
        self.since.raise(now);
        state.stay(seen, Phase::Ramp(own.pack()))
    }

    /// The length of a round, in nanoseconds: `round` within its bounds.
    fn bounded(&self, round: u64) -> u64 {
        let shortest = self.clients.rounds_last(Self::SHORTEST_ROUND);
        round.clamp(shortest, Self::LONGEST_ROUND.max(shortest))
    }

    /// Notes that a call of the recovery has come back after `took` nanoseconds. Its outcome
    /// doesn't matter.
    pub fn learn(&self, took: u64) {
        // A reader that misses this ends the ramp sooner, as if the call had come back later.
        self.patience.raise(took.saturating_mul(2));
    }

    /// Whether a call that asks at `now` is one of the round's share.
    ///
    /// The ramp is over when none of its calls has reported for the longer of two times. One is
    /// `timeout` nanoseconds; the other is twice the time that such calls take. A `timeout` of
    /// `u64::MAX` means never. The ramp is over in any case after [`AtomicState::LONGEST_LEASE`]
    /// times `timeout`.
    pub fn ask(&self, round: Round, now: u64, timeout: u64, spacing: u64) -> Ask {
        // At worst this misses a call that is just being admitted or has just come back. The next
        // call that asks sees it. `since` is no earlier than the round, so a late word of another
        // ramp means nothing.
        let began = self.began(round).load();
        let unanswered = self.unanswered.load();
        let since = unanswered.max(began);
        if unanswered > 0 && timeout < u64::MAX && now.saturating_sub(since) >= timeout {
            // A report that is missed here counts as if it had come later.
            let patience = self.patience.load();
            let longest = timeout.saturating_mul(AtomicState::LONGEST_LEASE);
            if now.saturating_sub(since) >= patience.min(longest) {
                return Ask::Overdue;
            }
        }
        let share = round.share.units();
        // The sum wraps at a multiple of the whole.
        let before = self.asked.add(share);
        if before % Share::ALL.units() + share < Share::ALL.units() {
            let ends = began.saturating_add(self.guide.least(round, self.pace(spacing, 1.0)));
            let retry_after = ends.saturating_sub(now).max(spacing);
            return Ask::Rejected { retry_after };
        }
        if unanswered == 0 {
            // If another call was first, its time stays.
            let _first = self.unanswered.exchange(0, now.max(1));
        }
        Ask::Admitted
    }

    /// Notes that a call has come back without an outcome that counts.
    pub fn withdraw(&self, state: &AtomicState, generation: Generation) {
        if state.load().generation() == generation {
            self.unanswered.store(0);
        }
    }

    /// Counts a report. Returns the transition and its cause if the report ends the ramp.
    ///
    /// A ramp that fails opens the breaker with the phase that `open` returns.
    pub fn report(
        &self,
        state: &AtomicState,
        report: RampReport,
        open: impl Fn() -> Phase,
    ) -> Option<(StateChange, Cause)> {
        let generation = report.ticket.generation();
        self.withdraw(state, generation);
        let is_little = self.is_little(report.ticket);
        if is_little {
            let is_current = || state.load().generation() == generation;
            self.count(generation, report.is_good, is_current);
        }
        let known = self.pace(report.spacing, report.dispersion);
        let asked = self.asked.load();
        state.retry(|seen| {
            let (Phase::Ramp(round), Phase::Ramp(own)) = (seen.phase(), report.ticket.phase())
            else {
                return Ok(None);
            };
            let (round, own) = (round.unpack(), own.unpack());
            // A call of an earlier round ran under another load.
            if seen.generation() != generation || round.number != own.number {
                return Ok(None);
            }
            let round_began = self.began(round).load();
            if report.began < round_began.saturating_add(known.settling(round)) {
                return Ok(None);
            }
            let lasted = report.now.saturating_sub(round_began);
            let pace = Pace {
                tolerates_more: report.tolerates_more,
                ..self.pace_in(round, lasted, known)
            };
            let counted = round.counting(report.is_good);
            let (failures, calls) = (counted.bad.into(), counted.calls());
            let stay = |round: Round| state.stay(seen, Phase::Ramp(round.pack())).map(|()| None);
            let verdict = self.guide.judge(counted, lasted, pace);
            if is_little
                && verdict != Verdict::Failed
                && let Some((calls, failures)) = self.over(round, report.now, pace)
            {
                let moved = state.change(seen, Phase::Closed)?;
                return Ok(Some((moved, Cause::RampCompleted { failures, calls })));
            }
            let (phase, cause) = match verdict {
                Verdict::Undecided => return stay(counted),
                Verdict::Next(next) => {
                    self.note_begin(next, report.now, asked);
                    return stay(next);
                }
                Verdict::Cut(next) => {
                    // Before the state word shows the cut. A thread that trips the breaker after
                    // this ramp finds it.
                    self.cut.raise(date_of(report.now));
                    self.note_begin(next, report.now, asked);
                    return stay(next);
                }
                Verdict::Back => (Phase::Closed, Cause::RampCompleted { failures, calls }),
                Verdict::Failed => {
                    let share = counted.share.as_f64();
                    let cause = Cause::RampFailed {
                        failures,
                        calls,
                        share,
                    };
                    (open(), cause)
                }
            };
            let moved = state.change(seen, phase)?;
            Ok(Some((moved, cause)))
        })
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::state::RampMode;

    const MILLISECOND: u64 = 1_000_000;

    fn ramp() -> Ramp {
        Ramp::new(0.05, 0.25, Clients::ONE)
    }

    fn round(number: u8, share: f64) -> Round {
        Round {
            number,
            ..Round::first(Share::nearest(share), RampMode::Fast)
        }
    }

    #[test]
    fn the_calls_that_ask_in_a_round_are_counted_whatever_its_share() {
        let ramp = ramp();
        for (number, share) in [(0, 0.25), (1, 1.0), (2, 0.0625)] {
            let round = round(number, share);
            ramp.note_begin(round, number.into(), ramp.asked.load());
            assert_eq!(ramp.asked_in(round), 0);
            for _ in 0..32 {
                ramp.ask(round, 10, u64::MAX, MILLISECOND);
            }
            assert_eq!(ramp.asked_in(round), 32, "{share}");
        }
    }

    #[test]
    fn a_ramp_is_overdue_after_twice_the_time_that_its_calls_take() {
        let ramp = ramp();
        let all = round(0, 1.0);
        let ask = |now| ramp.ask(all, now, 1_000, MILLISECOND);
        ramp.learn(3_000);
        ramp.learn(2_000);
        assert_eq!(ask(10), Ask::Admitted);
        assert_eq!(ask(10 + 5_999), Ask::Admitted);
        assert_eq!(ask(10 + 6_000), Ask::Overdue);
    }

    #[test]
    fn only_calls_of_little_load_tell_of_the_whole_ramp() {
        let ramp = ramp();
        let is_little = |phase| ramp.is_little(StateWord::new(Generation::FIRST, phase));
        assert!(is_little(Phase::Ramp(round(0, 0.0625).pack())));
        assert!(!is_little(Phase::Ramp(round(0, 0.25).pack())));
        assert!(!is_little(Phase::Closed));
    }

    /// The ramp's calls took 100 ms, so its rounds last three times as long.
    #[cfg(feature = "fleet")]
    #[test]
    fn a_ramp_that_is_taken_over_has_rounds_as_long_as_its_calls_need() {
        let ramp = ramp();
        ramp.learn(100 * MILLISECOND);
        let led = Round::ordered(3, Share::nearest(0.25));
        let state = AtomicState::new(Phase::Ramp(led.pack()));
        ramp.take_over(&state, (state.load(), led), 5).unwrap();
        assert_eq!(ramp.pace(1, 1.0).round, 300 * MILLISECOND);
        let Phase::Ramp(own) = state.load().phase() else {
            panic!("{:?}", state.load());
        };
        assert_eq!((own.unpack().number, own.unpack().share), (4, led.share));
        assert!(!own.unpack().is_ordered());
    }

    #[test]
    fn a_ramp_in_place_of_another_knows_when_there_were_too_many_failures() {
        let (former, new) = (ramp(), ramp());
        former.cut.raise(date_of(7));
        new.inherit(&former);
        assert_eq!(new.latest_cut(), date_of(7));
    }
}
