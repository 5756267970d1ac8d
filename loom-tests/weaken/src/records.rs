//! `loom-tests/orderings.txt`: the model that notices each weaker ordering, as `cargo weaken
//! orderings` found it.
//!
//! A line names a site, its ordering, a weaker one, and the model that fails with it, or `none`. A
//! line with `#` is a comment. Sites have the names of `cargo weaken list`, so a record outlasts
//! changes elsewhere in the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{fs, mem};

use crate::{Failure, files};

/// What a run found for a weaker ordering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// This model fails.
    Noticed(String),
    /// All models that execute the site pass.
    Survived,
}

/// The records by site and orderings, such as `src/a.rs f load Acquire->Relaxed`.
pub(crate) type Records = BTreeMap<String, Record>;

const HEAD: &str = "\
# The model that notices each weaker ordering, as the latest `cargo weaken orderings` found it. `none`:
# no model does, and survivors.txt says why the ordering stays. `cargo weaken orderings` writes this file.
";

fn path(root: &Path) -> PathBuf {
    root.join("loom-tests/orderings.txt")
}

/// Reads the records.
pub(crate) fn read(root: &Path) -> Result<Records, Failure> {
    let path = path(root);
    let text = if path.exists() {
        files::text(&path)?
    } else {
        String::new()
    };
    parse(&text).map_err(|failure| format!("{}: {failure}", path.display()))
}

fn parse(text: &str) -> Result<Records, Failure> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let parts = line.split_once(": ");
            let (tried, found) = parts.ok_or_else(|| format!("no record: {line}"))?;
            let record = match found {
                "none" => Record::Survived,
                model => Record::Noticed(model.to_owned()),
            };
            Ok((tried.to_owned(), record))
        })
        .collect()
}

fn written(records: &Records) -> String {
    let line = |(tried, record): (&String, &Record)| match record {
        Record::Noticed(model) => format!("{tried}: {model}\n"),
        Record::Survived => format!("{tried}: none\n"),
    };
    let lines: Vec<_> = records.iter().map(line).collect();
    format!("{HEAD}{}", lines.concat())
}

/// The records of a run, which writes each one at once.
#[derive(Debug)]
pub(crate) struct Recorder {
    path: PathBuf,
    records: Mutex<Records>,
}

impl Recorder {
    /// Goes on from the records in the file. Those that `is_there` denies are dropped.
    pub(crate) fn open(root: &Path, is_there: impl Fn(&str) -> bool) -> Result<Self, Failure> {
        let mut records = read(root)?;
        records.retain(|tried, _| is_there(tried));
        Ok(Self {
            path: path(root),
            records: Mutex::new(records),
        })
    }

    pub(crate) fn note(&self, tried: String, record: Record) -> Result<(), Failure> {
        let failure = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let mut records = self.records.lock().map_err(|error| error.to_string())?;
        records.insert(tried, record);
        fs::write(&self.path, written(&records)).map_err(failure)?;
        mem::drop(records);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let noticed = Record::Noticed("core::a".to_owned());
        let records: Records = [
            ("src/a.rs A::f load Acquire->Relaxed".to_owned(), noticed),
            (
                "src/b.rs f fence SeqCst->AcqRel".to_owned(),
                Record::Survived,
            ),
        ]
        .into();
        assert_eq!(parse(&written(&records)), Ok(records));
        assert!(parse("src/a.rs f load Acquire->Relaxed\n").is_err());
    }
}
