//! Builds retry budgets from their settings.

use std::{fmt, sync::Arc};

use super::{RetryBudget, Tokens};
use crate::{breaker::shared::SharedBreaker, error::ConfigError};

/// Builds a [`RetryBudget`]; see [`RetryBudget::builder`].
///
/// | setting | default |
/// |---|---|
/// | [`share`](Self::share) | 0.2: five successes pay for a retry |
/// | [`floor`](Self::floor) | one retry a second |
/// | [`burst`](Self::burst) | at most 100 saved retries |
#[must_use = "a builder does nothing until build() is called"]
pub struct RetryBudgetBuilder {
    breaker: Arc<SharedBreaker>,
    share: f64,
    floor: u32,
    burst: u32,
}

impl RetryBudgetBuilder {
    pub(super) fn new(breaker: Arc<SharedBreaker>) -> Self {
        Self {
            breaker,
            share: 0.2,
            floor: 1,
            burst: 100,
        }
    }

    /// Sets the part of a retry that each success pays for: 0.001 to 1, or 0 for none (default:
    /// 0.2).
    ///
    /// It is rounded to the nearest thousandth. While fewer calls fail than this share of the
    /// successes, all failed calls can be retried.
    pub fn share(self, share: f64) -> Self {
        Self { share, ..self }
    }

    /// Sets how many retries each second pays for, whether calls succeed or not: 0 to 10,000
    /// (default: 1).
    ///
    /// They come in tenths of a second, while the breaker is closed. The floor is for callers with
    /// so little traffic that their successes pay for nothing.
    ///
    /// Each process has its own floor. A thousand processes with a floor of ten send up to ten
    /// thousand retries a second to a dependency that rarely succeeds.
    pub fn floor(self, per_second: u32) -> Self {
        Self {
            floor: per_second,
            ..self
        }
    }

    /// Sets how many retries can be saved: 1 to 1,000,000 (default: 100). The budget starts full.
    ///
    /// The burst is for failures that come together and are too few to open the breaker.
    pub fn burst(self, retries: u32) -> Self {
        Self {
            burst: retries,
            ..self
        }
    }

    /// Checks the settings and makes the budget.
    ///
    /// # Errors
    /// The first setting that makes no sense. The error says what was expected and how to mend it.
    pub fn build(self) -> Result<RetryBudget, ConfigError> {
        let Self {
            breaker,
            share,
            floor,
            burst,
        } = self;
        if share != 0.0 && !(0.001..=1.0).contains(&share) {
            return Err(ConfigError::new(
                "retry_budget.share",
                share,
                "0 or in 0.001..=1",
                "0.2 suits most services",
            ));
        }
        if floor > MAX_FLOOR {
            return Err(ConfigError::new(
                "retry_budget.floor",
                floor,
                format!("in 0..={MAX_FLOOR}"),
                "1 a second suits most services",
            ));
        }
        if !(1..=Tokens::MAX_BURST).contains(&burst) {
            return Err(ConfigError::new(
                "retry_budget.burst",
                burst,
                format!("in 1..={}", Tokens::MAX_BURST),
                "100 suits most services",
            ));
        }
        if share == 0.0 && floor == 0 {
            return Err(ConfigError::new(
                "retry_budget.share",
                share,
                "above 0, with a floor of 0",
                "else nothing ever pays for a retry once the first ones are spent",
            ));
        }
        Ok(RetryBudget::from_parts(
            breaker,
            thousandths(share),
            floor,
            burst,
        ))
    }
}

/// The largest floor, in retries a second.
const MAX_FLOOR: u32 = 10_000;

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share is from 0 to 1"
)]
fn thousandths(share: f64) -> u64 {
    (share * 1_000.0).round() as u64
}

impl fmt::Debug for RetryBudgetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudgetBuilder")
            .field("breaker", self.breaker.core.name())
            .field("share", &self.share)
            .field("floor", &self.floor)
            .field("burst", &self.burst)
            .finish()
    }
}
