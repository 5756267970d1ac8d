//! The decision by evidence as its documentation describes it, in plain counts and plain numbers.
//!
//! Logarithms are rounded to 1/8,192 nat, like the breaker's. Logarithms of learnt failure rates
//! are cut to 1/256, so their sums are exact.

use std::time::Duration;

use tripcurve::events::Cause;

use super::dispersion::Dispersion;
use super::in_force::InForce;
use super::nanos;
use super::stalls::Stalls;

/// How well a failure rate explains the outcomes: the negative logarithms of their probabilities.
#[derive(Clone, Copy, Debug)]
struct Surprise {
    failure: f64,
    success: f64,
}

impl Surprise {
    fn at(share: f64) -> Self {
        Self {
            failure: rounded(-share.ln()),
            success: rounded(-(1.0 - share).ln()),
        }
    }

    /// Like [`at`](Self::at), with the baseline's precision.
    fn learnt(share: f64) -> Self {
        const UNITS: f64 = 256.0;
        let Self { failure, success } = Self::at(share);
        let failure = (failure * UNITS).floor() / UNITS;
        Self { failure, success }
    }

    fn of(self, failures: u32, successes: u32) -> f64 {
        self.failure * f64::from(failures) + self.success * f64::from(successes)
    }
}

const SECOND: u64 = 1_000_000_000;

/// The number of past windows in which the traffic is assumed to have been like the current one.
const WINDOWS: u64 = 16;

pub(super) fn rounded(nats: f64) -> f64 {
    const UNITS: f64 = 8_192.0;
    (nats * UNITS).round() / UNITS
}

/// The failure rates that an outage may have, and the handicap of each but the lowest for being one
/// of several.
#[derive(Clone, Copy, Debug)]
struct Outages {
    shares: [f64; 3],
    handicap: f64,
}

impl Outages {
    /// The evidence for an outage: how much better one of the rates explains the calls than `null`
    /// does. If all calls fail from some point on, it explains this last run better than
    /// `null_of_run` does.
    fn evidence(&self, null: f64, null_of_run: f64, counted: Counted) -> f64 {
        let explained = |share| null - Surprise::at(share).of(counted.failed, counted.succeeded);
        let [least, half, most] = self.shares.map(explained);
        let others = [half, most, null_of_run].map(|evidence| evidence - rounded(self.handicap));
        others.into_iter().fold(least, f64::max)
    }

    /// Whether no rate explains the calls better.
    fn are_unlikely(&self, null: f64, counted: Counted) -> bool {
        let explained = |share| Surprise::at(share).of(counted.failed, counted.succeeded);
        self.shares.map(explained).iter().all(|it| null <= *it)
    }
}

/// The outcomes since there was last no evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counted {
    failed: u32,
    succeeded: u32,
    /// Failures that came right after another failure.
    pairs: u32,
}

impl Counted {
    /// Halves all counts, rounded so that evidence is lost. A failure right after another is less
    /// evidence than one that isn't. The first failure came after none.
    fn halved(self) -> Self {
        let failed = self.failed / 2;
        let half = Self {
            failed,
            succeeded: self.succeeded.div_ceil(2),
            pairs: self.pairs.div_ceil(2).min(failed.saturating_sub(1)),
        };
        // Without failures, nothing is left.
        if half.failed > 0 {
            half
        } else {
            Self::default()
        }
    }
}

/// The failures since the last success. Up to 64 are counted one by one. Further ones are counted
/// in sixteens, whenever the count of all failures is divisible by 16.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Run {
    exact: u32,
    sixteens: u32,
}

impl Run {
    const MOST_EXACT: u32 = 64;
    const MOST_SIXTEENS: u32 = 63;

    fn fail(&mut self, all: u32) {
        if self.exact < Self::MOST_EXACT {
            self.exact += 1;
        } else if all.is_multiple_of(16) && self.sixteens < Self::MOST_SIXTEENS {
            self.sixteens += 1;
        }
    }

    /// A lower bound of the run's length.
    fn length(self) -> u32 {
        match self.sixteens {
            0 => self.exact,
            sixteens => self.exact + 16 * (sixteens - 1) + 1,
        }
    }
}

/// The calls that are weighed, against the usual and against the tolerated failure rate.
#[derive(Clone, Copy, Debug, Default)]
struct Excursion {
    usual: Counted,
    tolerated: Counted,
    /// The failures since the last success.
    run: Run,
}

impl Excursion {
    const MOST: u32 = 511;
    const MOST_TOLERATED_SUCCEEDED: u32 = 1_023;

    fn fail(&mut self) {
        let pairs = u32::from(self.run.exact > 0 && self.usual.failed > 0);
        for counted in [&mut self.usual, &mut self.tolerated] {
            if counted.failed == Self::MOST {
                *counted = counted.halved();
            }
            counted.failed += 1;
        }
        self.usual.pairs += pairs;
        self.run.fail(self.usual.failed);
    }
}

/// The counts of calls while nothing was wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Learnt {
    pub(super) calls: u64,
    pub(super) failed: u64,
    /// Failures right after another failure.
    pub(super) pairs: u64,
    /// Failures with which an excursion began.
    pub(super) starts: u64,
    /// Calls within an excursion, except those right after a failure.
    pub(super) inside: u64,
    /// Whether a recovery has accepted a share of failures that the policy hadn't.
    pub(super) conceded: bool,
}

impl Learnt {
    const MOST_CALLS: u64 = (1 << 20) - 1;
    const MOST_FAILED: u64 = 512;
    const MOST_INSIDE: u64 = (1 << 14) - 1;

    /// The lesson of an excursion that the next call, a success, ends.
    fn of(counted: Counted, run: Run) -> Self {
        let Counted {
            failed,
            succeeded,
            pairs,
        } = counted;
        let runs = failed.saturating_sub(pairs);
        let runs_over = runs.saturating_sub(u32::from(run.exact > 0));
        let again = runs.saturating_sub(1);
        let inside = succeeded.saturating_sub(runs_over) + again + 1;
        Self {
            calls: u64::from(failed + succeeded) + 1,
            failed: failed.into(),
            pairs: pairs.into(),
            starts: 1,
            inside: inside.into(),
            conceded: false,
        }
    }

    /// The sum of both, halved until it fits.
    pub(super) fn plus(self, other: Self) -> Self {
        let mut sum = Self {
            calls: self.calls.saturating_add(other.calls),
            failed: self.failed + other.failed,
            pairs: self.pairs + other.pairs,
            starts: self.starts + other.starts,
            inside: self.inside + other.inside,
            conceded: self.conceded || other.conceded,
        };
        while sum.calls > Self::MOST_CALLS
            || sum.failed > Self::MOST_FAILED
            || sum.inside > Self::MOST_INSIDE
        {
            sum = Self {
                calls: sum.calls / 2,
                failed: sum.failed / 2,
                pairs: sum.pairs / 2,
                starts: sum.starts / 2,
                inside: sum.inside / 2,
                ..sum
            };
        }
        sum
    }

    /// The rate plus one standard deviation, after adding `unseen` calls.
    fn cautious(self, failed: u64, calls: u64, unseen: u64) -> f64 {
        let failed = float(failed);
        ((failed + failed.sqrt() + 1.0) / float(calls + unseen)).clamp(0.001, self.largest_share())
    }

    /// The failure rate of all calls.
    pub(super) fn share(self) -> f64 {
        self.cautious(self.failed, self.calls, 100)
    }

    /// The failure rate of calls while there is no evidence.
    fn starting(self) -> f64 {
        let others = self.calls.saturating_sub(self.inside + self.failed);
        self.cautious(self.starts, others + self.starts, 100)
    }

    /// The failure rate of calls in an excursion, after a success.
    fn after_success(self) -> f64 {
        let again = self.failed.saturating_sub(self.starts + self.pairs);
        let unseen = (10 + self.calls / 50).min(50);
        self.cautious(again, self.inside, unseen)
            .max(self.starting())
    }

    /// The failure rate of calls after a failure.
    fn after_failure(self, pace: f64) -> f64 {
        // The fewer calls there are, the likelier two failures in a row are believed to be.
        let unseen = (0.14 / pace.sqrt()).clamp(0.1, 0.25);
        let share = (float(self.pairs) + 2.0 * unseen) / (float(self.failed) + 2.0);
        share
            .max(self.after_success())
            .clamp(0.02, self.largest_after_failure())
    }
}

/// The policy of one breaker, and its baseline.
#[derive(Clone, Debug)]
pub(super) struct Adaptive {
    tolerate: f64,
    /// Which of the two tolerated shares counts.
    pub(super) in_force: InForce,
    budget: f64,
    /// How many streams share the budget.
    streams: f64,
    window: u64,
    excursion: Excursion,
    /// When the latest excursion began.
    began: u64,
    /// When the latest call failed or became overdue.
    latest: u64,
    /// The total duration of recent excursions at the end of the last one, by itself or with a
    /// trip, and that end.
    lasted: u64,
    ended: u64,
    pub(super) learnt: Learnt,
    pub(super) learnt_until: u64,
    pub(super) dispersion: Dispersion,
    pace: f64,
    paced_at: Option<u64>,
    /// The stream that gave the cause of the last verdict.
    shows: Stream,
    /// The excursion that the last verdict to trip has found.
    found: Found,
    /// The evidence of watched calls, if calls are watched. Each of them is one outcome, when it
    /// ends or becomes overdue.
    pub(super) watched: Option<Box<Self>>,
    /// The evidence of timed calls, if a breaker times a sample of dense calls and weighs slow ones.
    /// Then slow calls are evidence here, and successes among all calls.
    pub(super) timed: Option<Box<Self>>,
    /// The stalls of the client, if these are the watched calls.
    pub(super) stalls: Stalls,
}

/// A stream of outcomes.
#[derive(Clone, Copy, Debug, Default)]
enum Stream {
    #[default]
    All,
    Timed,
    Watched,
}

/// The excursion of a trip.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) counted: Counted,
    /// Its evidence; see [`Dispersion::height`].
    pub(super) height: f64,
}

impl Found {
    /// What the excursion teaches if it was no outage.
    pub(super) fn lesson(self) -> Learnt {
        let run = Run {
            exact: 1,
            sixteens: 0,
        };
        Learnt::of(self.counted, run)
    }
}

/// The larger share that is tolerated while a bad shard seems to be the cause.
pub(super) fn more(tolerate: f64) -> Option<f64> {
    (tolerate > 0.0).then_some((tolerate + 0.2).min(0.9))
}

/// A call, and the times by which it is weighed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: u64,
    /// When the generation began.
    pub(super) since: u64,
    /// The time from which on the window counts calls.
    pub(super) counted_since: u64,
    /// The number of calls in the window.
    pub(super) calls: u64,
}

impl Adaptive {
    pub(super) fn new(tolerate: f64, budget: Duration, window: Duration) -> Self {
        Self {
            tolerate,
            in_force: InForce::default(),
            budget: budget.as_secs_f64(),
            streams: 1.0,
            window: nanos(window),
            excursion: Excursion::default(),
            began: 0,
            latest: 0,
            lasted: 0,
            ended: 0,
            learnt: Learnt::default(),
            learnt_until: 0,
            dispersion: Dispersion::default(),
            pace: 1.0,
            paced_at: None,
            shows: Stream::All,
            found: Found::default(),
            watched: None,
            timed: None,
            stalls: Stalls::default(),
        }
    }

    /// Returns this evidence with a second one, which weighs watched calls.
    pub(super) fn and_watched(mut self) -> Self {
        self.streams = 2.0;
        Self {
            watched: Some(Box::new(self.untaught())),
            ..self
        }
    }

    /// Returns this evidence, which weighs watched calls too, with one more. That one weighs a sample
    /// of timed calls.
    pub(super) fn and_timed(mut self) -> Self {
        self.streams = 3.0;
        Self {
            watched: Some(Box::new(self.untaught())),
            timed: Some(Box::new(self.untaught())),
            ..self
        }
    }

    /// Evidence with these settings, of no other stream.
    fn untaught(&self) -> Self {
        let new = Self::new(self.tolerate, Duration::ZERO, Duration::ZERO);
        Self {
            budget: self.budget,
            streams: self.streams,
            window: self.window,
            ..new
        }
    }

    /// Knows what `other` has learnt, and nothing else.
    fn taught_by(self, other: &Self) -> Self {
        // Shares with equal rounded numbers count as equal.
        let failure = |it: &Self| Surprise::at(it.tolerate).failure.to_bits();
        let in_force = if failure(&self) == failure(other) {
            other.in_force
        } else {
            self.in_force
        };
        Self {
            in_force,
            learnt: other.learnt,
            learnt_until: other.learnt_until,
            dispersion: other.dispersion.learnt(),
            pace: other.pace,
            paced_at: other.paced_at,
            ..self
        }
    }

    /// A new process knows no dispersion. It knows what was learnt of all calls, or of timed ones
    /// if only they can be slow.
    pub(super) fn restart(mut self) -> Self {
        self.dispersion = Dispersion::default();
        // At first the larger share isn't in force. Evidence against it means nothing.
        let failure = |it: &Self| it.tolerance().map(|(surprise, _)| surprise.failure);
        let before = failure(&self);
        self.in_force = InForce::default();
        if failure(&self) != before {
            self.excursion = Excursion::default();
            (self.began, self.latest, self.lasted, self.ended) = (0, 0, 0, 0);
        }
        if let Some(timed) = self.timed.take() {
            (self.learnt, self.learnt_until) = (timed.learnt, timed.learnt_until);
            (self.pace, self.paced_at) = (timed.pace, timed.paced_at);
            self = self.and_timed();
        }
        // A restored breaker concedes again.
        self.learnt.conceded = false;
        let known = self.clone();
        for stream in [&mut self.timed, &mut self.watched].into_iter().flatten() {
            **stream = known.untaught().taught_by(&known);
        }
        self
    }

    /// The state after a change of settings. `offered` has the new settings and no baseline.
    pub(super) fn succeeded_by(self, offered: &Self) -> Self {
        // Settings with equal rounded numbers decide equally.
        let settings = |it: &Self| {
            let tolerated = Surprise::at(it.tolerate);
            let (failure, success) = (tolerated.failure, tolerated.success);
            let streams = (it.watched.is_some(), it.timed.is_some());
            (failure, success, it.budget, it.window, streams)
        };
        if settings(&self) == settings(offered) {
            return self;
        }
        let of_watched = self.watched.as_deref().unwrap_or(&self);
        let of_slow_calls = self.timed.as_deref().unwrap_or(&self);
        let new = offered.clone();
        // Slow calls are evidence among all calls if each call is timed.
        let of_all = if new.watched.is_some() && new.timed.is_none() {
            of_slow_calls
        } else {
            &self
        };
        let taught = |new: Box<Self>, known: &Self| Box::new(new.taught_by(known));
        Self {
            watched: new.watched.clone().map(|new| taught(new, of_watched)),
            timed: new.timed.clone().map(|new| taught(new, of_slow_calls)),
            ..new.taught_by(of_all)
        }
    }

    /// Begins a new generation.
    pub(super) fn begin(&mut self) {
        self.excursion = Excursion::default();
        self.dispersion.forget();
        for stream in [&mut self.timed, &mut self.watched].into_iter().flatten() {
            stream.begin();
        }
    }

    /// The failure rates of outages that are tested against the usual rate.
    fn outages() -> Outages {
        Outages {
            shares: [0.3, 0.6, 0.95],
            handicap: 0.0,
        }
    }

    /// Whether any share of failures is tolerated.
    pub(super) fn has_tolerance(&self) -> bool {
        self.tolerate > 0.0
    }

    /// The tolerated rate, and the failure rates that are tested against it.
    fn tolerance(&self) -> Option<(Surprise, Outages)> {
        let tolerated = match more(self.tolerate) {
            Some(more) if self.in_force.is_more => more,
            _ => self.tolerate,
        };
        let share = |of_the_rest: f64| tolerated + (1.0 - tolerated) * of_the_rest;
        let outages = Outages {
            shares: [share(0.333), share(0.733), share(0.95)],
            handicap: 0.5,
        };
        (tolerated > 0.0).then(|| (Surprise::at(tolerated), outages))
    }

    /// How surprising the counts would usually be.
    fn usual(&self, counted: Counted, run: Run) -> f64 {
        let runs = counted.failed.saturating_sub(counted.pairs);
        let again = runs.saturating_sub(1);
        let runs_over = runs.saturating_sub(u32::from(run.exact > 0));
        let others = counted.succeeded.saturating_sub(runs_over);
        Surprise::learnt(self.learnt.starting()).failure
            + Surprise::learnt(self.learnt.after_success()).of(again, others)
            + Surprise::learnt(self.learnt.after_failure(self.pace)).of(counted.pairs, runs_over)
    }

    /// How surprising the last run of failures would usually be.
    fn usual_run(&self, counted: Counted, run: Run) -> f64 {
        if run.exact == 0 {
            return 0.0;
        }
        // The start of a long run isn't known.
        let first = if counted.failed > run.exact {
            self.learnt.after_success()
        } else {
            self.learnt.starting()
        };
        let others = Surprise::learnt(self.learnt.after_failure(self.pace)).of(run.length() - 1, 0);
        Surprise::learnt(first).failure + others
    }

    /// A call failed or became overdue.
    pub(super) fn fail(&mut self, moment: Moment) {
        self.look(moment);
        if moment.now - self.latest >= self.window {
            self.excursion = Excursion::default();
            self.dispersion.forget();
        }
        self.latest = moment.now;
        if self.excursion.usual.failed == 0 {
            self.began = moment.now;
        }
        self.excursion.fail();
    }

    /// The excursion, or none if no call has failed for a whole window.
    fn young(&self, now: u64) -> Excursion {
        if now - self.latest < self.window {
            self.excursion
        } else {
            Excursion::default()
        }
    }

    /// A call succeeded in time.
    pub(super) fn succeed(&mut self, moment: Moment) {
        let before = self.excursion;
        let tolerance = self.tolerance();
        let Excursion {
            usual,
            tolerated,
            run,
        } = &mut self.excursion;
        *run = Run::default();
        if usual.failed > 0 {
            if usual.succeeded == Excursion::MOST {
                *usual = usual.halved();
            }
            usual.succeeded += 1;
        }
        if tolerated.failed > 0 {
            if tolerated.succeeded == Excursion::MOST_TOLERATED_SUCCEEDED {
                *tolerated = tolerated.halved();
            }
            tolerated.succeeded += 1;
        }
        let (usual, tolerated) = (*usual, *tolerated);
        if Self::outages().are_unlikely(self.usual(usual, Run::default()), usual) {
            self.excursion.usual = Counted::default();
        }
        let is_tolerable = |(surprise, outages): (Surprise, Outages)| {
            let null = surprise.of(tolerated.failed, tolerated.succeeded);
            outages.are_unlikely(null, tolerated)
        };
        if tolerance.is_none_or(is_tolerable) {
            self.excursion.tolerated = Counted::default();
        }
        if before.usual.failed > 0 && self.excursion.usual.failed == 0 {
            let end = moment.now.min(self.latest.saturating_add(self.window));
            self.end(self.began, end, moment.since);
            let learnt = if self.dispersion.end() {
                Learnt::default()
            } else {
                Learnt::of(before.usual, before.run)
            };
            self.learn(learnt, self.began, moment);
            self.look(moment);
        }
    }

    /// Measures the traffic once a second. In a window's first second, it measures whenever the
    /// window is twice as old, unless it has measured before the window began. Without evidence,
    /// the calls so far went well.
    #[allow(clippy::cast_precision_loss, reason = "as the breaker does")]
    fn look(&mut self, moment: Moment) {
        const SHORTEST: u64 = 10_000_000;
        let Moment {
            now,
            counted_since,
            calls,
            ..
        } = moment;
        let is_due = |at: u64| match at.checked_sub(counted_since) {
            None => now >= counted_since.saturating_add(SECOND),
            Some(age) => now >= at.saturating_add(age.min(SECOND)),
        };
        if !self.paced_at.is_none_or(is_due) {
            return;
        }
        self.paced_at = Some(now);
        let covered = (now - counted_since).min(self.window).max(SHORTEST);
        self.pace = (calls.max(1) as f64 / (covered as f64 / 1e9)).min(1e8);
        self.in_force.look(now);
        let Excursion {
            usual, tolerated, ..
        } = self.excursion;
        if usual.failed == 0 && tolerated.failed == 0 {
            self.learn(Learnt::default(), now, moment);
        }
    }

    /// The total duration of the excursions before one that began at `began`. Time without evidence
    /// reduces it four times as fast.
    fn before(&self, began: u64, since: u64) -> u64 {
        let rest = began.saturating_sub(self.ended.max(since));
        self.lasted.saturating_sub(rest.saturating_mul(4))
    }

    fn end(&mut self, began: u64, now: u64, since: u64) {
        self.lasted = self.before(began, since) + (now - began);
        self.ended = now;
    }

    /// The breaker has tripped for the cause that `verdict` returned last. The excursion that shows
    /// it ends.
    pub(super) fn trip(&mut self, now: u64, since: u64, generation: u64) {
        let stream = match self.shows {
            Stream::All => None,
            Stream::Timed => self.timed.as_deref_mut(),
            Stream::Watched => self.watched.as_deref_mut(),
        };
        match stream {
            Some(stream) => stream.trip_own(now, since, generation),
            None => self.trip_own(now, since, generation),
        }
    }

    fn trip_own(&mut self, now: u64, since: u64, generation: u64) {
        self.end(self.began, now, since);
        self.dispersion.trip(self.found, generation);
    }

    /// The cause to trip, if any stream gives one.
    pub(super) fn verdict(&mut self, now: u64, since: u64) -> Option<Cause> {
        let (mut shows, mut cause) = (Stream::All, self.own_verdict(now, since));
        for (stream, others) in [
            (Stream::Timed, &mut self.timed),
            (Stream::Watched, &mut self.watched),
        ] {
            if cause.is_none() {
                shows = stream;
                cause = others.as_mut().and_then(|it| it.own_verdict(now, since));
            }
        }
        self.shows = shows;
        cause
    }

    /// Learns from an excursion that was no outage and had begun at `began`. The calls before it
    /// went well. They are assumed for as many windows as the traffic is.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "as the breaker does"
    )]
    fn learn(&mut self, more: Learnt, began: u64, Moment { now, since, .. }: Moment) {
        let known = self.window.saturating_mul(WINDOWS);
        let from = self
            .learnt_until
            .max(since)
            .max(began.saturating_sub(known));
        self.learnt_until = self.learnt_until.max(now);
        let before = (self.pace * began.saturating_sub(from) as f64 / 1e9) as u64;
        let calls = before.saturating_add(more.calls);
        self.learnt = self.learnt.plus(Learnt { calls, ..more });
    }

    /// The evidence that each test comes to in every outage of 60 % of the calls, of 98 %, and of
    /// all of them. The first two have 381 failures. The last has a run that is as long as can be.
    fn most(&self) -> Vec<f64> {
        let counted = |failed, succeeded, pairs| Counted {
            failed,
            succeeded,
            pairs,
        };
        let total = Run {
            exact: Run::MOST_EXACT,
            sixteens: Run::MOST_SIXTEENS,
        };
        let outages = [
            (counted(381, 254, 228), Run::default()),
            (counted(381, 8, 373), Run::default()),
            (counted(511, 0, 510), total),
        ];
        let usual = |(counted, run)| {
            let (null, null_of_run) = (self.usual(counted, run), self.usual_run(counted, run));
            Self::outages().evidence(null, null_of_run, counted)
        };
        let least = |nats: [f64; 3]| nats.into_iter().fold(f64::INFINITY, f64::min);
        let mut most = vec![least(outages.map(usual))];
        if let Some((surprise, outages_of)) = self.tolerance() {
            most.push(least(outages.map(|(counted, run)| {
                let null = surprise.of(counted.failed, counted.succeeded);
                outages_of.evidence(null, surprise.of(run.length(), 0), counted)
            })));
        }
        most
    }

    /// The cause to trip, if these calls give one.
    #[allow(clippy::cast_precision_loss, reason = "as the breaker does")]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as the breaker does"
    )]
    fn own_verdict(&mut self, now: u64, since: u64) -> Option<Cause> {
        const AT_ONCE: f64 = 1.0 / 1440.0;
        const PATIENCE: f64 = 30.0;
        const YOUNG_CALLS: f64 = 20.0;
        let Excursion {
            usual,
            tolerated,
            run,
        } = self.young(now);
        if usual.failed == 0 {
            return None;
        }
        let began = self.began;
        let within = now - began;
        let pace = rounded(self.pace.ln());
        let null = self.usual(usual, run);
        let nats = Self::outages().evidence(null, self.usual_run(usual, run), usual);
        let needed = rounded(self.budget.ln() - 0.5) + rounded(self.streams.ln()) + pace;
        let mut tests = vec![(nats, needed)];
        if let Some((surprise, outages)) = self.tolerance() {
            let null = surprise.of(tolerated.failed, tolerated.succeeded);
            let nats = outages.evidence(null, surprise.of(run.length(), 0), tolerated);
            let budget = self.budget * AT_ONCE;
            let mut needed = rounded(budget.ln() - 1.0) + pace;
            // The longer it lasts, the more evidence is needed. The time of some calls is free.
            let at_once = (budget / PATIENCE * 1e9) as u64;
            let age = within + self.before(began, since);
            if age > at_once {
                let by_time = age as f64 / at_once.max(1) as f64;
                let by_calls = (age as f64 * self.pace / (YOUNG_CALLS * 1e9)).powi(2);
                needed += rounded(by_time.min(by_calls).max(1.0).ln());
            }
            tests.push((nats, needed));
        }
        let taken = self.dispersion.times(needed, self.most()[0]);
        self.dispersion.rise(&tests, taken);
        self.found = Found {
            counted: usual,
            height: Dispersion::height(&tests),
        };
        for (most, (nats, needed)) in self.most().into_iter().zip(&mut tests) {
            if *nats < *needed {
                return None;
            }
            *needed = self.dispersion.times(*needed, most);
        }
        let margin = |(nats, needed): (f64, f64)| nats - needed;
        let tighter = |one, other| {
            if margin(other) < margin(one) {
                other
            } else {
                one
            }
        };
        let (nats, needed) = tests.into_iter().reduce(tighter)?;
        // Listeners get seven digits.
        let told = |nats: f64| f64::from(nats as f32);
        if nats < needed {
            return None;
        }
        self.dispersion.outage();
        Some(Cause::Evidence {
            failures: usual.failed,
            calls: usual.failed + usual.succeeded,
            within: Duration::from_nanos(within),
            usual: self.learnt.share(),
            nats: told(nats),
            needed: told(needed),
        })
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
