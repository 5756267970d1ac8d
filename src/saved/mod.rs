//! Saved states: what a breaker knows, as a value that outlasts the process.

#![allow(
    clippy::disallowed_types,
    reason = "a saved state says when it was saved"
)]

mod checked;

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::util::checksum::{Checksum, Summed};
use crate::{engine::SavedCore, name::Shown, state::State};

/// The state of a breaker when it was [saved](crate::CircuitBreaker::save), for the next process to
/// [restore](crate::CircuitBreakerBuilder::restore).
///
/// A process that is redeployed forgets what its breakers had learnt. An open breaker would let all
/// calls through to a dependency that is still down. A closed one would have to see the failures
/// again. So save each breaker every few seconds and when the process is asked to end. Restore it
/// where it is built.
///
/// The value goes through any format of serde's, text or binary. As JSON it takes some 500 bytes
/// with a window by time, and a byte for each call of a window by count (`tests/it/saved.rs`).
///
/// ```
/// use tripcurve::CircuitBreaker;
/// use tripcurve::error::ConfigError;
/// use tripcurve::persist::SavedState;
///
/// /// Starts with what was saved, if there is such and it is good for anything.
/// fn payments(saved: Option<SavedState>) -> Result<CircuitBreaker, ConfigError> {
///     let builder = CircuitBreaker::builder("payments");
///     let Some(saved) = saved else {
///         return builder.build();
///     };
///     builder.clone().restore(saved).build().or_else(|error| {
///         eprintln!("payments starts anew: {error}");
///         builder.build()
///     })
/// }
/// # let before = CircuitBreaker::new("payments");
/// # before.force_open();
/// # assert_eq!(payments(Some(before.save()))?.state(), tripcurve::State::ForcedOpen);
/// # assert_eq!(payments(Some(CircuitBreaker::new("search").save()))?.name(), "payments");
/// # Ok::<(), ConfigError>(())
/// ```
///
/// # What is kept
///
/// A restored breaker continues as if it had not been called since it was saved. The remaining open
/// time and the window have aged by the time in between.
///
/// | | |
/// |---|---|
/// | the state | is kept, with its generation's number and age, and the remaining open time. A state that a command has set is kept too. A state that [`enabled`](crate::CircuitBreakerBuilder::enabled) or [`metrics_only`](crate::CircuitBreakerBuilder::metrics_only) hold is saved as closed; the restored breaker's own settings decide |
/// | a half-open breaker | is half-open with all places for probes free, and starts its ramp again, because the calls in flight ended with the process |
/// | the window's counts | are kept if window and [limit for slow calls](crate::TripPolicy::slow_rate) are unchanged; otherwise the window starts empty. In a window by time a call leaves up to a bucket too early, because the clock's buckets begin elsewhere |
/// | failures in a row | are kept, as many as the window holds; all of them in a window by count without [`within`](crate::CountWindow::within) |
/// | what an [adaptive](crate::TripPolicy::adaptive) policy has learnt | is kept if the limit for slow calls is unchanged. The calls that it is weighing are kept if the tolerated share is unchanged too |
/// | what is [usual](crate::TripPolicy::slower_than_usual) | is kept for the same percentile |
/// | how many recoveries have failed, the age of the outage, the amount of traffic, a `Retry-After` | are kept where the settings use them |
/// | how long calls took, calls in flight | are not kept |
///
/// # Never trusted
///
/// The value carries its version, its breaker's name, the time and a checksum.
/// [`build`](crate::CircuitBreakerBuilder::build) checks that a breaker can have each number, alone
/// and together with the others. For example, there can't be more failures in a row than failures,
/// or slow calls without a limit. So `build` refuses a value that is old, damaged or of another
/// breaker. The checksum is no signature, though: a writer of the value can make the breaker start
/// forced open.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedState {
    version: u32,
    name: String,
    /// Nanoseconds since 1970.
    saved_at: u64,
    checksum: String,
    pub(crate) core: SavedCore,
}

impl fmt::Debug for SavedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedState")
            .field("version", &self.version)
            .field("name", &Shown(&self.name))
            .field("saved_at", &self.saved_at)
            .field("checksum", &Shown(&self.checksum))
            .field("core", &self.core)
            .finish()
    }
}

/// Sums all fields but the checksum.
impl Summed for SavedState {
    fn add_to(&self, sum: &mut Checksum) {
        let Self {
            version,
            name,
            saved_at,
            checksum: _,
            core,
        } = self;
        version.add_to(sum);
        name.add_to(sum);
        saved_at.add_to(sum);
        core.add_to(sum);
    }
}

impl SavedState {
    /// Grows when a release can't read what the former one has saved.
    const VERSION: u32 = 1;

    pub(crate) fn new(name: &str, saved_at: u64, core: SavedCore) -> Self {
        let mut saved = Self {
            version: Self::VERSION,
            name: name.to_owned(),
            // The largest number that every format can write.
            saved_at: saved_at.min(i64::MAX as u64),
            checksum: String::new(),
            core,
        };
        saved.checksum = Checksum::of(&saved);
        saved
    }

    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The state that the breaker was in. Closed if its
    /// [settings](crate::CircuitBreakerBuilder::enabled) held it in another.
    #[must_use]
    pub fn state(&self) -> State {
        self.core.state()
    }

    /// The number of the state's generation; see
    /// [`Snapshot::generation`](crate::Snapshot::generation).
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.core.generation()
    }

    /// How long the breaker would have stayed open, from [then](Self::saved_at) on; `None` in other
    /// states.
    #[must_use]
    pub fn remaining_open(&self) -> Option<Duration> {
        (self.state() == State::Open).then(|| Duration::from_nanos(self.core.left_open()))
    }

    /// The time of saving, by the system's clock.
    #[must_use]
    pub fn saved_at(&self) -> SystemTime {
        let since_1970 = Duration::from_nanos(self.saved_at);
        // The sum ends in 2554. A system whose time ends before has no such values.
        SystemTime::UNIX_EPOCH
            .checked_add(since_1970)
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}
