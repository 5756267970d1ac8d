//! The state word as an atomic: admission, the verdict of the probes, and the one compare-exchange
//! that changes the state.

use super::{Generation, Moment, Phase, State, StateWord};
use crate::sync::{AtomicU64, Hint, Ordering, Payload};

/// A state change that this thread has won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The state that was left.
    pub from: State,
    /// The state that was entered.
    pub to: State,
    /// The generation that was entered.
    pub generation: Generation,
}

/// The answer to a call that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Let through by this word, closed or metrics only; the outcome is to be recorded in its generation's window.
    Recorded(StateWord),
    /// Let through; the outcome is of no interest.
    Unrecorded,
    /// Let through as a probe of this generation; if the admission changed the state, how, and how
    /// many probes that never reported lost their places.
    Probe {
        /// The half-open generation that the probe belongs to.
        generation: Generation,
        /// The state change, when this caller won one.
        moved: Option<StateChange>,
        /// Probes whose lease had run out and whose places were taken back.
        overdue: u32,
    },
    /// A share of the calls is let through, as this word says.
    Ramp(StateWord),
    /// Rejected, and by when at the latest a call may be let through.
    Rejected {
        /// The state that rejects.
        state: State,
        /// The generation that rejects.
        generation: Generation,
        /// Nanoseconds until a place is free at the latest; `None` when only a command can help.
        retry_after: Option<u64>,
    },
}

/// What a probe's report came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// The probe's generation is over; nothing changed.
    Stale,
    /// Counted; the state stays.
    Counted,
    /// This report decided.
    Decided(StateChange),
}

/// How many probes there are, and what they must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    // Narrow, so that the settings of a breaker stay small.
    permitted: u16,
    needed: u16,
}

impl Probes {
    const _THEY_FIT: () = assert!(Phase::MAX_PROBES <= u16::MAX as u32);

    /// `permitted` places, [`Phase::MAX_PROBES`] at most, of which `needed` must succeed.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "see above")]
    pub const fn new(permitted: u32, needed: u32) -> Self {
        Self {
            permitted: permitted as u16,
            needed: needed as u16,
        }
    }

    /// `permitted` places, all of which must succeed.
    #[must_use]
    pub const fn all(permitted: u32) -> Self {
        Self::new(permitted, permitted)
    }

    /// How many places there are.
    #[must_use]
    pub fn permitted(self) -> u32 {
        self.permitted.into()
    }

    /// How many must succeed for the breaker to close; it opens as soon as they can't.
    #[must_use]
    pub fn needed(self) -> u32 {
        self.needed.into()
    }

    /// How many may fail.
    #[must_use]
    pub fn may_fail(self) -> u32 {
        self.permitted.saturating_sub(self.needed).into()
    }
}

/// How a probe came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeReport {
    /// It succeeded.
    Succeeded,
    /// It failed: if that was one too many, the breaker opens again until the moment given.
    Failed {
        /// When the next probe may go.
        open_until: Moment,
        /// Whether it was one too many in any case.
        is_enough: bool,
    },
    /// It says nothing, and gives its place back.
    Withdrawn,
}

/// The state word, with the exact end of the open time and the time of the last probe's admission
/// beside it.
#[derive(Debug)]
pub struct AtomicState {
    word: AtomicU64,
    /// When the latest open time ends, in nanoseconds. It counts if the word shows the same moment,
    /// rounded up. Otherwise the word alone counts, which is at most a unit later.
    ///
    /// The winner of an opening writes it after the word. Until then, a breaker is open for up to a
    /// unit longer. The same happens if the winner of an earlier opening writes too late. If two
    /// openings end in the same unit, the end of either may count meanwhile.
    open_until: Hint,
    /// When the latest probe was admitted, in nanoseconds; never goes back. A call that has
    /// reported late moves it on, which lengthens the lease (see `lengthen_lease`). The word publishes
    /// it: it is written before a place is taken.
    last_admission: Payload,
}

impl AtomicState {
    /// The longest lease of a probe, in multiples of `probe_timeout`, when calls were seen to take
    /// longer. It bounds the harm of a clock that has jumped ahead.
    pub const LONGEST_LEASE: u64 = 100;

    /// A state word that begins as `phase` in the first generation.
    #[must_use]
    pub fn new(phase: Phase) -> Self {
        Self::timed(phase, false)
    }

    /// The same, which says from then on whether calls are timed.
    #[must_use]
    pub fn timed(phase: Phase, is_timed: bool) -> Self {
        Self::beginning(Generation::FIRST, phase, is_timed)
    }

    /// The same, which begins in `generation`.
    pub(crate) fn beginning(generation: Generation, phase: Phase, is_timed: bool) -> Self {
        let word = StateWord::new(generation, phase).timed(is_timed);
        Self {
            word: AtomicU64::new(word.bits()),
            open_until: Hint::new(match phase {
                Phase::Open { until } => until.nanos(),
                _ => 0,
            }),
            last_admission: Payload::new(0),
        }
    }

    /// The state now.
    #[must_use]
    #[inline]
    pub fn load(&self) -> StateWord {
        // Acquire: pairs with the Release in `exchange`. What a thread did before it changed the
        // state (wrote to a fallback's cache, say, and then called `reset`) is seen by the calls
        // that the new state lets through; and a `last_admission` read after this load is at least
        // as late as the admission that this word shows.
        StateWord::from_bits(self.word.load(Ordering::Acquire))
    }

    /// The kind that the word shows, with the exact end of an open time, if that is known.
    #[must_use]
    pub fn phase_of(&self, seen: StateWord) -> Phase {
        match seen.phase() {
            Phase::Open { until } => Phase::Open {
                until: self.exactly(until),
            },
            phase => phase,
        }
    }

    /// The exact end of an open time whose rounded end the word shows.
    #[must_use]
    #[inline]
    pub fn exactly(&self, shown: Moment) -> Moment {
        // A moment that doesn't match the word is left out. One that matches is less than
        // a unit before the rounded end, so even one of another opening does no more harm than
        // that.
        let noted = Moment::noted(self.open_until.load());
        if noted.is_shown_as(shown) {
            noted
        } else {
            shown
        }
    }

    /// The single compare-exchange through which the word changes.
    fn exchange(&self, seen: StateWord, new: StateWord) -> Result<(), StateWord> {
        let new = new.timed(seen.is_timed() || new.is_timed());
        // AcqRel, Acquire: Release pairs with the load above and with the Acquire here. The winner of one
        // change sees what the winner of the one before had done; the listeners' log relies on it. So does
        // a caller whose own change fails, and whom the state that it finds lets through.
        self.word
            .compare_exchange(seen.bits(), new.bits(), Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(StateWord::from_bits)
    }

    /// Enters the next generation as `phase`, if the word still is `seen`.
    ///
    /// # Errors
    /// The word that was found instead; somebody else has changed it.
    pub fn change(&self, seen: StateWord, phase: Phase) -> Result<StateChange, StateWord> {
        self.change_as(seen, phase, false)
    }

    /// The same, and from then on calls look where they are counted.
    ///
    /// # Errors
    /// As above.
    pub fn change_window(&self, seen: StateWord, phase: Phase) -> Result<StateChange, StateWord> {
        self.change_as(seen, phase, true)
    }

    fn change_as(
        &self,
        seen: StateWord,
        phase: Phase,
        is_timed: bool,
    ) -> Result<StateChange, StateWord> {
        let generation = seen.generation().next();
        self.exchange(seen, StateWord::new(generation, phase).timed(is_timed))?;
        if let Phase::Open { until } = phase {
            // `exactly` leaves out a moment that doesn't match the word.
            self.open_until.store(until.nanos());
        }
        Ok(StateChange {
            from: seen.phase().state(),
            to: phase.state(),
            generation,
        })
    }

    /// Stays as it is, but from then on calls look where they are counted, if the word still is `seen`.
    ///
    /// # Errors
    /// The word that was found instead; somebody else has changed it.
    pub fn keep_with_another_window(&self, seen: StateWord) -> Result<(), StateWord> {
        self.exchange(seen, seen.timed(true))
    }

    /// Stays in its generation, but as `phase`, if the word still is `seen`. An open time never
    /// becomes shorter by it.
    ///
    /// # Errors
    /// The word that was found instead; somebody else has changed it.
    pub fn stay(&self, seen: StateWord, phase: Phase) -> Result<(), StateWord> {
        self.exchange(seen, StateWord::new(seen.generation(), phase))?;
        if let Phase::Open { until } = phase {
            // `exactly` leaves out a moment that doesn't match the word. The maximum,
            // since two threads may lengthen an open time within one unit without a failed
            // exchange.
            self.open_until.raise(until.nanos());
        }
        Ok(())
    }

    /// Leaves `generation` for the next one as `phase`; `None` if it is over.
    pub fn leave(&self, generation: Generation, phase: Phase) -> Option<StateChange> {
        let mut seen = self.load();
        while seen.generation() == generation {
            match self.change(seen, phase) {
                Ok(moved) => return Some(moved),
                Err(found) => seen = found,
            }
        }
        None
    }

    /// Enters the next generation as `phase`, whatever the state is.
    pub fn force(&self, phase: Phase) -> StateChange {
        let mut seen = self.load();
        loop {
            match self.change(seen, phase) {
                Ok(moved) => return moved,
                Err(found) => seen = found,
            }
        }
    }

    /// Decides whether a call that asks at `now` is let through.
    ///
    /// `probes` places are there while half-open; one is taken back when it hasn't reported for
    /// `probe_timeout` nanoseconds after the last admission (`u64::MAX`: never), by entering a new
    /// half-open generation, to which the lost probe's late report means nothing.
    pub fn admit(&self, now: u64, probes: u32, probe_timeout: u64) -> Admission {
        self.admit_after(now, probes, probe_timeout, Moment::nanos)
    }

    /// The same, where an open time is over as late as `held_until` makes of its end.
    pub fn admit_after(
        &self,
        now: u64,
        probes: u32,
        probe_timeout: u64,
        held_until: impl Fn(Moment) -> u64,
    ) -> Admission {
        let mut seen = self.load();
        loop {
            let generation = seen.generation();
            let attempt = match seen.phase() {
                Phase::Closed | Phase::MetricsOnly => return Admission::Recorded(seen),
                Phase::Ramp(_) => return Admission::Ramp(seen),
                Phase::Disabled => return Admission::Unrecorded,
                Phase::ForcedOpen => return Self::rejected(seen, None),
                Phase::Open { until } => {
                    let until = held_until(self.exactly(until));
                    if now < until {
                        return Self::rejected(seen, Some(until - now));
                    }
                    self.begin_probing(seen, now, (0, 0), 0)
                }
                Phase::HalfOpen {
                    in_flight,
                    succeeded,
                    failed,
                    admitted,
                } if in_flight + succeeded + failed < probes => {
                    self.renew_lease(now);
                    let phase = Phase::HalfOpen {
                        in_flight: in_flight + 1,
                        succeeded,
                        failed,
                        admitted: admitted.wrapping_add(1),
                    };
                    self.exchange(seen, StateWord::new(generation, phase))
                        .map(|()| Admission::Probe {
                            generation,
                            moved: None,
                            overdue: 0,
                        })
                }
                Phase::HalfOpen {
                    in_flight,
                    succeeded,
                    failed,
                    ..
                } => {
                    if probe_timeout == u64::MAX {
                        return Self::rejected(seen, None);
                    }
                    // Should a place be given back and taken again meanwhile, `admitted` has moved on
                    // and the compare-exchange fails.
                    let overdue_at = self.overdue_at(probe_timeout);
                    if now < overdue_at {
                        return Self::rejected(seen, Some(overdue_at - now));
                    }
                    self.begin_probing(seen, now, (succeeded, failed), in_flight)
                }
            };
            match attempt {
                Ok(admission) => return admission,
                Err(found) => seen = found,
            }
        }
    }

    /// Leaves the open `generation` for a half-open one with all places free; `None` if it is over already, or
    /// was made to last beyond `now`.
    pub fn invite_probes(&self, generation: Generation, now: u64) -> Option<StateChange> {
        let mut seen = self.load();
        while seen.generation() == generation
            && let Phase::Open { until } = seen.phase()
            && self.exactly(until).nanos() <= now
        {
            match self.change(seen, Phase::PROBING) {
                Ok(moved) => return Some(moved),
                Err(found) => seen = found,
            }
        }
        None
    }

    /// Enters a new half-open generation with this caller as its first probe.
    fn begin_probing(
        &self,
        seen: StateWord,
        now: u64,
        (succeeded, failed): (u32, u32),
        overdue: u32,
    ) -> Result<Admission, StateWord> {
        self.renew_lease(now);
        let moved = self.change(
            seen,
            Phase::HalfOpen {
                in_flight: 1,
                succeeded,
                failed,
                admitted: 1,
            },
        )?;
        Ok(Admission::Probe {
            generation: moved.generation,
            moved: Some(moved),
            overdue,
        })
    }

    /// Notes an admission at `now`, before the place is taken: who sees the place taken must see
    /// the time too, or would take a fresh probe's place for an abandoned one.
    fn renew_lease(&self, now: u64) {
        self.last_admission.raise(now);
    }

    /// Gives the probes in flight more time, because a call of an earlier generation has reported
    /// at `now`.
    ///
    /// They get twice as long as that call `took`, at most [`LONGEST_LEASE`](Self::LONGEST_LEASE)
    /// times `probe_timeout`. Nothing changes if the breaker awaits no probes, or if they have
    /// longer anyway. Without this, probes that take longer than `probe_timeout` would lose their
    /// places one after the other, and the breaker would stay half-open.
    pub fn lengthen_lease(&self, now: u64, took: u64, probe_timeout: u64) {
        if let Phase::HalfOpen { .. } = self.load().phase() {
            let longest = probe_timeout.saturating_mul(Self::LONGEST_LEASE);
            let end = now.saturating_add(took.saturating_mul(2).min(longest));
            let admission = end.saturating_sub(probe_timeout);
            // The state word need not publish this. An admission that reads it before this change
            // takes an expired place, as if the call had reported after it. The maximum, because a
            // store could shorten the lease of a probe that was admitted meanwhile.
            self.last_admission.raise(admission);
        }
    }

    /// When the probes that haven't reported lose their places.
    fn overdue_at(&self, probe_timeout: u64) -> u64 {
        // The load of the word that showed the last place taken came first. Its taker had written the
        // time before it took the place.
        let last_admission = self.last_admission.load();
        last_admission.saturating_add(probe_timeout)
    }

    /// In how many nanoseconds the probes lose their places if they don't report, `u64::MAX`: never; `None`
    /// unless all places for probes are taken and will be for a while.
    #[cfg(feature = "async")]
    pub fn awaits_verdict(&self, now: u64, probes: u32, probe_timeout: u64) -> Option<u64> {
        let Phase::HalfOpen {
            in_flight,
            succeeded,
            failed,
            ..
        } = self.load().phase()
        else {
            return None;
        };
        if in_flight + succeeded + failed < probes {
            return None;
        }
        if probe_timeout == u64::MAX {
            return Some(u64::MAX);
        }
        let overdue_at = self.overdue_at(probe_timeout);
        (now < overdue_at).then(|| overdue_at - now)
    }

    fn rejected(seen: StateWord, retry_after: Option<u64>) -> Admission {
        Admission::Rejected {
            state: seen.phase().state(),
            generation: seen.generation(),
            retry_after,
        }
    }

    /// Counts the report of a probe of `generation`, and decides as soon as it is clear what all of them come
    /// to.
    pub fn report_probe(
        &self,
        generation: Generation,
        report: ProbeReport,
        probes: Probes,
    ) -> ProbeVerdict {
        let mut seen = self.load();
        loop {
            if seen.generation() != generation {
                return ProbeVerdict::Stale;
            }
            let Phase::HalfOpen {
                in_flight,
                succeeded,
                failed,
                admitted,
            } = seen.phase()
            else {
                // A generation has one kind; a probe's is half-open.
                return ProbeVerdict::Stale;
            };
            let in_flight = in_flight.saturating_sub(1);
            let stay = |succeeded, failed| {
                let phase = Phase::HalfOpen {
                    in_flight,
                    succeeded,
                    failed,
                    admitted,
                };
                self.exchange(seen, StateWord::new(generation, phase))
                    .map(|()| ProbeVerdict::Counted)
            };
            let attempt = match report {
                ProbeReport::Withdrawn => stay(succeeded, failed),
                ProbeReport::Succeeded if succeeded + 1 < probes.needed() => {
                    stay(succeeded + 1, failed)
                }
                ProbeReport::Succeeded => {
                    self.change(seen, Phase::Closed).map(ProbeVerdict::Decided)
                }
                ProbeReport::Failed {
                    is_enough: false, ..
                } if failed < probes.may_fail() => stay(succeeded, failed + 1),
                ProbeReport::Failed { open_until, .. } => self
                    .change(seen, Phase::Open { until: open_until })
                    .map(ProbeVerdict::Decided),
            };
            match attempt {
                Ok(verdict) => return verdict,
                Err(found) => seen = found,
            }
        }
    }
}
