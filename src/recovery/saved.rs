//! What is saved of the way back.

use serde::{Deserialize, Serialize};

use super::Streak;
use crate::error::ConfigError;
use crate::util::checksum::summed;

/// What a breaker knew of the dependency's outages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedRecovery {
    /// If open times grew: how many recoveries had failed, and the latest open time in nanoseconds.
    pub(crate) streak: Option<[u64; 2]>,
    /// How many nanoseconds of a `Retry-After` are left, if there is one.
    pub(crate) retry_after: Option<u64>,
    /// If the recovery was adaptive: how long ago the breaker was last closed, and how far apart the calls
    /// were, in nanoseconds.
    pub(crate) outage: Option<[u64; 2]>,
}

summed!(SavedRecovery {
    streak,
    retry_after,
    outage,
});

impl SavedRecovery {
    /// Refuses what no breaker can have known.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Some([failed, wait]) = self.streak else {
            return Ok(());
        };
        ConfigError::check_saved("recovery.streak", failed, 0..=u8::MAX.into())?;
        // Each opening lasts for at least a nanosecond.
        let shortest = u64::from(failed > 0);
        ConfigError::check_saved("recovery.streak", wait, shortest..=Streak::LONGEST)
    }

    /// The latest opening; where none was noted, `or`.
    pub(crate) fn streak(&self, or: Option<Streak>) -> Streak {
        let [failed, wait] = match (self.streak, or) {
            (Some(streak), _) => streak,
            (None, or) => return or.unwrap_or(Streak::NONE),
        };
        let failed = u8::try_from(failed).unwrap_or(u8::MAX);
        Streak { failed, wait }
    }
}
