//! The faults and their times.
//!
//! Both backends and both storefronts read one script by one clock, so both sides have the same bad
//! half-minute.

use std::time::Duration;

use tokio::time::Instant;

/// The state of the backend.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Healthy,
    /// Most calls get a 503 at once.
    Errors,
    /// Workers are stuck until this phase ends.
    Hanging,
    /// Calls are answered again, but at first much too slowly for the load.
    Recovering,
}

impl Mood {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mood::Healthy => "healthy",
            Mood::Errors => "errors",
            Mood::Hanging => "hanging",
            Mood::Recovering => "recovering",
        }
    }
}

/// One phase of the script.
pub(crate) struct Phase {
    pub(crate) mood: Mood,
    from: u64,
    until: u64,
}

impl Phase {
    pub(crate) fn from(&self) -> Duration {
        Duration::from_secs(self.from)
    }

    pub(crate) fn until(&self) -> Duration {
        Duration::from_secs(self.until)
    }

    /// The part of this phase that has passed at `at`, from 0 to 1.
    pub(crate) fn progress(&self, at: Duration) -> f64 {
        let done = at.saturating_sub(self.from());
        let whole = self.until().saturating_sub(self.from());
        (done.as_secs_f64() / whole.as_secs_f64()).min(1.0)
    }
}

const fn phase(mood: Mood, from: u64, until: u64) -> Phase {
    Phase { mood, from, until }
}

pub(crate) const PHASES: [Phase; 6] = [
    phase(Mood::Healthy, 0, 5),
    phase(Mood::Errors, 5, 11),
    phase(Mood::Healthy, 11, 15),
    phase(Mood::Hanging, 15, 22),
    phase(Mood::Recovering, 22, 30),
    phase(Mood::Healthy, 30, 35),
];

/// When the last phase is over, and no more shoppers come.
pub(crate) const LENGTH: Duration = Duration::from_secs(PHASES[PHASES.len() - 1].until);

/// The index in [`PHASES`] of the phase at `at`. The last phase never ends, for calls that are
/// still in flight when the shoppers stop.
pub(crate) fn phase_at(at: Duration) -> usize {
    PHASES
        .iter()
        .position(|phase| at < phase.until())
        .unwrap_or(PHASES.len() - 1)
}

/// The script, and the clock that runs it.
#[derive(Clone, Copy)]
pub(crate) struct Script {
    started: Instant,
}

impl Script {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.started.elapsed()
    }

    /// The instant at `at` in the script.
    pub(crate) fn instant(self, at: Duration) -> Instant {
        self.started + at
    }
}
