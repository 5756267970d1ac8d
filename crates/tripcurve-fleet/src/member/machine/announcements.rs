//! What other members have changed in the store.

use std::sync::Arc;
use std::time::Duration;

use super::{BreakerId, Effect, JoinedBreaker, Machine, Notice};
use crate::message::FleetState;
use crate::store::Announcement;

impl Machine {
    /// An announcement has come.
    pub fn announced(&mut self, it: &Announcement, now: Duration) {
        // A view that makes no sense is lost. The next answer has the state.
        if !self.link.is_up() || it.view.check().is_err() {
            return;
        }
        let mut breakers = self.breakers.iter();
        let Some((&id, _)) = breakers.find(|(_, joined)| joined.key().as_str() == it.key) else {
            return self.announced_elsewhere(it);
        };
        let entered = self.with(id, now, |joined, random| joined.hear(&it.view, now, random));
        if let Some(state) = entered.flatten() {
            self.entered(id, state, now);
        }
    }

    /// Warns of a fleet that differs from one of ours in its settings only.
    fn announced_elsewhere(&mut self, it: &Announcement) {
        let Some(other) = it.key.rsplit_once('/') else {
            return;
        };
        let ours = |joined: &&JoinedBreaker| {
            let key = joined.key().as_str().rsplit_once('/');
            key.is_some_and(|key| key.0 == other.0)
        };
        if let Some(joined) = self.breakers.values().find(ours) {
            let notice = Notice::OtherSettings {
                breaker: Arc::clone(joined.name()),
                key: joined.key().as_str().to_owned(),
                other: it.key.clone(),
            };
            self.effects.push_back(Effect::Notify(notice));
        }
    }

    pub(super) fn entered(&mut self, id: BreakerId, state: FleetState, now: Duration) {
        let Some(joined) = self.breakers.get(&id) else {
            return;
        };
        let breaker = Arc::clone(joined.name());
        self.effects
            .push_back(Effect::Notify(Notice::State { breaker, state }));
        if state == FleetState::Open {
            let joined = self.breakers.len();
            if let Some(opened) = self.mass.opened(id, joined, now) {
                self.effects
                    .push_back(Effect::Notify(Notice::MassOrder { opened, joined }));
            }
        }
    }
}
