//! The newest state of a fleet that a member has heard of.

use std::time::Duration;

use crate::message::{FleetState, FleetView, Member, Sender};

/// For how long a fleet is believed not to be closed without a word from the store.
pub(super) const BELIEVED: Duration = Duration::from_secs(15);

/// What a view is to what was known before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// An older state, which is ignored.
    Older,
    /// The state that was known.
    Same,
    /// A later state, round or turn.
    Newer,
}

/// The newest state. The highest epoch wins, whoever said it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    view: FleetView,
    heard: Duration,
}

impl Known {
    pub(super) fn view(&self) -> &FleetView {
        &self.view
    }

    pub(super) fn state(&self) -> FleetState {
        self.view.state
    }

    pub(super) fn learn(&mut self, view: &FleetView, now: Duration) -> News {
        let place = |it: &FleetView| (it.epoch, it.round, it.turn);
        let news = match place(view).cmp(&place(&self.view)) {
            std::cmp::Ordering::Less => return News::Older,
            // A state ends with its epoch.
            std::cmp::Ordering::Equal if view.state != self.view.state => return News::Older,
            std::cmp::Ordering::Equal => News::Same,
            std::cmp::Ordering::Greater => News::Newer,
        };
        (self.view, self.heard) = (*view, now);
        news
    }

    /// Forgets a state that isn't closed if nothing was heard of it for long.
    ///
    /// By then the breaker has decided for itself. Returns whether it was forgotten.
    pub(super) fn expire(&mut self, now: Duration) -> bool {
        let is_old = now.saturating_sub(self.heard) > BELIEVED;
        let forgets = self.view.state != FleetState::Closed && is_old;
        if forgets {
            self.forget();
        }
        forgets
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn sender(&self, member: Member) -> Sender {
        Sender::knowing(member, &self.view)
    }

    /// When a probe may be leased, by this process's clock.
    pub(super) fn due(&self) -> Duration {
        self.heard + Duration::from_millis(self.view.due_ms)
    }

    /// How long ago the fleet opened.
    pub(super) fn outage_age(&self, now: Duration) -> Duration {
        self.older(self.view.outage_ms, now)
    }

    /// How long ago the state or the round began.
    pub(super) fn age(&self, now: Duration) -> Duration {
        self.older(self.view.age_ms, now)
    }

    fn older(&self, age_ms: u64, now: Duration) -> Duration {
        Duration::from_millis(age_ms) + now.saturating_sub(self.heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn view(epoch: u64, state: FleetState, round: u32, turn: u64) -> FleetView {
        FleetView {
            epoch,
            state,
            round,
            turn,
            share: 1,
            ..FleetView::default()
        }
    }

    #[test]
    fn the_highest_epoch_wins_in_whatever_order_views_come() {
        let mut known = Known::default();
        let open = view(7, FleetState::Open, 0, 2);
        assert_eq!(known.learn(&open, NOW), News::Newer);
        assert_eq!(
            known.learn(&view(7, FleetState::Open, 0, 1), NOW),
            News::Older
        );
        assert_eq!(
            known.learn(&view(6, FleetState::Closed, 0, 0), NOW),
            News::Older
        );
        assert_eq!(
            known.learn(&view(7, FleetState::Closed, 0, 2), NOW),
            News::Older
        );
        assert_eq!(known.learn(&open, NOW), News::Same);
        assert_eq!(
            known.learn(&view(8, FleetState::Ramp, 1, 0), NOW),
            News::Newer
        );
        assert_eq!(
            known.learn(&view(8, FleetState::Ramp, 3, 0), NOW),
            News::Newer
        );
        assert_eq!(
            known.learn(&view(8, FleetState::Ramp, 2, 0), NOW),
            News::Older
        );
        assert_eq!(known.view().round, 3);
    }

    #[test]
    fn an_open_fleet_of_which_nothing_is_heard_is_forgotten_and_a_closed_one_is_not() {
        let mut known = Known::default();
        known.learn(&view(7, FleetState::Open, 0, 2), NOW);
        assert!(!known.expire(NOW + BELIEVED));
        assert!(known.expire(NOW + 2 * BELIEVED));
        assert_eq!(known.sender(Member(1)), Sender::new(Member(1)));
        known.learn(&view(8, FleetState::Closed, 0, 0), NOW);
        assert!(!known.expire(100 * NOW));
        assert_eq!(known.sender(Member(1)).epoch, 8);
    }

    #[test]
    fn times_in_a_view_count_from_the_moment_it_was_heard() {
        let mut known = Known::default();
        let open = FleetView {
            due_ms: 500,
            outage_ms: 3_000,
            age_ms: 2_000,
            ..view(7, FleetState::Open, 0, 2)
        };
        known.learn(&open, NOW);
        assert_eq!(known.due(), NOW + Duration::from_millis(500));
        let later = NOW + Duration::from_secs(1);
        assert_eq!(known.outage_age(later), Duration::from_secs(4));
        assert_eq!(known.age(later), Duration::from_secs(3));
    }
}
