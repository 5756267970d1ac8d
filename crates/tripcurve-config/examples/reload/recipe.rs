use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use notify::{Event, RecursiveMode, Watcher};

/// Calls `changed` with the text of a file: once now, and again each time it changes.
pub fn watch(
    path: &Path,
    mut changed: impl FnMut(&str),
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (send, events) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Reading the file is an access event. If it woke the loop, the loop would never rest.
        if event.map_or(true, |event| !event.kind.is_access()) {
            let _ = send.send(());
        }
    })?;
    // Editors write a new file and rename it to this name. So watch the folder, not the file.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    watcher.watch(
        folder.unwrap_or(Path::new(".")),
        RecursiveMode::NonRecursive,
    )?;
    let mut known = None;
    loop {
        match fs::read_to_string(path) {
            Ok(text) if known.as_ref() != Some(&text) => {
                changed(&text);
                known = Some(text);
            }
            Ok(_) => {}
            // An editor that deletes the file soon writes it again.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => eprintln!("{}: {error}", path.display()),
        }
        events.recv()?;
        // A file may be written in parts. Wait until the events stop, but at most a second.
        let latest = Instant::now() + Duration::from_secs(1);
        while Instant::now() < latest && events.recv_timeout(Duration::from_millis(50)).is_ok() {}
    }
}
