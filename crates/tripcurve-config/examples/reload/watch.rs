//! A file that is read again each time it changes.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;

use tokio::sync::mpsc;

use crate::recipe::watch;

/// A file and its later texts. A separate thread [watches](watch) it.
pub(crate) struct Watched {
    text: String,
    texts: mpsc::UnboundedReceiver<Result<String, String>>,
}

impl Watched {
    pub(crate) fn start(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let (send, texts) = mpsc::unbounded_channel();
        let path = path.to_owned();
        thread::spawn(move || {
            let changed = |text: &str| {
                let _nobody_follows_any_more = send.send(Ok(text.to_owned()));
            };
            if let Err(error) = watch(&path, changed) {
                let _nobody_follows_any_more = send.send(Err(error.to_string()));
            }
        });
        Ok(Self { text, texts })
    }

    /// The whole file as it was last read.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Waits until the file has new contents.
    pub(crate) async fn changed(&mut self) -> Result<&str, String> {
        loop {
            match self.texts.recv().await {
                // The thread has read the file again, but it is unchanged.
                Some(Ok(text)) if text == self.text => {}
                Some(text) => {
                    self.text = text?;
                    return Ok(&self.text);
                }
                // The thread has reported why it ended.
                None => std::future::pending().await,
            }
        }
    }
}
