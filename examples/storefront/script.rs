//! The faults, and when they are played.
//!
//! Both backends and both storefronts read the same script from the same
//! clock, so the two sides live through the same bad half-minute.

use std::time::Duration;

use tokio::time::Instant;

/// What the backend is going through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Healthy,
    /// Most calls get a 503, quickly.
    Errors,
    /// Whoever works on a call is stuck until this ends.
    Hanging,
    /// Calls are answered again, at first far too slowly for the load.
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

/// One stretch of the script.
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

    /// How far through this phase `at` is, from 0 to 1.
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

/// When the last phase is over and no more shoppers come.
pub(crate) const LENGTH: Duration = Duration::from_secs(PHASES[PHASES.len() - 1].until);

/// The index in [`PHASES`] of what is played at `at`. The last phase goes on
/// for ever, for the calls that are still under way when the shoppers stop.
pub(crate) fn phase_at(at: Duration) -> usize {
    PHASES
        .iter()
        .position(|phase| at < phase.until())
        .unwrap_or(PHASES.len() - 1)
}

/// The script with its clock running.
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

    /// The moment that is `at` into the script.
    pub(crate) fn instant(self, at: Duration) -> Instant {
        self.started + at
    }
}
