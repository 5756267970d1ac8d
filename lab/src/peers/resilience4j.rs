//! resilience4j's `CircuitBreaker`: rates over a window of calls or of seconds.
//!
//! The source is `CircuitBreakerStateMachine.java`, `CircuitBreakerMetrics.java` and
//! `CircuitBreakerConfig.java`. These are left out: the longest wait in half-open, growing waits,
//! states that are set by hand, and clocks that are set back. Seconds are those of the lab.

use crate::breaker::{Breaker, Nanos, Phase};

use super::SECOND;
use super::count_window::CountWindow;
use super::counts::Counts;
use super::time_window::TimeWindow;

/// The window of the rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// This many calls. The minimum of calls is at most as many.
    Calls(u32),
    /// This many whole seconds, including the present one.
    Seconds(u32),
}

/// resilience4j's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `failureRateThreshold`: it trips from this percentage of failed calls on. Default: 50.
    pub failure_rate: f64,
    /// `slowCallRateThreshold`: it trips from this percentage of slow calls on. Default: 100.
    pub slow_call_rate: f64,
    /// `slowCallDurationThreshold`: a call that takes longer than this is slow. Default: 60 s.
    pub slow_call_duration: Nanos,
    /// `slidingWindowType` and `slidingWindowSize`. Default: 100 calls.
    pub window: Window,
    /// `minimumNumberOfCalls`: no verdict on fewer. Default: 100.
    pub minimum_calls: u32,
    /// `waitDurationInOpenState`: once more than this has passed, a call is let through. Default:
    /// 60 s.
    pub wait_in_open: Nanos,
    /// `permittedNumberOfCallsInHalfOpenState`: how many calls half-open lets through, and the size
    /// of its window. Default: 10.
    pub permitted_in_half_open: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failure_rate: 50.0,
            slow_call_rate: 100.0,
            slow_call_duration: 60 * SECOND,
            window: Window::Calls(100),
            minimum_calls: 100,
            wait_in_open: 60 * SECOND,
            permitted_in_half_open: 10,
        }
    }
}

#[derive(Clone, Debug)]
enum Recent {
    Calls(CountWindow),
    Seconds(TimeWindow<Counts>),
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { since: Nanos },
    HalfOpen { permits: u32 },
}

/// A breaker that decides as resilience4j's does.
#[derive(Clone, Debug)]
pub struct Resilience4j {
    settings: Settings,
    state: State,
    recent: Recent,
    probes: CountWindow,
}

impl Resilience4j {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            recent: match settings.window {
                Window::Calls(size) => Recent::Calls(CountWindow::new(size)),
                Window::Seconds(seconds) => Recent::Seconds(TimeWindow::new(SECOND, seconds)),
            },
            probes: CountWindow::new(settings.permitted_in_half_open),
            state: State::Closed,
            settings,
        }
    }

    fn waited(&self, since: Nanos, now: Nanos) -> bool {
        now > since + self.settings.wait_in_open
    }

    /// Whether these calls are too bad. `None` if there are too few for a verdict.
    fn verdict(&self, calls: Counts, minimum: u32) -> Option<bool> {
        (calls.total > 0 && calls.total >= minimum).then(|| {
            calls.failed_share() * 100.0 >= self.settings.failure_rate
                || calls.slow_share() * 100.0 >= self.settings.slow_call_rate
        })
    }
}

impl Breaker for Resilience4j {
    type Permit = ();

    fn admit(&mut self, now: Nanos) -> Option<()> {
        if let State::Open { since } = self.state
            && self.waited(since, now)
        {
            self.probes.clear();
            self.state = State::HalfOpen {
                permits: self.settings.permitted_in_half_open,
            };
        }
        match &mut self.state {
            State::Closed => Some(()),
            State::Open { .. } => None,
            State::HalfOpen { permits } => {
                *permits = permits.checked_sub(1)?;
                Some(())
            }
        }
    }

    fn record(&mut self, (): (), now: Nanos, succeeded: bool, took: Nanos) {
        let call = Counts::one(!succeeded, took > self.settings.slow_call_duration);
        let minimum = self.settings.minimum_calls;
        match self.state {
            State::Closed => {
                let (calls, minimum) = match &mut self.recent {
                    Recent::Calls(window) => (window.record(call), minimum.min(window.size())),
                    Recent::Seconds(window) => (window.add(now, call), minimum),
                };
                if self.verdict(calls, minimum) == Some(true) {
                    self.state = State::Open { since: now };
                }
            }
            // Such a call goes to a window that is never judged again.
            State::Open { .. } => {}
            // A call counts here in whichever state it was let through.
            State::HalfOpen { .. } => {
                let calls = self.probes.record(call);
                let minimum = minimum.min(self.settings.permitted_in_half_open);
                match self.verdict(calls, minimum) {
                    Some(true) => self.state = State::Open { since: now },
                    Some(false) => {
                        match &mut self.recent {
                            Recent::Calls(window) => window.clear(),
                            Recent::Seconds(window) => window.clear(),
                        }
                        self.state = State::Closed;
                    }
                    None => {}
                }
            }
        }
    }

    fn phase(&self, now: Nanos) -> Phase {
        match self.state {
            State::Closed => Phase::Closed,
            State::Open { since } if !self.waited(since, now) => Phase::Open,
            State::Open { .. } | State::HalfOpen { .. } => Phase::Recovering,
        }
    }
}
