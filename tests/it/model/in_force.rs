//! Which of two tolerated shares is in force.

const SECOND: u64 = 1_000_000_000;

/// Whether the larger share is in force, and since when the breaker has not opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InForce {
    pub(super) is_more: bool,
    /// Whether an hour has ended the larger share. Who looks at it resets it.
    pub(super) has_expired: bool,
    latest_opening: u64,
}

impl InForce {
    /// The breaker opens, or a ramp of it fails, because so many of the calls failed. A ramp last
    /// had too many failures at the date `cut`.
    ///
    /// An opening on 65 % is one on an outage. Otherwise a cut in the ten minutes before puts the
    /// larger share in force. It stays in force for an hour.
    pub(super) fn open(&mut self, (failures, calls): (u32, u32), cut: Option<u64>, now: u64) {
        let is_outage = f64::from(failures) / f64::from(calls.max(1)) >= 0.65;
        let is_cut = cut.is_some_and(|cut| now - cut < 600 * SECOND);
        let stays = self.is_more && now - self.latest_opening < 3_600 * SECOND;
        self.is_more = !is_outage && (is_cut || stays);
        self.latest_opening = now;
    }

    /// An hour without an opening ends the larger share.
    pub(super) fn look(&mut self, now: u64) {
        if self.is_more && now - self.latest_opening >= 3_600 * SECOND {
            self.is_more = false;
            self.has_expired = true;
        }
    }
}
