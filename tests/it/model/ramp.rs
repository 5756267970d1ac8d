//! A ramp in steps: it decides which calls are let through, and judges their reports.

use std::time::Duration;

use super::Steps;

/// The current step of a ramp.
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
}

/// The result of a report.
pub(super) enum Verdict {
    Goes(Ramp),
    IsBack,
    HasFailed,
}

impl Ramp {
    /// The limit of both counts. At one more call, both are halved.
    const MOST: u32 = 127;

    pub(super) fn begin(steps: &Steps, now: u64) -> Self {
        Self::at_step(steps, 0, now).expect("there is at least one")
    }

    fn at_step(steps: &Steps, step: usize, now: u64) -> Option<Self> {
        Some(Self {
            step,
            share: steps.share(step)?,
            began: now,
            bad: 0,
            good: 0,
            unanswered: None,
        })
    }

    pub(super) fn share(self) -> f64 {
        f64::from(u32::try_from(self.share).expect("1,024 at most")) / 1_024.0
    }

    pub(super) fn failures_and_calls(self) -> (u32, u32) {
        (self.bad, self.bad + self.good)
    }

    /// When the step ends, if one of its calls has reported by then.
    pub(super) fn ends(self, steps: &Steps) -> u64 {
        self.began.saturating_add(super::nanos(steps.each))
    }

    pub(super) fn is_overdue(self, now: u64, timeout: Duration, patience: u64) -> bool {
        let nanos = super::nanos(timeout);
        let longest = patience.min(nanos.saturating_mul(100)).max(nanos);
        let since = |since| now.saturating_sub(since) >= longest;
        timeout < Duration::MAX && self.unanswered.is_some_and(since)
    }

    /// Admits a call. The clock's first nanosecond counts as its second one.
    pub(super) fn let_through(&mut self, now: u64) {
        self.unanswered.get_or_insert(now.max(1));
    }

    /// A call of this ramp has ended, with or without a usable outcome.
    pub(super) fn answer(&mut self) {
        self.unanswered = None;
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
    pub(super) fn verdict(self, steps: &Steps, now: u64) -> Verdict {
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
        Self::at_step(steps, self.step + 1, now).map_or(Verdict::IsBack, Verdict::Goes)
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
