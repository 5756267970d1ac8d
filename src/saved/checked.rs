//! Refuses saved values that can't be restored.

use std::time::Duration;

use super::SavedState;
use crate::name::{Name, Shown};
use crate::{error::ConfigError, util::checksum::Checksum};

impl SavedState {
    /// The largest difference between two machines' clocks, or a clock's setback, in nanoseconds.
    const TOLERANCE: u64 = 10_000_000_000;

    /// The value's age at `now`, in nanoseconds; 0 if it was saved later.
    pub(crate) fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.saved_at)
    }

    /// Refuses a value that the breaker of this name hasn't saved, or saved too long before `now`.
    pub(crate) fn check(&self, name: &Name, now: u64, oldest: u64) -> Result<(), ConfigError> {
        if self.version != Self::VERSION {
            return Err(ConfigError::new(
                "restored.version",
                self.version,
                Self::VERSION.to_string(),
                "another release of tripcurve has saved it, start without it",
            ));
        }
        let sum = Checksum::of(self);
        if self.checksum != sum {
            return Err(ConfigError::new(
                "restored.checksum",
                format!("{:?}", Shown(&self.checksum)),
                format!("{sum:?}"),
                "the value has changed since it was saved, start without it",
            ));
        }
        if self.name != name.as_str() {
            return Err(ConfigError::new(
                "restored.name",
                format!("{:?}", Shown(&self.name)),
                format!("{name:?}"),
                "a breaker is restored from what it has saved itself, start without it",
            ));
        }
        self.check_age(now, oldest)?;
        self.core.check()
    }

    fn check_age(&self, now: u64, oldest: u64) -> Result<(), ConfigError> {
        let ahead = self.saved_at.saturating_sub(now);
        if ahead > Self::TOLERANCE {
            return Err(ConfigError::new(
                "restored.saved_at",
                format!("{:?} from now", Duration::from_nanos(ahead)),
                format!(
                    "at most {:?} from now",
                    Duration::from_nanos(Self::TOLERANCE)
                ),
                "the system's clock was set back, or another machine's is ahead, start without it",
            ));
        }
        let age = self.age(now);
        if age > oldest {
            return Err(ConfigError::new(
                "restored.saved_at",
                format!("{:?} ago", Duration::from_nanos(age)),
                format!("at most {:?} ago", Duration::from_nanos(oldest)),
                "start without it, or say max_state_age()",
            ));
        }
        Ok(())
    }
}
