//! Permits for single calls.

use std::{fmt, num::NonZero, ops::Deref, sync::Arc, time::Duration};

use crate::name::label::Label;
use crate::outcome::{Classify, Outcome, Report};
use crate::{breaker::nested::OuterCall, breaker::shared::SharedBreaker, engine::Ticket};

/// A ticket that is settled exactly once: by its holder, or as unrecorded when it is dropped.
///
/// `IS_OVER` means that the call itself has come back, so a panic is not the call's.
pub(crate) struct PermitGuard<S: Deref<Target = SharedBreaker>, const IS_OVER: bool = false> {
    /// `None` once it is settled.
    ticket: Option<(S, Ticket)>,
}

impl<S: Deref<Target = SharedBreaker>> PermitGuard<S> {
    #[inline]
    pub(crate) fn new(shared: S, ticket: Ticket) -> Self {
        Self {
            ticket: Some((shared, ticket)),
        }
    }

    /// Takes the admission back. `SharedBreaker::admit_again` takes the returned ticket.
    pub(crate) fn withdraw(mut self) -> Option<Ticket> {
        let (shared, ticket) = self.ticket.take()?;
        shared.core.withdraw(ticket, &*shared);
        Some(ticket)
    }

    /// Runs the call's operation, or polls its future once.
    ///
    /// If the call was let through half-open, calls of this breaker within it are parts of it.
    pub(crate) fn run<R>(&self, operation: impl FnOnce() -> R) -> R {
        let outer = self.ticket.as_ref().and_then(|(shared, ticket)| {
            let generation = ticket.outer_generation()?;
            Some(OuterCall::of(&raw const **shared, generation))
        });
        match outer {
            Some(outer) => outer.run(operation),
            None => operation(),
        }
    }

    /// The permit of a request that goes on with the attempt that `next` admits.
    ///
    /// A part of this permit's call is recorded by this permit. Otherwise `next` takes its place.
    #[inline]
    pub(crate) fn continued_by(mut self, mut next: Self) -> Self {
        if let (Some((_, ticket)), Some((_, part))) = (&mut self.ticket, &next.ticket)
            && let Some(continued) = ticket.continued_by(*part)
        {
            *ticket = continued;
            next.ticket = None;
            return self;
        }
        self.withdraw();
        next
    }

    /// How long the call has taken until now, if the breaker times it.
    #[inline]
    pub(crate) fn elapsed(&self) -> Option<NonZero<u64>> {
        let (shared, ticket) = self.ticket.as_ref()?;
        ticket.elapsed(&**shared)
    }

    /// Changes the ticket when the call's thread [pauses](crate::engine::Core::pause)
    /// or [resumes](crate::engine::Core::resume) the call.
    #[cold]
    pub(crate) fn map(mut self, change: impl FnOnce(Ticket, &SharedBreaker) -> Ticket) -> Self {
        if let Some((shared, ticket)) = &mut self.ticket {
            *ticket = change(*ticket, shared);
        }
        self
    }

    /// Records the result of the call as the classifier says.
    ///
    /// If the classifier panics, the call counts as ignored.
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub(crate) fn conclude<T, E>(
        mut self,
        classifier: &(impl Classify<T, E> + ?Sized),
        result: &Result<T, E>,
    ) -> bool {
        let permit = self.take::<true>();
        let outcome = classifier.classify(result);
        match outcome {
            Outcome::Success => permit.finish(Outcome::Success, None),
            Outcome::Ignored => permit.finish(Outcome::Ignored, None),
            Outcome::Failure | Outcome::TimedOut | Outcome::Trip => {
                if let Some(retry_after) = classifier.retry_after(result) {
                    permit.note_retry_after(retry_after);
                }
                permit.finish_with(outcome, None, classifier.label(result))
            }
        }
    }
}

#[cfg(feature = "http")]
impl<S: Deref<Target = SharedBreaker>> PermitGuard<S, true> {
    /// Goes on with a call that has come back, such as one of HTTP whose body is to come.
    #[inline]
    pub(crate) fn resume(mut self) -> PermitGuard<S> {
        PermitGuard {
            ticket: self.ticket.take(),
        }
    }
}

impl<S: Deref<Target = SharedBreaker>, const IS_OVER: bool> PermitGuard<S, IS_OVER> {
    /// Takes the ticket out, and leaves a permit without one.
    ///
    /// With `COMES_BACK` the call has come back.
    #[inline]
    pub(crate) fn take<const COMES_BACK: bool>(&mut self) -> PermitGuard<S, COMES_BACK> {
        PermitGuard {
            ticket: self.ticket.take(),
        }
    }

    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub(crate) fn finish(mut self, outcome: Outcome, took: Option<NonZero<u64>>) -> bool {
        let ticket = self.ticket.take();
        // Drop the empty guard first: here the compiler knows that there is nothing to drop.
        drop(self);
        match ticket {
            Some((shared, ticket)) => shared.core.record(ticket, outcome, took, &*shared),
            None => false,
        }
    }

    /// Whether an outcome would count now.
    ///
    /// This is asked before the outcome is recorded, because a failure that counts may end the
    /// generation.
    #[inline]
    fn counts(&self) -> bool {
        let ticket = self.ticket.as_ref();
        ticket.is_some_and(|(shared, ticket)| shared.core.counts(*ticket))
    }

    /// Like [`finish`](Self::finish), with the label of a failure, if it has one.
    #[allow(
        clippy::inline_always,
        reason = "counted: without a label it is `finish`, which is inline too"
    )]
    #[inline(always)]
    pub(crate) fn finish_with(
        mut self,
        outcome: Outcome,
        took: Option<NonZero<u64>>,
        label: Option<Label>,
    ) -> bool {
        let Some(label) = label else {
            return self.finish(outcome, took);
        };
        let ticket = self.ticket.take();
        ticket.is_some_and(|(shared, ticket)| shared.record_labelled(ticket, outcome, took, label))
    }

    /// Notes the `Retry-After` of a call whose outcome counts against the dependency.
    ///
    /// The caller does this before it records the outcome. If the outcome opens the breaker, the
    /// open time has its full length from the beginning.
    #[inline]
    pub(crate) fn note_retry_after(&self, retry_after: Duration) {
        if let Some((shared, ticket)) = &self.ticket
            && ticket.is_recorded()
        {
            shared.note_retry_after(retry_after);
        }
    }

    #[cold]
    #[inline(never)]
    fn drop_unsettled(shared: S, ticket: Ticket) {
        let (core, context) = (&shared.core, &*shared);
        let outcome = match std::thread::panicking() {
            true if IS_OVER => Outcome::Ignored,
            true => Outcome::Failure,
            false => return core.cancel(ticket, context),
        };
        core.record(ticket, outcome, None, context);
    }
}

impl<S: Deref<Target = SharedBreaker>, const IS_OVER: bool> Drop for PermitGuard<S, IS_OVER> {
    #[inline]
    fn drop(&mut self) {
        if let Some((shared, ticket)) = self.ticket.take() {
            Self::drop_unsettled(shared, ticket);
        }
    }
}

impl<S: Deref<Target = SharedBreaker>> fmt::Debug for PermitGuard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticket = self.ticket.as_ref();
        f.debug_struct("Permit")
            .field("name", &ticket.map(|(shared, _)| shared.core.name()))
            .field("ticket", &ticket.map(|(_, ticket)| ticket))
            .finish()
    }
}

macro_rules! permit {
    ($(#[$docs:meta])* $name:ident $(<$life:lifetime, $held:ident>)?, $holder:ty) => {
        $(#[$docs])*
        #[must_use = "a permit that is dropped unrecorded counts as a cancelled call"]
        pub struct $name $(<$life, $held = ()>)? (
            pub(crate) PermitGuard<$holder>,
            // This field drops after the outcome is recorded.
            $(pub(crate) $held)?
        );

        impl $(<$life, $held>)? $name $(<$life, $held>)? {
            /// Records that the call succeeded.
            #[allow(
                clippy::inline_always,
                reason = "counted: out of line, `closed/try_acquire` takes a third more instructions"
            )]
            #[inline(always)]
            pub fn success(self) {
                self.0.finish(Outcome::Success, None);
            }

            /// Records that the call failed.
            #[inline]
            pub fn failure(self) {
                self.0.finish(Outcome::Failure, None);
            }

            /// Records how the call ended: an [`Outcome`], or a [`Report`] that says more.
            ///
            /// Returns whether the outcome counted. It doesn't if the breaker has changed its state
            /// since it gave the permit, because a call of one generation can't change another. Nor
            /// does it in a disabled breaker. The [totals](crate::Snapshot::totals) hold the call
            /// in the first case, and in the second they don't.
            ///
            /// It never panics.
            ///
            /// Cost: see [`CircuitBreaker`](crate::CircuitBreaker#cost).
            ///
            /// ```
            /// use std::time::Duration;
            /// use tripcurve::outcome::Report;
            /// use tripcurve::{CircuitBreaker, Outcome};
            ///
            /// let breaker = CircuitBreaker::new("payments");
            /// breaker.try_acquire()?.record(Outcome::Ignored);
            /// let report = Report::failure().retry_after(Duration::from_secs(30));
            /// assert!(breaker.try_acquire()?.record(report), "it counts");
            /// assert_eq!(breaker.snapshot().failures(), 1);
            ///
            /// let late = breaker.try_acquire()?;
            /// breaker.trip(Duration::from_secs(5));
            /// assert!(!late.record(Outcome::Failure), "it comes too late");
            /// # Ok::<(), tripcurve::Rejected>(())
            /// ```
            #[allow(
                clippy::inline_always,
                reason = "counted: out of line, `closed/try_acquire` takes a third more instructions"
            )]
            #[inline(always)]
            pub fn record(self, report: impl Into<Report>) -> bool {
                let Report { outcome, took, retry_after, label } = report.into();
                let counts = self.0.counts();
                if let Some(retry_after) = retry_after && outcome.counts_against() {
                    self.0.note_retry_after(retry_after);
                }
                let label = label.filter(|_| outcome.counts_against());
                self.0.finish_with(outcome, took, label) && counts
            }

            /// Records a result as a classifier counts it, like [`call`](crate::CircuitBreaker::call).
            /// Returns whether the outcome counted, like [`record`](Self::record).
            ///
            /// It asks [`Classify::classify`] and, for an outcome that counts against the
            /// dependency, [`Classify::retry_after`]. If the classifier panics, the panic reaches
            /// the caller, and the call counts as [`Outcome::Ignored`].
            ///
            /// [`CircuitBreaker::classifier`](crate::CircuitBreaker::classifier) is the breaker's
            /// own classifier. The cost is that of [`record`](Self::record).
            ///
            /// ```
            /// use std::time::Duration;
            /// use tripcurve::{CircuitBreaker, Outcome, State};
            ///
            /// let search = CircuitBreaker::builder("search")
            ///     .classify(|result: &Result<u16, Duration>| match result {
            ///         Ok(500..) => Outcome::Failure,
            ///         Ok(_) => Outcome::Success,
            ///         Err(_) => Outcome::Trip,
            ///     })
            ///     .retry_after(|result: &Result<u16, Duration>| result.err())
            ///     .build()?;
            /// let permit = search.try_acquire()?;
            /// permit.record_result(search.classifier(), &Err(Duration::from_secs(30)));
            /// assert_eq!(search.state(), State::Open);
            /// assert!(search.ask().unwrap_err().earliest() > Some(Duration::from_secs(29)));
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            #[inline]
            pub fn record_result<T, E>(
                self,
                classifier: &(impl Classify<T, E> + ?Sized),
                result: &Result<T, E>,
            ) -> bool {
                let counts = self.0.counts();
                self.0.conclude(classifier, result) && counts
            }
        }

        impl $(<$life, $held>)? fmt::Debug for $name $(<$life, $held>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

permit! {
    /// The right to make one call, for code that can't be wrapped in
    /// [`call`](crate::CircuitBreaker::call).
    ///
    /// A permit records exactly one outcome. A permit that is dropped unrecorded gives its place
    /// back and counts as [`on_cancel`](crate::CircuitBreakerBuilder::on_cancel) says, for example
    /// when a future is cancelled. If a panic drops it, it counts as a failure.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// let permit = breaker.try_acquire()?;
    /// match "200 OK".split(' ').next() {
    ///     Some("200") => permit.success(),
    ///     _ => permit.failure(),
    /// }
    /// assert_eq!(breaker.snapshot().successes(), 1);
    /// # Ok::<(), tripcurve::Rejected>(())
    /// ```
    ///
    /// `H` is what else the call holds, such as a bulkhead's place. It goes back after the outcome
    /// is recorded.
    Permit<'a, H>, &'a SharedBreaker
}

permit! {
    /// A [`Permit`] that owns a reference to the breaker and can be kept or sent anywhere.
    ///
    /// The reference is counted on a counter that all callers share. Where a borrow is enough, a
    /// [`Permit`] is cheaper.
    OwnedPermit, Arc<SharedBreaker>
}
