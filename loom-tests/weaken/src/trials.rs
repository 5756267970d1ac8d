//! The weakenings that an earlier run has tried with the same models.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use crate::Failure;

/// The result of one weakening.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Trial {
    Caught { by: String },
    Survived { timed_out: usize },
}

impl Trial {
    fn line(&self, wanted: &str) -> String {
        match self {
            Self::Caught { by } => format!("{wanted} caught {by}\n"),
            Self::Survived { timed_out } => format!("{wanted} survived {timed_out}\n"),
        }
    }

    fn parse(line: &str) -> Option<(String, Self)> {
        let [wanted, how, what] = line.split(' ').collect::<Vec<_>>()[..] else {
            return None;
        };
        let trial = match how {
            "caught" => Self::Caught {
                by: what.to_owned(),
            },
            "survived" => Self::Survived {
                timed_out: what.parse().ok()?,
            },
            _ => return None,
        };
        Some((wanted.to_owned(), trial))
    }
}

/// Trials by what was weakened, in a file. A run that was stopped goes on where it was.
#[derive(Debug)]
pub(crate) struct Trials {
    known: BTreeMap<String, Trial>,
    file: Mutex<File>,
}

impl Trials {
    /// Reads the file if its first line is this fingerprint of the models. Otherwise begins it.
    pub(crate) fn open(path: &Path, fingerprint: &str) -> Result<Self, Failure> {
        let failure = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).unwrap_or_default();
        let (first, rest) = text.split_once('\n').unwrap_or_default();
        let known = if first == fingerprint {
            rest.lines().filter_map(Trial::parse).collect()
        } else {
            fs::write(path, format!("{fingerprint}\n")).map_err(failure)?;
            BTreeMap::new()
        };
        let file = OpenOptions::new().append(true).open(path);
        Ok(Self {
            known,
            file: Mutex::new(file.map_err(failure)?),
        })
    }

    /// The result for `wanted`, which is tried unless it is known.
    ///
    /// If only some models are run, a later run tries again what survives them.
    pub(crate) fn of(
        &self,
        wanted: &str,
        are_all_run: bool,
        try_it: impl FnOnce() -> Result<Trial, Failure>,
    ) -> Result<Trial, Failure> {
        if let Some(known) = self.known.get(wanted) {
            return Ok(known.clone());
        }
        let trial = try_it()?;
        if !are_all_run && matches!(trial, Trial::Survived { .. }) {
            return Ok(trial);
        }
        let mut file = self.file.lock().map_err(|error| error.to_string())?;
        file.write_all(trial.line(wanted).as_bytes())
            .map_err(|error| error.to_string())?;
        Ok(trial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_with_the_same_models_is_not_tried_again() {
        let folder = std::env::temp_dir().join(format!("trials-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("trials.txt");
        let caught = Trial::Caught {
            by: "core::a".to_owned(),
        };
        let survived = Trial::Survived { timed_out: 2 };
        for fingerprint in ["1 2", "1 3"] {
            let trials = Trials::open(&path, fingerprint).unwrap();
            let first = trials.of("src/a.rs:1:2=Relaxed", false, || Ok(caught.clone()));
            assert_eq!(first, Ok(caught.clone()));
            for are_all_run in [false, true] {
                let second =
                    trials.of("src/a.rs:9:9=Acquire", are_all_run, || Ok(survived.clone()));
                assert_eq!(second, Ok(survived.clone()));
                let again = Trials::open(&path, fingerprint).unwrap();
                let is_kept = again.known.contains_key("src/a.rs:9:9=Acquire");
                assert_eq!(is_kept, are_all_run);
            }
            let again = Trials::open(&path, fingerprint).unwrap();
            for (wanted, expected) in [
                ("src/a.rs:1:2=Relaxed", &caught),
                ("src/a.rs:9:9=Acquire", &survived),
            ] {
                let known = again.of(wanted, true, || Err("tried again".to_owned()));
                assert_eq!(known.as_ref(), Ok(expected));
            }
            assert!(
                again
                    .of("src/b.rs:1:1=Relaxed", true, || Err(String::new()))
                    .is_err()
            );
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
