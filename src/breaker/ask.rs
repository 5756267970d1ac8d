//! Questions to a breaker without a call, and rejections that are made later.

use crate::breaker::CircuitBreaker;
use crate::error::Rejected;
use crate::events::Opening;

impl<C> CircuitBreaker<C> {
    /// Says whether the breaker would let a call through now, without making one.
    ///
    /// It counts nothing and changes nothing. So readiness endpoints and load balancers can ask as
    /// often as they like. The answer holds for this moment: another call may come first.
    ///
    /// | state | answer |
    /// |---|---|
    /// | closed, disabled, metrics-only | `Ok` |
    /// | open | `Err` until the open time is over, then `Ok`: the next call is the first probe |
    /// | half-open | `Ok` if a place for a probe is free or overdue, otherwise `Err` |
    /// | half-open beyond its [limit](crate::Recovery::half_open_limit) | `Ok`: the next call makes the verdict, and may be rejected |
    /// | half-open with a growing share of calls | `Ok`: the ramp draws for each call, and may reject it |
    /// | forced open | `Err` |
    ///
    /// A [`health_check`](crate::guide::long_outages) task that is at work keeps an open breaker's
    /// answer at `Err`, as it does for calls. Within a half-open call of this breaker the answer is
    /// `Ok`, because a call made there is [part of it](Self::call).
    ///
    /// The rejection is not counted. If a call is later refused because of it, pass it to
    /// [`reject`](Self::reject).
    ///
    /// # Cost
    /// One load of the state word. While the breaker is open or half-open, also a reading of the
    /// clock and some loads of words that are rarely written. Never panics.
    ///
    /// # Errors
    /// The breaker would reject the call. [`Rejected::earliest`] says how long that lasts.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::time::Clock;
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// let (clock, hand) = Clock::mock();
    /// let payments = CircuitBreaker::builder("payments").clock(clock).build()?;
    /// assert!(payments.ask().is_ok());
    ///
    /// payments.trip(Duration::from_secs(5));
    /// let rejected = payments.ask().unwrap_err();
    /// assert_eq!(rejected.earliest(), Some(Duration::from_secs(5)));
    ///
    /// hand.advance(Duration::from_secs(5));
    /// assert!(payments.ask().is_ok()); // the next call is a probe
    /// assert_eq!(payments.state(), State::Open); // nobody has made it
    /// assert_eq!(payments.snapshot().rejected(), 0);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[inline]
    pub fn ask(&self) -> Result<(), Rejected> {
        self.shared
            .core
            .peek(&*self.shared)
            .map_err(|refusal| self.shared.rejected(refusal))
    }

    /// Counts a rejection that [`ask`](Self::ask) gave earlier, and returns it for the caller.
    ///
    /// A service may first say that it is ready, and get the call later. If it was ready to reject,
    /// it rejects the call even if the open time has ended meanwhile. This method makes no
    /// transition, and the call is no probe.
    ///
    /// The [totals](crate::Snapshot::totals) count the rejection in any state.
    /// [`Snapshot::rejected`](crate::snapshot::Snapshot::rejected) counts it only if the state
    /// still rejects calls, because the window of a breaker that lets all calls through counts no
    /// rejections. A rejection by a breaker of another name is returned and not counted.
    ///
    /// `rejected` comes back as it was. Its times are those of the moment at which `ask` gave it.
    ///
    /// # Cost
    /// That of a rejected call. Never panics.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::{CircuitBreaker, Rejected};
    ///
    /// let payments = CircuitBreaker::new("payments");
    /// payments.trip(Duration::from_secs(5));
    /// let ready_to_reject = payments.ask().unwrap_err();
    ///
    /// // later, when the call is made:
    /// let answer: Result<u32, Rejected> = Err(payments.reject(ready_to_reject));
    /// assert!(answer.is_err());
    /// assert_eq!(payments.snapshot().rejected(), 1);
    /// ```
    #[must_use = "the rejection is the answer to the call"]
    pub fn reject(&self, rejected: Rejected) -> Rejected {
        if rejected.name == *self.shared.core.name() {
            self.shared.core.reject(&*self.shared);
            #[cfg(feature = "tracing")]
            self.shared.core.trace_rejected(&rejected, &*self.shared);
        }
        rejected
    }

    /// The opening because of which the breaker rejected a call: its cause, when it happened, the
    /// window's counts at the trip, and the label of the last failure.
    ///
    /// A rejection itself has the [cause](Rejected::cause) alone, because an open breaker gives
    /// many of them.
    ///
    /// `None` if the breaker has opened again since, and where [`Rejected::cause`] is `None`. Also
    /// `None` for a rejection by a breaker of another name.
    ///
    /// # Cost
    /// A few dozen loads. Writes nothing and never panics.
    ///
    /// ```
    /// use tripcurve::outcome::{Label, Report};
    /// use tripcurve::{CircuitBreaker, TripPolicy};
    ///
    /// let payments = CircuitBreaker::builder("payments");
    /// let payments = payments.trip_when(TripPolicy::classic()).build()?;
    /// for _ in 0..5 {
    ///     payments.try_acquire()?.record(Report::failure().label(Label::new("timeout")));
    /// }
    /// let rejected = payments.try_acquire().unwrap_err();
    /// let opening = payments.opening_of(&rejected).unwrap();
    /// assert_eq!(opening.counts().unwrap().failures(), 5);
    /// assert_eq!(opening.label().unwrap().as_str(), "timeout");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn opening_of(&self, rejected: &Rejected) -> Option<Opening> {
        let core = &self.shared.core;
        let opening = core.opening_in(rejected.opened_in, &*self.shared);
        let opening = opening.filter(|_| rejected.name == *core.name());
        opening.map(Opening::of)
    }

    /// The classifier of this handle.
    ///
    /// It classifies results of calls made elsewhere, with
    /// [`Permit::record_result`](crate::Permit::record_result):
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    ///
    /// let payments = CircuitBreaker::new("payments");
    /// let permit = payments.try_acquire()?;
    /// let result: Result<u32, String> = Err("timeout".into());
    /// permit.record_result(payments.classifier(), &result);
    /// assert_eq!(payments.snapshot().failures(), 1);
    /// # Ok::<(), tripcurve::Rejected>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn classifier(&self) -> &C {
        &self.classifier
    }
}
