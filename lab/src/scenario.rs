//! What goes wrong, as data.

use std::borrow::Cow;

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::breaker::Nanos;
use crate::time::{MILLISECOND, SECOND, nanos};

/// What the dependency does from the onset on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scenario {
    /// A share of the calls fails, from one moment to the next or more and more.
    Outage {
        /// Which share.
        share: f64,
        /// How long it takes to get there.
        onset: Nanos,
    },
    /// Calls take so many times as long; with a limit, those that take longer fail then.
    BrownOut {
        /// How many times.
        factor: f64,
        /// The callers' time limit.
        limit: Option<Nanos>,
    },
    /// The share that fails grows from 1 % to all within this time, and stays there.
    Decline {
        /// How long it takes to get there.
        over: Nanos,
    },
    /// All calls fail for this long.
    Blip {
        /// How long.
        length: Nanos,
    },
    /// Down and up again, each for this long.
    Flapping {
        /// How long.
        half: Nanos,
    },
    /// One shard of so many fails, for two minutes.
    BadShard {
        /// Of how many.
        of: u32,
    },
    /// After a total outage the capacity comes back slowly, and too much load kills it.
    Capacity,
    /// Calls fail one by one, as they always do.
    Healthy,
    /// The usual share fails, but in runs: requests that can't succeed are tried again.
    Poison {
        /// How many in a row.
        run: u32,
    },
    /// A share of the calls fails, from the first one on.
    Persistent {
        /// Which share.
        share: f64,
    },
    /// One shard of so many fails, after a healthy time, and is not mended.
    LastingShard {
        /// Of how many.
        of: u32,
    },
    /// All calls are held up now and then, none fails.
    Stalls {
        /// How much time passes from one to the next, on average.
        every: Nanos,
        /// How long.
        length: Nanos,
    },
}

impl Scenario {
    /// All calls fail, from one moment to the next.
    pub const TOTAL: Self = Self::sharp(1.0);
    /// Twenty times as long, nothing fails.
    pub const SLOW: Self = Self::BrownOut {
        factor: 20.0,
        limit: None,
    };
    /// Twenty times as long, and what takes longer than 250 ms fails.
    pub const TIME_OUTS: Self = Self::BrownOut {
        factor: 20.0,
        limit: Some(250 * MILLISECOND),
    };

    /// A share fails, from one moment to the next.
    #[must_use]
    pub const fn sharp(share: f64) -> Self {
        Self::Outage { share, onset: 0 }
    }

    /// Its name in tables and on the command line.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        match *self {
            Self::Outage { share, onset: 0 } if share >= 1.0 => "total".into(),
            Self::Outage { share, onset: 0 } => format!("outage-{:.0}", share * 100.0).into(),
            Self::Outage { share, onset } => {
                format!("outage-{:.0}-over-{}ms", share * 100.0, onset / MILLISECOND).into()
            }
            Self::BrownOut { limit: None, .. } => "slow".into(),
            Self::BrownOut { .. } => "time-outs".into(),
            Self::Decline { .. } => "decline".into(),
            Self::Blip { .. } => "blip".into(),
            Self::Flapping { .. } => "flapping".into(),
            Self::BadShard { of } => format!("shard-of-{of}").into(),
            Self::Capacity => "capacity".into(),
            Self::Healthy => "healthy".into(),
            Self::Poison { .. } => "poison".into(),
            Self::Persistent { share } => format!("persistent-{:.0}", share * 100.0).into(),
            Self::LastingShard { of } => format!("lasting-shard-of-{of}").into(),
            Self::Stalls { .. } => "stalls".into(),
        }
    }

    /// How long the fault lasts, drawn from `shortest..longest` unless the scenario says; fixed
    /// lengths would beat against the breakers' timers.
    pub fn length(&self, lengths: Lengths, random: &mut Xoshiro256PlusPlus) -> Nanos {
        let drawn = nanos(random.random_range(lengths.shortest..lengths.longest));
        match *self {
            Self::Blip { length } => length,
            Self::BadShard { .. } => 120 * SECOND,
            Self::Decline { over } => over + drawn,
            Self::Outage { onset, .. } => onset + drawn,
            _ => drawn,
        }
    }

    /// How long after the onset the delay until the trip counts from.
    #[must_use]
    pub fn reference(&self) -> Nanos {
        match *self {
            // From 1 % to all: half fail after 49/99 of the time.
            Self::Decline { over } => over * 49 / 99,
            _ => 0,
        }
    }

    /// The share of calls that fails, for an outage with a sharp onset: what the limit is known for.
    #[must_use]
    pub fn sharp_share(&self) -> Option<f64> {
        match *self {
            Self::Outage { share, onset: 0 } => Some(share),
            _ => None,
        }
    }

    /// Whether nothing happens that a breaker should trip on, for hours.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(
            self,
            Self::Healthy
                | Self::Poison { .. }
                | Self::Persistent { .. }
                | Self::LastingShard { .. }
                | Self::Stalls { .. }
        )
    }
}

/// Between which lengths a fault's is drawn, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lengths {
    /// The shortest.
    pub shortest: f64,
    /// The longest.
    pub longest: f64,
}

impl Lengths {
    /// 30 to 90 s.
    pub const USUAL: Self = Self {
        shortest: 30.0,
        longest: 90.0,
    };
}
