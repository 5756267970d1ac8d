//! Notices when a process loses most of its breakers at once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::machine::BreakerId;

const WITHIN: Duration = Duration::from_secs(1);

/// When fleets have opened breakers of this member.
#[derive(Debug, Default)]
pub(super) struct MassOrders {
    opened: BTreeMap<BreakerId, Duration>,
    told: Option<Duration>,
}

impl MassOrders {
    /// Returns how many were opened within a second, if it is worth telling: two at least and more
    /// than half of those that have joined, and not told within a second.
    pub(super) fn opened(&mut self, id: BreakerId, joined: usize, now: Duration) -> Option<usize> {
        let is_recent = |then: Duration| now.saturating_sub(then) < WITHIN;
        self.opened.retain(|_, then| is_recent(*then));
        self.opened.insert(id, now);
        let opened = self.opened.len();
        let tells = opened >= 2 && 2 * opened > joined && !self.told.is_some_and(is_recent);
        if tells {
            self.told = Some(now);
        }
        tells.then_some(opened)
    }
}
