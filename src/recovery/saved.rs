//! The saved form of a recovery.

use serde::{Deserialize, Serialize};

use super::Streak;
use crate::error::ConfigError;
use crate::util::checksum::summed;

/// The saved knowledge of the dependency's outages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedRecovery {
    /// The number of failed recoveries and the latest open time in nanoseconds, if open times grow.
    pub(crate) streak: Option<[u64; 2]>,
    /// The nanoseconds that are left of a `Retry-After`, if there is one.
    pub(crate) retry_after: Option<u64>,
    /// How long ago the breaker was last closed, and the spacing of its calls, in nanoseconds. Only
    /// an adaptive recovery has them.
    pub(crate) outage: Option<[u64; 2]>,
}

summed!(SavedRecovery {
    streak,
    retry_after,
    outage,
});

impl SavedRecovery {
    /// Checks that a breaker can have known these values.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Some([failed, wait]) = self.streak else {
            return Ok(());
        };
        ConfigError::check_saved("recovery.streak", failed, 0..=u8::MAX.into())?;
        // Each opening lasts at least a nanosecond.
        let shortest = u64::from(failed > 0);
        ConfigError::check_saved("recovery.streak", wait, shortest..=Streak::LONGEST)
    }

    /// The latest opening, or `or` if none was saved.
    pub(crate) fn streak(&self, or: Option<Streak>) -> Streak {
        let [failed, wait] = match (self.streak, or) {
            (Some(streak), _) => streak,
            (None, or) => return or.unwrap_or(Streak::NONE),
        };
        let failed = u8::try_from(failed).unwrap_or(u8::MAX);
        Streak { failed, wait }
    }
}
