//! The interface of every breaker in the lab, ours and the others.

/// Nanoseconds since the simulation began.
pub type Nanos = u64;

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The breaker lets all calls through.
    Closed,
    /// The breaker rejects all calls.
    Open,
    /// The breaker lets some calls through to test the dependency.
    Recovering,
}

/// One breaker. The simulation asks it before each call and reports each outcome. Time never goes
/// back.
pub trait Breaker {
    /// What the breaker hands out for an admitted call and takes back at its end.
    type Permit;

    /// Asks to make a call at `now`. Returns `None` if the breaker rejects it.
    fn admit(&mut self, now: Nanos) -> Option<Self::Permit>;

    /// Reports that an admitted call ended at `now`, after `took`, with success or failure.
    fn record(&mut self, permit: Self::Permit, now: Nanos, succeeded: bool, took: Nanos);

    /// The phase at `now`. This is not a request to make a call.
    fn phase(&self, now: Nanos) -> Phase;
}
