//! What the sampler and all requests share.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tripcurve::registry::{ControlGroup, HealthRule, Roster};

use crate::actions::Authorize;
use crate::clock::{self, Millis};
use crate::events::{Feed, Log};
use crate::fleet;
use crate::frame::Frame;
use crate::history::{History, Point};
use crate::sampler::Sampler;
use crate::sessions::Sessions;

/// A frame that is older isn't shown to a request.
const FRESH: Millis = 1_500;

/// How many breakers have a history.
const HISTORIES: usize = 5_000;

/// A function that tells how many calls are in flight.
pub(crate) type InFlight = Box<dyn Fn() -> u32 + Send + Sync>;

/// What a user has set.
pub(crate) struct Settings {
    pub(crate) title: String,
    pub(crate) rule: HealthRule,
    pub(crate) groups: Vec<(String, ControlGroup)>,
    pub(crate) in_flight: HashMap<String, Vec<InFlight>>,
    pub(crate) fleets: Vec<fleet::Source>,
    pub(crate) authorize: Option<Authorize>,
}

/// What the sampler and all requests share.
pub(crate) struct Shared {
    roster: Roster,
    pub(crate) settings: Settings,
    feed: Arc<Feed>,
    log: Log,
    histories: Mutex<HashMap<Arc<str>, History>>,
    frames: watch::Sender<Arc<Frame>>,
    streams: AtomicUsize,
    asked: Arc<Notify>,
    sessions: Sessions,
    /// The sampler, until it runs.
    idle: Mutex<Option<Sampler>>,
    /// Tells this run of the program from others.
    pub(crate) boot: String,
}

impl Shared {
    pub(crate) fn new(roster: Roster, feed: Arc<Feed>, settings: Settings) -> Arc<Self> {
        let shared = Arc::new(Self {
            roster,
            settings,
            feed,
            log: Log::default(),
            histories: Mutex::default(),
            frames: watch::channel(Arc::default()).0,
            streams: AtomicUsize::new(0),
            asked: Arc::default(),
            sessions: Sessions::default(),
            idle: Mutex::new(Some(Sampler::default())),
            boot: format!("{:x}", clock::now()),
        });
        if Handle::try_current().is_ok() {
            shared.start();
        }
        shared
    }

    #[cfg(test)]
    pub(crate) fn without_settings(roster: Roster) -> Arc<Self> {
        let settings = Settings {
            title: String::new(),
            rule: HealthRule::new(),
            groups: Vec::new(),
            in_flight: HashMap::new(),
            fleets: Vec::new(),
            authorize: None,
        };
        Self::new(roster, Arc::default(), settings)
    }

    /// Starts the sampler, unless it runs. The caller is in a runtime.
    pub(crate) fn start(self: &Arc<Self>) {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(sampler) = idle {
            tokio::spawn(sampler.run(Arc::downgrade(self)));
        }
    }

    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(crate) fn asked(&self) -> Arc<Notify> {
        Arc::clone(&self.asked)
    }

    /// Whether a stream is open.
    pub(crate) fn is_watched(&self) -> bool {
        // Relaxed: the count decides only how soon the next frame comes.
        self.streams.load(Ordering::Relaxed) > 0
    }

    /// Replaces the frame.
    pub(crate) fn publish(&self, next: impl FnOnce(&Frame) -> Frame) {
        let next = next(&self.frames.borrow());
        self.frames.send_replace(Arc::new(next));
    }

    /// A receiver of frames.
    pub(crate) fn frames(&self) -> watch::Receiver<Arc<Frame>> {
        self.frames.subscribe()
    }

    /// A frame of the last second or so.
    pub(crate) async fn fresh_frame(self: &Arc<Self>) -> Arc<Frame> {
        self.start();
        let mut frames = self.frames();
        let is_fresh = |frame: &Arc<Frame>| clock::now() < frame.at_ms + FRESH;
        self.asked.notify_one();
        // If the machine is too busy, an older frame must do.
        let wait = timeout(Duration::from_secs(3), frames.wait_for(is_fresh)).await;
        drop(wait);
        let frame = self.frames.borrow();
        Arc::clone(&frame)
    }

    /// Notes a stream until the returned value is dropped. `None` if there are too many.
    pub(crate) fn open_stream(self: &Arc<Self>, most: usize) -> Option<OpenStream> {
        // Relaxed: the count guards nothing else.
        let before = self.streams.fetch_add(1, Ordering::Relaxed);
        let open = OpenStream(Arc::clone(self));
        (before < most).then_some(open)
    }

    /// How many calls of the breakers of this name are in flight, if somebody tells.
    ///
    /// A function that panics counts as 0, so that it doesn't end the sampler.
    pub(crate) fn in_flight(&self, name: &str) -> Option<u32> {
        let sources = self.settings.in_flight.get(name)?;
        let counts = sources.iter().map(|count| {
            let count = catch_unwind(AssertUnwindSafe(count));
            count.unwrap_or_default()
        });
        Some(counts.fold(0, u32::saturating_add))
    }

    /// Lets `note` see the history of a key, unless there are too many.
    pub(crate) fn with_history(&self, key: &Arc<str>, note: impl FnOnce(&mut History)) {
        let mut all = self
            .histories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if all.len() < HISTORIES || all.contains_key(key) {
            note(all.entry(Arc::clone(key)).or_default());
        }
    }

    /// The last hour of a key.
    pub(crate) fn points(&self, key: &str) -> Vec<Point> {
        let all = self
            .histories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.get(key).map(History::points).unwrap_or_default()
    }

    /// Drops the histories of keys that `is_there` denies.
    pub(crate) fn keep_histories(&self, is_there: impl Fn(&str) -> bool) {
        let mut all = self
            .histories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.retain(|key, _| is_there(key));
    }
}

/// A stream that is open.
pub(crate) struct OpenStream(Arc<Shared>);

impl OpenStream {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        // Relaxed: as in `open_stream`.
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
