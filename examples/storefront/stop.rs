//! Requests to stop before the script is over.

use std::io;

/// The exit code that shells report for a program ended by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Waits for Ctrl-C or a request to end. Returns the exit code.
#[cfg(unix)]
pub(crate) async fn requested() -> io::Result<u8> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done.map(|()| INTERRUPTED),
        _ = terminate.recv() => Ok(143),
    }
}

/// Waits for Ctrl-C. Returns the exit code.
#[cfg(not(unix))]
pub(crate) async fn requested() -> io::Result<u8> {
    tokio::signal::ctrl_c().await.map(|()| INTERRUPTED)
}
