//! How long messages take, and how a store may be broken.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::breaker::Nanos;
use crate::time::MILLISECOND;

/// How long a message takes each way: uniform between two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The shortest time.
    pub least: Nanos,
    /// The longest time.
    pub most: Nanos,
}

impl Delay {
    /// 1 to 2 ms: another machine of the same region.
    pub const REGION: Self = Self {
        least: MILLISECOND,
        most: 2 * MILLISECOND,
    };
    /// 0.2 to 0.8 ms: another machine of the same data centre.
    pub const CENTRE: Self = Self {
        least: MILLISECOND / 5,
        most: MILLISECOND * 4 / 5,
    };
}

/// What a store does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// It answers.
    Works,
    /// No connection to it can be made.
    Absent,
    /// It takes messages and never answers.
    Hangs,
    /// Its answers make no sense.
    Garbles,
}

/// The network between the processes and the store.
#[derive(Clone, Debug)]
pub struct Wire {
    delay: Delay,
    random: Xoshiro256PlusPlus,
}

impl Wire {
    /// A network on which messages take so long.
    #[must_use]
    pub fn new(delay: Delay, seed: u64) -> Self {
        Self {
            delay,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    /// How long the next message takes.
    pub fn delay(&mut self) -> Nanos {
        self.random.random_range(self.delay.least..=self.delay.most)
    }

    /// A random number.
    pub fn number(&mut self) -> u64 {
        self.random.random()
    }
}
