//! The adaptive decision: a sequential test that weighs each outcome as it comes.
//!
//! A failure is evidence for an outage. The rarer failures usually are, the more evidence one is. A
//! success is evidence against an outage. The calls since there was last no evidence are counted in
//! one word, the [`Excursion`]. The evidence depends only on these counts and on what is usual. The
//! breaker trips when healthy traffic would show so much evidence as seldom as the user allows.
//! While there is no evidence, a success writes nothing.
//!
//! Evidence ages as the window does. When no call has failed for the length of the window, the last
//! failure has left it. All evidence is then gone. Failures that follow each other more closely are
//! one excursion, however long it lasts. For example, calls that come every ten seconds and all
//! fail are an outage in a window of a minute. So only silence ages evidence; successes weigh
//! against it.
//!
//! Up to three [`Evidence`]s test [streams](Stream) of outcomes. The first has all calls, each when
//! it ends. The others exist if calls can be slow. One has the watched calls, each when it ends or
//! becomes overdue, whichever comes first. It is a fair sample: while some calls hang, the other
//! streams have only those that come back. If not each call is timed, the third stream has the
//! timed calls, each when it ends. A call is evidence once in each stream.
//!
//! Sources:
//! - Page 1954, "Continuous inspection schemes".
//! - Lorden 1971, "Procedures for reacting to a change in distribution": the delay that no test can
//!   beat, and that a one-sided test restarted again and again comes close to it.
//! - Moustakides 1986, "Optimal stopping times for detecting changes in distributions".
//!
//! `lab/RESULTS.md` measures how close this test comes.

mod baseline;
#[cfg(all(test, not(tripcurve_loom)))]
mod deafness;
mod dispersion;
mod excursion;
mod excursion_age;
mod in_force;
mod level;
mod nats;
mod needed_nats;
#[cfg(feature = "serde")]
mod persist;
#[cfg(feature = "fleet")]
mod rule;
mod stalls;
mod streams;
#[cfg(feature = "fleet")]
mod unreported;
mod weighed;

use std::time::Duration;

#[cfg(test)]
use self::baseline::Logs;
use self::baseline::{Baseline, Learnt};
use self::dispersion::Dispersion;
use self::excursion::{Excursion, Expected, Tolerance};
use self::excursion_age::ExcursionAge;
use self::in_force::InForce;
use self::nats::{Nats, Outages, Surprise};
use self::needed_nats::NeededNats;
use self::weighed::Weighed;
use crate::state::Generation;
use crate::sync::stamped::{Next, Stamped};

pub use dispersion::Recovered;
#[cfg(feature = "serde")]
pub(crate) use persist::SavedEvidence;
#[cfg(feature = "fleet")]
pub use rule::{EvidenceRule, FailureShare};
pub use stalls::Stalls;
pub use streams::{Stream, Watched};
#[cfg(feature = "fleet")]
pub use unreported::{UnreportedFailures, UnreportedWord};

/// The user's settings of the adaptive policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveConfig {
    /// The share of calls that may fail for any length of time.
    pub tolerate: f64,
    /// The mean time between two false trips that the user accepts.
    pub false_trip_budget: Duration,
}

impl AdaptiveConfig {
    /// The share of failures that a recovery must accept: the larger of the tolerated share and the
    /// largest usual one.
    #[must_use]
    pub fn acceptable(self) -> f64 {
        self.tolerate.max(Learnt::LARGEST_SHARE)
    }

    /// The larger share of calls that may fail while a bad shard seems to be the cause, if any
    /// share is tolerated.
    #[must_use]
    pub fn more(self) -> Option<f64> {
        let more = (self.tolerate + 0.2).min(0.9);
        (self.tolerate > 0.0).then_some(more)
    }
}

/// The evidence on which a breaker trips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TripEvidence {
    /// Calls that failed or took too long in the excursion.
    pub failures: u32,
    /// All calls of the excursion.
    pub calls: u32,
    /// How long ago the excursion began, in nanoseconds.
    pub within: u64,
    /// The share of calls that usually fails.
    pub usual: f64,
    /// The evidence, in nats.
    pub nats: f64,
    /// The evidence that a trip takes, in nats.
    pub needed: f64,
    /// The calls of the excursion.
    pub stream: Stream,
    /// The excursion, and how high its evidence is.
    counted: Excursion,
    height: Nats,
}

/// An excursion that was no outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lesson {
    learnt: Learnt,
    /// When the excursion began, in nanoseconds.
    began: u64,
}

/// The evidence of one breaker.
#[derive(Debug)]
pub struct Evidence {
    word: Stamped,
    age: ExcursionAge,
    baseline: Baseline,
    dispersion: Dispersion,
    outages: Outages,
    /// The tolerated share and the larger one, if any is tolerated.
    tolerances: Option<Box<[Tolerance; 2]>>,
    /// Which of the two is in force.
    in_force: InForce,
    /// The evidence that a trip takes.
    needed: NeededNats,
    /// The window's length, in nanoseconds.
    window: u64,
    /// The evidence of the other streams, if calls are watched.
    watched: Option<Box<Watched>>,
    /// The calls of which this is the evidence.
    stream: Stream,
}

impl Evidence {
    /// Up to 15 % may be usual. Twice that is an outage. Where failures usually follow one another,
    /// 95 % tells an outage with rare successes from them.
    const OUTAGES: [f64; 3] = [0.3, 0.6, 0.95];
    /// The handicap of all shares but the smallest, in nats.
    const HANDICAP: f64 = 0.0;

    /// The number of windows for which traffic is assumed to have been steady. With more, an idle
    /// night would be learnt as healthy calls. With fewer, too few calls would be learnt where
    /// failures are rare.
    const WINDOWS: u64 = 16;
    /// A round of so many calls shows what share the recovery accepts.
    const CONCEDING: u32 = 8;

    /// Creates evidence that is empty and knows nothing of what is usual. `window` is the window's
    /// length in nanoseconds.
    #[must_use]
    pub fn new(config: AdaptiveConfig, window: u64) -> Self {
        let tolerances = config
            .more()
            .map(|more| Box::new([config.tolerate, more].map(Tolerance::of)));
        Self {
            word: Stamped::new(Excursion::default().pack(Generation::FIRST)),
            age: ExcursionAge::default(),
            baseline: Baseline::new(),
            dispersion: Dispersion::default(),
            outages: Outages::new(Self::OUTAGES, Self::HANDICAP),
            tolerances,
            in_force: InForce::new(),
            needed: NeededNats::of(config),
            window,
            watched: None,
            stream: Stream::All,
        }
    }

    /// Whether both have equal settings.
    #[must_use]
    pub fn same_config(&self, other: &Self) -> bool {
        let shape = |it: &Self| (it.needed, it.window);
        shape(self) == shape(other)
            && self.tolerated() == other.tolerated()
            && self.watched.is_some() == other.watched.is_some()
            && self.of_timed().is_some() == other.of_timed().is_some()
    }

    /// How surprising outcomes are against the tolerated share, if any is tolerated.
    fn tolerated(&self) -> Option<Surprise> {
        let [tolerated, _] = self.tolerances.as_deref()?;
        Some(tolerated.surprise)
    }

    /// The tolerated share that is in force, if any is tolerated.
    #[inline]
    fn tolerance(&self) -> Option<&Tolerance> {
        let [tolerated, more] = self.tolerances.as_deref()?;
        Some(if self.tolerates_more() {
            more
        } else {
            tolerated
        })
    }

    /// Whether more than the tolerated share may fail, because a bad shard seems to be the cause.
    #[must_use]
    #[inline]
    pub fn tolerates_more(&self) -> bool {
        self.in_force.is_more()
    }

    fn inherit_own(&self, other: &Self) {
        self.baseline.inherit(&other.baseline);
        self.dispersion.inherit(&other.dispersion);
        if self.tolerated() == other.tolerated() {
            self.in_force.inherit(&other.in_force);
        }
    }

    /// Starts `generation` without evidence.
    pub fn start_generation(&self, generation: Generation, is_current: impl Fn() -> bool) {
        self.start_own(generation, &is_current);
        for stream in self.other_streams() {
            stream.start_own(generation, &is_current);
        }
    }

    fn start_own(&self, generation: Generation, is_current: impl Fn() -> bool) {
        let next = |seen| {
            if Excursion::is_of(seen, generation) {
                Next::Own(seen)
            } else {
                Next::Other(Excursion::default().pack(generation))
            }
        };
        self.word.update(next, is_current);
        self.dispersion.forget();
    }

    fn usual(&self) -> Expected<'_> {
        Expected {
            logs: self.baseline.logs(),
            outages: &self.outages,
        }
    }

    /// Weighs a call of `generation` that failed or took too long, and ended at `now`.
    ///
    /// Returns the word that this call was added to. `None` if `is_current` says that the
    /// generation is over.
    pub fn failure(
        &self,
        generation: Generation,
        now: u64,
        is_current: impl Fn() -> bool,
    ) -> Option<u64> {
        self.drop_old(generation, now);
        self.age.note(now);
        let begin = || self.age.start(now);
        let next = |seen| {
            let counted = Excursion::unpack(seen, generation);
            let new = counted.failure().pack(generation);
            if !Excursion::is_of(seen, generation) {
                return Next::Other(new);
            }
            if counted.failed == 0 {
                begin();
            }
            Next::Own(new)
        };
        let begins_in_it = || {
            let is_current = is_current();
            if is_current {
                begin();
            }
            is_current
        };
        // All updates are read-modify-writes of one word. So no failure is lost, and the thread
        // that weighs the last one sees the others.
        self.word.update(next, begins_in_it)
    }

    /// How surprising a failure of `generation` was that was added to the word `before`, in 1/256
    /// nat.
    #[cfg(feature = "fleet")]
    pub(crate) fn surprise(&self, before: u64, generation: Generation) -> u64 {
        let place = Excursion::place_of_next_failure(before, generation);
        self.baseline.surprise_of_failure(place)
    }

    /// How surprising a failure right after another is, in 1/256 nat.
    #[cfg(feature = "fleet")]
    pub(crate) fn surprise_after_failure(&self) -> u64 {
        self.baseline
            .surprise_of_failure(excursion::Place::AfterFailure)
    }

    /// Drops evidence of `generation` that is too old at `now`.
    ///
    /// The word is loaded before the date. So evidence that came after the silence is found with
    /// its own date or a later one, and stays. In one case a failure is lost. While this thread
    /// sleeps, a single new failure may replace a single old one, and the word is equal again. Then
    /// the new failure is dropped.
    #[inline]
    fn drop_old(&self, generation: Generation, now: u64) {
        // The thread that counted a failure noted the failure's date before, so the load below finds
        // it. Otherwise young evidence would look old.
        let seen = self.word.acquire();
        if self.is_old(now) && !Excursion::unpack(seen, generation).is_over() {
            let none = Excursion::default().pack(generation);
            // This fails if another thread has dropped the evidence or weighed a call meanwhile.
            self.word.update_own(seen, none);
            self.dispersion.forget();
        }
    }

    /// Whether no call has failed for the length of the window.
    #[inline]
    fn is_old(&self, now: u64) -> bool {
        now.saturating_sub(self.age.latest()) >= self.window
    }

    /// Weighs a call of `generation` that succeeded in time. Returns a lesson if this ends the
    /// excursion.
    pub fn success(&self, generation: Generation) -> Option<Lesson> {
        loop {
            // The thread that began the excursion noted the start before, so `began` finds it.
            // Otherwise the lesson could have an earlier excursion's start.
            let seen = self.word.acquire();
            let counted = Excursion::unpack(seen, generation);
            if counted.is_over() {
                return None;
            }
            let new = counted.success(&self.usual(), self.tolerance());
            if !self.word.update_own(seen, new.pack(generation)) {
                continue;
            }
            let has_ended = counted.failed > 0 && new.failed == 0;
            return has_ended.then(|| Lesson {
                learnt: counted.lesson(),
                began: self.age.began(),
            });
        }
    }

    /// Whether `generation` has any evidence.
    #[must_use]
    pub fn has_any(&self, generation: Generation) -> bool {
        !Excursion::unpack(self.word.load(), generation).is_over()
    }

    /// Learns from an excursion that ended by itself at `now`.
    ///
    /// The generation began at `since`. A breaker that may not trip, such as one that only
    /// measures, has excursions that are outages. They teach nothing.
    pub fn learn(&self, lesson: Lesson, now: u64, since: u64) {
        let Lesson { learnt, began } = lesson;
        // Silence beyond one window after the last failure is no part of the excursion.
        let aged = self.age.latest().saturating_add(self.window);
        self.age.end(began, now.min(aged), since);
        let learnt = if self.dispersion.end() {
            Learnt::default()
        } else {
            learnt
        };
        self.baseline
            .learn(learnt, began, now, self.known(began, since));
    }

    /// For how long before `now` the traffic is assumed to have been steady, in nanoseconds.
    ///
    /// It reaches back to `since`, when the generation began, but only some windows: traffic may
    /// have ceased before.
    fn known(&self, now: u64, since: u64) -> u64 {
        now.saturating_sub(since)
            .min(self.window.saturating_mul(Self::WINDOWS))
    }

    /// Whether it is time to look at the traffic. The window's calls have come since `since`.
    #[must_use]
    pub fn wants_look(&self, now: u64, since: u64) -> bool {
        self.baseline.is_due(now, since)
    }

    /// Looks at the traffic of `generation` if it is time.
    ///
    /// The generation began at `began`. At `now` its window holds `calls()` calls, which have come
    /// since `counted_since`. Without evidence, this learns that they went well. Evidence that is
    /// too old to trip still counts here, because no success has outweighed it.
    pub fn look(
        &self,
        generation: Generation,
        now: u64,
        (began, counted_since): (u64, u64),
        calls: impl FnOnce() -> u64,
    ) {
        let takes = self
            .baseline
            .take_pace(now, counted_since, self.window, calls);
        if takes {
            self.in_force.expire(now);
        }
        if takes && !self.has_any(generation) {
            let known = self.known(now, began);
            self.baseline.learn(Learnt::default(), now, now, known);
        }
    }

    /// Notes that the excursion of `verdict` ended with a trip of `generation` at `now`. The
    /// generation began at `since`. A ramp was last cut at `cut`.
    pub fn trip(
        &self,
        verdict: &TripEvidence,
        generation: Generation,
        now: u64,
        since: u64,
        cut: u64,
    ) {
        self.opened((verdict.failures, verdict.calls), cut, now);
        let stream = self.streams().find(|it| it.stream == verdict.stream);
        let stream = stream.unwrap_or(self);
        let began = now.saturating_sub(verdict.within);
        stream.age.end(began, now, since);
        let (counted, height) = (verdict.counted, verdict.height);
        stream.dispersion.trip(counted, height, generation);
    }

    /// Learns that the latest trip was false, if its recovery went as `after` says.
    ///
    /// A ramp has closed the breaker at `now` and has begun the generation `closed`.
    pub fn learn_from_false_trip(&self, closed: Generation, after: Recovered, now: u64) {
        for stream in self.streams() {
            if let Some(learnt) = stream.dispersion.false_trip(closed, after) {
                stream.baseline.learn(learnt, now, now, 0);
            }
        }
    }

    /// Takes the share of failures that a recovery has accepted for usual, if no share is
    /// tolerated.
    ///
    /// Of the `calls` of the ramp's last round, `failures` have failed. Otherwise the breaker would
    /// trip and recover in turn for as long as that share fails.
    pub fn concede(&self, failures: u32, calls: u32) {
        // One failure may be chance.
        if self.tolerances.is_some() || calls < Self::CONCEDING || failures < 2 {
            return;
        }
        let failures = f64::from(failures);
        let share = (failures + failures.sqrt()) / f64::from(calls);
        for stream in self.streams() {
            stream.baseline.concede(share);
        }
    }

    /// The traffic that the breaker has measured last, in calls per second. A new breaker takes it
    /// for 1.0.
    #[cfg(feature = "fleet")]
    #[must_use]
    pub fn calls_per_second(&self) -> f64 {
        self.baseline.pace()
    }

    /// The share of calls that usually fails, in `0.001..=0.25`.
    #[cfg(feature = "fleet")]
    #[must_use]
    pub fn usual_failure_rate(&self) -> f64 {
        self.of_slow_calls().baseline.share()
    }

    /// How many times as much evidence as for independent failures it takes to tell an outage: 1
    /// to 4.
    #[must_use]
    pub fn dispersion(&self) -> f64 {
        let streams = self.streams().map(|it| it.dispersion.get());
        streams.fold(1.0, f64::max)
    }

    /// Notes that the breaker opened at `now`, because so many of so many calls failed. A ramp was
    /// last cut at `cut`.
    pub fn opened(&self, (failures, calls): (u32, u32), cut: u64, now: u64) {
        if self.tolerances.is_none() {
            return;
        }
        let failing = f64::from(failures) / f64::from(calls.max(1));
        for stream in self.streams() {
            stream.in_force.opened(failing, cut, now);
        }
    }

    /// The counts of `generation`'s excursion.
    #[inline]
    fn counted(&self, generation: Generation) -> Excursion {
        // The thread that began the excursion noted the start before; otherwise `began` could
        // return an earlier start.
        Excursion::unpack(self.word.acquire(), generation)
    }

    /// Returns the evidence at `now` if it is enough for a trip in any stream.
    ///
    /// `generation` began at `since`.
    #[must_use]
    pub fn verdict(&self, generation: Generation, now: u64, since: u64) -> Option<TripEvidence> {
        let own = self.own_verdict(generation, now, since);
        own.or_else(|| {
            self.other_streams()
                .find_map(|it| it.own_verdict(generation, now, since))
        })
    }

    /// The evidence of an excursion that began at `began` against a tolerated share. The generation
    /// began at `since`.
    fn against(
        &self,
        tolerance: &Tolerance,
        counted: Excursion,
        (began, since, now): (u64, u64, u64),
    ) -> Weighed {
        let before = self.age.before(began, since);
        let age = now.saturating_sub(began).saturating_add(before);
        let needed = self.needed.tolerated(self.baseline.pace(), age);
        let nats = tolerance.evidence(counted);
        Weighed { nats, needed }
    }

    fn own_verdict(&self, generation: Generation, now: u64, since: u64) -> Option<TripEvidence> {
        // The calling thread has weighed its own call, so it reads that call or a later one. The
        // date is read first. It is noted after old evidence was dropped, so with a young date no
        // old evidence is found. With an old date this may miss a failure, whose own thread then
        // judges.
        if self.is_old(now) {
            return None;
        }
        let counted = self.counted(generation);
        let usual = self.usual();
        let own = Weighed {
            nats: usual.evidence(counted),
            needed: self.needed.usual(self.baseline.pace()),
        };
        if counted.failed == 0 || !own.is_enough() && own.nats <= Dispersion::LOW {
            return None;
        }
        let began = self.age.began();
        let within = now.saturating_sub(began);
        // Read once: another thread may put the other share in force meanwhile.
        let tolerance = self.tolerance();
        let other = tolerance.map(|it| self.against(it, counted, (began, since, now)));
        let height = own.height(other);
        let dispersion = self.dispersion.get();
        let taken = own.times(dispersion, || usual.most());
        // If the tolerated share is the tighter test, the height can exceed what a trip takes.
        self.dispersion.rise(height.min(taken.needed));
        if !own.is_enough() || other.is_some_and(|it| !it.is_enough()) {
            return None;
        }
        let own = taken;
        let other = other.zip(tolerance);
        let other = other.map(|(it, tolerance)| it.times(dispersion, || tolerance.most()));
        if !own.is_enough() || other.is_some_and(|it| !it.is_enough()) {
            return None;
        }
        self.dispersion.outage();
        let tighter = other.filter(|it| it.margin() < own.margin()).unwrap_or(own);
        Some(TripEvidence {
            failures: counted.failed,
            calls: counted.failed + counted.succeeded,
            within,
            usual: self.baseline.share(),
            nats: tighter.nats.get(),
            needed: tighter.needed.get(),
            stream: self.stream,
            counted,
            height,
        })
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    const FIRST: Generation = Generation::FIRST;
    const SECOND: u64 = 1_000_000_000;

    fn evidence(tolerate: f64) -> Evidence {
        evidence_in(60 * SECOND, tolerate)
    }

    /// Evidence in a window of `window` nanoseconds.
    fn evidence_in(window: u64, tolerate: f64) -> Evidence {
        let config = AdaptiveConfig {
            tolerate,
            false_trip_budget: Duration::from_secs(86_400),
        };
        let evidence = Evidence::new(config, window);
        // The pace is one call per second.
        evidence.look(FIRST, 10 * SECOND, (0, 0), || 10);
        evidence
    }

    fn fail(evidence: &Evidence, calls: u32, now: u64) {
        for _ in 0..calls {
            assert!(evidence.failure(FIRST, now, || true).is_some());
        }
    }

    fn verdict(evidence: &Evidence, now: u64) -> Option<TripEvidence> {
        evidence.verdict(FIRST, now, 0)
    }

    /// The number of failures in a row that are enough for a trip.
    fn enough(evidence: &Evidence) -> u32 {
        let fails = |_: &u32| {
            fail(evidence, 1, 10 * SECOND);
            verdict(evidence, 10 * SECOND).is_some()
        };
        (1..=127).find(fails).unwrap()
    }

    #[test]
    fn it_trips_once_the_logarithms_add_up_to_that_of_the_budget() {
        // Ten calls have gone well. The first failure is as surprising as one in 110, each other as
        // one in seven at one call a second.
        let needed = 86_400_f64.ln() - NeededNats::SLACK;
        let next = 0.14_f64.recip().ln();
        let failures = 1.0 + ((needed - 110_f64.ln()) / next).ceil();
        assert!((f64::from(enough(&evidence(0.0))) - failures).abs() < 0.5);
        let evidence = evidence(0.0);
        fail(&evidence, 4, 10 * SECOND);
        assert_eq!(verdict(&evidence, 10 * SECOND), None);
        fail(&evidence, 1, 12 * SECOND);
        let verdict = verdict(&evidence, 13 * SECOND).unwrap();
        assert_eq!((verdict.failures, verdict.calls), (5, 5));
        assert_eq!(verdict.within, 3 * SECOND);
        assert!((verdict.usual - 0.01).abs() < 0.001);
        // Each surprise is cut to 1/256 nat.
        let lost = 110_f64.ln() + 4.0 * next - verdict.nats;
        assert!((0.0..5.0 / 256.0).contains(&lost), "{lost}");
        assert!((verdict.needed - needed).abs() < 0.001);
    }

    /// Fails when: `verdict` asks for the same evidence however long the excursion lasts.
    #[test]
    fn what_lasts_needs_more_evidence_that_it_is_not_tolerable() {
        let evidence = evidence_in(86_400 * SECOND, 0.25);
        fail(&evidence, 6, 10 * SECOND);
        assert!(verdict(&evidence, 210 * SECOND).is_some());
        assert_eq!(verdict(&evidence, 10_000 * SECOND), None);
    }

    /// Fails when: `and_of` does not call `shared_by`, or `of_stream` has the whole budget.
    #[test]
    fn streams_share_the_budget_of_false_trips() {
        let config = AdaptiveConfig {
            tolerate: 0.0,
            false_trip_budget: Duration::from_secs(86_400),
        };
        let whole = 86_400_f64.ln() - NeededNats::SLACK;
        for (evidence, streams) in [
            (evidence(0.0), 1.0_f64),
            (evidence(0.0).and_of_watched(config), 2.0),
            (evidence(0.0).and_of_sample(config), 3.0),
        ] {
            for stream in evidence.streams() {
                let needed = stream.needed.usual(1.0).get();
                assert!((needed - whole - streams.ln()).abs() < 0.001, "{streams}");
            }
        }
    }

    /// Fails when: `verdict` adds the two streams up, or leaves out the watched calls.
    #[test]
    fn either_stream_is_enough_and_none_adds_to_the_other() {
        let config = AdaptiveConfig {
            tolerate: 0.25,
            false_trip_budget: Duration::from_secs(86_400),
        };
        let failures = enough(&evidence(0.25).and_of_watched(config));
        let evidence = evidence(0.25).and_of_watched(config);
        let watched = evidence.of_watched().unwrap();
        fail(&evidence, failures - 1, 10 * SECOND);
        fail(watched, failures - 1, 10 * SECOND);
        assert_eq!(verdict(&evidence, 10 * SECOND), None);
        fail(watched, 1, 10 * SECOND);
        let found = verdict(&evidence, 10 * SECOND).unwrap();
        assert_eq!((found.failures, found.stream), (failures, Stream::Watched));
        evidence.trip(&found, FIRST, 11 * SECOND, 0, 0);
        assert_eq!(evidence.age.before(11 * SECOND, 0), 0, "another stream's");
        assert_eq!(watched.age.before(11 * SECOND, 0), 0, "it began just now");
        evidence.start_generation(FIRST.next(), || true);
        assert!(!watched.has_any(FIRST.next()));
        fail(&evidence, 1, 10 * SECOND);
        assert_eq!(verdict(&evidence, 10 * SECOND), None);
    }

    /// Fails when: a full field wraps.
    #[test]
    fn after_millions_of_failures_enough_successes_end_it_and_nothing_is_left() {
        let evidence = evidence(0.25);
        fail(&evidence, 2_000_000, 10 * SECOND);
        assert!(verdict(&evidence, 10 * SECOND).is_some());
        let mut successes = 0;
        let mut lessons = 0;
        while evidence.has_any(FIRST) {
            lessons += u32::from(evidence.success(FIRST).is_some());
            successes += 1;
            assert!(successes < 20_000, "it doesn't end");
        }
        assert_eq!(lessons, 1);
        for _ in 0..2_000_000 {
            assert_eq!(evidence.success(FIRST), None);
        }
        assert_eq!(enough(&evidence), enough(&self::evidence(0.25)));
    }

    #[test]
    fn a_lesson_is_what_has_failed_in_the_excursion_that_ends() {
        let evidence = evidence(0.25);
        fail(&evidence, 3, 10 * SECOND);
        let mut successes = 0;
        let succeed = || {
            successes += 1;
            evidence.success(FIRST)
        };
        let lesson = std::iter::repeat_with(succeed).flatten().next();
        let learnt = Learnt {
            calls: 3 + successes,
            failed: 3,
            pairs: 2,
            starts: 1,
            // All but the first success, which came after a failure.
            inside: successes - 1,
            conceded: false,
        };
        let began = 10 * SECOND;
        assert_eq!(lesson, Some(Lesson { learnt, began }));
    }

    /// Fails when: `Excursion::unpack` reads any generation's word, or `failure` doesn't ask
    /// whether the generation is over.
    #[test]
    fn generations_have_nothing_of_each_other() {
        let evidence = evidence(0.25);
        fail(&evidence, 100, 10 * SECOND);
        let next = FIRST.next();
        assert!(!evidence.has_any(next) && evidence.has_any(FIRST));
        assert_eq!(evidence.verdict(next, 10 * SECOND, 0), None);
        assert_eq!(evidence.success(next), None);
        assert!(evidence.has_any(FIRST), "another's success weighs nothing");
        evidence.start_generation(next, || true);
        assert!(!evidence.has_any(FIRST));
        assert_eq!(evidence.failure(FIRST, 10 * SECOND, || false), None);
        assert!(evidence.failure(next, 10 * SECOND, || true).is_some());
        evidence.start_generation(next, || true);
        assert!(evidence.has_any(next), "it has begun before");
    }

    /// Fails when: `trip` notes nothing, or `verdict` leaves out earlier excursions.
    #[test]
    fn after_a_trip_patience_is_that_of_all_that_has_lasted() {
        let at_once = evidence(0.25).needed.at_once;
        let needed = |lasted: u64, rest: u64| {
            let evidence = evidence_in(86_400 * SECOND, 0.25);
            fail(&evidence, 20, 10 * SECOND);
            let tripped = 10 * SECOND + lasted;
            let verdict = verdict(&evidence, tripped).unwrap();
            evidence.trip(&verdict, FIRST, tripped, 0, 0);
            let (next, since) = (FIRST.next(), tripped + 500 * SECOND);
            evidence.start_generation(next, || true);
            let now = since + rest;
            for _ in 0..20 {
                assert!(evidence.failure(next, now, || true).is_some());
            }
            let verdict = evidence.verdict(next, now, since).unwrap();
            assert_eq!(verdict.within, 0, "it began just now");
            verdict.needed
        };
        let old = needed(1_000 * at_once, 0);
        let young = 60_f64.ln() - NeededNats::TOLERATED_SLACK;
        assert!((old - young - 1_000_f64.ln()).abs() < 0.001, "{old}");
        // Rest takes off four times its length.
        let rested = needed(1_000 * at_once, 150 * at_once);
        assert!((rested - young - 400_f64.ln()).abs() < 0.001, "{rested}");
    }

    /// Fails when: `learn` believes a lesson of an outage.
    #[test]
    fn an_outage_that_may_not_trip_teaches_nothing() {
        for tolerate in [0.0, 0.25] {
            let evidence = evidence(tolerate);
            let known = || [evidence.baseline.share(), evidence.dispersion()].map(f64::to_bits);
            let before = known();
            for _ in 0..500 {
                fail(&evidence, 1, 10 * SECOND);
                let _withheld = verdict(&evidence, 10 * SECOND);
            }
            let lessons = std::iter::repeat_with(|| evidence.success(FIRST));
            let lesson = lessons.flatten().next().unwrap();
            evidence.learn(lesson, 10 * SECOND, 0);
            assert_eq!(known(), before, "tolerate {tolerate}");
            let logs = evidence.baseline.logs();
            fail(&evidence, 1, 20 * SECOND);
            let lessons = std::iter::repeat_with(|| evidence.success(FIRST));
            evidence.learn(lessons.flatten().next().unwrap(), 20 * SECOND, 0);
            assert_ne!(evidence.baseline.logs(), logs, "the next one is no outage");
        }
    }

    /// Fails when: `success` and `own_verdict` go by different shares.
    #[test]
    fn while_more_is_tolerated_a_share_of_40_percent_is_no_evidence_and_one_of_80_is() {
        let is_tripped_by = |failing: u64, more: bool| {
            let evidence = evidence(0.25);
            if more {
                evidence.opened((4, 10), 9 * SECOND, 10 * SECOND);
            }
            assert_eq!(evidence.tolerates_more(), more);
            (0..2_000).any(|call| {
                let now = 10 * SECOND + call * SECOND / 100;
                if call * failing % 10 < failing {
                    fail(&evidence, 1, now);
                } else {
                    evidence.success(FIRST);
                }
                verdict(&evidence, now).is_some()
            })
        };
        assert!(is_tripped_by(4, false));
        assert!(!is_tripped_by(4, true));
        assert!(is_tripped_by(8, true));
    }

    /// Fails when: the evidence of watched calls goes by another share.
    #[test]
    fn both_streams_tolerate_more_at_once_and_settings_that_tolerate_nothing_never() {
        let config = |tolerate| AdaptiveConfig {
            tolerate,
            false_trip_budget: Duration::from_secs(86_400),
        };
        let both = evidence(0.25).and_of_watched(config(0.25));
        both.opened((4, 10), SECOND, SECOND);
        assert!(both.tolerates_more());
        assert!(both.of_watched().is_some_and(Evidence::tolerates_more));
        let heir = evidence(0.25).and_of_watched(config(0.25));
        heir.inherit(&both);
        assert!(heir.of_watched().is_some_and(Evidence::tolerates_more));
        let other = evidence(0.3);
        other.inherit(&both);
        assert!(!other.tolerates_more(), "another share is tolerated");
        let sensitive = evidence(0.0);
        sensitive.opened((4, 10), SECOND, SECOND);
        assert!(!sensitive.tolerates_more());
    }

    #[test]
    fn it_looks_at_the_traffic_once_a_second_and_learns_while_there_is_no_evidence() {
        let evidence = evidence(0.0);
        assert!(!evidence.wants_look(11 * SECOND - 1, 0));
        assert!(evidence.wants_look(11 * SECOND, 0));
        let usual = evidence.baseline.share();
        fail(&evidence, 1, 11 * SECOND);
        evidence.look(FIRST, 12 * SECOND, (0, 0), || 1_200);
        assert!(!evidence.wants_look(13 * SECOND - 1, 0));
        assert!((evidence.baseline.pace() - 100.0).abs() < 0.001);
        assert!(evidence.baseline.share() >= usual, "it learnt");
        while evidence.has_any(FIRST) {
            let _lesson = evidence.success(FIRST);
        }
        evidence.look(FIRST, 13 * SECOND, (0, 0), || 1_300);
        assert!(evidence.baseline.share() < usual / 2.0, "it didn't learn");
        let mut needed = Vec::new();
        for calls_a_second in [1, 1_000] {
            let evidence = self::evidence(0.0);
            evidence.look(FIRST, 100 * SECOND, (0, 0), || 60 * calls_a_second);
            fail(&evidence, 20, 100 * SECOND);
            needed.push(verdict(&evidence, 100 * SECOND).unwrap().needed);
        }
        let more = needed[1] - needed[0];
        assert!(
            (more - 1_000_f64.ln()).abs() < 0.001,
            "{more} nats for a thousand times the traffic"
        );
    }
}
