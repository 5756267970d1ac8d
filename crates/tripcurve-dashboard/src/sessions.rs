//! Sessions keep what each page knows between two of its streams.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::row::Brief;

/// A session without a stream is kept for this long.
const KEPT: Duration = Duration::from_secs(30);

/// How many sessions are kept at most. That is twice as many as there may be streams.
const MOST: usize = 512;

/// What a page knows.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The briefs that the page has.
    pub(crate) sent: HashMap<u32, Brief>,
    /// The hashes of the details that the page has.
    pub(crate) details: HashMap<u32, u64>,
    /// The last event that the page has, or 0 if there was none. `None` before the first message.
    pub(crate) event: Option<u64>,
    /// The frame up to which the page knows what is gone.
    pub(crate) gone_since: u64,
}

/// The right of one stream to a session. A page that asks for other details opens another stream,
/// and the former one ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) session: u64,
    owner: u64,
    /// When the page got its last message, if it had a stream before.
    pub(crate) told_at: Option<Instant>,
}

#[derive(Debug)]
struct Session {
    owner: u64,
    /// The number of the last message.
    message: u64,
    /// Empty while a message is being written.
    known: Option<Known>,
    at: Instant,
    /// When the last message was written.
    told_at: Option<Instant>,
}

/// The pages.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<u64, Session>>);

impl Sessions {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<u64, Session>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Leases a session. If the page comes back and has got each message, it keeps what it knows.
    /// Otherwise `afresh` gives what it knows.
    pub(crate) fn lease(
        &self,
        former: Option<(u64, u64)>,
        afresh: impl FnOnce() -> Known,
    ) -> (Lease, bool) {
        self.with(|all| {
            let now = Instant::now();
            all.retain(|_, session| now.duration_since(session.at) < KEPT);
            if let Some((id, message)) = former
                && let Some(session) = all.get_mut(&id)
                && session.message == message
                && session.known.is_some()
            {
                session.owner += 1;
                session.at = now;
                let lease = Lease {
                    session: id,
                    owner: session.owner,
                    told_at: session.told_at,
                };
                return (lease, true);
            }
            if all.len() >= MOST {
                let oldest = all.iter().min_by_key(|(_, session)| session.at);
                if let Some(oldest) = oldest.map(|(id, _)| *id) {
                    all.remove(&oldest);
                }
            }
            let id = unguessable();
            let session = Session {
                owner: 1,
                message: 0,
                known: Some(afresh()),
                at: now,
                told_at: None,
            };
            all.insert(id, session);
            let lease = Lease {
                session: id,
                owner: 1,
                told_at: None,
            };
            (lease, false)
        })
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.with(|all| all.len())
    }

    /// Takes what the page knows. `None` if another stream has the lease.
    pub(crate) fn take(&self, lease: Lease) -> Option<Known> {
        self.with(|all| {
            let session = all.get_mut(&lease.session);
            session.filter(|it| it.owner == lease.owner)?.known.take()
        })
    }

    /// Puts back what the page knows. A message was written if `is_news`. Returns its number.
    pub(crate) fn put(&self, lease: Lease, known: Known, is_news: bool) -> u64 {
        self.with(|all| {
            let Some(session) = all.get_mut(&lease.session) else {
                return 0;
            };
            session.known = Some(known);
            session.at = Instant::now();
            if is_news {
                session.message += 1;
                session.told_at = Some(session.at);
            }
            session.message
        })
    }
}

/// A number that nobody can guess, so that no page takes the lease of another.
fn unguessable() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::{Known, MOST, Sessions};

    #[tokio::test]
    async fn a_page_that_has_each_message_keeps_what_it_knows() {
        let sessions = Sessions::default();
        let (first, _) = sessions.lease(None, || Known {
            event: Some(7),
            ..Known::default()
        });
        let known = sessions.take(first).unwrap();
        assert_eq!(sessions.put(first, known, true), 1);

        let former = Some((first.session, 1));
        let (second, keeps) = sessions.lease(former, Known::default);
        assert!(keeps && sessions.take(first).is_none());
        assert_eq!(sessions.take(second).unwrap().event, Some(7));

        // While a message is being written, and after a lost one, the page begins afresh.
        let (_, keeps) = sessions.lease(former, Known::default);
        assert!(!keeps);
        let (_, keeps) = sessions.lease(Some((first.session, 0)), Known::default);
        assert!(!keeps);
    }

    /// Fails when: requests fill the memory with sessions.
    #[tokio::test]
    async fn the_oldest_session_gives_way_to_a_new_one() {
        let sessions = Sessions::default();
        let (first, _) = sessions.lease(None, Known::default);
        for _ in 1..MOST + 5 {
            sessions.lease(None, Known::default);
        }
        let (last, _) = sessions.lease(None, Known::default);
        assert_eq!(sessions.count(), MOST);
        assert!(sessions.take(first).is_none() && sessions.take(last).is_some());
    }
}
