//! The breakers of a comparison: ours with several policies, and the peers.

use std::time::Duration;

use tripcurve::error::ConfigError;
use tripcurve::{CircuitBreakerBuilder, TripPolicy};
use tripcurve_config::Config;

use crate::ours::Ours;
use crate::peers::{self, Breakers, BreakersError, Entry, Rules, Visit};

/// A breaker with fixed settings.
#[derive(Clone, Copy, Debug)]
pub struct Contestant {
    /// The breaker's name in tables and on the command line.
    pub name: &'static str,
    /// The breaker's settings in words.
    pub settings: &'static str,
    make: Make,
}

#[derive(Clone, Copy, Debug)]
enum Make {
    Ours(fn(CircuitBreakerBuilder, Duration) -> CircuitBreakerBuilder),
    Configured(&'static Config),
    Peer(&'static Rules),
}

const OURS: [Contestant; 7] = [
    Contestant {
        name: "adaptive",
        settings: "tolerates 25 %; slow is 5 times the median, 100 ms",
        make: Make::Ours(|builder, slow| {
            builder.trip_when(TripPolicy::adaptive().slower_than(slow))
        }),
    },
    Contestant {
        name: "adaptive-sensitive",
        settings: "tolerates nothing unusual; slow is 5 times the median, 100 ms",
        make: Make::Ours(|builder, slow| {
            builder.trip_when(TripPolicy::adaptive().tolerate(0.0).slower_than(slow))
        }),
    },
    Contestant {
        name: "adaptive-errors",
        settings: "tolerates 25 %; takes no time of calls",
        make: Make::Ours(|builder, _| builder.trip_when(TripPolicy::adaptive())),
    },
    Contestant {
        name: "adaptive-sensitive-errors",
        settings: "tolerates nothing unusual; takes no time of calls",
        make: Make::Ours(|builder, _| builder.trip_when(TripPolicy::adaptive().tolerate(0.0))),
    },
    Contestant {
        name: "classic",
        settings: "5 in a row, or 50 % of 10 calls in 60 s; 5 s, 3 probes",
        make: Make::Ours(|builder, _| {
            builder
                .trip_when(TripPolicy::classic())
                .open_for(Duration::from_secs(5))
        }),
    },
    Contestant {
        name: "error-rate",
        settings: "50 % of 20 calls in 10 s; 5 s, 3 probes",
        make: Make::Ours(|builder, _| {
            builder
                .window(tripcurve::window::Window::time(Duration::from_secs(10), 10))
                .trip_when(TripPolicy::failure_rate(0.5).min_calls(20))
                .open_for(Duration::from_secs(5))
        }),
    },
    Contestant {
        name: "consecutive",
        settings: "5 in a row; 5 s, 3 probes",
        make: Make::Ours(|builder, _| {
            builder
                .trip_when(TripPolicy::consecutive_failures(5))
                .open_for(Duration::from_secs(5))
        }),
    },
];

/// All contestants, ours first.
#[must_use]
pub fn all() -> Vec<Contestant> {
    let peers = peers::catalogue().iter().map(Contestant::of_peer);
    OURS.into_iter().chain(peers).collect()
}

/// All contestants, and those of a file of breakers. A contestant of the file replaces one with its
/// name.
///
/// # Errors
/// Returns an error if the file has other contents than expected.
pub fn all_and(file: &str) -> Result<Vec<Contestant>, BreakersError> {
    let breakers = Breakers::read(file)?;
    // Contestants are copied a lot, and there is one file. So its settings stay until the end.
    let config: &'static Config = Box::leak(Box::new(breakers.config));
    let peers: &'static [Entry] = Vec::leak(breakers.peers);
    let ours = breakers.ours.into_iter().map(|name| Contestant {
        name,
        settings: "as in the file",
        make: Make::Configured(config),
    });
    let of_file: Vec<_> = ours.chain(peers.iter().map(Contestant::of_peer)).collect();
    let is_replaced = |one: &Contestant| of_file.iter().any(|other| other.name == one.name);
    let mut contestants = all();
    contestants.retain(|one| !is_replaced(one));
    contestants.extend(of_file);
    Ok(contestants)
}

impl Contestant {
    fn of_peer(entry: &'static Entry) -> Self {
        Self {
            name: entry.name,
            settings: entry.settings,
            make: Make::Peer(&entry.rules),
        }
    }

    /// Builds a new breaker and passes it to the visitor by its own type.
    ///
    /// The seed is for breakers that decide at random. Our policies that watch slow calls use
    /// `slow`, the duration from which on a call is slow.
    ///
    /// # Errors
    /// Returns an error if the crate refuses the settings.
    /// The crate refuses the settings.
    pub fn visit<V: Visit>(
        &self,
        seed: u64,
        slow: Duration,
        visitor: V,
    ) -> Result<V::Output, ConfigError> {
        match self.make {
            Make::Ours(settings) => {
                Ok(visitor.visit(Ours::new(self.name, |builder| settings(builder, slow))?))
            }
            Make::Configured(config) => Ok(visitor.visit(Ours::of(0, config.builder(self.name)?)?)),
            Make::Peer(rules) => Ok(rules.build(seed).run(visitor)),
        }
    }

    /// Whether it is a breaker of the crate.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self.make, Make::Ours(_) | Make::Configured(_))
    }
}
