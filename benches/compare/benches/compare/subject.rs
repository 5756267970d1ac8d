//! What is asked of every library, in one trait. Everything is generic and inlined: a benchmark is
//! compiled as if it were written for its library alone.

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

/// What the guarded work answers.
pub(crate) type Answer = Result<u32, Failed>;

/// The guarded work. It is next to nothing, so that what is timed is the breaker; but the compiler
/// doesn't know how it ends.
///
/// One number, not an `Answer` that is there already: to hide two words from the compiler they would
/// have to be written one by one and read as a whole, which can cost more than a whole call.
#[derive(Clone, Copy)]
pub(crate) struct Work(u32);

impl Work {
    pub(crate) const SUCCEEDS: Self = Self(1);
    pub(crate) const FAILS: Self = Self(0);

    #[inline]
    pub(crate) fn run(self) -> Answer {
        match black_box(self.0) {
            0 => Err(Failed),
            number => Ok(number),
        }
    }
}

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
/// After so many calls the window is emptied where that matters: what a benchmark does in a
/// millisecond, a service does in a minute.
pub(crate) const CALLS_A_WINDOW: u64 = 100_000;
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

    /// Guards `work`.
    fn call(&mut self, work: Work) -> Self::Reply;

    /// Whether the breaker let the work run.
    fn admitted(reply: &Self::Reply) -> bool;

    /// Empties the window and leaves the state as it is, where the time of a call depends on how
    /// many calls the window holds. Called once in [`CALLS_A_WINDOW`] calls, within the time
    /// measured.
    #[inline]
    fn empty_window(&mut self) {}

    /// A breaker that has been opened, by failures, and stays open.
    fn open() -> Self {
        let mut subject = Self::closed();
        // A ring must have been filled before it is judged, so it takes more than `MIN_CALLS`.
        let opened = (0..=2 * WINDOW_CALLS).any(|_| !Self::admitted(&subject.call(Work::FAILS)));
        assert!(opened, "{} doesn't open", Self::NAME);
        subject
    }
}
