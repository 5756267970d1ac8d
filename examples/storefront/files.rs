//! The number of connections that the process may open.

use std::io;

/// On a good day, this is many times what a storefront needs. On a bad day, it keeps the storefront
/// from taking everything.
const CONNECTIONS: u64 = 200;

/// With fewer connections, the run would only show waits for a connection.
const FEWEST: u64 = 40;

/// There are two storefronts, and both ends of a connection are in this process.
const ENDS: u64 = 4;

/// For the terminal, the listeners, and connections that are closing.
const OTHERS: u64 = 64;

/// Returns the number of connections for each storefront, after raising the system's limit. macOS's
/// limit of 256 open files would soon be used up.
///
/// # Errors
///
/// Returns an error if the limit can't be raised, or is too low to show anything.
pub(crate) fn connections_each() -> io::Result<usize> {
    // Half as many more, for connections that close after a timeout while their successors open.
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
