//! What a breaker learns of an outage, and what a recovery teaches the evidence.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::adaptive::{Adaptive, Learnt, float};
use super::dispersion::Recovered;
use super::ramp::{Ramp, Report};
use super::{Model, ModelPermit, Phase, Shape, date, in_microseconds, nanos};

/// What a case can come to in an adaptive recovery, besides the causes of transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    RoundCut,
    FalseTripLearnt,
    ShareConceded,
    MoreTolerated,
    MoreEndedByOpening,
    MoreEndedByTime,
}

impl Model {
    /// How far calls are apart, in nanoseconds.
    pub(super) fn spacing(&self) -> u64 {
        self.outage.map_or(0, |outage| outage.spacing)
    }

    /// How long a probe keeps its place, and a ramp waits for a report. Nobody waits for a probe
    /// that is sure to fail, unless the next one would come later anyway.
    pub(super) fn probe_timeout(&self) -> u64 {
        let timeout = nanos(self.config.probe_timeout);
        match (
            self.config.limit_of_probes(),
            self.outage,
            self.config.clients,
        ) {
            (Some(limit), Some(outage), Some(clients)) => {
                timeout.min(limit.max(outage.mean_wait(self.now, clients)))
            }
            _ => timeout,
        }
    }

    /// The possible open times, if they go by the traffic.
    pub(super) fn waits(&self) -> Option<RangeInclusive<u64>> {
        let clients = self
            .config
            .clients
            .filter(|_| self.config.goes_by_traffic())?;
        Some(self.outage?.waits(self.now, clients))
    }

    /// The rest of an open time, or of a round of a ramp.
    pub(super) fn rest(&self) -> Duration {
        let end = match (self.phase, self.config.guide()) {
            (Phase::Open { until }, _) => until,
            (Phase::Ramp(ramp), Some(guide)) => ramp.ends(&guide),
            _ => self.now,
        };
        Duration::from_nanos(end.saturating_sub(self.now))
    }

    /// The time over which the window's calls have come.
    fn lasted(&self) -> u64 {
        let length = match self.config.window {
            Shape::Count { .. } => u64::MAX,
            _ => nanos(self.config.window.length()),
        };
        let since = if self.has_taken_on {
            self.counted_since
        } else {
            in_microseconds(self.since).max(self.window_since.unwrap_or(0))
        };
        self.now.saturating_sub(since).min(length)
    }

    /// An outage starts if the breaker has been closed.
    pub(super) fn start_outage(&mut self) {
        // Nobody knows the time over which the calls of a window by count have come.
        let calls = match self.config.window {
            Shape::Time { .. } => self.held() as u64,
            _ => 0,
        };
        let (now, lasted) = (self.now, self.lasted());
        if let (Phase::Closed, Some(outage)) = (self.phase, &mut self.outage) {
            outage.start(now, calls, lasted);
        }
    }

    /// A call asks an open breaker whose open time is over.
    pub(super) fn observe(&mut self) {
        let calls = self.picture().rejected + 1;
        let lasted = self.lasted();
        if let Some(outage) = &mut self.outage {
            outage.observe(calls, lasted);
        }
    }

    /// What a report of this call is judged by.
    pub(super) fn report(&self, permit: ModelPermit) -> Report {
        let evidence = self.evidence.as_ref();
        Report {
            now: self.now,
            is_of_little: permit.is_of_little,
            asked: self.asked,
            spacing: self.spacing(),
            dispersion: evidence.map_or(1.0, Adaptive::dispersion),
            tolerates_more: evidence.is_some_and(|it| it.in_force.is_more),
        }
    }

    /// A ramp has had too many failures.
    pub(super) fn note_cut(&mut self) {
        self.ways.push(Way::RoundCut);
        if let Some(outage) = &mut self.outage {
            outage.cut = Some(date(self.now));
        }
    }

    /// The evidence has tripped the breaker.
    pub(super) fn note_trip(&mut self, failures_and_calls: (u32, u32)) {
        let (now, since) = (date(self.now), date(in_microseconds(self.since)));
        let cut = self.outage.and_then(|outage| outage.cut);
        self.note_opening(failures_and_calls, cut);
        if let Some(evidence) = &mut self.evidence {
            evidence.trip(now, since, self.generation);
        }
    }

    /// A ramp has failed. It is itself a ramp that had too many failures.
    pub(super) fn note_failed_ramp(&mut self, failures_and_calls: (u32, u32)) {
        self.note_opening(failures_and_calls, Some(date(self.now)));
    }

    fn note_opening(&mut self, failures_and_calls: (u32, u32), cut: Option<u64>) {
        let now = date(self.now);
        let Some(evidence) = &mut self.evidence else {
            return;
        };
        let before = evidence.in_force.is_more;
        evidence.open(failures_and_calls, cut, now);
        match (before, evidence.in_force.is_more) {
            (false, true) => self.ways.push(Way::MoreTolerated),
            (true, false) => self.ways.push(Way::MoreEndedByOpening),
            _ => {}
        }
    }

    /// Notes whether time has ended the larger tolerated share.
    pub(super) fn note_expiry(&mut self) {
        if let Some(evidence) = &mut self.evidence
            && std::mem::take(&mut evidence.in_force.has_expired)
        {
            self.ways.push(Way::MoreEndedByTime);
        }
    }

    /// A ramp is about to close the breaker, in whose last round so many of the calls have failed.
    ///
    /// The trip was false if its first recovery took ten seconds at most, or if no round had too
    /// many failures. Where calls are rare, no call of the only round may have failed. Within the
    /// time of 64 calls, one probe or ramp may have failed, too.
    pub(super) fn learn_from_recovery(&mut self, ramp: Ramp, failures: u32, calls: u32) {
        let (Some(outage), Some(evidence)) = (self.outage, &mut self.evidence) else {
            return;
        };
        let after = if outage.may_be_a_run(self.now) {
            Some(Recovered::Soon)
        } else if outage.is_young(self.now) || ramp.is_clean(failures) {
            Some(Recovered::AtOnce)
        } else {
            None
        };
        let closed = self.generation + 1;
        let after = after.filter(|_| self.config.goes_by_traffic());
        if after.is_some_and(|after| evidence.learn_false_trip(closed, after, date(self.now))) {
            self.ways.push(Way::FalseTripLearnt);
        }
        if evidence.concede(failures, calls) {
            self.ways.push(Way::ShareConceded);
        }
    }
}

impl Adaptive {
    /// The evidence of all calls, of timed and of watched ones.
    fn each_stream(&mut self, mut act: impl FnMut(&mut Self)) {
        act(self);
        for stream in [&mut self.timed, &mut self.watched].into_iter().flatten() {
            act(stream);
        }
    }

    /// How many times as much evidence as for independent failures it takes to tell an outage.
    fn dispersion(&self) -> f64 {
        let others = [&self.timed, &self.watched].into_iter().flatten();
        let others = others.map(|it| it.dispersion.get());
        others.fold(self.dispersion.get(), f64::max)
    }

    fn open(&mut self, failures_and_calls: (u32, u32), cut: Option<u64>, now: u64) {
        if self.has_tolerance() {
            self.each_stream(|stream| stream.in_force.open(failures_and_calls, cut, now));
        }
    }

    /// Returns whether the latest trip was that of this recovery, and false.
    fn learn_false_trip(&mut self, closed: u64, after: Recovered, now: u64) -> bool {
        let mut was_false = false;
        self.each_stream(|stream| {
            if let Some(found) = stream.dispersion.false_trip(closed, after) {
                was_false = true;
                stream.learnt_until = stream.learnt_until.max(now);
                stream.learnt = stream.learnt.plus(found.lesson());
            }
        });
        was_false
    }

    /// A recovery has accepted so many failures. If no share is tolerated, and they can't be
    /// chance, they are usual. Returns whether that is new.
    fn concede(&mut self, failures: u32, calls: u32) -> bool {
        if self.has_tolerance() || calls < 8 || failures < 2 {
            return false;
        }
        let failures = f64::from(failures);
        let share = (failures + failures.sqrt()) / f64::from(calls);
        let mut is_new = false;
        self.each_stream(|stream| {
            if let Some(conceded) = stream.learnt.conceding(share) {
                is_new = true;
                stream.learnt = conceded;
            }
        });
        is_new
    }
}

impl Learnt {
    /// The largest share of failures that may be usual: 15 %, or 25 % if it was conceded.
    pub(super) fn largest_share(self) -> f64 {
        if self.is_conceded() { 0.25 } else { 0.15 }
    }

    /// The largest chance of a failure after a failure.
    pub(super) fn largest_after_failure(self) -> f64 {
        if self.is_conceded() { 0.3 } else { 0.95 }
    }

    /// A conceded share holds while few failures come right after another.
    fn is_conceded(self) -> bool {
        self.conceded && self.come_alone()
    }

    /// Few are 30 % of the failures.
    fn come_alone(self) -> bool {
        float(self.pairs) <= 0.3 * float(self.failed)
    }

    /// What is usual once a recovery has accepted `share`, unless twice as much was usual already.
    ///
    /// The share weighs as 200 calls outside of excursions and 200 inside. How often a failure
    /// follows a failure stays as it was. Where failures come in company, nothing is conceded.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a hundred at most"
    )]
    fn conceding(self, share: f64) -> Option<Self> {
        const WEIGHT: u64 = 200;
        let usual = self.share();
        if share <= usual / 2.0 || !self.come_alone() {
            return None;
        }
        let share = share.max(usual).min(0.25);
        let after_failure = (float(self.pairs) / float(self.failed.max(1))).max(share);
        let starts = (float(WEIGHT) * share).round() as u64;
        let alone = 2.0 * float(starts);
        let pairs = (alone * after_failure / (1.0 - after_failure)).floor() as u64;
        let failed = 2 * starts + pairs;
        Some(Self {
            calls: 2 * WEIGHT - starts + failed,
            failed,
            pairs,
            starts,
            inside: WEIGHT,
            conceded: true,
        })
    }
}
