//! The interface of every library, as one trait. Everything is generic and inlined, so a benchmark
//! is compiled as if it were written for its library alone.

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

/// The result of the guarded work.
pub(crate) type Answer = Result<u32, Failed>;

/// The guarded work. It takes almost no time, so the benchmark times the breaker. But the compiler
/// can't know its result.
///
/// It is one number, not a finished `Answer`. Hiding two words from the compiler means writing them
/// one by one and reading them as a whole. That can cost more than a whole call.
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

// circuitbreaker-rs requires it.
impl std::error::Error for Failed {}

/// The failure rate that opens the breaker.
pub(crate) const ERROR_RATE: f32 = 0.5;
/// The minimum number of calls for this rate.
pub(crate) const MIN_CALLS: u32 = 10;
/// The time window, for libraries that have one.
pub(crate) const WINDOW: Duration = Duration::from_mins(1);
/// The window of calls, for libraries that count calls.
pub(crate) const WINDOW_CALLS: u32 = 100;
/// The number of failures in a row that opens the breaker, for libraries that can have both rules.
pub(crate) const FAILURES_IN_A_ROW: u32 = 5;
/// The rate of slow calls that opens the breaker, for libraries with such a rule.
pub(crate) const SLOW_RATE: f64 = 0.5;
/// The percentile that is compared with [`SLOWER_THAN`], for libraries with such a rule.
pub(crate) const PERCENTILE: f64 = 99.0;
/// The limit for slow calls. No call is this slow.
pub(crate) const SLOWER_THAN: Duration = Duration::from_secs(1);
/// Where it matters, the window is emptied after this many calls. A benchmark makes as many calls
/// in a millisecond as a service in a minute.
pub(crate) const CALLS_A_WINDOW: u64 = 100_000;
/// Longer than any run, so an open breaker stays open and admits no probe.
pub(crate) const OPEN_FOR: Duration = Duration::from_hours(1);

/// The settings of a breaker. Each library gets the ones that it supports.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) window: Window,
    pub(crate) rules: Rules,
    /// The number of shards, or the library's own choice. Only tripcurve has shards.
    pub(crate) shards: Option<u32>,
    /// Whether the window fills and is never emptied.
    pub(crate) fills: bool,
    /// Whether a thread reads the clock once a millisecond. Only tripcurve has this choice.
    pub(crate) coarse_clock: bool,
    pub(crate) timing: Timing,
}

#[derive(Clone, Copy)]
pub(crate) enum Window {
    /// [`WINDOW`], in this many buckets. A library without a time window counts [`WINDOW_CALLS`].
    Time { buckets: u32 },
    /// This many last calls.
    Calls(u32),
}

#[derive(Clone, Copy)]
pub(crate) enum Rules {
    /// The rules above.
    Usual,
    /// Evidence. A library without it has the usual rules.
    Evidence,
    /// Rules of the same kinds that no failures satisfy. The breaker does all the work of judging
    /// and stays closed. tripcurve gets this many of them.
    OutOfReach { policies: usize },
}

/// The use of call durations, for libraries that measure them.
#[derive(Clone, Copy)]
pub(crate) enum Timing {
    Nothing,
    /// A histogram of all calls.
    Histogram,
    /// A histogram of the successes and one of the failures.
    HistogramsByOutcome,
    /// The rule on slow calls, without a histogram.
    SlowRate,
    /// A histogram, the rule on slow calls and the rule on the percentile.
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

/// A breaker of one library, used by one thread. A clone is the same breaker for another thread.
pub(crate) trait Subject: Clone + Send + 'static {
    /// The library's name. A variant follows after a slash.
    const NAME: &'static str;

    /// The library's result of a call. It is kept unchanged, and dropped within the measured time,
    /// as a caller would have to.
    type Reply;

    /// A new closed breaker.
    fn closed(settings: &Settings) -> Self;

    /// Makes a call with `work`.
    fn call(&mut self, work: Work) -> Self::Reply;

    /// Whether the breaker let the work run.
    fn admitted(reply: &Self::Reply) -> bool;

    /// Empties the window and keeps the state, if a call's time depends on the number of calls in
    /// the window. It is called once per [`CALLS_A_WINDOW`] calls, within the measured time.
    #[inline]
    fn empty_window(&mut self) {}

    /// A breaker that failures have opened, and that stays open.
    fn open(settings: &Settings) -> Self {
        let mut subject = Self::closed(settings);
        // A ring must be full before it is judged, so it takes more than `MIN_CALLS`.
        let opened = (0..=2 * WINDOW_CALLS).any(|_| !Self::admitted(&subject.call(Work::FAILS)));
        assert!(opened, "{} doesn't open", Self::NAME);
        subject
    }
}

/// A library that shows its counts.
pub(crate) trait Observed: Subject {
    type Picture<'a>;

    fn snapshot(&mut self) -> Self::Picture<'_>;
}

/// Several breakers of one library, called in an order that no cache can predict.
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
        // Knuth's linear congruential generator: a multiplication and an addition, which the
        // processor does while it waits for memory.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // The upper half as a fraction, scaled to the number of breakers.
        let index = ((self.random >> 32) * u64::from(Self::BREAKERS)) >> 32;
        let index = usize::try_from(index).expect("less than the number of breakers");
        self.breakers[index].call(work)
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        S::admitted(reply)
    }

    // The windows aren't emptied: each gets a ten-thousandth of the calls.
}
