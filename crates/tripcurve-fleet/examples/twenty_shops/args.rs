//! What the command line asks for.

use std::time::Duration;

use crate::shop::Shop;

/// The story as a whole.
pub(crate) struct Args {
    pub(crate) shops: usize,
    /// Whether the shops share the memory of this process rather than a server.
    pub(crate) memory: bool,
    pub(crate) script: Script,
}

/// How long each part of the story takes, and how often each shop calls.
pub(crate) struct Script {
    /// The time between two calls of a shop.
    pub(crate) pace: Duration,
    /// Until all members know how many calls the fleet makes.
    pub(crate) well: Duration,
    /// How long one shop has no connection.
    pub(crate) one_is_cut: Duration,
    /// Until that shop's breakers are closed again.
    pub(crate) well_again: Duration,
    /// How long the backend fails for all.
    pub(crate) outage: Duration,
    /// The most that the recovery may take.
    pub(crate) recovery: Duration,
}

const FULL: Script = Script {
    pace: Duration::from_millis(250),
    well: Duration::from_secs(8),
    one_is_cut: Duration::from_secs(4),
    well_again: Duration::from_secs(3),
    outage: Duration::from_secs(7),
    recovery: Duration::from_secs(12),
};

const QUICK: Script = Script {
    pace: Duration::from_millis(100),
    well: Duration::from_secs(4),
    one_is_cut: Duration::from_millis(1_500),
    well_again: Duration::from_millis(1_500),
    outage: Duration::from_secs(3),
    recovery: Duration::from_secs(5),
};

/// What this process is.
pub(crate) enum Role {
    Story(Args),
    /// A shop, and the address of the store.
    Shop(Shop, String),
}

pub(crate) fn parse(arguments: &[String]) -> Result<Role, String> {
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["shop", number, backend, pace, store] = words[..] {
        let shop = Shop {
            number: number.parse().map_err(|_| "shop: no number")?,
            backend: backend.parse().map_err(|_| "shop: no address")?,
            pace: Duration::from_millis(pace.parse().map_err(|_| "shop: no pace")?),
        };
        return Ok(Role::Shop(shop, store.to_owned()));
    }
    let mut args = Args {
        shops: 20,
        memory: false,
        script: FULL,
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word {
            "--quick" => args.script = QUICK,
            "--memory" => args.memory = true,
            "--processes" => {
                let number = words.next().unwrap_or("nothing");
                // Without the two loudest, three members must be left.
                args.shops = match number.parse() {
                    Ok(shops @ 5..=1_000) => shops,
                    _ => return Err(format!("--processes is {number}; expected 5..=1000")),
                };
            }
            _ => {
                let known = "--processes N, --quick and --memory";
                return Err(format!("{word} is unknown; expected {known}"));
            }
        }
    }
    Ok(Role::Story(args))
}
