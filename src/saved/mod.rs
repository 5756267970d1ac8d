//! What a breaker knows, as a value that outlasts the process.

mod checked;

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::engine::SavedCore;
use crate::name::Shown;
use crate::state::State;
use crate::util::checksum::{Checksum, Summed};

/// What a breaker knew when it was [saved](crate::CircuitBreaker::save), to be
/// [restored](crate::CircuitBreakerBuilder::restore) by the process that comes next.
///
/// A process that is redeployed forgets what its breakers had learnt: the open one lets all calls through to a
/// dependency that is still down, and the closed one must see the failures anew. So save each breaker every few
/// seconds and when the process is asked to end, and restore it where it is built. The value goes through any
/// format of serde's, text or binary; as JSON it takes some 500 bytes with a window by time, and a byte for each
/// call of a window by count (`tests/it/saved.rs`).
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
/// A restored breaker goes on as if it had not been called since it was saved: what is left of an open time has
/// become less, calls have left the window, as long as the time between was.
///
/// | | |
/// |---|---|
/// | the state | with its generation's number and age, and what is left of an open time; also a state that was entered by hand. A state that [`enabled`](crate::CircuitBreakerBuilder::enabled) or [`metrics_only`](crate::CircuitBreakerBuilder::metrics_only) hold is saved as closed; for the restored breaker its own settings decide |
/// | a half-open breaker | is half-open with all places for probes free, and begins its ramp anew: who was on its way has gone with the process |
/// | the window's counts | if window and [limit of slow calls](crate::TripPolicy::slow_rate) are the same; else it starts empty. In a window by time a call leaves up to a bucket too early, because the clock's buckets begin elsewhere |
/// | failures in a row | as many as the window holds; all of them in a window by count without [`within`](crate::CountWindow::within) |
/// | what an [adaptive](crate::TripPolicy::adaptive) policy has learnt | if the limit of slow calls is the same; the calls that it is weighing, if what is tolerated is as well |
/// | what is [usual](crate::TripPolicy::slower_than_usual) | for the same percentile |
/// | how many recoveries have failed, the age of the outage, how much traffic there was, a `Retry-After` | where the settings have a use for it |
/// | how long calls took, calls in flight | are not kept |
///
/// # Never trusted
///
/// It carries its version, its breaker's name, the time and a checksum, and each number is checked
/// to be one that a breaker can have, alone and together with the others: no more failures right
/// after another than failures, no slow calls without a limit. So a value that is old, of another
/// breaker or damaged is refused by [`build`](crate::CircuitBreakerBuilder::build). The checksum is no signature,
/// though: who may write the value may say that the breaker is forced open.
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

/// All but the checksum itself.
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
    /// Grows when a release can't read what the one before has saved.
    const VERSION: u32 = 1;

    pub(crate) fn new(name: &str, saved_at: u64, core: SavedCore) -> Self {
        let mut saved = Self {
            version: Self::VERSION,
            name: name.to_owned(),
            // The most that every format can write.
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

    /// The state that the breaker was in; closed, if its [settings](crate::CircuitBreakerBuilder::enabled) held
    /// it in another.
    #[must_use]
    pub fn state(&self) -> State {
        self.core.state()
    }

    /// The number of its generation; see [`Snapshot::generation`](crate::Snapshot::generation).
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.core.generation()
    }

    /// How long it would have stayed open, as of [then](Self::saved_at); `None` in other states.
    #[must_use]
    pub fn remaining_open(&self) -> Option<Duration> {
        (self.state() == State::Open).then(|| Duration::from_nanos(self.core.left_open()))
    }

    /// When it was saved, by the system's clock.
    #[must_use]
    pub fn saved_at(&self) -> SystemTime {
        let since_1970 = Duration::from_nanos(self.saved_at);
        // Ends in 2554, and a system whose time ends before has no such values.
        SystemTime::UNIX_EPOCH
            .checked_add(since_1970)
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}
