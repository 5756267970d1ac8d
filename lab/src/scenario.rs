//! Scenarios: the faults of a dependency, as data.

use std::borrow::Cow;

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::breaker::Nanos;
use crate::time::{MILLISECOND, SECOND, nanos};

/// The behaviour of the dependency from the onset on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scenario {
    /// A share of the calls fails, either at once or gradually.
    Outage {
        /// The share of calls that fails.
        share: f64,
        /// The time until that share is reached.
        onset: Nanos,
    },
    /// Calls take a multiple of their usual time. With a limit, calls that take longer fail at it.
    BrownOut {
        /// The multiple.
        factor: f64,
        /// The callers' time limit.
        limit: Option<Nanos>,
    },
    /// The failure rate grows from 1 % to 100 % within this time, and stays there.
    Decline {
        /// The time until all calls fail.
        over: Nanos,
    },
    /// All calls fail for this long.
    Blip {
        /// The time of failure.
        length: Nanos,
    },
    /// The dependency goes down and up, each for this long.
    Flapping {
        /// The time in each of the two.
        half: Nanos,
    },
    /// One shard fails for two minutes.
    BadShard {
        /// The number of shards.
        of: u32,
    },
    /// After a total outage, capacity returns slowly, and overload kills the backend.
    Capacity,
    /// Calls fail one by one at the usual rate.
    Healthy,
    /// Calls fail at the usual rate, but in runs, because requests that can't succeed are retried.
    Poison {
        /// The length of a run.
        run: u32,
    },
    /// A share of the calls fails from the first call on.
    Persistent {
        /// The share of calls that fails.
        share: f64,
    },
    /// One shard fails after a healthy time, and stays down.
    LastingShard {
        /// The number of shards.
        of: u32,
    },
    /// All calls are held up now and then, and none fails.
    Stalls {
        /// The mean time between two stalls.
        every: Nanos,
        /// The length of a stall.
        length: Nanos,
    },
    /// A share of the calls takes this long from the first call on, and none of them fails more
    /// than usual.
    SlowShare {
        /// The share of calls that is slow.
        share: f64,
        /// How long a slow call takes.
        takes: Nanos,
    },
}

impl Scenario {
    /// All calls fail at once.
    pub const TOTAL: Self = Self::sharp(1.0);
    /// Calls take twenty times as long, and none fails more than usual.
    pub const SLOW: Self = Self::BrownOut {
        factor: 20.0,
        limit: None,
    };
    /// Calls take twenty times as long, and those that exceed 250 ms fail.
    pub const TIME_OUTS: Self = Self::BrownOut {
        factor: 20.0,
        limit: Some(250 * MILLISECOND),
    };

    /// A share of the calls fails at once.
    #[must_use]
    pub const fn sharp(share: f64) -> Self {
        Self::Outage { share, onset: 0 }
    }

    /// The scenario's name in tables and on the command line.
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
            Self::SlowShare { share, .. } => format!("slow-share-{:.0}", share * 100.0).into(),
        }
    }

    /// How long the fault lasts.
    ///
    /// Unless the scenario fixes the length, it is drawn from `shortest..longest`. A fixed length
    /// would interfere with the breakers' timers.
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

    /// The time between the onset and the start of the delay until the trip.
    #[must_use]
    pub fn reference(&self) -> Nanos {
        match *self {
            // The rate grows from 1 % to 100 %, so half of the calls fail after 49/99 of the time.
            Self::Decline { over } => over * 49 / 99,
            _ => 0,
        }
    }

    /// The failure rate of an outage with a sharp onset. The limit is known only for these.
    #[must_use]
    pub fn sharp_share(&self) -> Option<f64> {
        match *self {
            Self::Outage { share, onset: 0 } => Some(share),
            _ => None,
        }
    }

    /// Whether nothing happens for hours that should trip a breaker.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(
            self,
            Self::Healthy
                | Self::Poison { .. }
                | Self::Persistent { .. }
                | Self::LastingShard { .. }
                | Self::Stalls { .. }
                | Self::SlowShare { .. }
        )
    }
}

/// The range from which a fault's length is drawn, in seconds.
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
