//! The sample of dense calls that are timed, and the sample of those that are watched in flight.
//!
//! A test gives the model each draw that the breaker makes for a call. So the model knows which
//! calls are left out, and how many calls one of the others stands for.

use super::{Call, Config, Model, ModelPermit, nanos};
use tripcurve::window::Recording;

/// The draws of a call: where it stands on the circle, and its random bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draws {
    pub(crate) place: u64,
    pub(crate) bits: u64,
}

/// A pseudo-random number for each number, as the documentation of the breaker's sample has it.
pub(crate) fn mixed(number: u64) -> u64 {
    const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
    let spread = number.wrapping_mul(GOLDEN_RATIO);
    (spread ^ spread >> 32).wrapping_mul(GOLDEN_RATIO)
}

/// Whether a call that was chosen as one of 2^`own` is among one in 2^`weight`.
fn stays(own: u32, weight: u32, tosses: u64) -> bool {
    let halvings = weight.saturating_sub(own);
    tosses & ((1 << halvings) - 1) == 0
}

/// The samples of a breaker. All times are in nanoseconds, and those of `timed` in 256ths of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// The draws of the call that asks, if the test knows them. Otherwise the histories are sparse,
    /// and all calls are timed and watched.
    pub(super) draws: Option<Draws>,
    /// One call in 2^this is timed.
    timed: u32,
    /// When the period began, and how many calls were timed in it.
    began: u64,
    count: u64,
    /// The largest weight of late, and when its period ended.
    largest: (u32, u64),
    /// Of the timed calls, one in 2^this is watched.
    watched: u32,
    look_at: u64,
    watched_in_period: u64,
}

/// The times of a breaker's sample.
#[derive(Clone, Copy, Debug)]
struct Times {
    tick: u64,
    memory: u64,
}

const MANY: u64 = 512;

impl Sample {
    /// The sample of a new breaker.
    pub(super) fn anew(self) -> Self {
        Self {
            draws: self.draws,
            ..Self::default()
        }
    }

    /// All calls are timed after a transition.
    pub(super) fn time_all(&mut self) {
        self.timed = 0;
    }

    /// Notes so many timed calls. Returns whether the period was two ticks old.
    fn note(&mut self, now: u64, calls: u64, Times { tick, memory }: Times) -> bool {
        let now = now >> 8;
        let elapsed = now.saturating_sub(self.began);
        let count = (self.count + calls).min(MANY);
        let halves = count == MANY && 2 * elapsed < tick;
        let (is_over, is_old) = (elapsed >= tick, elapsed >= 2 * tick);
        if !halves && !is_over {
            self.count = count;
            return false;
        }
        let ended = self.began + elapsed.min(tick);
        let (largest, at) = self.largest;
        if self.timed >= largest || ended.saturating_sub(at) > memory {
            self.largest = (self.timed, ended);
        }
        if halves {
            self.timed = (self.timed + 1).min(6);
        } else if is_old {
            self.timed = 0;
        } else if count < MANY {
            let doublings = (MANY / count.max(1)).ilog2().max(1);
            self.timed = self.timed.saturating_sub(doublings);
        }
        self.count = if halves { 0 } else { calls };
        self.began = now;
        is_old
    }

    /// Watches a timed call. Returns the weight that this adds to the call's.
    fn watch(&mut self, now: u64, period: u64) -> u32 {
        if now < self.look_at {
            let weight = self.watched;
            self.watched_in_period += 1;
            if self.watched_in_period > 32 {
                self.watched_in_period = 16;
                self.watched = (self.watched + 1).min(25);
            }
            return weight;
        }
        let missed = (now - self.look_at) / period.max(1);
        let doublings = missed.saturating_add(u64::from(self.watched_in_period <= 12));
        let doublings = u32::try_from(doublings).unwrap_or(u32::MAX);
        self.watched = self.watched.saturating_sub(doublings);
        self.watched_in_period = 0;
        self.look_at = now.saturating_add(period);
        0
    }
}

impl Config {
    /// The times of the sample of timed calls, if a sample is timed.
    fn sample_times(&self) -> Option<Times> {
        let is_timed = self.limit().is_some() || self.recording != Recording::Off;
        let (width, ticks) = self.window.ticks().filter(|_| is_timed && self.samples())?;
        let second = 1_000_000_000;
        let tick = width.min(second);
        let memory = tick * (nanos(self.window.length()) / tick).max(1);
        let is_evidence = self.adaptive().is_some() && self.limit().is_some();
        let period = if is_evidence {
            2 * self.quarter()
        } else {
            tick
        };
        debug_assert!(ticks > 0);
        Some(Times {
            tick: (tick.min(period) >> 8).max(1),
            memory: memory >> 8,
        })
    }

    /// A fourth of the limit for slow calls.
    fn quarter(&self) -> u64 {
        self.limit().unwrap_or_default() / 4
    }
}

impl Model {
    /// Gives the model the draws of the call that asks next.
    pub(crate) fn draw(&mut self, draws: Draws) {
        self.sample.draws = Some(draws);
    }

    /// Whether a call that asks a closed breaker now is left out of those that are timed.
    pub(super) fn leaves_out(&self) -> bool {
        let is_sampled = self.sampled_times().is_some();
        let draws = self.sample.draws.filter(|_| is_sampled);
        draws.is_some_and(|draws| draws.place > u64::MAX >> self.sample.timed)
    }

    /// The times of the sample, if the test knows the draws.
    fn sampled_times(&self) -> Option<Times> {
        let _known = self.sample.draws?;
        self.config.sample_times()
    }

    /// Counts a call that is timed, and returns its weight.
    pub(super) fn time(&mut self) -> u32 {
        let Some(times) = self.sampled_times() else {
            return 0;
        };
        let weight = self.sample.timed;
        let is_old = self.sample.note(self.now, 1, times);
        if is_old { 0 } else { weight }
    }

    /// A failure looks at the period.
    pub(super) fn look_at_sample(&mut self) {
        if let Some(times) = self.sampled_times() {
            self.sample.note(self.now, 0, times);
        }
    }

    /// Whether a timed call that begins now is watched.
    pub(super) fn picks(&self) -> bool {
        let Some(Draws { bits, .. }) = self.sample.draws else {
            return true;
        };
        bits < u64::MAX >> self.sample.watched || self.now >= self.sample.look_at
    }

    /// Watches a timed call, and returns the weight that this adds.
    pub(super) fn watch(&mut self) -> u32 {
        let quarter = self.config.quarter();
        match self.sample.draws {
            Some(_) => self.sample.watch(self.now, quarter),
            None => 0,
        }
    }

    /// Whether a watched call is among those that would be watched now.
    pub(super) fn stays_watched(&self, permit: &ModelPermit) -> bool {
        let weight = self.sample.timed + self.sample.watched;
        let own = permit.watched_weight;
        stays(own, weight, mixed(permit.begin) >> own)
    }

    /// Whether a timed call that ends now is among those that would be timed now.
    pub(super) fn stays_timed(&self, weight: u32) -> bool {
        stays(weight, self.sample.timed, mixed(self.now))
    }

    /// The largest weight of the timed calls of the last window.
    pub(super) fn largest_weight(&self) -> u32 {
        let memory = self.config.sample_times().map_or(0, |times| times.memory);
        let (largest, ended) = self.sample.largest;
        let age = (self.now >> 8).saturating_sub(ended);
        let remembered = if age > memory { 0 } else { largest };
        self.sample.timed.max(remembered)
    }

    /// Like [`largest_weight`](Self::largest_weight), of watched calls.
    pub(super) fn largest_weight_of_watched(&self) -> u32 {
        self.largest_weight() + self.sample.watched
    }
}

impl Call {
    /// The calls that this one stands for among the slow ones.
    pub(super) fn stands_for(&self) -> u64 {
        self.weight.map_or(0, |weight| 1 << weight)
    }
}
