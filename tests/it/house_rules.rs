//! Rules of this house that no lint of the compiler knows, checked over the sources of `src/`.

use std::fs;
use std::path::{Path, PathBuf};

/// A line of code, without its comment, and where it stands.
struct Line {
    file: String,
    number: usize,
    code: String,
    has_comment: bool,
}

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    assert!(paths.len() > 15, "the sources were not found");
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The lines of a file before its tests.
fn lines_of(file: &str, text: &str) -> Vec<Line> {
    text.lines()
        .take_while(|line| {
            !(line.contains("#[cfg(") && line.contains("test") && !line.contains("feature"))
        })
        .enumerate()
        .map(|(index, line)| {
            let (code, comment) = line
                .split_once("//")
                .map_or((line, None), |(code, comment)| (code, Some(comment)));
            Line {
                file: file.to_owned(),
                number: index + 1,
                code: code.to_owned(),
                has_comment: comment.is_some(),
            }
        })
        .collect()
}

fn lines() -> Vec<Line> {
    sources()
        .iter()
        .flat_map(|(file, text)| lines_of(file, text))
        .collect()
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
}

/// Lines on which any of `forbidden` stands as a word, outside the files that may.
fn offences(lines: &[Line], forbidden: &[&str], allowed_in: &[&str]) -> Vec<String> {
    lines
        .iter()
        .filter(|line| !allowed_in.contains(&line.file.as_str()))
        .filter(|line| words(&line.code).any(|word| forbidden.contains(&word)))
        .map(|line| format!("src/{}:{}: {}", line.file, line.number, line.code.trim()))
        .collect()
}

#[test]
fn there_is_no_lock_and_nobody_waits_for_another_thread() {
    let forbidden = [
        "Mutex",
        "RwLock",
        "Condvar",
        "Barrier",
        "parking_lot",
        "ShardedLock",
        "mpsc",
        "spin_loop",
        "yield_now",
        "sleep",
        "park",
        "join",
        "Once",
        "LazyLock",
    ];
    // In sync/mod.rs a `Condvar` and a `OnceLock` help loom; they are in no build that ships.
    let mut found = offences(&lines(), &forbidden, &["sync/mod.rs"]);
    // A timer's future, for which no thread waits.
    found.retain(|line| line.contains("thread") || !words(line).any(|word| word == "sleep"));
    assert!(found.is_empty(), "{found:#?}");
    // Once in a process, when the first breaker is built: the clock's origin, the number of cores.
    let found = offences(
        &lines(),
        &["OnceLock"],
        &["clock/mod.rs", "builder/validate.rs", "sync/mod.rs"],
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn there_is_no_unsafe_code() {
    let lib = &sources()
        .into_iter()
        .find(|(file, _)| file == "lib.rs")
        .unwrap()
        .1;
    assert!(lib.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn atomics_come_through_the_sync_file_alone() {
    let lines = lines();
    let found: Vec<_> = lines
        .iter()
        .filter(|line| !["sync/mod.rs"].contains(&line.file.as_str()))
        .filter(|line| {
            line.code.contains("sync::atomic")
                && !line.code.contains("core::sync::atomic::Ordering")
                || [
                    "AtomicBool",
                    "AtomicUsize",
                    "AtomicU32",
                    "AtomicPtr",
                    "AtomicCell",
                ]
                .iter()
                .any(|name| words(&line.code).any(|word| word == *name))
        })
        .map(|line| format!("src/{}:{}: {}", line.file, line.number, line.code.trim()))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn time_is_read_in_the_clock_alone() {
    let found = offences(&lines(), &["Instant", "quanta"], &["clock/mod.rs"]);
    assert!(found.is_empty(), "{found:#?}");
    // A saved state says when it was saved, in the type for it.
    let found = offences(&lines(), &["SystemTime"], &["clock/mod.rs", "saved/mod.rs"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_memory_ordering_has_its_reason_beside_it() {
    let orderings = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
    let lines = lines();
    let found: Vec<_> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| words(&line.code).any(|word| orderings.contains(&word)))
        .filter(|(index, line)| {
            !lines[index.saturating_sub(9)..=*index]
                .iter()
                .any(|above| above.file == line.file && above.has_comment)
        })
        .map(|(_, line)| format!("src/{}:{}: {}", line.file, line.number, line.code.trim()))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn modules_use_only_what_stands_below_them_in_lib() {
    let sources = sources();
    let lib = &sources.iter().find(|(file, _)| file == "lib.rs").unwrap().1;
    let order: Vec<_> = lib
        .lines()
        .filter_map(|line| {
            let private = line.strip_prefix("pub ").unwrap_or(line);
            private.strip_prefix("mod ")?.strip_suffix(';')
        })
        .collect();
    assert!(order.len() > 15, "the modules were not found");
    let place = |module: &str| order.iter().position(|name| *name == module);
    let mut found = Vec::new();
    for (file, text) in &sources {
        let module = file.split(['/', '.']).next().unwrap();
        let Some(own) = place(module) else { continue };
        for line in lines_of(file, text) {
            for (_, path) in line
                .code
                .match_indices("crate::")
                .map(|(at, found)| (at, &line.code[at + found.len()..]))
            {
                let used = words(path).next().unwrap_or_default();
                if place(used).is_some_and(|used| used < own) {
                    found.push(format!("src/{file}:{}: uses {used}, above it", line.number));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_file_has_more_than_400_lines_of_code() {
    for (file, text) in sources() {
        let code = lines_of(&file, &text)
            .iter()
            .filter(|line| !line.code.trim().is_empty())
            .count();
        assert!(code <= 400, "src/{file} has {code} lines of code");
    }
}
