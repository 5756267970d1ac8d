//! The state word as an atomic: admission, the verdict of the probes, and the one compare-exchange
//! that changes the state.

use super::{Generation, Interrupted, Moment, Phase, ProbeCounts, State, StateWord};
use crate::sync::{Hint, Payload, Publisher};

/// A state change that this thread has won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The state that was left.
    pub from: State,
    /// The state that was entered.
    pub to: State,
    /// The generation that was entered.
    pub generation: Generation,
    /// Whether the state that was entered is [open](Phase::is_open).
    pub is_open: bool,
}

/// The answer to a call that asks for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The call is admitted by this word, closed or metrics-only. Its outcome is recorded in the
    /// window of the word's generation.
    Recorded(StateWord),
    /// The call is admitted, and its outcome isn't recorded.
    Unrecorded,
    /// The call is admitted as a probe of this generation.
    Probe {
        /// The half-open generation that the probe belongs to.
        generation: Generation,
        /// The state change, if this caller made one.
        moved: Option<StateChange>,
        /// Probes whose lease had expired and whose places were taken back.
        overdue: u32,
    },
    /// The ramp decides about the call. This word has the ramp's round.
    Ramp(StateWord),
    /// The call is rejected.
    Rejected {
        /// The state that rejects.
        state: State,
        /// The generation that rejects.
        generation: Generation,
        /// In how many nanoseconds a place is free, at the latest; `None` or
        /// `ISOLATED` if only a command can help.
        retry_after: Option<u64>,
    },
}

impl Admission {
    /// How long a caller waits that only a command can help.
    pub(crate) const NEVER: u64 = u64::MAX;

    /// How long a caller waits whose breaker is isolated. It is no time either, and says why.
    pub(crate) const ISOLATED: u64 = Self::NEVER - 1;
}

/// The result of a probe's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// The probe's generation is over. Nothing changed.
    Stale,
    /// The report is counted. The state stays the same.
    Counted,
    /// The report decided the probing and changed the state.
    Decided(StateChange),
}

/// The number of places for probes, and what they decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    // The fields are narrow, so that the settings of a breaker stay small.
    permitted: u8,
    needed: u8,
    may_fail: u8,
    /// How many late successes reopen the breaker; 0 if they count as failures.
    slow_threshold: u8,
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "at most `Phase::MAX_PROBES`"
)]
impl Probes {
    const _THEY_FIT: () = assert!(Phase::MAX_PROBES <= u8::MAX as u32);

    /// `permitted` places, [`Phase::MAX_PROBES`] at most, of which `needed` must succeed.
    #[must_use]
    pub const fn new(permitted: u32, needed: u32) -> Self {
        Self {
            permitted: permitted as u8,
            needed: needed as u8,
            may_fail: (permitted - needed) as u8,
            slow_threshold: 0,
        }
    }

    /// `permitted` places, all of which must succeed.
    #[must_use]
    pub const fn all(permitted: u32) -> Self {
        Self::new(permitted, permitted)
    }

    /// Reopens as soon as `failures` probes have failed.
    #[must_use]
    pub const fn failure_threshold(self, failures: u32) -> Self {
        Self {
            may_fail: (failures - 1) as u8,
            ..self
        }
    }

    /// Reopens as soon as `slow` probes have succeeded late. Late ones no longer count as failures.
    #[must_use]
    pub const fn slow_threshold(self, slow: u32) -> Self {
        Self {
            slow_threshold: slow as u8,
            ..self
        }
    }

    /// How many places there are.
    #[must_use]
    pub fn permitted(self) -> u32 {
        self.permitted.into()
    }

    /// How many probes must succeed for the breaker to close.
    #[must_use]
    pub fn needed(self) -> u32 {
        self.needed.into()
    }

    /// How many probes may fail.
    #[must_use]
    pub fn may_fail(self) -> u32 {
        self.may_fail.into()
    }

    /// How many probes may succeed late; `None` if late ones count as failures.
    #[must_use]
    pub fn may_be_slow(self) -> Option<u32> {
        self.slow_threshold.checked_sub(1).map(u32::from)
    }

    /// The phase after a report that left `probing`. Only a report with `open_until` can reopen.
    fn verdict(self, probing: ProbeCounts, open_until: Option<Moment>) -> Phase {
        let is_slow = self.may_be_slow().is_some_and(|most| probing.slow > most);
        if let Some(until) = open_until
            && (is_slow || probing.failed > self.may_fail())
        {
            Phase::Open { until }
        } else if probing.succeeded + probing.slow >= self.needed() {
            Phase::Closed
        } else {
            Phase::HalfOpen(probing)
        }
    }
}

/// What a probe reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeReport {
    /// The probe succeeded.
    Succeeded,
    /// The probe succeeded late. If too many have, the breaker opens again until `open_until`.
    Slow {
        /// When the next probe may go.
        open_until: Moment,
    },
    /// The probe failed. If too many have failed, the breaker opens again until `open_until`.
    Failed {
        /// When the next probe may go.
        open_until: Moment,
        /// Whether this failure reopens the breaker in any case.
        is_enough: bool,
    },
    /// The probe decides nothing and gives its place back.
    Withdrawn,
}

/// The state word as an atomic, with two times beside it.
///
/// These are the exact end of the open time and the time of the last probe's admission.
#[derive(Debug)]
pub struct AtomicState {
    word: Publisher,
    /// When the latest open time ends, in nanoseconds. It counts if the word shows the same moment,
    /// rounded up. Otherwise the word alone counts, which is at most a unit later.
    ///
    /// The winner of an opening writes it after the word. Until then, a breaker is open for up to a
    /// unit longer. The same happens if the winner of an earlier opening writes too late. If two
    /// openings end in the same unit, the end of either may count meanwhile.
    open_until: Hint,
    /// When the latest probe was admitted, in nanoseconds. It never goes back.
    ///
    /// A call that reports late moves it on, which lengthens the lease (see `lengthen_lease`). It
    /// is written before a place is taken, so the state word publishes it.
    last_admission: Payload,
}

impl AtomicState {
    /// The longest lease of a probe, in multiples of `probe_timeout`.
    ///
    /// It applies when calls were seen to take longer. It bounds the harm of a clock that has
    /// jumped ahead.
    pub const LONGEST_LEASE: u64 = 100;

    /// A state word that starts as `phase` in the first generation.
    #[must_use]
    pub fn new(phase: Phase) -> Self {
        Self::beginning(Generation::FIRST, phase, false)
    }

    /// Like [`new`](Self::new), starting in `generation`. `is_timed` says whether calls are timed.
    pub(crate) fn beginning(generation: Generation, phase: Phase, is_timed: bool) -> Self {
        let word = StateWord::new(generation, phase).timed(is_timed);
        Self {
            word: Publisher::new(word.0),
            open_until: Hint::new(match phase {
                Phase::Open { until } => until.nanos(),
                _ => 0,
            }),
            last_admission: Payload::new(0),
        }
    }

    /// The current state word.
    #[must_use]
    #[inline]
    pub fn load(&self) -> StateWord {
        // A call that the new state admits sees what the thread that changed the state did before
        // `exchange`. An example is a write to a fallback's cache before `reset`. A `last_admission`
        // read after this load is at least as late as the admission that this word shows. Otherwise
        // a fresh probe could lose its place.
        StateWord(self.word.load())
    }

    /// The phase that the word shows, with the exact end of an open time if it is known.
    #[must_use]
    pub fn phase_of(&self, seen: StateWord) -> Phase {
        match seen.phase() {
            Phase::Open { until } => Phase::Open {
                until: self.exactly(until),
            },
            phase => phase,
        }
    }

    /// The exact end of an open time. `shown` is its rounded end, from the word.
    #[must_use]
    #[inline]
    pub fn exactly(&self, shown: Moment) -> Moment {
        // A noted moment that doesn't match the word is ignored. One that matches is less than a
        // unit before the rounded end. So even one of another opening shifts the end by less than a
        // unit.
        let noted = Moment(self.open_until.load());
        if noted.is_shown_as(shown) {
            noted
        } else {
            shown
        }
    }

    /// The phase in which an isolation leaves the breaker when it ends.
    #[must_use]
    pub fn after(&self, isolation: Interrupted) -> Phase {
        isolation.phase(Moment(self.open_until.load()))
    }

    /// The single compare-exchange through which the word changes.
    fn exchange(&self, seen: StateWord, new: StateWord) -> Result<(), StateWord> {
        let new = new.timed(seen.is_timed() || new.is_timed());
        // A winner sees what the former winner had done, which the listeners' log relies on. A
        // caller whose exchange fails sees it too, because the state that it finds may let it
        // through.
        let exchanged = self.word.exchange(seen.0, new.0);
        exchanged.map_err(StateWord)
    }

    /// Enters the next generation as `phase`, if the word still is `seen`.
    ///
    /// # Errors
    /// Another thread has changed the word. The error is the word that was found.
    pub fn change(&self, seen: StateWord, phase: Phase) -> Result<StateChange, StateWord> {
        self.change_with(seen, phase, false)
    }

    /// Like [`change`](Self::change). If `another_window`, calls look up the window they count in
    /// from then on.
    ///
    /// # Errors
    /// Another thread has changed the word. The error is the word that was found.
    pub fn change_with(
        &self,
        seen: StateWord,
        phase: Phase,
        another_window: bool,
    ) -> Result<StateChange, StateWord> {
        let generation = seen.generation().next();
        let new = StateWord::new(generation, phase).timed(another_window);
        self.exchange(seen, new)?;
        if let Phase::Open { until } = phase {
            // `exactly` ignores a moment that doesn't match the word.
            self.open_until.store(until.nanos());
        }
        Ok(StateChange {
            from: seen.phase().state(),
            to: phase.state(),
            generation,
            is_open: phase.is_open(),
        })
    }

    /// Changes the notes of a word that is closed or metrics-only, within its generation.
    ///
    /// # Errors
    /// Another thread has changed the word since `seen`. The error is the word that was found.
    pub fn note(&self, seen: StateWord, new: StateWord) -> Result<(), StateWord> {
        self.exchange(seen, new)
    }

    /// Keeps the state, but from then on calls look up the window they count in.
    ///
    /// # Errors
    /// Another thread has changed the word since `seen`. The error is the word that was found.
    pub fn keep_with_another_window(&self, seen: StateWord) -> Result<(), StateWord> {
        self.exchange(seen, seen.timed(true))
    }

    /// Changes the phase within the generation, if the word still is `seen`.
    ///
    /// This never shortens an open time.
    ///
    /// # Errors
    /// Another thread has changed the word. The error is the word that was found.
    pub fn stay(&self, seen: StateWord, phase: Phase) -> Result<(), StateWord> {
        self.exchange(seen, StateWord::new(seen.generation(), phase))?;
        if let Phase::Open { until } = phase {
            // `exactly` ignores a moment that doesn't match the word. This raises the moment,
            // because two threads may lengthen an open time within one unit without a failed
            // exchange.
            self.open_until.raise(until.nanos());
        }
        Ok(())
    }

    /// Ends the open time of `seen` at `until`, within the generation, if the word still is `seen`.
    ///
    /// # Errors
    /// Another thread has changed the word. The error is the word that was found.
    pub fn shorten(&self, seen: StateWord, until: Moment) -> Result<(), StateWord> {
        let new = StateWord::new(seen.generation(), Phase::Open { until });
        // `exactly` ignores a moment that doesn't match the word.
        let note = |()| self.open_until.store(until.nanos());
        self.exchange(seen, new).map(note)
    }

    /// Repeats `attempt` until no other thread has changed the word meanwhile.
    ///
    /// An attempt returns the word that it found instead of the one it was given.
    #[inline]
    pub(crate) fn retry<T>(&self, attempt: impl Fn(StateWord) -> Result<T, StateWord>) -> T {
        let mut seen = self.load();
        loop {
            match attempt(seen) {
                Ok(done) => return done,
                Err(found) => seen = found,
            }
        }
    }

    /// Leaves `generation` and enters the next one as `phase`; `None` if `generation` is over.
    pub fn leave(&self, generation: Generation, phase: Phase) -> Option<StateChange> {
        self.retry(|seen| {
            if seen.generation() != generation {
                return Ok(None);
            }
            self.change(seen, phase).map(Some)
        })
    }

    /// Enters the next generation as `phase`, from any state.
    pub fn force(&self, phase: Phase) -> StateChange {
        self.retry(|seen| self.change(seen, phase))
    }

    /// Decides whether a call that asks at `now` is admitted.
    ///
    /// A half-open breaker has `probes` places. A probe that hasn't reported loses its place
    /// `probe_timeout` nanoseconds after the last admission (`u64::MAX`: never). The caller then
    /// enters a new half-open generation, which ignores the lost probe's late report.
    pub fn admit(&self, now: u64, probes: u32, probe_timeout: u64) -> Admission {
        self.admit_after(now, probes, probe_timeout, Moment::nanos)
    }

    /// Like [`admit`](Self::admit), but an open time ends as late as `held_until` says.
    pub fn admit_after(
        &self,
        now: u64,
        probes: u32,
        probe_timeout: u64,
        held_until: impl Fn(Moment) -> u64,
    ) -> Admission {
        self.retry(|seen| {
            let rejected = |retry_after| {
                Ok(Admission::Rejected {
                    state: seen.phase().state(),
                    generation: seen.generation(),
                    retry_after,
                })
            };
            match seen.phase() {
                Phase::Closed | Phase::MetricsOnly => Ok(Admission::Recorded(seen)),
                Phase::Ramp(_) => Ok(Admission::Ramp(seen)),
                Phase::Disabled => Ok(Admission::Unrecorded),
                Phase::ForcedOpen => rejected(None),
                Phase::Isolated(_) => rejected(Some(Admission::ISOLATED)),
                Phase::Open { until } => {
                    let until = held_until(self.exactly(until));
                    if now < until {
                        return rejected(Some(until - now));
                    }
                    self.begin_probing(seen, now, ProbeCounts::default())
                }
                Phase::HalfOpen(counts) if counts.taken() < probes => {
                    self.renew_lease(now);
                    let phase = Phase::HalfOpen(ProbeCounts {
                        in_flight: counts.in_flight + 1,
                        admitted: counts.admitted.wrapping_add(1),
                        ..counts
                    });
                    let generation = seen.generation();
                    self.exchange(seen, StateWord::new(generation, phase))
                        .map(|()| Admission::Probe {
                            generation,
                            moved: None,
                            overdue: 0,
                        })
                }
                Phase::HalfOpen(_) if probe_timeout == u64::MAX => rejected(None),
                Phase::HalfOpen(counts) => {
                    // If a place is given back and taken again meanwhile, `admitted` has moved on.
                    // Then the compare-exchange fails.
                    let overdue_at = self.overdue_at(probe_timeout);
                    if now < overdue_at {
                        return rejected(Some(overdue_at - now));
                    }
                    self.begin_probing(seen, now, counts)
                }
            }
        })
    }

    /// Leaves the open `generation` for a half-open one with all places free.
    ///
    /// `None` if `generation` is already over, or now lasts beyond `now`.
    #[cfg(feature = "async")]
    pub fn invite_probes(&self, generation: Generation, now: u64) -> Option<StateChange> {
        self.retry(|seen| match seen.phase() {
            Phase::Open { until }
                if seen.generation() == generation && self.exactly(until).nanos() <= now =>
            {
                self.change(seen, Phase::PROBING).map(Some)
            }
            _ => Ok(None),
        })
    }

    /// Enters a new half-open generation with this caller as its first probe.
    ///
    /// The reports `before` it still count. The probes in flight lose their places.
    fn begin_probing(
        &self,
        seen: StateWord,
        now: u64,
        before: ProbeCounts,
    ) -> Result<Admission, StateWord> {
        self.renew_lease(now);
        let phase = Phase::HalfOpen(ProbeCounts {
            in_flight: 1,
            admitted: 1,
            ..before
        });
        self.change(seen, phase).map(|moved| Admission::Probe {
            generation: moved.generation,
            moved: Some(moved),
            overdue: before.in_flight,
        })
    }

    /// Notes an admission at `now`, before the place is taken.
    ///
    /// A thread that sees the place taken must see the time too. Otherwise it would take a fresh
    /// probe's place for an abandoned one.
    fn renew_lease(&self, now: u64) {
        self.last_admission.raise(now);
    }

    /// Gives the probes in flight more time, because a call of an earlier generation reported at
    /// `now`.
    ///
    /// The probes get twice as long as that call `took`. The limit is
    /// [`LONGEST_LEASE`](Self::LONGEST_LEASE) times `probe_timeout`. Nothing changes if the breaker
    /// awaits no probes, or if they already have longer.
    ///
    /// Without this, probes that take longer than `probe_timeout` would lose their places one after
    /// the other. The breaker would stay half-open.
    pub fn lengthen_lease(&self, now: u64, took: u64, probe_timeout: u64) {
        if let Phase::HalfOpen(_) = self.load().phase() {
            let longest = probe_timeout.saturating_mul(Self::LONGEST_LEASE);
            let end = now.saturating_add(took.saturating_mul(2).min(longest));
            let admission = end.saturating_sub(probe_timeout);
            // The state word need not publish this. An admission that reads the old time takes an
            // expired place, as if the call had reported later. This raises the time, because a
            // store could shorten the lease of a probe that was admitted meanwhile.
            self.last_admission.raise(admission);
        }
    }

    /// When the probes that haven't reported lose their places, in nanoseconds.
    fn overdue_at(&self, probe_timeout: u64) -> u64 {
        // This thread has already loaded the word that showed the last place taken. The thread that
        // took the place had written the time before.
        let last_admission = self.last_admission.load();
        last_admission.saturating_add(probe_timeout)
    }

    /// In how many nanoseconds the probes lose their places if they don't report; `u64::MAX`:
    /// never.
    ///
    /// `None` unless all places for probes are taken and none can be taken back yet.
    #[cfg(feature = "async")]
    pub fn awaits_verdict(&self, now: u64, probes: u32, probe_timeout: u64) -> Option<u64> {
        self.verdict_awaited_by(self.load().phase(), now, probes, probe_timeout)
    }

    /// Like `awaits_verdict`, for a phase that the caller has loaded.
    #[must_use]
    pub fn verdict_awaited_by(
        &self,
        phase: Phase,
        now: u64,
        probes: u32,
        probe_timeout: u64,
    ) -> Option<u64> {
        match phase {
            Phase::HalfOpen(counts) if counts.taken() >= probes => {}
            _ => return None,
        }
        if probe_timeout == u64::MAX {
            return Some(u64::MAX);
        }
        let overdue_at = self.overdue_at(probe_timeout);
        (now < overdue_at).then(|| overdue_at - now)
    }

    /// Counts the report of a probe of `generation`.
    ///
    /// It decides as soon as the remaining probes can't change the verdict.
    pub fn report_probe(
        &self,
        generation: Generation,
        report: ProbeReport,
        probes: Probes,
    ) -> ProbeVerdict {
        self.retry(|seen| {
            let Phase::HalfOpen(mut counts) = seen.phase() else {
                // A generation has one state. That of a probe's generation is half-open.
                return Ok(ProbeVerdict::Stale);
            };
            if seen.generation() != generation {
                return Ok(ProbeVerdict::Stale);
            }
            counts.in_flight = counts.in_flight.saturating_sub(1);
            let next = match report {
                ProbeReport::Withdrawn => Phase::HalfOpen(counts),
                ProbeReport::Failed {
                    open_until: until,
                    is_enough: true,
                } => Phase::Open { until },
                ProbeReport::Failed { open_until, .. } => {
                    counts.failed += 1;
                    probes.verdict(counts, Some(open_until))
                }
                ProbeReport::Slow { open_until } => {
                    counts.slow += 1;
                    probes.verdict(counts, Some(open_until))
                }
                ProbeReport::Succeeded => {
                    counts.succeeded += 1;
                    probes.verdict(counts, None)
                }
            };
            match next {
                Phase::HalfOpen(_) => self
                    .exchange(seen, StateWord::new(generation, next))
                    .map(|()| ProbeVerdict::Counted),
                _ => self.change(seen, next).map(ProbeVerdict::Decided),
            }
        })
    }
}
