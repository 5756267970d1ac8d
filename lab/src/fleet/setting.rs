//! What a world is made of.

use super::crowd::Shape;
use super::wire::Delay;
use crate::breaker::Nanos;
use crate::time::SECOND;

/// The usual shares of failures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Usual {
    /// All members have this share.
    Share(f64),
    /// Each member has its own share: 0.1 to 10 %, each decade equally likely.
    Various,
}

/// What a world is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// The number of processes.
    pub members: u32,
    /// The calls per second of all members.
    pub per_second: f64,
    /// How the calls are divided.
    pub shape: Shape,
    /// How many calls of a member come together.
    pub clump: u32,
    /// The failure rate that the breakers tolerate.
    pub tolerated: f64,
    /// The share of calls that usually fails.
    pub usual: Usual,
    /// How many failures of a member follow each other.
    pub run: u32,
    /// Whether the processes are a fleet. Otherwise each decides alone.
    pub is_fleet: bool,
    /// How long messages take.
    pub delay: Delay,
    /// The seed of calls and messages.
    pub seed: u64,
}

impl Setting {
    /// A fleet whose members make equally many calls, of which 1 % usually fails.
    #[must_use]
    pub fn new(members: u32, per_second: f64, seed: u64) -> Self {
        Self {
            members,
            per_second,
            shape: Shape::Equal,
            clump: 1,
            tolerated: 0.25,
            usual: Usual::Share(0.01),
            run: 1,
            is_fleet: true,
            delay: Delay::REGION,
            seed,
        }
    }

    /// Divides the calls among the members in this way.
    #[must_use]
    pub fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// Lets the breakers tolerate no failures.
    #[must_use]
    pub fn tolerating_none(self) -> Self {
        Self {
            tolerated: 0.0,
            ..self
        }
    }

    /// Sets the share of calls that usually fails.
    #[must_use]
    pub fn usually(self, usual: Usual) -> Self {
        Self { usual, ..self }
    }

    /// Moves the store into the members' data centre.
    #[must_use]
    pub fn near(self) -> Self {
        Self {
            delay: Delay::CENTRE,
            ..self
        }
    }

    /// Lets so many calls of a member come together.
    #[must_use]
    pub fn in_clumps(self, clump: u32) -> Self {
        Self { clump, ..self }
    }

    /// Lets so many failures of a member follow each other.
    #[must_use]
    pub fn in_runs(self, run: u32) -> Self {
        Self { run, ..self }
    }
}

/// How long a fleet is in service before anything happens to it: the time of 200 calls of each
/// member, 3 to 10 minutes.
#[must_use]
pub fn warm_up(setting: &Setting) -> Nanos {
    let each = setting.per_second / f64::from(setting.members);
    let time = crate::time::nanos(200.0 / each);
    time.clamp(180 * SECOND, 600 * SECOND)
}
