//! What all breakers of the lab have in common, ours and the others.

/// Nanoseconds since the simulation began.
pub type Nanos = u64;

/// What a breaker does with calls at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It lets all calls through.
    Closed,
    /// It lets none through.
    Open,
    /// It lets some through to find out.
    Recovering,
}

/// One breaker: asked before each call, told after it. Time never goes back.
pub trait Breaker {
    /// What a call that was let through gives back when it ends.
    type Permit;

    /// Whether a call may be made at `now`.
    fn admit(&mut self, now: Nanos) -> Option<Self::Permit>;

    /// A call that was let through ended at `now`; it took `took` and succeeded or not.
    fn record(&mut self, permit: Self::Permit, now: Nanos, succeeded: bool, took: Nanos);

    /// What it does now, without asking it for a call.
    fn phase(&self, now: Nanos) -> Phase;
}
