//! When a member reports the failures of a breaker, and which.

use std::time::Duration;

use tripcurve::fleet::FleetPort;

use super::outbox::Outbox;
use super::tokens::Tokens;
use crate::verdict::Failures;

/// What a member has yet to report of a breaker, and how soon it may.
#[derive(Debug)]
pub(super) struct Reporting {
    outbox: Outbox,
    tokens: Tokens,
    /// Whether the breaker has failures that the fleet wasn't told of.
    unreported: bool,
}

impl Reporting {
    pub(super) fn new() -> Self {
        Self {
            outbox: Outbox::default(),
            tokens: Tokens::new(),
            unreported: false,
        }
    }

    /// The breaker has failures that the fleet wasn't told of.
    pub(super) fn fails(&mut self) {
        self.unreported = true;
    }

    /// Whether the failures have been taken, so that later ones are to be watched for.
    pub(super) fn watches(&self) -> bool {
        !self.unreported
    }

    /// When there may be a report: in the past if there is one now.
    pub(super) fn wake_at(&self) -> Duration {
        if !self.outbox.is_empty() {
            Duration::ZERO
        } else if self.unreported {
            self.tokens.next()
        } else {
            Duration::MAX
        }
    }

    /// The next report with its number. It stays until it is [answered](Self::answered).
    pub(super) fn next(&mut self, port: &FleetPort, now: Duration) -> Option<(u64, Failures)> {
        if self.outbox.is_empty() && self.unreported && self.tokens.take(now) {
            self.unreported = false;
            if let Some(it) = port.take_unreported() {
                self.outbox
                    .add(it.failures(), it.surprise(), it.spread(), now);
            }
        }
        self.outbox.next(now)
    }

    /// The number of the next message that must count once.
    pub(super) fn number(&mut self) -> u64 {
        self.outbox.number()
    }

    /// A store has answered the last report.
    pub(super) fn answered(&mut self) {
        self.outbox.answered();
    }

    /// Drops what was taken from the breaker and not answered.
    pub(super) fn clear(&mut self) {
        self.outbox.clear();
    }

    /// Drops all failures up to now, also those that weren't taken from the breaker.
    pub(super) fn drop_all(&mut self, port: &FleetPort) {
        self.outbox.clear();
        if self.unreported {
            self.unreported = false;
            let _old = port.take_unreported();
        }
    }
}
