//! How many clients share one dependency.

use crate::error::ConfigError;
use crate::util::number::whole;
use crate::window::rate;

/// About how many clients share one dependency: `1..=1_000_000`.
///
/// The clients don't know of each other. Each spaces its probes and its ramp as if all had tripped
/// at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clients(u32);

impl Clients {
    /// The dependency has no other client.
    pub const ONE: Self = Self(1);

    const MOST: u32 = 1_000_000;

    /// Creates the number from a checked setting.
    #[must_use]
    pub const fn new(clients: u32) -> Self {
        Self(clients)
    }

    /// Refuses a number that isn't in `1..=1_000_000`.
    pub(super) fn check(clients: u32) -> Result<(), ConfigError> {
        if (1..=Self::MOST).contains(&clients) {
            return Ok(());
        }
        Err(ConfigError::new(
            "clients",
            clients,
            format!("in 1..={}", Self::MOST),
            "about how many processes call this dependency; the order of magnitude is enough",
        ))
    }

    /// One, and one more for each tenfold number of clients.
    fn spread(self) -> f64 {
        1.0 + f64::from(self.0).log10()
    }

    /// How long a probe waits, if it is `wait` nanoseconds for a single client.
    #[must_use]
    pub fn probes_wait(self, wait: u64) -> u64 {
        whole(rate(wait, 1) * self.spread())
    }

    /// How long a round lasts at least, if it is `round` nanoseconds for a single client.
    ///
    /// The load of many ramps grows like that of one. But each client sees only its own failures,
    /// so it learns later that the load is too much. Longer rounds give it the time.
    #[must_use]
    pub fn rounds_last(self, round: u64) -> u64 {
        whole(rate(round, 1) * self.spread() * self.spread())
    }

    /// The calls per second of a ramp's first share, if it is `all` for a single client.
    #[must_use]
    pub fn first_rate(self, all: f64) -> f64 {
        all / (f64::from(self.0) * self.spread())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_a_single_client_all_stays_as_it_is() {
        for time in [0, 1, 150_000_000, 2_000_000_000] {
            assert_eq!(Clients::ONE.probes_wait(time), time);
            assert_eq!(Clients::ONE.rounds_last(time), time);
        }
        assert_eq!(Clients::ONE.first_rate(30.0).to_bits(), 30.0_f64.to_bits());
    }

    #[test]
    fn each_tenfold_number_adds_as_long_a_wait_again() {
        for (clients, times) in [(10, 2), (100, 3), (1_000_000, 7)] {
            let clients = Clients::new(clients);
            assert_eq!(clients.probes_wait(1_000), times * 1_000);
            assert_eq!(clients.rounds_last(1_000), times * times * 1_000);
        }
    }

    #[test]
    fn all_first_shares_together_are_less_than_one_clients() {
        for clients in [2, 10, 100, 1_000_000] {
            let together = Clients::new(clients).first_rate(30.0) * f64::from(clients);
            assert!(together < 30.0, "{clients}: {together}");
        }
    }
}
