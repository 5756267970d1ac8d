//! The function that the page about following a file shows, run with real files and the real
//! notify.

#[path = "../../examples/reload/recipe.rs"]
#[allow(unreachable_pub, reason = "as the page prints it")]
mod recipe;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use notify::{Event, RecursiveMode, Watcher};
use tripcurve::{CircuitBreaker, State};
use tripcurve_config::Config;

/// A time that no step exceeds, even on a busy machine.
const LONG: Duration = Duration::from_secs(30);
/// A time in which a loop that is woken by its own reading runs ten times.
const A_WHILE: Duration = Duration::from_millis(600);

/// Runs one test at a time, because parallel tests would distort how often a file is read.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder with a file, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new(text: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tripcurve-recipe-{}-{number}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).unwrap();
        fs::write(folder.file(), text).unwrap();
        folder
    }

    fn file(&self) -> PathBuf {
        self.0.join("breakers.toml")
    }

    /// Follows the file, and waits for the first text.
    fn followed(&self) -> Receiver<String> {
        let (send, texts) = channel();
        let path = self.file();
        thread::spawn(move || {
            let _ended = recipe::watch(&path, |text| drop(send.send(text.to_owned())));
        });
        let _first = texts.recv_timeout(LONG).unwrap();
        texts
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _is_gone = fs::remove_dir_all(&self.0);
    }
}

/// How many times the file is opened within a short time.
fn opened(path: &Path) -> u32 {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| event.kind.is_access()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    })
    .unwrap();
    watcher.watch(path, RecursiveMode::NonRecursive).unwrap();
    thread::sleep(A_WHILE);
    count.load(Ordering::Relaxed)
}

/// Fails when: read events wake it, because each reading is one.
#[test]
fn it_rests_while_nothing_changes() {
    let _alone = alone();
    let folder = Folder::new("one");
    let texts = folder.followed();
    assert!(opened(&folder.file()) <= 1, "it reads the file for ever");
    fs::write(folder.file(), "two").unwrap();
    assert_eq!(texts.recv_timeout(LONG).unwrap(), "two");
    thread::sleep(A_WHILE);
    assert!(opened(&folder.file()) <= 1, "it reads the file for ever");
    // Another process's reading isn't a change, either.
    for _ in 0..10 {
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), "two");
    }
    let nothing = texts.recv_timeout(A_WHILE);
    assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
}

/// Fails when: it watches the file instead of its folder.
#[test]
fn it_follows_a_file_that_is_replaced_as_by_editors() {
    let _alone = alone();
    let folder = Folder::new("one");
    let texts = folder.followed();
    for text in ["two", "three", "four"] {
        let other = folder.0.join("breakers.toml.new");
        fs::write(&other, text).unwrap();
        fs::rename(other, folder.file()).unwrap();
        assert_eq!(texts.recv_timeout(LONG).unwrap(), text);
    }
    fs::remove_file(folder.file()).unwrap();
    thread::sleep(A_WHILE);
    fs::write(folder.file(), "five").unwrap();
    assert_eq!(texts.recv_timeout(LONG).unwrap(), "five");
}

/// Replaces a link, like Kubernetes does with the files of a config map.
#[cfg(unix)]
#[test]
fn it_follows_a_link_whose_folder_is_replaced() {
    use std::os::unix::fs::symlink;

    let _alone = alone();
    let folder = Folder::new("");
    let texts = {
        fs::remove_file(folder.file()).unwrap();
        fs::create_dir(folder.0.join("..one")).unwrap();
        fs::write(folder.0.join("..one/breakers.toml"), "one").unwrap();
        symlink("..one", folder.0.join("..data")).unwrap();
        symlink("..data/breakers.toml", folder.file()).unwrap();
        folder.followed()
    };
    fs::create_dir(folder.0.join("..two")).unwrap();
    fs::write(folder.0.join("..two/breakers.toml"), "two").unwrap();
    symlink("..two", folder.0.join("..data_new")).unwrap();
    fs::rename(folder.0.join("..data_new"), folder.0.join("..data")).unwrap();
    assert_eq!(texts.recv_timeout(LONG).unwrap(), "two");
}

/// Fails when: it reads at the first event.
#[test]
fn it_reads_a_file_that_is_written_piece_by_piece_when_it_is_whole() {
    let _alone = alone();
    let folder = Folder::new("");
    let texts = folder.followed();
    let mut file = File::create(folder.file()).unwrap();
    for _ in 0..20 {
        file.write_all(b"piece ").unwrap();
        file.flush().unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    let mut last = texts.recv_timeout(LONG).unwrap();
    let mut read = 1;
    while last != "piece ".repeat(20) {
        last = texts.recv_timeout(LONG).unwrap();
        read += 1;
    }
    assert!(read <= 5, "{read} times");
}

#[test]
fn a_breaker_follows_its_file() {
    let _alone = alone();
    let folder = Folder::new("[breakers.payments]");
    let texts = folder.followed();
    let payments = CircuitBreaker::new("payments");
    for (settings, state) in [
        ("enabled = false", State::Disabled),
        ("metrics_only = true", State::MetricsOnly),
        ("", State::Closed),
    ] {
        let text = format!("[breakers.payments]\n{settings}\n");
        fs::write(folder.file(), &text).unwrap();
        let mut read = String::new();
        while read != text {
            read = texts.recv_timeout(LONG).unwrap();
        }
        let config: Config = toml::from_str(&read).unwrap();
        payments
            .reconfigure(config.builder("payments").unwrap())
            .unwrap();
        assert_eq!(payments.state(), state);
    }
}

#[test]
fn the_page_prints_the_function_that_is_tested_here() {
    let page = include_str!("../../src/docs/following-a-file.md");
    let recipe = include_str!("../../examples/reload/recipe.rs");
    assert!(
        page.contains(recipe),
        "they differ; copy examples/reload/recipe.rs into the page"
    );
}

#[test]
fn a_folder_that_is_missing_is_an_error() {
    let _alone = alone();
    let error = recipe::watch(Path::new("no/such/folder/breakers.toml"), |_| ());
    assert!(error.is_err());
}
