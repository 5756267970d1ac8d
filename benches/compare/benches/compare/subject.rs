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
    pub(crate) fn that_fails(fails: bool) -> Self {
        Self(u32::from(!fails))
    }

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
/// ... or, where times are taken and the library has such a rule, at this share of calls ...
pub(crate) const SLOW_RATE: f64 = 0.5;
/// ... or, where it has that, with this percentile of the calls ...
pub(crate) const PERCENTILE: f64 = 99.0;
/// ... slower than this, which none is.
pub(crate) const SLOWER_THAN: Duration = Duration::from_secs(1);
/// After so many calls the window is emptied where that matters: what a benchmark does in a
/// millisecond, a service does in a minute.
pub(crate) const CALLS_A_WINDOW: u64 = 100_000;
/// Longer than any run, so that an open breaker stays open and no probe is admitted.
pub(crate) const OPEN_FOR: Duration = Duration::from_secs(3600);

/// How a breaker is set. Every library is given what it knows of it.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) window: Window,
    pub(crate) rules: Rules,
    /// Over so many shards, or as many as the library likes. Only tripcurve has them.
    pub(crate) shards: Option<u32>,
    /// Whether the window is left to fill, and never emptied.
    pub(crate) fills: bool,
    /// Whether time comes from a thread that reads the clock once a millisecond. Only tripcurve has
    /// that choice.
    pub(crate) coarse_clock: bool,
    pub(crate) timing: Timing,
}

#[derive(Clone, Copy)]
pub(crate) enum Window {
    /// [`WINDOW`], in so many buckets. Whoever has no such window counts [`WINDOW_CALLS`].
    Time { buckets: u32 },
    /// So many last calls.
    Calls(u32),
}

#[derive(Clone, Copy)]
pub(crate) enum Rules {
    /// Those above.
    Usual,
    /// Evidence. Who has no such rule has the usual ones.
    Evidence,
    /// The same kinds of rules, but no failures satisfy them: all work of judging is done, and the
    /// breaker stays closed. tripcurve is given so many of them.
    OutOfReach { policies: usize },
}

/// What the time of calls is taken for, by those who can.
#[derive(Clone, Copy)]
pub(crate) enum Timing {
    Nothing,
    /// A histogram of all calls.
    Histogram,
    /// One of the successes and one of the failures.
    HistogramsByOutcome,
    /// The rule of slow calls, without a histogram.
    SlowRate,
    /// A histogram, the rule of slow calls and that of the percentile.
    All,
}

impl Settings {
    pub(crate) const USUAL: Self = Self {
        window: Window::Time { buckets: 10 },
        rules: Rules::Usual,
        shards: None,
        fills: false,
        coarse_clock: false,
        timing: Timing::Nothing,
    };

    pub(crate) const OUT_OF_REACH: Self = Self {
        rules: Rules::OutOfReach { policies: 2 },
        ..Self::USUAL
    };

    /// The length of the window of a library that counts calls.
    pub(crate) fn window_calls(&self) -> u32 {
        match self.window {
            Window::Time { .. } => WINDOW_CALLS,
            Window::Calls(calls) => calls,
        }
    }
}

/// A breaker of one library, in the hands of one thread. A clone is the same breaker in the hands
/// of another thread.
pub(crate) trait Subject: Clone + Send + 'static {
    /// The library; a variant follows after a slash.
    const NAME: &'static str;

    /// What the library gives back for a call. It is kept as it is, and dropped within the time
    /// measured, as a caller would have to.
    type Reply;

    /// A new breaker, which is closed.
    fn closed(settings: &Settings) -> Self;

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
    fn open(settings: &Settings) -> Self {
        let mut subject = Self::closed(settings);
        // A ring must have been filled before it is judged, so it takes more than `MIN_CALLS`.
        let opened = (0..=2 * WINDOW_CALLS).any(|_| !Self::admitted(&subject.call(Work::FAILS)));
        assert!(opened, "{} doesn't open", Self::NAME);
        subject
    }
}

/// A library that shows what it has counted.
pub(crate) trait Observed: Subject {
    type Picture<'a>;

    fn snapshot(&mut self) -> Self::Picture<'_>;
}

/// So many breakers of one library, called in an order that no cache can guess.
#[derive(Clone)]
pub(crate) struct Many<S> {
    breakers: Box<[S]>,
    random: u64,
}

impl<S: Subject> Many<S> {
    const BREAKERS: u32 = 10_000;
}

impl<S: Subject> Subject for Many<S> {
    const NAME: &'static str = S::NAME;
    type Reply = S::Reply;

    fn closed(settings: &Settings) -> Self {
        let breakers = (0..Self::BREAKERS).map(|_| S::closed(settings)).collect();
        Self {
            breakers,
            random: 1,
        }
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        // Knuth's linear congruential generator. It is a multiplication and an addition, which the
        // processor does while it waits for the memory.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // The upper half, as a fraction of the number of breakers.
        let index = ((self.random >> 32) * u64::from(Self::BREAKERS)) >> 32;
        let index = usize::try_from(index).expect("less than the number of breakers");
        self.breakers[index].call(work)
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        S::admitted(reply)
    }

    // Left to fill: each gets a ten-thousandth of the calls.
}
