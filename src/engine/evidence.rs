//! How an outcome is weighed, in a breaker that decides by evidence.

use std::time::Duration;

use super::Ticket;
use super::call::Call;
use super::view::{Configuration, View};
use crate::adaptive::{Evidence, Stream, Watched};
use crate::latency::in_flight::{InFlight, Watch};
use crate::latency::odds::Odds;
use crate::state::Generation;
use crate::state::history::date_of;
use crate::util::random::mixed;
use crate::window::Took;
use crate::{clock::context::CallContext, events::Cause, state::Judgement};

impl<'a, F: Configuration<'a>> View<'a, F> {
    /// Weighs a failure, and returns whether there is evidence of all calls.
    ///
    /// The caller notes it in the run of failures afterwards. A thread that finds the note finds
    /// the evidence.
    #[inline]
    pub(super) fn weigh_failure(self, ticket: Ticket, call: Call<'_, impl CallContext>) -> bool {
        let evidence = self.evidence();
        evidence.is_some_and(|evidence| {
            if let Some(timed) = evidence.of_timed()
                && !ticket.is_left_out()
                && self.stays_in_sample(ticket.weight(), call)
            {
                self.weigh_timed(timed, call);
            }
            self.weigh::<true>(evidence, call)
        })
    }

    /// Like [`weigh_failure`](Self::weigh_failure), for a call that took too long.
    ///
    /// Where only a sample is timed, such a call is evidence among the timed calls only. The note
    /// may then be set without evidence. The next success removes it.
    pub(super) fn weigh_slow(self, weight: u32, call: Call<'_, impl CallContext>) -> bool {
        let Some(evidence) = self.evidence() else {
            return false;
        };
        match evidence.of_timed() {
            Some(_) if !self.stays_in_sample(weight, call) => true,
            Some(timed) => self.weigh::<true>(timed, call),
            None => self.weigh::<true>(evidence, call),
        }
    }

    /// Whether a timed call that ends now is still in the sample.
    ///
    /// When the odds fall, calls in flight are thinned out to the new odds. Otherwise slow calls of
    /// the former odds would be compared with quick ones of the new odds.
    fn stays_in_sample(self, weight: u32, call: Call<'_, impl CallContext>) -> bool {
        let halvings = self.odds().map_or(0, Odds::weight).saturating_sub(weight);
        mixed(call.reading.raw) & ((1 << halvings) - 1) == 0
    }

    /// The evidence of timed calls, if they are a sample that is weighed.
    #[inline]
    pub(super) fn evidence_of_timed(self) -> Option<&'a Evidence> {
        self.evidence()?.of_timed()
    }

    /// Weighs a timed call that has failed, where only a sample is timed. A fleet is told of it as
    /// one of all calls.
    #[cold]
    #[inline(never)]
    fn weigh_timed(self, timed: &Evidence, call: Call<'_, impl CallContext>) {
        self.weigh_untold(timed, call);
    }

    /// Weighs a timed call that has succeeded in time, where only a sample is timed.
    #[inline]
    pub(super) fn weigh_timed_success(self, weight: u32, call: Call<'_, impl CallContext>) {
        if let Some(timed) = self.evidence_of_timed()
            && timed.has_any(call.generation)
            && self.stays_in_sample(weight, call)
        {
            self.weigh_success(timed, call);
        }
    }

    /// Weighs a success in a stream that has evidence. Learns from the excursion that it ends.
    #[cold]
    #[inline(never)]
    fn weigh_success(self, evidence: &Evidence, call: Call<'_, impl CallContext>) {
        let generation = call.generation;
        // The evidence tells generations apart by 11 bits only.
        if self.is_current(generation)
            && let Some(lesson) = evidence.success(generation)
        {
            let now = call.date();
            evidence.learn(lesson, now, self.began_at(generation, now));
            self.look(evidence, call);
        }
    }

    /// One in 2^this calls is watched now.
    pub(super) fn weight_of_watched(self, in_flight: &InFlight) -> u32 {
        self.odds().map_or(0, Odds::weight) + in_flight.weight()
    }

    /// The watched calls and their evidence, if calls are watched and weighed.
    fn watched(self) -> Option<(&'a InFlight, &'a Watched)> {
        let watched = self.evidence()?.watched()?;
        let in_flight = self.timed()?.in_flight()?;
        Some((in_flight, watched))
    }

    /// Notes that the client makes progress, before the durations of calls are weighed.
    #[inline]
    pub(super) fn note_progress(self, generation: Generation, context: &impl CallContext) {
        if self.evidence().is_some() {
            self.note_progress_slow(generation, context);
        }
    }

    #[inline(never)]
    fn note_progress_slow(self, generation: Generation, context: &impl CallContext) {
        let Some((in_flight, watched)) = self.watched() else {
            return;
        };
        if !self.is_current(generation) {
            return;
        }
        let now = context.nanos();
        let Watch { limit, window, .. } = in_flight.watch;
        let since = || now.saturating_sub(self.age(generation, now));
        let spacing = |gap| {
            if gap > window / 2 {
                // The window has lost too many of the calls before the gap to tell. A client that
                // makes calls all the time doesn't pause for so long.
                return 0;
            }
            let call = self.call_in(generation, context);
            let now = call.date();
            let since = self.counted_since(generation);
            let since = since.unwrap_or_else(|| self.began_at(generation, now));
            let calls = self.calls_of(Stream::Watched, call);
            now.saturating_sub(since).min(window) / calls.max(1)
        };
        watched.stalls.note(now, limit, since, spacing);
    }

    /// Whether a slow call was slow only because the client stalled. Such a call is no evidence.
    #[cold]
    #[inline(never)]
    pub(super) fn is_excused(self, took: Took, call: Call<'_, impl CallContext>) -> bool {
        let Some((in_flight, watched)) = self.watched() else {
            return false;
        };
        self.note_progress(call.generation, call.context);
        let now = call.nanos();
        let began = now.saturating_sub(took.nanos);
        watched.stalls.awake(began, now) <= in_flight.watch.limit
    }

    /// Weighs a watched call that has come back and wasn't weighed as overdue.
    ///
    /// `took` is its duration if it succeeded. If it is bad, the caller judges the evidence.
    pub(super) fn weigh_watched(
        self,
        ticket: Ticket,
        took: Option<Took>,
        call: Call<'_, impl CallContext>,
    ) {
        let (generation, now) = (call.generation, call.nanos());
        let Some((in_flight, watched)) = self.watched() else {
            return;
        };
        // The place of a call that has left may be another's since then, or not.
        let began = call.context.nanos_at(ticket.begin);
        if in_flight.has_left(began, now) || !self.is_current(generation) {
            return;
        }
        let slow = took.filter(|took| took.is_slow);
        if slow.is_some_and(|took| self.is_excused(took, call)) {
            return;
        }
        if took.is_none() || slow.is_some() {
            self.weigh::<false>(&watched.evidence, call);
            return;
        }
        watched.stalls.answer(now, in_flight.watch.limit);
        if watched.evidence.has_any(generation) {
            self.weigh_success(&watched.evidence, call);
        }
    }

    /// Weighs the watched calls that have become overdue, each once.
    pub(super) fn weigh_overdue(self, in_flight: &InFlight, call: Call<'_, impl CallContext>) {
        let Some((_, watched)) = self.watched() else {
            return;
        };
        let (now, limit) = (call.nanos(), in_flight.watch.limit);
        let is_late = |began| watched.stalls.awake(began, now) > limit;
        let weight = self.weight_of_watched(in_flight);
        for _ in 0..in_flight.charge(call.generation, now, weight, is_late) {
            self.weigh::<false>(&watched.evidence, call);
        }
    }

    /// Without `OF_ALL`, this is the evidence of watched calls.
    #[inline(never)]
    fn weigh<const OF_ALL: bool>(
        self,
        evidence: &Evidence,
        call: Call<'_, impl CallContext>,
    ) -> bool {
        let before = self.weigh_untold(evidence, call);
        #[cfg(feature = "fleet")]
        if let Some(unreported) = self.unreported()
            && OF_ALL != self.are_all_watched()
        {
            let generation = call.generation;
            let surprise = match before {
                Some(before) => Some(evidence.surprise(before, generation)),
                None if self.opened_after(generation) => Some(evidence.surprise_after_failure()),
                None => None,
            };
            if let Some(surprise) = surprise {
                unreported.add(surprise, call.date());
            }
        }
        before.is_some()
    }

    /// Weighs a call that has failed or took too long. Returns the word that it was added to, if
    /// its generation is current.
    #[inline]
    fn weigh_untold(self, evidence: &Evidence, call: Call<'_, impl CallContext>) -> Option<u64> {
        let generation = call.generation;
        // The evidence tells generations apart by 11 bits, which repeat after 2,048 state changes.
        // A call may last that long, so this thread asks first. After that, only the time between
        // two instructions is unguarded. A generation that is over has no window to look at either.
        let is_current = || self.is_current(generation);
        if !is_current() {
            return None;
        }
        let now = call.date();
        let since = self.counted_since(generation);
        let since = since.unwrap_or_else(|| self.began_at(generation, now));
        if evidence.wants_look(now, since) {
            self.look(evidence, call);
        }
        evidence.failure(generation, now, is_current)
    }

    /// Whether `generation` ended because the breaker opened without an order, and nothing has
    /// changed since.
    ///
    /// Calls that were in flight then are calls that the fleet expects, so their failures count
    /// there. A process that makes ten calls at once may trip by the first five.
    #[cfg(feature = "fleet")]
    #[cold]
    fn opened_after(self, generation: Generation) -> bool {
        let seen = self.state.load();
        seen.generation() == generation.next()
            && seen.phase().state() == crate::state::State::Open
            && !self.follows_in(seen.generation())
    }

    /// Whether a fleet is told of the watched calls, because all calls are watched. Their evidence
    /// then holds each failure and each overdue call once.
    ///
    /// Otherwise the evidence of all calls holds each failure, and a fleet is told of an overdue
    /// call of the sample when it ends. If the traffic passes from one to the other meanwhile, it
    /// may be told twice.
    #[cfg(feature = "fleet")]
    #[inline]
    fn are_all_watched(self) -> bool {
        let are_all_timed = || self.odds().is_none_or(|odds| odds.weight() == 0);
        self.watched()
            .is_some_and(|(calls, _)| calls.weight() == 0 && are_all_timed())
    }

    /// Judges by evidence after an outcome was weighed, and returns whether the breaker tripped.
    #[inline]
    pub(super) fn judge_weighed(self, call: Call<'_, impl CallContext>) -> bool {
        let evidence = self.evidence();
        evidence.is_some_and(|it| self.judge_by_evidence(it, call))
    }

    /// Trips if there is enough evidence, and returns whether it did.
    #[inline(never)]
    fn judge_by_evidence(self, evidence: &Evidence, call: Call<'_, impl CallContext>) -> bool {
        let generation = call.generation;
        let Some(seen) = self.judged_in(generation) else {
            return false;
        };
        let now = call.date();
        let since = self.began_at(generation, now);
        let verdict = evidence.verdict(generation, now, since);
        if verdict.is_none() {
            self.found_none(seen, Judgement::Evidence);
        }
        verdict.is_some_and(|verdict| {
            let cause = Cause::Evidence {
                failures: verdict.failures,
                calls: verdict.calls,
                within: Duration::from_nanos(verdict.within),
                usual: verdict.usual,
                nats: verdict.nats,
                needed: verdict.needed,
            };
            // This thread may have slept. The open time begins at a fresh clock reading.
            let call = call.read_again(self.ring());
            let trips = self.open(seen, Judgement::Evidence, cause, call);
            if trips {
                let cut = self.adaptive().map_or(0, |it| it.ramp.latest_cut());
                evidence.trip(&verdict, generation, now, since, cut);
            }
            trips
        })
    }

    /// Whether more than the tolerated share of the calls may fail.
    pub(super) fn tolerates_more(self) -> bool {
        self.evidence().is_some_and(Evidence::tolerates_more)
    }

    /// Notes that a ramp failed at `now`, after so many failures of so many calls.
    pub(super) fn ramp_failed(self, failures_and_calls: (u32, u32), now: u64) {
        if let Some(evidence) = self.evidence() {
            let now = date_of(now);
            evidence.opened(failures_and_calls, now, now);
        }
    }

    /// Tells the evidence of a stream from time to time how much traffic the stream has.
    pub(super) fn look(self, evidence: &Evidence, call: Call<'_, impl CallContext>) {
        let generation = call.generation;
        let now = call.date();
        let began = self.began_at(generation, now);
        let counted_since = self.counted_since(generation).unwrap_or(began);
        evidence.look(generation, now, (began, counted_since), || {
            self.calls_of(evidence.stream(), call)
        });
    }

    /// How many calls of a stream the window holds, about.
    ///
    /// After a burst there may have been more. With too many, a share of slow calls would look
    /// rarer than it is.
    fn calls_of(self, stream: Stream, call: Call<'_, impl CallContext>) -> u64 {
        let timed = || {
            self.timed()
                .map(|it| it.largest_weight(call.reading.raw, self.odds()))
        };
        let in_flight = || self.timed()?.in_flight().map(InFlight::weight);
        let weight = match stream {
            Stream::All => 0,
            Stream::Timed => timed().unwrap_or(0),
            Stream::Watched => timed().unwrap_or(0) + in_flight().unwrap_or(0),
        };
        self.ring().calls(call) >> weight
    }
}
