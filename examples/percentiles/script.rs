//! The phases of the backend, and their times.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Healthy,
    /// More and more calls take the slow path.
    Slow,
    /// No call returns before this phase ends.
    Hanging,
    Recovering,
}

impl Mood {
    pub(crate) fn what_happens(self) -> &'static str {
        match self {
            Mood::Healthy => "healthy: answers take some 4 ms",
            Mood::Slow => {
                "slow: a growing share of answers takes some 300 ms, and a few are refused"
            }
            Mood::Hanging => "hanging: nothing comes back",
            Mood::Recovering => "recovering: answers come again, soon as fast as before",
        }
    }
}

/// In seconds, at full length.
const PHASES: [(Mood, u32); 4] = [
    (Mood::Healthy, 7),
    (Mood::Slow, 6),
    (Mood::Hanging, 5),
    (Mood::Recovering, 7),
];

/// One phase of the script.
#[derive(Clone, Copy)]
pub(crate) struct Phase {
    pub(crate) mood: Mood,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

impl Phase {
    pub(crate) fn contains(&self, at: Duration) -> bool {
        self.from <= at && at < self.until
    }

    /// The part of this phase that has passed at `at`, from 0 to 1.
    pub(crate) fn progress(&self, at: Duration) -> f64 {
        let done = at.saturating_sub(self.from).as_secs_f64();
        (done / self.until.saturating_sub(self.from).as_secs_f64()).min(1.0)
    }
}

/// The script, and the clock that runs it.
#[derive(Clone, Copy)]
pub(crate) struct Script {
    started: Instant,
    phases: [Phase; PHASES.len()],
    hurry: u32,
}

impl Script {
    pub(crate) fn start(quick: bool) -> Self {
        let hurry = if quick { 3 } else { 1 };
        let mut from = Duration::ZERO;
        let phases = PHASES.map(|(mood, seconds)| {
            let until = from + Duration::from_secs(seconds.into()) / hurry;
            let phase = Phase { mood, from, until };
            from = until;
            phase
        });
        Self {
            started: Instant::now(),
            phases,
            hurry,
        }
    }

    /// Scales a time of the script. The backend's durations aren't scaled, so slow answers stay
    /// slow.
    pub(crate) fn scaled(&self, time: Duration) -> Duration {
        time / self.hurry
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The instant at `at` in the script.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.started + at
    }

    /// When the last phase is over.
    pub(crate) fn length(&self) -> Duration {
        self.phases[PHASES.len() - 1].until
    }

    /// The phase at `at`. The last phase never ends, for calls that are still in flight.
    pub(crate) fn phase_at(&self, at: Duration) -> Phase {
        let playing = self.phases.iter().find(|phase| at < phase.until);
        *playing.unwrap_or(&self.phases[PHASES.len() - 1])
    }

    pub(crate) fn hang(&self) -> Phase {
        let hang = self.phases.iter().find(|p| p.mood == Mood::Hanging);
        *hang.unwrap_or(&self.phases[0])
    }
}
