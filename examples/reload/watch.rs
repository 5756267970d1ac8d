//! A file that is read again whenever it has changed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Who writes a file in place may write it piece by piece: it is read when nothing has happened for so long.
const SETTLED: Duration = Duration::from_millis(50);

/// But after so long at the latest, should the folder never be quiet.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Watched {
    path: PathBuf,
    text: String,
    events: mpsc::UnboundedReceiver<()>,
    /// Watches for as long as it lives.
    _watcher: RecommendedWatcher,
}

impl Watched {
    /// Watches the folder and not the file: editors write another file and give it the name of this one, and
    /// Kubernetes changes a link somewhere above. Whoever watches the file itself still watches the old one.
    pub(crate) fn start(path: &Path) -> notify::Result<Self> {
        let (send, events) = mpsc::unbounded_channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // What can't be understood might be a change. Reading is none: this program reads it too.
            if event.map_or(true, |event| !event.kind.is_access()) {
                let _nobody_watches_any_more = send.send(());
            }
        })?;
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(Self {
            // Watched first and read then, so that no change falls between.
            text: std::fs::read_to_string(path)?,
            path: path.to_owned(),
            events,
            _watcher: watcher,
        })
    }

    /// The whole file as it was read last.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Waits until the file has other contents.
    pub(crate) async fn changed(&mut self) -> io::Result<&str> {
        loop {
            if self.events.recv().await.is_none() {
                // The watcher, which this holds, would have to be gone.
                std::future::pending::<()>().await;
            }
            let latest = Instant::now() + PATIENCE;
            while Instant::now() < latest && timeout(SETTLED, self.events.recv()).await.is_ok() {}
            match std::fs::read_to_string(&self.path) {
                Ok(text) if text != self.text => {
                    self.text = text;
                    return Ok(&self.text);
                }
                Ok(_) => {}
                // An editor that deletes it will write it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
}
