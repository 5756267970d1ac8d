//! recloser 1.4: an error rate over a ring of calls, judged only once the ring is full.
//!
//! The source is `recloser.rs` and `ring_buffer.rs`. `tests/it/peers_recloser.rs` compares this
//! module with the crate call by call.

use crate::breaker::{Breaker, Nanos, Phase};

use super::SECOND;
use super::count_window::CountWindow;
use super::counts::Counts;

/// recloser's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `error_rate_closed`: it trips from this share of errors on. Default: 0.5.
    pub error_rate_closed: f32,
    /// `error_rate_half_open`: a success closes it up to this share; an error reopens it from this
    /// share on. Default: 0.5.
    pub error_rate_half_open: f32,
    /// `closed_len`: the calls of the ring while closed. Default: 100.
    pub closed_length: u16,
    /// `half_open_len`: the calls of the ring while half-open, which lets all through. Default: 10.
    pub half_open_length: u16,
    /// `open_wait`: once more than this has passed, calls are let through. Default: 30 s.
    pub open_wait: Nanos,
    /// `open_wait_strategy`: the wait after it opened this many times in a row, given `open_wait`.
    /// Default: none.
    pub open_wait_strategy: Option<fn(u32, Nanos) -> Nanos>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            error_rate_closed: 0.5,
            error_rate_half_open: 0.5,
            closed_length: 100,
            half_open_length: 10,
            open_wait: 30 * SECOND,
            open_wait_strategy: None,
        }
    }
}

/// A ring of calls. It has an error rate once it was full before the call.
#[derive(Clone, Debug)]
struct Ring {
    length: u16,
    calls: CountWindow,
    filled: u16,
}

impl Ring {
    fn new(length: u16) -> Self {
        let length = length.max(1);
        Self {
            length,
            calls: CountWindow::new(length.into()),
            filled: 0,
        }
    }

    fn record(&mut self, failed: bool) -> Option<f32> {
        let calls = self.calls.record(Counts::one(failed, false));
        if self.filled < self.length {
            self.filled += 1;
            return None;
        }
        // In `f32` like the crate, so that a rate at the threshold falls on the same side.
        let failed = u16::try_from(calls.failed).unwrap_or(u16::MAX);
        Some(f32::from(failed) / f32::from(self.length))
    }

    fn clear(&mut self) {
        self.calls.clear();
        self.filled = 0;
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until: Nanos, times: u32 },
    HalfOpen { times: u32 },
}

/// A breaker that decides as recloser does.
#[derive(Clone, Debug)]
pub struct Recloser {
    settings: Settings,
    state: State,
    closed: Ring,
    half_open: Ring,
}

impl Recloser {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            state: State::Closed,
            closed: Ring::new(settings.closed_length),
            half_open: Ring::new(settings.half_open_length),
            settings,
        }
    }
}

impl Breaker for Recloser {
    type Permit = ();

    fn admit(&mut self, now: Nanos) -> Option<()> {
        match self.state {
            State::Closed | State::HalfOpen { .. } => Some(()),
            State::Open { until, times } if now > until => {
                self.half_open.clear();
                self.state = State::HalfOpen { times };
                Some(())
            }
            State::Open { .. } => None,
        }
    }

    fn record(&mut self, (): (), now: Nanos, succeeded: bool, _took: Nanos) {
        let Settings {
            error_rate_closed,
            error_rate_half_open,
            open_wait,
            ..
        } = self.settings;
        // A call counts in the current state's ring, in whichever state it was let through.
        match self.state {
            State::Closed => {
                let rate = self.closed.record(!succeeded);
                if rate.is_some_and(|rate| rate >= error_rate_closed) {
                    self.state = State::Open {
                        until: now + open_wait,
                        times: 1,
                    };
                }
            }
            State::HalfOpen { times } => match self.half_open.record(!succeeded) {
                Some(rate) if succeeded && rate <= error_rate_half_open => {
                    self.closed.clear();
                    self.state = State::Closed;
                }
                Some(rate) if !succeeded && rate >= error_rate_half_open => {
                    let wait = self
                        .settings
                        .open_wait_strategy
                        .map_or(open_wait, |strategy| strategy(times, open_wait));
                    self.state = State::Open {
                        until: now + wait,
                        times: times + 1,
                    };
                }
                _ => {}
            },
            State::Open { .. } => {}
        }
    }

    fn phase(&self, now: Nanos) -> Phase {
        match self.state {
            State::Closed => Phase::Closed,
            State::Open { until, .. } if now <= until => Phase::Open,
            State::Open { .. } | State::HalfOpen { .. } => Phase::Recovering,
        }
    }
}
