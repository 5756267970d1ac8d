//! Transitions: how a breaker opens, reopens and closes, and how listeners learn of it.
//!
//! Exactly one thread wins the exchange of the state word. That thread alone starts
//! the new generation. Listeners hear of it from that thread, or from the thread that is telling
//! already.

#[cfg(feature = "registry")]
use super::open_share::Reserved;
use super::view::{Configuration, View, with_view};
use super::{Core, call::Call};
use crate::state::{Judgement, Moment, Phase, State, StateChange, StateWord};
use crate::sync::{Ordering, fence};
use crate::{
    clock::context::CallContext,
    events::entry::{LogEntry, Reason},
    events::{Cause, WouldTripReason},
    recovery::Streak,
    state::history::date_of,
    window::Ring,
};

/// An opening that is about to be made.
#[derive(Clone, Copy)]
pub(super) struct NextOpening {
    /// When the open time ends.
    pub(super) until: Moment,
    /// The streak to note for this opening, if open times grow.
    streak: Option<Streak>,
}

impl NextOpening {
    pub(super) fn phase(self) -> Phase {
        Phase::Open { until: self.until }
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    /// Opens a closed breaker if the generation of `seen` isn't over, and returns whether it did.
    ///
    /// A breaker that may not trip notes the cause instead.
    pub(super) fn open(
        self,
        mut seen: StateWord,
        judgement: Judgement,
        cause: Cause,
        call: Call<'_, impl CallContext>,
    ) -> bool {
        let now = call.nanos();
        if seen.phase() == Phase::MetricsOnly {
            self.would_trip(seen, judgement, WouldTripReason::MetricsOnly, cause, now);
            return false;
        }
        let warm_up = self.built().and_then(|it| it.warm_up.as_deref());
        if warm_up.is_some_and(|it| now < it.until) {
            self.would_trip(seen, judgement, WouldTripReason::WarmUp, cause, now);
            return false;
        }
        #[cfg(feature = "registry")]
        match self.reserve_place(seen) {
            Reserved::Granted => {}
            Reserved::Over => return false,
            Reserved::Full => {
                self.would_trip(seen, judgement, WouldTripReason::OpenShare, cause, now);
                return false;
            }
        }
        let opening = self.first_opening(call, now);
        loop {
            match self.state.change(seen, opening.phase()) {
                Ok(moved) => {
                    self.opened(moved, opening, now, self.trip_reason(cause, call));
                    return true;
                }
                // Another thread has changed the notes.
                Err(found) if found.generation() == seen.generation() => seen = found,
                // Another thread has ended the generation, so nothing is left to do. That thread
                // also settles the place that was taken here.
                Err(_) => return false,
            }
        }
    }

    /// Why this thread has just tripped the breaker, with what its window holds.
    #[cold]
    #[inline(never)]
    fn trip_reason(self, cause: Cause, call: Call<'_, impl CallContext>) -> Reason {
        // Loom leaves the sums out. Nothing depends on them, and it would have to explore each of
        // their loads again.
        let counts = (!cfg!(tripcurve_loom)).then(|| {
            let counts = self.ring().failures_and_slow(call);
            self.ring().all_counts(counts, call).into()
        });
        Reason {
            cause,
            counts,
            label: call.context.label(),
        }
    }

    /// The opening that starts an outage `now` and ends the call's generation.
    #[cold]
    #[inline(never)]
    pub(super) fn first_opening(self, call: Call<'_, impl CallContext>, now: u64) -> NextOpening {
        let generation = call.generation;
        if let Some(adaptive) = self.adaptive() {
            let within = self.lasted(generation, now);
            let calls = match self.ring() {
                ring @ Ring::Time(_) => ring.calls(call),
                // A window by count doesn't know over how much time its calls came.
                Ring::Count(_) => 0,
            };
            adaptive.outage.start(now, calls, within);
        }
        self.opening(self.age(generation, now), now)
    }

    /// The next opening, after a failed recovery.
    pub(super) fn next_opening(self, now: u64) -> NextOpening {
        self.opening(0, now)
    }

    /// An opening of a breaker that has been closed for `healthy` nanoseconds.
    fn opening(self, healthy: u64, now: u64) -> NextOpening {
        let generation = || self.state.load().generation();
        let times = self.open_times();
        let streak = times.map(|times| {
            let random = self.latest_opening.random(now, generation());
            times.next(self.latest_opening.get(), healthy, random)
        });
        let wait = match (streak, self.adaptive()) {
            (Some(streak), _) => streak.wait,
            (None, Some(adaptive)) if adaptive.by_traffic => {
                adaptive.outage.wait(now, generation().number())
            }
            (None, _) => self.settings().open_for,
        };
        // A later `Retry-After` is found by `opened`, after the state has changed.
        let retry_at = self.max_retry_after().cut(self.retry_after.so_far(), now);
        let until = Moment::at(now.saturating_add(wait).max(retry_at));
        NextOpening { until, streak }
    }

    /// Finishes an opening that this thread has won.
    pub(super) fn opened(
        self,
        moved: StateChange,
        opening: NextOpening,
        now: u64,
        reason: impl Into<Reason>,
    ) {
        if let Some(streak) = opening.streak {
            self.latest_opening.note(moved.generation, streak);
        }
        // Read again: a `Retry-After` that came since finds the breaker open, or is found here.
        let retry_at = self.retry_after.until();
        self.stay_open(self.max_retry_after().cut(retry_at, now));
        self.entered(moved, now, reason);
    }

    /// Finishes a transition that this thread has won. It may have been the `opening`.
    pub(super) fn moved(
        self,
        moved: StateChange,
        opening: Option<NextOpening>,
        now: u64,
        reason: impl Into<Reason>,
    ) {
        match opening {
            Some(opening) if moved.to == State::Open => self.opened(moved, opening, now, reason),
            _ => self.entered(moved, now, reason),
        }
    }
}

impl Core {
    /// Finishes a transition that this thread has won.
    ///
    /// Starts the generation and tells the listeners.
    pub(super) fn entered(&self, moved: StateChange, now: u64, reason: impl Into<Reason>) {
        self.entered_for(moved, now, reason.into());
    }

    fn entered_for(&self, moved: StateChange, now: u64, reason: Reason) {
        let StateChange {
            from,
            to,
            generation,
            ..
        } = moved;
        // SeqCst: pairs with the fences of the threads that register: in `join_share`, `watch`,
        // `HealthChecks::listen` and `listen`. Either such a thread sees the state that this thread
        // has entered, or this thread finds what was registered. Otherwise a share could be counted
        // wrong for good, a task could sleep through the transition, and a listener could miss it
        // and all later ones. It also pairs with the fence in `switch_over`, for new settings.
        fence(Ordering::SeqCst);
        // A window that begins empty has exact times at first.
        if let Some(odds) = self.odds() {
            odds.reset();
        }
        #[cfg(feature = "registry")]
        self.settle_share(moved);
        let entry = LogEntry {
            generation: self.history.number(generation),
            from,
            to,
            at: now,
            reason,
        };
        let begins = matches!(to, State::Open | State::ForcedOpen);
        // A fleet may lead a closed breaker into its ramp. The breaker then rejects calls for this
        // cause.
        #[cfg(feature = "fleet")]
        let begins = begins || (from, to) == (State::Closed, State::HalfOpen);
        if begins {
            self.note_opening(&entry);
        }
        let is_current = || self.is_current(generation);
        with_view!(self, |view| {
            view.ring().start_generation(generation, is_current);
            self.run.start_generation(generation, is_current);
            if let Some(evidence) = view.evidence() {
                evidence.start_generation(generation, is_current);
            }
        });
        self.history
            .start_generation(generation, date_of(now), is_current);
        #[cfg(feature = "async")]
        self.wake_all();
        self.tell(&entry);
    }

    /// Tells the health checks and the listeners about a transition.
    fn tell(&self, entry: &LogEntry) {
        #[cfg(feature = "async")]
        if entry.to == State::Open
            && let Some(checks) = self.checks()
        {
            checks.ring();
        }
        if let Some(listeners) = self.listeners() {
            listeners.tell(&self.parts.settings.name, entry);
        }
    }

    /// Keeps the breaker open until the dependency's `Retry-After` of `nanos` is over.
    pub fn note_retry_after(&self, nanos: u64, now: u64) {
        let longest = with_view!(self, |view| view.max_retry_after());
        self.stay_open(self.retry_after.note(nanos, now, longest));
    }

    /// Lengthens the open time, if the breaker is open and would end it before `until`.
    pub(super) fn stay_open(&self, until: u64) {
        let until = Moment::at(until);
        let mut seen = self.state.load();
        while let Phase::Open { until: present } = self.state.phase_of(seen)
            && present < until
        {
            match self.state.stay(seen, Phase::Open { until }) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }
}
