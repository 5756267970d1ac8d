//! The stream of one page: what has changed, at most once a second.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse;
use futures_util::stream::{Stream, unfold};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::Millis;
use crate::events::Event;
use crate::frame::Frame;
use crate::row::{Brief, Detail, Row};
use crate::sampler::PERIOD;
use crate::shared::{OpenStream, Shared};

/// How many bytes of briefs a message has at most. The rest comes a second later.
const BRIEF_BYTES: usize = 20_000;

/// How many bytes of details a message has at most.
const DETAIL_BYTES: usize = 20_000;

/// How many events a message has at most.
const EVENTS: usize = 25;

/// How many cards a page may ask the details of.
const SHOWN: usize = 100;

/// Within so many frames each change has been sent, even if there was too much for one message.
const SETTLED: u64 = 15;

/// After so long without a message, the page is told that the program is there.
const BEAT: Duration = Duration::from_secs(5);

/// What a page asks of its stream.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// The cards that are on the screen.
    pub(crate) show: Vec<u32>,
    /// The last message that the page has: the run of the program, the frame and the event.
    pub(crate) last: Option<(String, u64, u64)>,
}

impl Wishes {
    /// Reads the cards, separated by commas, and the last message, in three parts.
    pub(crate) fn parse(show: Option<&str>, last: Option<&str>) -> Self {
        let ids = show.unwrap_or_default().split(',');
        let show = ids.filter_map(|id| id.parse().ok()).take(SHOWN).collect();
        let last = last.and_then(|last| {
            let mut parts = last.split('-');
            let boot = parts.next()?.to_owned();
            Some((boot, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
        });
        Self { show, last }
    }
}

/// One page, and what it knows.
struct Page {
    stream: OpenStream,
    frames: watch::Receiver<Arc<Frame>>,
    show: Vec<u32>,
    /// The briefs that the page has. `None` if it has the card, but maybe an old brief.
    sent: HashMap<u32, Option<Brief>>,
    details: HashMap<u32, u64>,
    event: u64,
    is_first: bool,
    /// Whether the page must forget what it knew.
    starts_over: bool,
    gone_since: u64,
    due: Instant,
}

/// What has changed. The page's documentation calls it a delta.
#[derive(Serialize)]
struct Delta {
    version: u32,
    at_ms: Millis,
    /// Whether the page must forget all cards and events before this message.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reset: bool,
    /// The number of cards, of which the page may not know all yet.
    cards: usize,
    /// The number of breakers in each state.
    states: [u32; 6],
    /// Arrays of number, key, state, fill, traffic, and 1 for a registry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    briefs: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gone: Vec<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<Arc<Event>>,
}

/// The messages of a stream.
pub(crate) fn messages(
    stream: OpenStream,
    wishes: Wishes,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    unfold(Page::new(stream, wishes), |mut page| async move {
        let message = page.next().await;
        Some((Ok(message), page))
    })
}

impl Page {
    fn new(stream: OpenStream, wishes: Wishes) -> Self {
        let shared = stream.shared();
        let mut frames = shared.frames();
        frames.mark_changed();
        let frame = Arc::clone(&frames.borrow());
        let known = wishes.last.filter(|(boot, number, _)| {
            // Nothing that has gone since may be forgotten.
            *boot == shared.boot && number.saturating_sub(SETTLED) > frame.forgotten
        });
        let mut sent = HashMap::new();
        let settled = known.as_ref().map_or(0, |it| it.1.saturating_sub(SETTLED));
        for row in frame.rows.iter().filter(|it| it.changed_at <= settled) {
            sent.insert(row.id, Some(row.brief));
        }
        Self {
            frames,
            show: wishes.show,
            sent,
            details: HashMap::new(),
            event: known.as_ref().map_or(0, |it| it.2),
            is_first: true,
            starts_over: known.is_none(),
            gone_since: settled,
            due: Instant::now(),
            stream,
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.stream.shared()
    }

    /// The next message: what has changed, or a sign that the program is there.
    async fn next(&mut self) -> sse::Event {
        sleep_until(self.due).await;
        let beat = Instant::now() + BEAT;
        loop {
            let rest = beat.saturating_duration_since(Instant::now());
            let changed = timeout(rest, self.frames.changed()).await;
            let frame = Arc::clone(&self.frames.borrow_and_update());
            let delta = self.delta(&frame);
            let is_news = self.is_first
                || !(delta.briefs.is_empty()
                    && delta.gone.is_empty()
                    && delta.details.is_empty()
                    && delta.events.is_empty());
            if is_news || changed.is_err() {
                self.is_first = false;
                self.due = Instant::now() + PERIOD;
                let id = format!("{}-{}-{}", self.shared().boot, frame.number, self.event);
                let text = serde_json::to_string(&delta).unwrap_or_default();
                return sse::Event::default().event("delta").id(id).data(text);
            }
        }
    }

    fn delta(&mut self, frame: &Frame) -> Delta {
        let reset = std::mem::take(&mut self.starts_over);
        Delta {
            version: 1,
            at_ms: frame.at_ms,
            reset,
            cards: frame.rows.len(),
            states: frame.states,
            gone: self.gone(frame),
            briefs: self.briefs(frame),
            details: self.changed_details(frame),
            events: self.events(),
        }
    }

    fn gone(&mut self, frame: &Frame) -> Vec<u32> {
        let news = frame.gone.iter().filter(|(number, _)| *number > self.gone_since);
        let gone: Vec<u32> = news.map(|(_, id)| *id).collect();
        self.gone_since = frame.number;
        for id in &gone {
            self.sent.remove(id);
            self.details.remove(id);
        }
        gone
    }

    /// The briefs that are news to the page: those of cards in trouble first, and then as many
    /// others as there is room for.
    fn briefs(&mut self, frame: &Frame) -> Vec<Box<RawValue>> {
        let is_news = |row: &&Arc<Row>| self.sent.get(&row.id) != Some(&Some(row.brief));
        let mut news: Vec<&Arc<Row>> = frame.rows.iter().filter(is_news).collect();
        let state_is_news = |row: &Row| {
            let known = self.sent.get(&row.id).copied().flatten();
            known.is_none_or(|known| known.state != row.brief.state)
        };
        // The oldest change goes first, so that each change has its turn.
        news.sort_by_cached_key(|row| {
            let waits = row.changed_at;
            (row.brief.state == 0, !state_is_news(row), waits)
        });
        let mut briefs = Vec::new();
        let mut bytes = 0;
        for row in news {
            let Brief { state, fill, traffic } = row.brief;
            // The key goes with the first brief only.
            let key = (!self.sent.contains_key(&row.id)).then_some(&*row.key);
            let is_registry = u8::from(matches!(row.detail, Detail::Registry(_)));
            let brief = (row.id, key, state, fill, traffic, is_registry);
            let Ok(text) = serde_json::value::to_raw_value(&brief) else {
                continue;
            };
            bytes += text.get().len() + 1;
            if bytes > BRIEF_BYTES {
                break;
            }
            self.sent.insert(row.id, Some(row.brief));
            briefs.push(text);
        }
        briefs
    }

    /// The details of cards on the screen that have changed.
    fn changed_details(&mut self, frame: &Frame) -> Vec<Box<RawValue>> {
        let mut details = Vec::new();
        let mut bytes = 0;
        for id in &self.show {
            let Some(row) = frame.row(*id) else { continue };
            let Ok(text) = serde_json::value::to_raw_value(&**row) else {
                continue;
            };
            let mut hasher = DefaultHasher::new();
            text.get().hash(&mut hasher);
            let hash = hasher.finish();
            if self.details.get(id) == Some(&hash) {
                continue;
            }
            bytes += text.get().len() + 1;
            if bytes > DETAIL_BYTES {
                break;
            }
            self.details.insert(*id, hash);
            details.push(text);
        }
        // The next message begins where this one had no room any more.
        let sent = details.len().min(self.show.len());
        self.show.rotate_left(sent);
        details
    }

    fn events(&mut self) -> Vec<Arc<Event>> {
        let seen = self.event;
        let events = self.shared().log().latest(EVENTS, |event| event.id > seen);
        self.event = events.last().map_or(seen, |event| event.id);
        events
    }
}

#[cfg(test)]
mod tests {
    use super::Wishes;

    #[test]
    fn wishes_are_read_and_nonsense_is_left_out() {
        let wishes = Wishes::parse(Some("1,x,3,,-4"), Some("18c-12-7"));
        assert_eq!(wishes.show, [1, 3]);
        assert_eq!(wishes.last, Some(("18c".to_owned(), 12, 7)));
        assert_eq!(Wishes::parse(None, Some("18c-a-7")).last, None);
        assert!(Wishes::parse(None, None).show.is_empty());
        let many = vec!["7"; 5_000].join(",");
        assert_eq!(Wishes::parse(Some(&many), None).show.len(), 100);
    }
}
