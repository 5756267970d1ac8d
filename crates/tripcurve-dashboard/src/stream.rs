//! The stream of one page: what has changed, at most once a second.

use std::collections::hash_map::DefaultHasher;
use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse;
use futures_util::stream::{Stream, StreamExt as _, once, unfold};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::{self, Millis};
use crate::events::Event;
use crate::frame::Frame;
use crate::row::{Brief, Detail, Row, rank_of};
use crate::sampler::PERIOD;
use crate::sessions::{Known, Lease};
use crate::shared::{OpenStream, Shared};

/// How many bytes of briefs a message has at most, if the page doesn't know all cards yet. The rest
/// comes a second later. A brief or a detail that is longer by itself is sent alone.
const BRIEF_BYTES: usize = 26_000;

/// How many bytes of briefs a message has at most, once the page knows all cards.
const NEWS_BYTES: usize = 10_000;

/// How many bytes of details a message has at most.
const DETAIL_BYTES: usize = 16_000;

/// How many events a message has at most.
const EVENTS: usize = 15;

/// How many cards a page may ask the details of.
const SHOWN: usize = 100;

/// After so many milliseconds, a message waits for the next frame.
const OLD: Millis = 400;

/// How many details a page gets that doesn't say what it shows.
const FIRST: usize = 40;

/// Within so many frames each change has been sent, even if there was too much for one message.
const SETTLED: u64 = 15;

/// After so long without a message, the page is told that the program is there.
const BEAT: Duration = Duration::from_secs(5);

/// The last message that a page has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LastMessage {
    /// The run of the program.
    boot: String,
    session: u64,
    message: u64,
    frame: u64,
    event: u64,
}

impl LastMessage {
    fn parse(text: &str) -> Option<Self> {
        let (boot, numbers) = text.split_once('-')?;
        let numbers: Option<Vec<u64>> = numbers.split('-').map(|it| it.parse().ok()).collect();
        let &[session, message, frame, event] = numbers?.as_slice() else {
            return None;
        };
        Some(Self {
            boot: boot.to_owned(),
            session,
            message,
            frame,
            event,
        })
    }
}

/// The details that a page asks for, and the last message that it has.
#[derive(Debug, Default)]
pub(crate) struct Subscription {
    /// The cards that are on the screen. `None` asks for those in the worst trouble.
    show: Option<Vec<u32>>,
    last: Option<LastMessage>,
}

impl Subscription {
    /// Reads the cards, separated by commas, and the number of the last message.
    pub(crate) fn parse(show: Option<&str>, last: Option<&str>) -> Self {
        let show = show.map(|show| {
            let ids = show.split(',').filter_map(|id| id.parse().ok());
            ids.take(SHOWN).collect()
        });
        let last = last.and_then(LastMessage::parse);
        Self { show, last }
    }
}

/// One stream of a page.
struct Page {
    stream: OpenStream,
    lease: Lease,
    frames: watch::Receiver<Arc<Frame>>,
    show: Vec<u32>,
    is_first: bool,
    /// Whether the page must forget what it knew.
    starts_over: bool,
    due: Instant,
}

/// The changes since the last message. The README documents it.
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
    subscription: Subscription,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    // The first poll makes the session, and it also makes the first message. The stream of a HEAD
    // request is never polled.
    let page = once(async { Page::new(stream, subscription) });
    page.flat_map(|page| {
        unfold(page, |mut page| async move {
            let message = page.next().await?;
            Some((Ok(message), page))
        })
    })
}

/// What a page knows that got its last message some time ago: what has not changed since.
fn known_since(last: &LastMessage, frame: &Frame) -> Known {
    let settled = last.frame.saturating_sub(SETTLED);
    let old = frame.rows.iter().filter(|row| row.changed_at <= settled);
    Known {
        sent: old.map(|row| (row.id, row.brief)).collect(),
        event: Some(last.event),
        gone_since: settled,
        ..Known::default()
    }
}

/// The cards that a page shows first: those in trouble, then the others by name.
fn worst(frame: &Frame) -> Vec<u32> {
    let mut rows: Vec<&Arc<Row>> = frame.rows.iter().collect();
    rows.sort_by_key(|row| (rank_of(row.state), row.brief.fill < 10, &row.key));
    rows.iter().take(FIRST).map(|row| row.id).collect()
}

impl Page {
    fn new(stream: OpenStream, subscription: Subscription) -> Self {
        let shared = stream.shared();
        let mut frames = shared.frames();
        frames.mark_changed();
        let frame = Arc::clone(&frames.borrow());
        let last = subscription.last.filter(|last| last.boot == shared.boot);
        let former = last.as_ref().map(|last| (last.session, last.message));
        // Nothing that has gone since may be forgotten.
        let since = last.filter(|it| it.frame.saturating_sub(SETTLED) > frame.forgotten);
        let afresh = || {
            let known = since.as_ref().map(|last| known_since(last, &frame));
            known.unwrap_or_default()
        };
        let (lease, keeps) = shared.sessions().lease(former, afresh);
        Self {
            lease,
            frames,
            show: subscription.show.unwrap_or_else(|| worst(&frame)),
            is_first: true,
            starts_over: !keeps && since.is_none(),
            // A page that opens stream after stream gets one message a second too.
            due: lease.told_at.map_or_else(Instant::now, |at| at + PERIOD),
            stream,
        }
    }

    /// The next message: what has changed, or a sign that the program is there. `None` if the page
    /// has another stream.
    async fn next(&mut self) -> Option<sse::Event> {
        let shared = Arc::clone(self.stream.shared());
        if self.due > Instant::now() {
            sleep_until(self.due).await;
            // A frame that is about to be replaced would delay each later change by its age.
            if clock::now() > self.frames.borrow().at_ms + OLD {
                self.frames.mark_unchanged();
            }
        }
        let beat = Instant::now() + BEAT;
        loop {
            let rest = beat.saturating_duration_since(Instant::now());
            let changed = timeout(rest, self.frames.changed()).await;
            let frame = Arc::clone(&self.frames.borrow_and_update());
            let mut known = shared.sessions().take(self.lease)?;
            let delta = self.delta(&frame, &mut known, &shared);
            let is_news = self.is_first || delta.is_news() || changed.is_err();
            let event = known.event.unwrap_or_default();
            let message = shared.sessions().put(self.lease, known, is_news);
            if is_news {
                self.is_first = false;
                self.due = Instant::now() + PERIOD;
                let (boot, session, number) = (&shared.boot, self.lease.session, frame.number);
                let id = format!("{boot}-{session}-{message}-{number}-{event}");
                let text = serde_json::to_string(&delta).unwrap_or_default();
                return Some(sse::Event::default().event("delta").id(id).data(text));
            }
        }
    }

    fn delta(&mut self, frame: &Frame, known: &mut Known, shared: &Shared) -> Delta {
        Delta {
            version: 1,
            at_ms: frame.at_ms,
            reset: std::mem::take(&mut self.starts_over),
            cards: frame.rows.len(),
            states: frame.states,
            gone: known.gone(frame),
            briefs: known.briefs(frame),
            details: known.changed_details(frame, &mut self.show),
            events: known.events(shared),
        }
    }
}

impl Delta {
    fn is_news(&self) -> bool {
        !(self.briefs.is_empty()
            && self.gone.is_empty()
            && self.details.is_empty()
            && self.events.is_empty())
    }
}

impl Known {
    fn gone(&mut self, frame: &Frame) -> Vec<u32> {
        let news = frame
            .gone
            .iter()
            .filter(|(number, _)| *number > self.gone_since);
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
        let is_news = |row: &&Arc<Row>| self.sent.get(&row.id) != Some(&row.brief);
        let mut news: Vec<&Arc<Row>> = frame.rows.iter().filter(is_news).collect();
        let state_is_news = |row: &Row| {
            let known = self.sent.get(&row.id);
            known.is_none_or(|known| known.state != row.brief.state)
        };
        // The oldest change goes first, so that each change has its turn.
        news.sort_by_cached_key(|row| {
            let waits = row.changed_at;
            (row.brief.state == 0, !state_is_news(row), waits)
        });
        let knows_all = frame.rows.len() <= self.sent.len();
        let most = if knows_all { NEWS_BYTES } else { BRIEF_BYTES };
        let mut briefs = Vec::new();
        let mut bytes = 0;
        for row in news {
            let Brief {
                state,
                fill,
                traffic,
            } = row.brief;
            // The key goes with the first brief only.
            let key = (!self.sent.contains_key(&row.id)).then_some(&*row.key);
            let is_registry = u8::from(matches!(row.detail, Detail::Registry(_)));
            let brief = (row.id, key, state, fill, traffic, is_registry);
            let Ok(text) = serde_json::value::to_raw_value(&brief) else {
                continue;
            };
            bytes += text.get().len() + 1;
            if bytes > most && !briefs.is_empty() {
                break;
            }
            self.sent.insert(row.id, row.brief);
            briefs.push(text);
        }
        briefs
    }

    /// The details of cards on the screen that have changed.
    fn changed_details(&mut self, frame: &Frame, show: &mut [u32]) -> Vec<Box<RawValue>> {
        let mut details = Vec::new();
        let mut bytes = 0;
        for id in &*show {
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
            if bytes > DETAIL_BYTES && !details.is_empty() {
                break;
            }
            self.details.insert(*id, hash);
            details.push(text);
        }
        // The next message begins where this one had no room any more.
        let sent = details.len().min(show.len());
        show.rotate_left(sent);
        details
    }

    /// The latest events for a page that is new. Otherwise the next ones: the rest of many comes
    /// with the next frames.
    fn events(&mut self, shared: &Shared) -> Vec<Arc<Event>> {
        let events = match self.event {
            None => shared.log().latest(EVENTS, |_| true),
            Some(seen) => shared.log().after(seen, EVENTS),
        };
        let last = events.last().map(|event| event.id);
        self.event = last.or(self.event).or(Some(0));
        events
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use futures_util::StreamExt as _;
    use tripcurve::registry::Roster;
    use tripcurve::{CircuitBreaker, State};

    use super::{DETAIL_BYTES, LastMessage, Subscription, known_since, messages, worst};
    use crate::frame::Frame;
    use crate::row::{BreakerDetail, Brief, Detail, PerSecond, Row};
    use crate::sampler::IsThere;
    use crate::sessions::Known;
    use crate::shared::Shared;

    /// A card of a breaker with this key.
    fn row(id: u32, key: &str, state: State, changed_at: u64) -> Row {
        let breaker = CircuitBreaker::new("payments");
        let detail = BreakerDetail::new(&breaker.snapshot(), &[], PerSecond::default());
        Row {
            id,
            key: key.into(),
            name: "payments".into(),
            generation: 0,
            state,
            since_ms: 0,
            detail: Detail::Breaker(Box::new(detail)),
            brief: Brief::new(state, 0.0, 0.0, None),
            changed_at,
            is_there: IsThere::default(),
        }
    }

    fn frame(number: u64, rows: Vec<Row>, gone: &[u32]) -> Frame {
        let rows = rows.into_iter().map(Arc::new).collect();
        Frame::next(&Frame::default(), number, 0, rows, gone)
    }

    #[test]
    fn cards_in_trouble_come_first_then_those_half_full_then_by_name() {
        let half_full = Row {
            brief: Brief::new(State::Closed, 0.5, 0.0, None),
            ..row(4, "d", State::Closed, 1)
        };
        let rows = vec![
            row(1, "b", State::Closed, 1),
            row(2, "e", State::HalfOpen, 1),
            row(3, "f", State::Open, 1),
            half_full,
            row(5, "a", State::Closed, 1),
        ];
        assert_eq!(worst(&frame(1, rows, &[])), [3, 2, 4, 5, 1]);
    }

    /// Fails when: a page that comes back isn't told of a change that no message had room for.
    #[test]
    fn a_page_that_comes_back_knows_what_has_long_been_so() {
        let last = LastMessage {
            boot: "18c".to_owned(),
            session: 1,
            message: 2,
            frame: 40,
            event: 7,
        };
        let rows = vec![
            row(1, "a", State::Closed, 25),
            row(2, "b", State::Closed, 26),
        ];
        let known = known_since(&last, &frame(50, rows, &[]));
        assert_eq!(known.sent.keys().collect::<Vec<_>>(), [&1]);
        assert_eq!((known.event, known.gone_since), (Some(7), 25));
    }

    #[test]
    fn a_card_that_is_gone_is_told_once() {
        let sent = [1, 2].map(|id| (id, Brief::default()));
        let mut known = Known {
            sent: sent.into(),
            gone_since: 5,
            ..Known::default()
        };
        let former = frame(5, Vec::new(), &[1]);
        let now = Frame::next(&former, 6, 0, Vec::new(), &[2]);
        assert_eq!(known.gone(&now), [2]);
        assert!(!known.sent.contains_key(&2));
        assert!(known.gone(&now).is_empty());
    }

    /// The cards of briefs, and how long their texts are.
    fn briefs(known: &mut Known, frame: &Frame) -> Vec<(u32, usize)> {
        let briefs = known.briefs(frame).into_iter();
        let id = |text: &str| text[1..text.find(',').unwrap()].parse().unwrap();
        briefs.map(|it| (id(it.get()), it.get().len())).collect()
    }

    #[test]
    fn another_state_is_told_before_other_changes_and_the_oldest_change_first() {
        let traffic = |row: Row| Row {
            brief: Brief::new(row.state, 0.0, 100.0, None),
            ..row
        };
        let rows = vec![
            traffic(row(1, "a", State::Open, 3)),
            row(2, "b", State::Open, 9),
            traffic(row(3, "c", State::Open, 2)),
            row(4, "d", State::Closed, 1),
        ];
        let brief = |state| Brief::new(state, 0.0, 0.0, None);
        let sent = [(1, State::Open), (2, State::Closed), (3, State::Open)];
        let mut known = Known {
            sent: sent.map(|(id, state)| (id, brief(state))).into(),
            ..Known::default()
        };
        let told = briefs(&mut known, &frame(9, rows, &[]));
        let told: Vec<_> = told.into_iter().map(|(id, _)| id).collect();
        assert_eq!(told, [2, 3, 1, 4]);
    }

    /// Fails when: a message has a byte more or less than there is room for, with the commas.
    #[test]
    fn a_message_has_as_many_briefs_as_there_is_room_for() {
        let long = "k".repeat(984);
        let mut rows: Vec<_> = (10..36)
            .map(|id| row(id, &long, State::Closed, 1))
            .collect();
        rows.push(row(36, "k", State::Closed, 2));
        let frame = frame(2, rows, &[]);
        let mut known = Known::default();
        let told = briefs(&mut known, &frame);
        assert_eq!(told.len(), 26);
        assert!(told.iter().all(|(_, length)| *length == 999), "{told:?}");
        assert_eq!(briefs(&mut known, &frame).len(), 1);
    }

    #[test]
    fn details_that_a_message_has_no_room_for_come_first_in_the_next() {
        let empty = serde_json::to_string(&row(1, "", State::Closed, 1)).unwrap();
        let key = "k".repeat(DETAIL_BYTES / 2 - 1 - empty.len());
        let rows = (1..4).map(|id| row(id, &key, State::Closed, 1)).collect();
        let frame = frame(1, rows, &[]);
        let mut known = Known::default();
        let mut show = [1, 2, 3];
        assert_eq!(known.changed_details(&frame, &mut show).len(), 2);
        assert_eq!(show, [3, 1, 2]);
        assert_eq!(known.changed_details(&frame, &mut show).len(), 1);
        assert!(known.changed_details(&frame, &mut show).is_empty());
    }

    /// Fails when: a request whose stream nobody reads leaves a session.
    #[tokio::test]
    async fn a_session_begins_with_the_first_message() {
        let shared = Shared::without_settings(Roster::new());
        let open = || messages(shared.open_stream(9).unwrap(), Subscription::default());
        drop(open());
        assert_eq!(shared.sessions().count(), 0);
        assert!(pin!(open()).next().await.is_some());
        assert_eq!(shared.sessions().count(), 1);
    }

    #[test]
    fn a_subscription_is_read_and_nonsense_is_left_out() {
        let subscription = Subscription::parse(Some("1,x,3,,-4"), Some("18c-2-3-12-7"));
        assert_eq!(subscription.show, Some(vec![1, 3]));
        let last = LastMessage {
            boot: "18c".to_owned(),
            session: 2,
            message: 3,
            frame: 12,
            event: 7,
        };
        assert_eq!(subscription.last, Some(last));
        for nonsense in ["", "18c", "18c-1-2-3", "18c-1-2-3-x", "18c-1-2-3-4-5"] {
            assert_eq!(
                Subscription::parse(None, Some(nonsense)).last,
                None,
                "{nonsense}"
            );
        }
        assert_eq!(Subscription::parse(None, None).show, None);
        let many = vec!["7"; 5_000].join(",");
        let show = Subscription::parse(Some(&many), None).show;
        assert_eq!(show.map(|it| it.len()), Some(100));
    }
}
