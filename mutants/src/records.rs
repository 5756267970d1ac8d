//! What the trials have shown.
//!
//! `target/mutants/trials.tsv` gets a line after each trial, so that a stopped run can go on.
//! `mutants/results.tsv` has a row for each file whose changes were all tried. Below it is a row for
//! each change that was not noticed. As long as a file stays as it is, the changes that were noticed
//! are not tried again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::trials::Outcome;
use crate::{Failure, tree};

/// A file with its content's hash, and the place in it and the text of a change.
pub(crate) type Key = (String, String, String);

#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The seconds of CPU time that the tests could take.
    pub(crate) seconds: f64,
    pub(crate) outcome: Outcome,
}

pub(crate) struct Records {
    known: HashMap<Key, Record>,
    /// Files of which all changes were tried.
    complete: HashSet<(String, String)>,
    log: Mutex<File>,
    path: PathBuf,
}

/// What became of the changes of a file.
pub(crate) struct OfFile {
    pub(crate) hash: String,
    pub(crate) all: Vec<String>,
}

impl Records {
    pub(crate) fn read(root: &Path, folder: &Path) -> Result<Self, Failure> {
        let path = root.join("mutants/results.tsv");
        let log = folder.join("trials.tsv");
        let open = OpenOptions::new().create(true).append(true).open(&log);
        let mut records = Self {
            known: HashMap::new(),
            complete: HashSet::new(),
            log: Mutex::new(open.map_err(|error| format!("{}: {error}", log.display()))?),
            path,
        };
        records.read_results();
        for line in tree::read(&log)?.lines() {
            records
                .read_trial(line)
                .ok_or_else(|| format!("{}: not a trial: {line}", log.display()))?;
        }
        Ok(records)
    }

    fn read_results(&mut self) {
        let text = tree::read(&self.path).unwrap_or_default();
        let mut file = (String::new(), String::new());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let parts: Vec<_> = line.split('\t').collect();
            if let ["", seconds, passed, of, change] = parts[..] {
                let outcome = Outcome::Survived {
                    passed: passed.parse().unwrap_or(0),
                    of: of.parse().unwrap_or(0),
                };
                let seconds = seconds.parse().unwrap_or(0.0);
                let key = (file.0.clone(), file.1.clone(), change.to_owned());
                self.known.insert(key, Record { seconds, outcome });
            } else if let [path, hash, ..] = parts[..] {
                file = (path.to_owned(), hash.to_owned());
                self.complete.insert(file.clone());
            }
        }
    }

    fn read_trial(&mut self, line: &str) -> Option<()> {
        let parts: Vec<_> = line.split('\t').collect();
        let [file, hash, change, seconds, passed, of, test] = parts[..] else {
            return None;
        };
        let outcome = if test.is_empty() {
            Outcome::Survived {
                passed: passed.parse().ok()?,
                of: of.parse().ok()?,
            }
        } else {
            Outcome::Noticed(test.to_owned())
        };
        let record = Record {
            seconds: seconds.parse().ok()?,
            outcome,
        };
        let key = (file.to_owned(), hash.to_owned(), change.to_owned());
        self.known.insert(key, record);
        Some(())
    }

    /// What is known of a change.
    pub(crate) fn get(&self, key: &Key) -> Option<Record> {
        self.known.get(key).cloned().or_else(|| {
            let file = (key.0.clone(), key.1.clone());
            // The page names only what was not noticed.
            self.complete.contains(&file).then(|| Record {
                seconds: 0.0,
                outcome: Outcome::Noticed("a test".to_owned()),
            })
        })
    }

    /// Notes a trial at once.
    pub(crate) fn note(&self, key: &Key, record: &Record) {
        let (passed, of, test) = match &record.outcome {
            Outcome::Noticed(test) => (0, 0, test.as_str()),
            Outcome::Survived { passed, of } => (*passed, *of, ""),
        };
        let (file, hash, change) = key;
        let seconds = record.seconds;
        let line = format!("{file}\t{hash}\t{change}\t{seconds}\t{passed}\t{of}\t{test}\n");
        let mut log = self.log.lock().expect("no thread panicked");
        if let Err(error) = log.write_all(line.as_bytes()) {
            eprintln!("trials.tsv: {error}");
        }
    }

    /// Writes the page. Returns how many changes were noticed, and the file and name of each other
    /// one that was tried.
    pub(crate) fn write(
        &self,
        files: &BTreeMap<String, OfFile>,
    ) -> Result<(usize, Vec<(String, String)>), Failure> {
        let mut text = String::from(
            "# file, hash, changes that compile, changes that a test noticed. Below it: changes that\n\
             # no test noticed, with the seconds of CPU time, the tests that passed, and how many\n\
             # there are.\n",
        );
        let mut noticed = 0;
        let mut all_survivors = Vec::new();
        for (file, of_file) in files {
            let mut survivors = String::new();
            let mut of_file_noticed = 0;
            let mut missing = false;
            for change in &of_file.all {
                let key = (file.clone(), of_file.hash.clone(), change.clone());
                let Some(record) = self.get(&key) else {
                    missing = true;
                    continue;
                };
                match record.outcome {
                    Outcome::Noticed(_) => of_file_noticed += 1,
                    Outcome::Survived { passed, of } => {
                        let seconds = record.seconds;
                        let _ = writeln!(survivors, "\t{seconds}\t{passed}\t{of}\t{change}");
                        all_survivors.push((file.clone(), change.clone()));
                    }
                }
            }
            noticed += of_file_noticed;
            if !missing {
                let (hash, all) = (&of_file.hash, of_file.all.len());
                let _ = writeln!(text, "{file}\t{hash}\t{all}\t{of_file_noticed}");
                text += &survivors;
            }
        }
        tree::write(&self.path, text.as_bytes())?;
        Ok((noticed, all_survivors))
    }
}
