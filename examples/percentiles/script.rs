//! What the backend goes through, and when.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Healthy,
    /// More and more calls take the slow way.
    Slow,
    /// Nothing comes back before this ends.
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

/// One stretch of the script.
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

    /// How far through this phase `at` is, from 0 to 1.
    pub(crate) fn progress(&self, at: Duration) -> f64 {
        let done = at.saturating_sub(self.from).as_secs_f64();
        (done / self.until.saturating_sub(self.from).as_secs_f64()).min(1.0)
    }
}

/// The script with its clock running.
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

    /// So much of the script's time. How long answers take is not part of it: what is slow stays slow.
    pub(crate) fn scaled(&self, time: Duration) -> Duration {
        time / self.hurry
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The moment that is `at` into the script.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.started + at
    }

    /// When the last phase is over.
    pub(crate) fn length(&self) -> Duration {
        self.phases[PHASES.len() - 1].until
    }

    /// What is played at `at`. The last phase goes on for ever, for calls that are still under way.
    pub(crate) fn phase_at(&self, at: Duration) -> Phase {
        let playing = self.phases.iter().find(|phase| at < phase.until);
        *playing.unwrap_or(&self.phases[PHASES.len() - 1])
    }

    pub(crate) fn hang(&self) -> Phase {
        let hang = self.phases.iter().find(|p| p.mood == Mood::Hanging);
        *hang.unwrap_or(&self.phases[0])
    }
}
