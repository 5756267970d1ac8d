//! Traffic through a breaker with a mock clock, and backends that answer it.

use std::collections::VecDeque;
use std::time::Duration;

use tripcurve::handles::OwnedPermit;
use tripcurve::time::Clock;
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, Outcome, Recovery, State, TripPolicy};

/// The time when the breaker trips, in seconds.
pub(crate) const TRIP: f64 = 10.0;

/// The behaviour of a backend from [`TRIP`] on. Times are in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    /// It fails all calls until then.
    Dead { until: f64 },
    /// It fails this share of the calls.
    Failing { share: f64 },
    /// It is dead until then. Afterwards its capacity grows in 30 s from a fifth of the traffic to
    /// six fifths. Calls beyond the capacity fail. A load of 1.5 times the capacity for half a
    /// second kills it for 5 s, and then its capacity starts again. It measures its load over 200
    /// ms.
    Slow { from: f64 },
}

/// The figures of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// When the breaker closed for good.
    pub(crate) closed_at: Option<f64>,
    /// Failed calls, in seconds of traffic.
    pub(crate) failed: f64,
    /// Calls that were rejected although the backend had capacity, in seconds of traffic.
    pub(crate) lost: f64,
    /// The number of trips after the first one.
    pub(crate) trips: u32,
    /// How many times overload killed the backend.
    pub(crate) kills: u32,
}

/// A number of calls per second that take 20 ms. Each comes at a random time of its own interval.
pub(crate) struct Drive {
    rate: f64,
    random: u64,
    breaker: CircuitBreaker,
    hand: tripcurve::time::MockClock,
    in_flight: VecDeque<(f64, OwnedPermit, Outcome)>,
    /// The begins of the calls in the backend's present load.
    felt: VecDeque<f64>,
    /// Since when the backend is overloaded.
    overloaded: Option<f64>,
    last: State,
    figures: Figures,
}

impl Drive {
    const LATENCY: f64 = 0.02;
    const FEELS: f64 = 0.2;

    pub(crate) fn new(rate: f64, seed: u32) -> Self {
        let (clock, hand) = Clock::mock();
        let breaker = CircuitBreaker::builder(format!("seed {seed}"))
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(50))
            .window(Window::time(Duration::from_secs(2), 10))
            .recovery(Recovery::adaptive())
            .clock(clock)
            .build()
            .unwrap();
        Self {
            rate,
            random: u64::from(seed) * 2 + 1,
            breaker,
            hand,
            in_flight: VecDeque::new(),
            felt: VecDeque::new(),
            overloaded: None,
            last: State::Closed,
            figures: Figures::default(),
        }
    }

    /// A number in `0.0..1.0` (Marsaglia 2003, "Xorshift RNGs", followed by a multiplication).
    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let bits = self.random.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        f64::from(u32::try_from(bits).unwrap()) / 2_f64.powi(32)
    }

    fn note(&mut self, at: f64) {
        let state = self.breaker.state();
        match (self.last, state) {
            (State::Closed, State::Open) => {
                self.figures.trips += 1;
                self.figures.closed_at = None;
            }
            (State::HalfOpen, State::Closed) => self.figures.closed_at = Some(at),
            _ => {}
        }
        self.last = state;
    }

    /// The probability that a call at this time succeeds, and that one additional call would.
    fn odds(&mut self, backend: &mut Backend, at: f64) -> (f64, f64) {
        let both = |odds| (odds, odds);
        match *backend {
            _ if at < TRIP => both(1.0),
            Backend::Dead { until } => both(if at < until { 0.0 } else { 1.0 }),
            Backend::Failing { share } => both(1.0 - share),
            Backend::Slow { from } if at < from => both(0.0),
            Backend::Slow { from } => {
                while self
                    .felt
                    .front()
                    .is_some_and(|began| *began < at - Self::FEELS)
                {
                    self.felt.pop_front();
                }
                let calls = u32::try_from(self.felt.len()).unwrap();
                let load = f64::from(calls) / Self::FEELS;
                let capacity = (0.2 + (at - from) / 30.0).min(1.2) * self.rate;
                if load <= 1.5 * capacity || calls < 2 {
                    self.overloaded = None;
                } else if at - *self.overloaded.get_or_insert(at) > 0.5 {
                    self.figures.kills += 1;
                    *backend = Backend::Slow { from: at + 5.0 };
                }
                let idle = (capacity.min(self.rate) - load) / (self.rate - load).max(1e-9);
                (capacity / load.max(1e-9), idle.clamp(0.0, 1.0))
            }
        }
    }

    /// Reports the calls that have ended by then.
    fn reports(&mut self, now: f64) {
        while self.in_flight.front().is_some_and(|(end, ..)| *end <= now) {
            let Some((end, permit, outcome)) = self.in_flight.pop_front() else {
                return;
            };
            self.hand.advance_to(Duration::from_secs_f64(end));
            permit.record(outcome);
            self.note(end);
        }
    }

    /// Runs the traffic until then. A call trips the breaker at [`TRIP`].
    pub(crate) fn run(mut self, mut backend: Backend, end: f64) -> Figures {
        let mut call = 0_u32;
        let mut has_tripped = false;
        loop {
            let now = (f64::from(call) + self.random()) / self.rate;
            call += 1;
            if now > end {
                return self.figures;
            }
            self.reports(now);
            self.hand.advance_to(Duration::from_secs_f64(now));
            if now >= TRIP && !has_tripped {
                has_tripped = true;
                self.breaker.try_acquire().unwrap().record(Outcome::Trip);
                self.last = State::Open;
            }
            let (odds, spare) = self.odds(&mut backend, now);
            let is_good = self.random() < odds;
            if let Ok(permit) = self.breaker.try_acquire_owned() {
                self.felt.push_back(now);
                let outcome = if is_good {
                    Outcome::Success
                } else {
                    Outcome::Failure
                };
                let failed = f64::from(u8::from(!is_good));
                self.figures.failed += failed / self.rate;
                self.in_flight
                    .push_back((now + Self::LATENCY, permit, outcome));
            } else {
                self.figures.lost += spare / self.rate;
            }
            self.note(now);
        }
    }
}
