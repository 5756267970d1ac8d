//! What is asked of every library, in one trait. Everything is generic and inlined: a benchmark is
//! compiled as if it were written for its library alone.

use std::fmt;
use std::time::Duration;

/// What the guarded work answers. The work itself is nothing: the answer is there already, so that
/// what is timed is the breaker.
pub(crate) type Answer = Result<u32, Failed>;

/// The answer of a call that succeeds.
pub(crate) const SUCCESS: Answer = Ok(1);

/// The answer of a call that fails.
pub(crate) const FAILURE: Answer = Err(Failed);

/// The error of the guarded work.
#[derive(Debug)]
pub(crate) struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

// circuitbreaker-rs takes nothing less.
impl std::error::Error for Failed {}

// The settings. Every library is given those of them that it knows.

/// Open at half the calls failed ...
pub(crate) const ERROR_RATE: f32 = 0.5;
/// ... of at least so many ...
pub(crate) const MIN_CALLS: u32 = 10;
/// ... in this time, where the library has a window of time ...
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// ... or of so many last calls, where it counts calls ...
pub(crate) const WINDOW_CALLS: u32 = 100;
/// ... or at so many failures in a row, where the library can have both rules.
pub(crate) const FAILURES_IN_A_ROW: u32 = 5;
/// Longer than any run, so that an open breaker stays open and no probe is admitted.
pub(crate) const OPEN_FOR: Duration = Duration::from_secs(3600);

/// A breaker of one library, in the hands of one thread. A clone is the same breaker in the hands
/// of another thread.
pub(crate) trait Subject: Clone + Send + 'static {
    /// The library; a variant follows after a slash.
    const NAME: &'static str;

    /// What the library gives back for a call. It is kept as it is, and dropped within the time
    /// measured, as a caller would have to.
    type Reply;

    /// A new breaker, which is closed.
    fn closed() -> Self;

    /// Guards work that answers `answer`.
    fn call(&mut self, answer: Answer) -> Self::Reply;

    /// Whether the breaker let the work run.
    fn admitted(reply: &Self::Reply) -> bool;

    /// A breaker that has been opened, by failures, and stays open.
    fn open() -> Self {
        let mut subject = Self::closed();
        // A ring must have been filled before it is judged, so it takes more than `MIN_CALLS`.
        let opened = (0..=2 * WINDOW_CALLS).any(|_| !Self::admitted(&subject.call(FAILURE)));
        assert!(opened, "{} doesn't open", Self::NAME);
        subject
    }
}
