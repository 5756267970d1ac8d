//! How many connections the process may open.

use std::io;

/// Enough for a storefront on a good day many times over; on a bad day this
/// is what keeps it from taking everything.
const CONNECTIONS: u64 = 200;

/// With fewer than this, waiting for a connection would be all there is.
const FEWEST: u64 = 40;

/// Two storefronts, and both ends of a connection are in this process.
const ENDS: u64 = 4;

/// For the terminal, the listeners, and connections that are just closing.
const OTHERS: u64 = 64;

/// The connections that each storefront may have, after asking the system
/// for a higher limit: 256 open files, as macOS gives, are soon used up.
///
/// # Errors
///
/// When the limit can't be had or is too low to show anything.
pub(crate) fn connections_each() -> io::Result<usize> {
    // Half as many again, for connections that are closing after a timeout
    // while their successors are opened.
    let limit = rlimit::increase_nofile_limit(CONNECTIONS * ENDS * 3 / 2 + OTHERS)?;
    let each = (limit.saturating_sub(OTHERS) / ENDS).min(CONNECTIONS);
    if each < FEWEST {
        return Err(io::Error::other(format!(
            "this process may open {limit} files, it needs {}; see ulimit -n",
            FEWEST * ENDS + OTHERS
        )));
    }
    Ok(usize::try_from(each).unwrap_or(usize::MAX))
}
