//! How many retries there may be, so that they can't multiply an outage.

mod builder;
mod refused;
mod tokens;

use std::fmt;
use std::sync::Arc;

use crate::breaker::CircuitBreaker;
use crate::breaker::shared::SharedBreaker;
use crate::clock::Now;
pub use builder::RetryBudgetBuilder;
pub use refused::{RetryBudgetExhausted, RetryRefused};
pub use tokens::{Tokens, Turn};

/// A budget for retries, shared by all who call through a breaker.
///
/// Retries heal calls that fail now and then. When a dependency is overloaded, they are what keeps it so: three
/// attempts a call are up to three times the load, and three services above each other that do the same make
/// it 27 times. A budget bounds them by what the dependency still does:
///
/// - each success pays for a [share](RetryBudgetBuilder::share) of a retry, a fifth by default;
/// - each second pays for a [floor](RetryBudgetBuilder::floor) of retries, one by default;
/// - at most a [burst](RetryBudgetBuilder::burst) of them can be saved, 100 by default, and so many there are
///   at the beginning.
///
/// So of n successes in t seconds there are never more than `100 + t + n / 5` retries, whatever fails. While
/// the breaker is open, half-open or forced open there is no retry at all, and that time pays for none:
/// nobody retries what will be rejected, and the probes' places are for calls that are new. (Where the breaker
/// is `Disabled` or `MetricsOnly` it is to change nothing, and the budget counts as when it is closed.)
///
/// The retries go around the breaker, each an outcome of its own:
///
/// ```
/// use std::time::Duration;
/// use tripcurve::retry::RetryBudget;
/// use tripcurve::{CallError, CircuitBreaker, State};
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
/// let payments = CircuitBreaker::new("payments");
/// # let payments = CircuitBreaker::builder("payments").clock(Clock::mock().0).build().unwrap();
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
/// ```
///
/// Clones share the budget. It counts as a handle of its breaker: one of a `Registry` is in use while there is a
/// budget for it.
///
/// # Cost
/// [`deposit`](Self::deposit) is one load while the budget is full, as it is when little fails, else a
/// compare-exchange. [`try_withdraw`](Self::try_withdraw) loads the state, reads the clock and makes one
/// compare-exchange. Neither allocates. A breaker knows nothing of its budgets, and pays nothing for them.
#[derive(Clone)]
pub struct RetryBudget(Arc<Shares>);

/// What clones share.
struct Shares {
    breaker: Arc<SharedBreaker>,
    tokens: Tokens,
}

impl RetryBudget {
    /// A budget with the defaults: of each success a fifth of a retry, one a second besides, and 100 saved.
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

    /// Pays in the share of a call that has succeeded, be it at the first attempt or at a later one.
    ///
    /// Cost: one load, and a compare-exchange unless the budget is full.
    #[inline]
    pub fn deposit(&self) {
        self.0.tokens.deposit();
    }

    /// Asks for a retry, and takes it out of the budget.
    ///
    /// Ask after an attempt has failed, and before the pause. Don't ask for a call that the breaker or a
    /// bulkhead has turned away: it wasn't made.
    ///
    /// # Errors
    /// [`RetryRefused::NotClosed`] if the breaker is open, half-open or forced open, without a look at the
    /// budget; [`RetryRefused::Exhausted`] if there is no retry left.
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

    /// How many retries the budget has now, whatever the breaker's state.
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
