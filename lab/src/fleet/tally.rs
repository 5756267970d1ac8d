//! What is counted in a world.

use tripcurve_fleet::member::{Reply, Request};

use crate::breaker::Nanos;

/// Counts since the last time they were taken.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Calls that asked.
    pub asked: u64,
    /// Calls that were admitted.
    pub admitted: u64,
    /// Calls that were admitted and fail.
    pub failed: u64,
    /// Calls that were rejected and would have ended well.
    pub good_rejected: u64,
    /// Calls that fail, of members that hadn't been cut off since [`mark`](super::World::mark).
    pub failed_before_cut: u64,
    /// Calls that were admitted by a breaker that isn't closed while its fleet is open.
    pub probes: u64,
    /// Such calls beyond the leases that their member had been granted since the mark.
    pub without_lease: u64,
    /// Leases that were granted.
    pub leases: u64,
    /// Reports, and failures that they counted.
    pub reports: u64,
    /// The failures in these reports.
    pub reported: u64,
    /// Pulses.
    pub pulses: u64,
    /// All messages to the store.
    pub messages: u64,
    /// Announcements that were delivered.
    pub deliveries: u64,
    /// How often the fleet has opened while it was closed.
    pub fleet_trips: u64,
    /// How often breakers have opened while they were closed, for whatever reason.
    pub trips: u64,
    /// When a tenth, half, 95 % and all of the members had been cut off since the mark.
    pub cut_off: [Option<Nanos>; 4],
}

impl Tally {
    /// The shares of the members of [`cut_off`](Self::cut_off).
    pub const SHARES: [f64; 4] = [0.1, 0.5, 0.95, 1.0];

    pub(super) fn sends(&mut self, request: &Request) {
        self.messages += 1;
        match request {
            Request::Report(it) => {
                self.reports += 1;
                self.reported += u64::from(it.failures);
            }
            Request::Pulse(_) => self.pulses += 1,
            _ => {}
        }
    }

    pub(super) fn hears(&mut self, reply: &Reply) -> bool {
        let leased = matches!(reply, Reply::Lease(it) if it.lease.is_some());
        self.leases += u64::from(leased);
        leased
    }
}
