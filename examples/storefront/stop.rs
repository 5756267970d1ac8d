//! Being told to stop before the script is over.

use std::io;

/// The exit code that shells give to a program ended by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Waits for Ctrl-C, or a request to end; returns the exit code for it.
#[cfg(unix)]
pub(crate) async fn requested() -> io::Result<u8> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done.map(|()| INTERRUPTED),
        _ = terminate.recv() => Ok(143),
    }
}

/// Waits for Ctrl-C; returns the exit code for it.
#[cfg(not(unix))]
pub(crate) async fn requested() -> io::Result<u8> {
    tokio::signal::ctrl_c().await.map(|()| INTERRUPTED)
}
