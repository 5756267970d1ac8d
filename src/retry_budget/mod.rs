//! Retry budgets, which keep retries from multiplying an outage.

mod builder;
mod refused;
mod tokens;

use std::{fmt, sync::Arc};

use crate::{breaker::CircuitBreaker, breaker::shared::SharedBreaker, clock::Now};
pub use builder::RetryBudgetBuilder;
pub use refused::{RetryBudgetExhausted, RetryRefused};
pub use tokens::{Tokens, Turn};

/// A budget for retries, shared by all callers of a breaker.
///
/// Retries help calls that fail now and then. But they keep an overloaded dependency overloaded.
/// Three attempts a call are up to three times the load. Three services above each other that do so
/// make it 27 times. A budget bounds the retries by what the dependency still does:
///
/// - Each success pays for a [share](RetryBudgetBuilder::share) of a retry, a fifth by default.
/// - Each second pays for a [floor](RetryBudgetBuilder::floor) of retries, one by default.
/// - The budget saves at most a [burst](RetryBudgetBuilder::burst) of retries, 100 by default. It
///   starts with that many.
///
/// So n successes in t seconds allow at most `100 + t + n / 5` retries, whatever fails. While the
/// breaker is open, half-open or forced open the budget allows no retry, and that time pays for
/// none. A retry would be rejected, and the probes' places are for new calls. A breaker that is
/// `Disabled` or `MetricsOnly` must change nothing, so the budget counts as if it were closed.
///
/// Put the retries around the breaker, so that each attempt has its own outcome. (Or make them
/// [`Attempts`](crate::handles::Attempts) of one request, which count once.)
///
/// ```
/// use std::time::Duration;
/// use tripcurve::retry::RetryBudget;
/// use tripcurve::{CallError, CircuitBreaker, State, TripPolicy};
/// # use tripcurve::time::Clock;
/// # fn charge() -> Result<u32, std::io::Error> { Err(std::io::ErrorKind::ConnectionReset.into()) }
/// # fn jittered(_pause: Duration) -> Duration { Duration::ZERO }
///
/// fn pay(
///     payments: &CircuitBreaker,
///     budget: &RetryBudget,
/// ) -> Result<u32, CallError<std::io::Error>> {
///     let mut pause = Duration::from_millis(50);
///     for _ in 1..3 {
///         match payments.call(charge) {
///             Ok(receipt) => {
///                 budget.deposit();
///                 return Ok(receipt);
///             }
///             Err(CallError::Inner(_)) if budget.try_withdraw().is_ok() => {}
///             Err(error) => return Err(error),
///         }
///         std::thread::sleep(jittered(pause));
///         pause *= 2;
///     }
///     payments.call(charge).inspect(|_| budget.deposit())
/// }
///
/// let payments = CircuitBreaker::builder("payments").trip_when(TripPolicy::classic());
/// # let payments = payments.clock(Clock::mock().0);
/// let payments = payments.build()?;
/// let budget = RetryBudget::new(&payments);
/// assert!(pay(&payments, &budget).is_err());
/// assert_eq!(payments.snapshot().failures(), 3);
/// assert_eq!(budget.left(), 98);
/// for _ in 0..1_000 {
///     assert!(pay(&payments, &budget).is_err());
/// }
/// // The second of them had one retry; then there were 5 failures in a row.
/// assert_eq!(payments.state(), State::Open);
/// assert_eq!(budget.left(), 97);
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
///
/// Clones share the budget. It counts as a handle of its breaker. So a breaker of a `Registry` is
/// in use while it has a budget.
///
/// # Cost
/// [`deposit`](Self::deposit) is one load while the budget is full, as it is when few calls fail.
/// Otherwise it is a compare-exchange. [`try_withdraw`](Self::try_withdraw) loads the state, reads
/// the clock and makes one compare-exchange. Neither allocates. A breaker doesn't know its budgets,
/// and pays nothing for them.
#[derive(Clone)]
pub struct RetryBudget(Arc<Shares>);

/// The part that clones share.
struct Shares {
    breaker: Arc<SharedBreaker>,
    tokens: Tokens,
}

impl RetryBudget {
    /// Makes a budget with the defaults: a fifth of a retry for each success, one a second, 100
    /// saved.
    #[must_use]
    pub fn new<C>(breaker: &CircuitBreaker<C>) -> Self {
        Self::builder(breaker)
            .build()
            .unwrap_or_else(|error| unreachable!("the defaults make sense: {error}"))
    }

    /// Starts a budget with other settings.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::retry::RetryBudget;
    ///
    /// let payments = CircuitBreaker::new("payments");
    /// let budget = RetryBudget::builder(&payments).share(0.1).floor(0).burst(20).build()?;
    /// assert_eq!(budget.left(), 20);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn builder<C>(breaker: &CircuitBreaker<C>) -> RetryBudgetBuilder {
        RetryBudgetBuilder::new(Arc::clone(&breaker.shared))
    }

    fn from_parts(breaker: Arc<SharedBreaker>, share: u64, floor: u32, burst: u32) -> Self {
        let now = Turn::of(breaker.nanos());
        let tokens = Tokens::new(share, floor, burst, now);
        Self(Arc::new(Shares { breaker, tokens }))
    }

    /// Adds the share of a call that has succeeded, at the first attempt or at a later one.
    ///
    /// Cost: one load, and a compare-exchange unless the budget is full.
    #[inline]
    pub fn deposit(&self) {
        self.0.tokens.deposit();
    }

    /// Takes a retry out of the budget.
    ///
    /// Ask after an attempt has failed, and before the pause. Don't ask for a call that the breaker
    /// or a bulkhead has rejected, because it wasn't made.
    ///
    /// # Errors
    /// [`RetryRefused::NotClosed`] if the breaker is open, half-open or forced open. The budget
    /// isn't asked then. [`RetryRefused::Exhausted`] if there is no retry left.
    pub fn try_withdraw(&self) -> Result<(), RetryRefused> {
        let Shares { breaker, tokens } = &*self.0;
        let now = breaker.nanos();
        let since = breaker
            .core
            .lets_all_through_since(now)
            .map_err(|refusal| RetryRefused::NotClosed(breaker.rejected(refusal)))?;
        tokens.withdraw(now, since).map_err(|due_in| {
            let name = breaker.core.name().clone();
            RetryRefused::Exhausted(RetryBudgetExhausted { name, due_in })
        })
    }

    /// The number of retries in the budget now, whatever the breaker's state.
    #[must_use]
    pub fn left(&self) -> u32 {
        let Shares { breaker, tokens } = &*self.0;
        let now = breaker.nanos();
        let since = breaker.core.lets_all_through_since(now).unwrap_or(now);
        tokens.saved(now, since)
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("breaker", self.0.breaker.core.name())
            .field("left", &self.left())
            .finish_non_exhaustive()
    }
}
