//! A ramp: which calls are let through, and how their reports lead from round to round.

use super::steps::{Ladder, Steps};
use super::verdict::{Pace, Rules, Verdict};
use crate::events::Cause;
use crate::state::{AtomicState, Generation, Phase, Round, Share, StateChange, StateWord};
use crate::sync::{Hint, Payload, SelfContained};

/// The answer to a call that asks during a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// It is one of the share.
    Admitted,
    /// It isn't.
    Rejected {
        /// Nanoseconds until the share may be larger.
        retry_after: u64,
    },
    /// Calls that were let through have not reported for too long.
    Overdue,
}

/// How a call of a ramp came back.
#[derive(Clone, Copy, Debug)]
pub struct RampReport {
    /// What it was let through by.
    pub ticket: StateWord,
    /// Whether it was a success and quick enough.
    pub is_good: bool,
    /// When it began, in nanoseconds.
    pub began: u64,
    /// The time, in nanoseconds.
    pub now: u64,
    /// Nanoseconds from one call that asks to the next, on average.
    pub spacing: u64,
}

/// What leads a ramp from round to round.
#[derive(Debug, PartialEq)]
enum Guide {
    /// What the backend bears.
    Rules(Rules),
    /// The steps that were chosen.
    Ladder(Ladder),
}

impl Guide {
    fn first(&self, pace: Pace) -> Round {
        match self {
            Self::Rules(_) => Rules::first(pace),
            Self::Ladder(ladder) => ladder.first(),
        }
    }

    /// How long a round lasts at least.
    fn least(&self, round: Round, pace: Pace) -> u64 {
        match self {
            Self::Rules(_) => pace.least(round),
            Self::Ladder(ladder) => ladder.each(),
        }
    }

    fn judge(&self, round: Round, lasted: u64, pace: Pace) -> Verdict {
        match self {
            Self::Rules(rules) => rules.judge(round, lasted, pace),
            Self::Ladder(ladder) => ladder.judge(round, lasted),
        }
    }
}

/// What a ramp has beside its round, which is in the state word.
///
/// An admission touches one word, and no other call's admission can fail by it. Reports change the state
/// word by compare-exchange; each belongs to a round, and whoever completes the round begins the next.
#[derive(Debug)]
pub struct Ramp {
    guide: Guide,
    /// The sum of the shares of all calls that have asked. A call is let through if it carries the sum
    /// over the next whole: so of any n calls in succession as many as is their sum, rounded up or down.
    asked: SelfContained,
    /// When a round began, in nanoseconds, of those with an even and with an odd number; never goes back.
    /// Who is about to begin the next round so leaves the present one's beginning alone: should another
    /// be first to change the state word, the present round goes on as long as it would have. The state
    /// word publishes it.
    began: [Payload; 2],
    /// How long a round takes at least, in nanoseconds. The state word publishes it.
    round: Payload,
    /// When the first call since the latest report was let through, in nanoseconds; zero if none was.
    unanswered: Hint,
    /// Twice as long as calls of the recovery take, in nanoseconds. That is the longest of three:
    /// the slowest call since the ramp began, its probe, and half of what was known before it.
    patience: Hint,
}

impl Ramp {
    const SHORTEST_ROUND: u64 = 150_000_000;
    const LONGEST_ROUND: u64 = 1_000_000_000;

    /// A ramp to which it is acceptable that such a share of the calls fails.
    #[must_use]
    pub fn new(acceptable: f64) -> Self {
        Self::guided_by(Guide::Rules(Rules::new(acceptable)))
    }

    /// A ramp in the steps that were chosen.
    pub(crate) fn in_steps(steps: &Steps, max_failure_rate: f64) -> Self {
        Self::guided_by(Guide::Ladder(Ladder::new(steps, max_failure_rate)))
    }

    fn guided_by(guide: Guide) -> Self {
        Self {
            guide,
            asked: SelfContained::new(0),
            began: [Payload::new(0), Payload::new(0)],
            round: Payload::new(Self::SHORTEST_ROUND),
            unanswered: Hint::new(0),
            patience: Hint::new(0),
        }
    }

    /// Whether both lead by the same rules.
    #[must_use]
    pub fn same_config(&self, other: &Self) -> bool {
        self.guide == other.guide
    }

    fn began(&self, round: Round) -> &Payload {
        &self.began[usize::from(round.number % 2)]
    }

    fn pace(&self, spacing: u64) -> Pace {
        Pace {
            spacing,
            round: self.round.load(),
        }
    }

    /// Leaves `generation` for a ramp, after a probe that took so long; `None` if it is over.
    pub fn start(
        &self,
        state: &AtomicState,
        generation: Generation,
        took: u64,
        now: u64,
        spacing: u64,
    ) -> Option<(StateChange, Cause)> {
        let round = took
            .saturating_mul(3)
            .clamp(Self::SHORTEST_ROUND, Self::LONGEST_ROUND);
        // A probe that comes back late, when another has begun the ramp already, changes nothing of it.
        if state.load().generation() != generation {
            return None;
        }
        // The compare-exchange that follows publishes all of them. Should another have ended the generation since it was looked at, they are hints that do little harm: the next
        // ramp writes its own, and has begun no earlier than `now`; if it is there already, its rounds last
        // as long as this one's would, and calls that don't report are missed later, once.
        self.round.store(round);
        let patience = self.patience.load() / 2;
        self.patience.store(patience.max(took.saturating_mul(2)));
        self.unanswered.store(0);
        let first = self.guide.first(Pace { spacing, round });
        self.began(first).raise(now);
        let moved = state.leave(generation, Phase::Ramp(first.pack()))?;
        let share = first.share.as_f64();
        Some((moved, Cause::ProbeSucceeded { share }))
    }

    /// Notes that a call of the recovery has come back after `took` nanoseconds, whatever its
    /// outcome.
    pub fn learn(&self, took: u64) {
        // A reader that misses it ends the ramp sooner, as if the call had come
        // later.
        self.patience.raise(took.saturating_mul(2));
    }

    /// Whether a call that asks at `now` is one of the round's share.
    ///
    /// A ramp is over if none of its calls has reported for `timeout` nanoseconds (never, if that
    /// is `u64::MAX`), and for twice as long as such calls take. It is over in any case after
    /// [`AtomicState::LONGEST_LEASE`] times `timeout`.
    pub fn ask(&self, round: Round, now: u64, timeout: u64, spacing: u64) -> Ask {
        // At worst a call that is just being let through or has just come back is missed,
        // and the next one that asks sees it. No earlier than the round, so that a late word of another
        // ramp means nothing.
        let began = self.began(round).load();
        let unanswered = self.unanswered.load();
        let since = unanswered.max(began);
        if unanswered > 0 && timeout < u64::MAX && now.saturating_sub(since) >= timeout {
            // A report that is missed counts as if it had come later.
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
            let ends = began.saturating_add(self.guide.least(round, self.pace(spacing)));
            let retry_after = ends.saturating_sub(now).max(spacing);
            return Ask::Rejected { retry_after };
        }
        if unanswered == 0 {
            // If another call was first, it is the one.
            let _first = self.unanswered.exchange(0, now.max(1));
        }
        Ask::Admitted
    }

    /// Notes that a call has come back that says nothing.
    pub fn withdraw(&self, state: &AtomicState, generation: Generation) {
        if state.load().generation() == generation {
            self.unanswered.store(0);
        }
    }

    /// Counts a report. If it leads out of the ramp, how and why; a ramp that has failed opens the breaker
    /// as `open` says.
    pub fn report(
        &self,
        state: &AtomicState,
        report: RampReport,
        open: impl Fn() -> Phase,
    ) -> Option<(StateChange, Cause)> {
        let generation = report.ticket.generation();
        self.withdraw(state, generation);
        let pace = self.pace(report.spacing);
        let mut seen = state.load();
        loop {
            let (Phase::Ramp(round), Phase::Ramp(own)) = (seen.phase(), report.ticket.phase())
            else {
                return None;
            };
            let (round, own) = (round.unpack(), own.unpack());
            // Of an earlier round: its load was another.
            if seen.generation() != generation || round.number != own.number {
                return None;
            }
            let round_began = self.began(round).load();
            if report.began < round_began.saturating_add(pace.settling(round)) {
                return None;
            }
            let lasted = report.now.saturating_sub(round_began);
            let counted = round.counting(report.is_good);
            let (failures, calls) = (counted.bad.into(), counted.calls());
            let attempt = match self.guide.judge(counted, lasted, pace) {
                Verdict::Undecided => state.stay(seen, Phase::Ramp(counted.pack())).map(|()| None),
                Verdict::Next(next) => {
                    self.began(next).raise(report.now);
                    state.stay(seen, Phase::Ramp(next.pack())).map(|()| None)
                }
                Verdict::Back => state.change(seen, Phase::Closed).map(|moved| {
                    let cause = Cause::RampCompleted { failures, calls };
                    Some((moved, cause))
                }),
                Verdict::Failed => state.change(seen, open()).map(|moved| {
                    let share = counted.share.as_f64();
                    let cause = Cause::RampFailed {
                        failures,
                        calls,
                        share,
                    };
                    Some((moved, cause))
                }),
            };
            match attempt {
                Ok(moved) => return moved,
                Err(found) => seen = found,
            }
        }
    }
}
