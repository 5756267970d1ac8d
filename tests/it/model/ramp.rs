//! A ramp: it decides which calls are let through, and judges their reports.

use super::Steps;
use super::rounds::{self, Follows, Round, Rules, Seen};

/// The current step of a ramp, or the current round of an adaptive one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    pub(super) step: usize,
    /// The share that is let through, in 1,024ths.
    pub(super) share: u64,
    began: u64,
    /// The step's admitted calls that have ended badly.
    bad: u32,
    good: u32,
    /// When the first call after the latest report was admitted.
    unanswered: Option<u64>,
    adaptive: Option<Adaptive>,
}

/// What an adaptive ramp knows in addition.
#[derive(Clone, Copy, Debug)]
struct Adaptive {
    round: Round,
    since: u64,
    /// The sum of the shares of all calls that had asked when the round began.
    asked_before: u64,
    /// The bad calls and all calls of rounds with little load that have reported.
    of_little: (u64, u64),
}

/// What a ramp goes by.
#[derive(Clone, Debug)]
pub(super) enum Guide {
    Steps(Steps),
    Rules(Rules),
}

/// What a report is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) now: u64,
    /// Whether the call is of a round with little load.
    pub(super) is_of_little: bool,
    /// The sum of the shares of all calls that have asked.
    pub(super) asked: u64,
    pub(super) spacing: u64,
    pub(super) dispersion: f64,
    pub(super) tolerates_more: bool,
}

/// The result of a report.
pub(super) enum Verdict {
    Goes(Ramp),
    /// Too many calls have failed, so another round begins.
    IsCut(Ramp),
    /// The ramp is over, by so many failures of so many calls.
    IsBack(u32, u32),
    HasFailed,
}

impl Ramp {
    /// The limit of both counts. At one more call, both are halved.
    const MOST: u32 = 127;

    /// Begins after a probe that took so many nanoseconds.
    pub(super) fn begin(guide: &Guide, now: u64, took: u64, spacing: u64, asked: u64) -> Self {
        let rules = match guide {
            Guide::Steps(steps) => return Self::at_step(steps, 0, now).expect("there is one"),
            Guide::Rules(rules) => rules,
        };
        let (round, share) = rules.begin(took, spacing);
        Self {
            step: 0,
            share,
            began: now,
            bad: 0,
            good: 0,
            unanswered: None,
            adaptive: Some(Adaptive {
                round,
                since: now,
                asked_before: asked,
                of_little: (0, 0),
            }),
        }
    }

    fn at_step(steps: &Steps, step: usize, now: u64) -> Option<Self> {
        Some(Self {
            step,
            share: steps.share(step)?,
            began: now,
            bad: 0,
            good: 0,
            unanswered: None,
            adaptive: None,
        })
    }

    pub(super) fn share(self) -> f64 {
        f64::from(u32::try_from(self.share).expect("1,024 at most")) / 1_024.0
    }

    pub(super) fn failures_and_calls(self) -> (u32, u32) {
        (self.bad, self.bad + self.good)
    }

    /// When the step or round ends, if one of its calls has reported by then.
    pub(super) fn ends(self, guide: &Guide) -> u64 {
        self.began.saturating_add(match (guide, self.adaptive) {
            (Guide::Steps(steps), _) => super::nanos(steps.each),
            (Guide::Rules(_), Some(adaptive)) => adaptive.round.least(self.share),
            (Guide::Rules(_), None) => panic!("a ramp in steps has no rules"),
        })
    }

    pub(super) fn is_overdue(self, now: u64, timeout: u64, patience: u64) -> bool {
        let longest = patience.min(timeout.saturating_mul(100)).max(timeout);
        let since = |since| now.saturating_sub(since) >= longest;
        timeout < u64::MAX && self.unanswered.is_some_and(since)
    }

    /// Whether the present round has so little load that the load can't be to blame for failures.
    pub(super) fn is_little(self) -> bool {
        self.adaptive.is_some() && rounds::is_little(self.share)
    }

    /// Whether no round has had too many failures. The present one has `failures`.
    pub(super) fn is_clean(self, failures: u32) -> bool {
        let is_only = self.step == 0 && failures == 0;
        self.adaptive
            .is_none_or(|it| it.round.mood == rounds::Mood::Bold || is_only)
    }

    /// Admits a call. The clock's first nanosecond counts as its second one.
    pub(super) fn let_through(&mut self, now: u64) {
        self.unanswered.get_or_insert(now.max(1));
    }

    /// A call of this ramp has ended, with or without a usable outcome.
    pub(super) fn answer(&mut self) {
        self.unanswered = None;
    }

    /// A call of a round with little load has ended.
    pub(super) fn count_of_little(&mut self, is_good: bool) {
        if let Some(adaptive) = &mut self.adaptive {
            adaptive.of_little.0 += u64::from(!is_good);
            adaptive.of_little.1 += 1;
        }
    }

    /// Whether calls that began at this time count. Those before ran under another load.
    pub(super) fn counts_since(self, began: u64) -> bool {
        let settling = self.adaptive.map_or(0, |it| it.round.settling());
        began >= self.began.saturating_add(settling)
    }

    /// A call that this step has admitted has ended.
    pub(super) fn count(&mut self, is_good: bool) {
        if self.good == Self::MOST || self.bad == Self::MOST {
            self.good /= 2;
            self.bad /= 2;
        }
        if is_good {
            self.good += 1;
        } else {
            self.bad += 1;
        }
    }

    /// The verdict after a call was counted.
    pub(super) fn verdict(self, guide: &Guide, report: Report) -> Verdict {
        let (bad, calls) = self.failures_and_calls();
        match (guide, self.adaptive) {
            (Guide::Steps(steps), _) => self.verdict_on_step(steps, report.now),
            (Guide::Rules(rules), Some(adaptive)) => {
                self.verdict_on_round(*rules, adaptive, report)
            }
            (Guide::Rules(_), None) => Verdict::IsBack(bad, calls),
        }
    }

    fn verdict_on_round(self, rules: Rules, adaptive: Adaptive, report: Report) -> Verdict {
        let now = report.now;
        let lasted = now - self.began;
        // If less than half as many calls ask as before, the traffic has fallen.
        let asked = (report.asked - adaptive.asked_before) / self.share;
        let apart = lasted / (asked + 4);
        let has_fallen = apart > report.spacing.saturating_mul(2);
        let seen = Seen {
            share: self.share,
            bad: self.bad,
            good: self.good,
            lasted,
            spacing: if has_fallen { apart } else { report.spacing },
            dispersion: report.dispersion,
            tolerates_more: report.tolerates_more,
        };
        let (follows, round, share) = rules.judge(adaptive.round, seen);
        let (bad, calls) = adaptive.of_little;
        let may_be_over = report.is_of_little && follows != Follows::HasFailed;
        if may_be_over && rules.is_over(seen, now - adaptive.since, adaptive.of_little) {
            let narrow = |count: u64| u32::try_from(count).expect("few calls");
            return Verdict::IsBack(narrow(bad), narrow(calls));
        }
        let next = Self {
            step: (self.step + 1) % 256,
            share,
            began: now,
            bad: 0,
            good: 0,
            unanswered: None,
            adaptive: Some(Adaptive {
                round,
                asked_before: report.asked,
                ..adaptive
            }),
        };
        let (bad, calls) = self.failures_and_calls();
        match follows {
            Follows::Same => Verdict::Goes(self),
            Follows::Next => Verdict::Goes(next),
            Follows::Cut => Verdict::IsCut(next),
            Follows::IsBack => Verdict::IsBack(bad, calls),
            Follows::HasFailed => Verdict::HasFailed,
        }
    }

    fn verdict_on_step(self, steps: &Steps, now: u64) -> Verdict {
        let borne = steps.max_failure_rate();
        if self.shows_more_than(borne) {
            return Verdict::HasFailed;
        }
        if now - self.began < super::nanos(steps.each) {
            return Verdict::Goes(self);
        }
        let (bad, calls) = (f64::from(self.bad), f64::from(self.bad + self.good));
        if bad / calls > borne {
            return Verdict::HasFailed;
        }
        let back = Verdict::IsBack(self.bad, self.bad + self.good);
        Self::at_step(steps, self.step + 1, now).map_or(back, Verdict::Goes)
    }

    /// Whether the calls fit a higher failure rate better by 4.5 nats, which is 90 times as likely.
    ///
    /// The first alternative adds a fifth of the remaining rate to the tolerated one. The second
    /// adds half of the rest of that. A tolerated rate close to 0 or 1 can't be told from a higher
    /// one, so it is limited.
    fn shows_more_than(self, borne: f64) -> bool {
        let borne = borne.clamp(0.01, 0.9);
        let more = borne + (1.0 - borne) * 0.2;
        let nearly_all = f64::midpoint(more, 1.0);
        let likelihood = |share: f64| {
            f64::from(self.bad) * share.ln() + f64::from(self.good) * (1.0 - share).ln()
        };
        let shows = |share| likelihood(share) - likelihood(borne) >= 4.5;
        shows(more) || shows(nearly_all)
    }
}
