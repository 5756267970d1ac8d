//! The sites that each model executes, and its run time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::models::{self, Verdict};
use crate::{Failure, files, parallel};

/// A model, run once with nothing weakened.
#[derive(Debug)]
pub(crate) struct Profile {
    /// The model's name, as `file::model`.
    pub(crate) model: String,
    pub(crate) executable: PathBuf,
    pub(crate) took: Duration,
    /// The place, the operation and the ordering of each site, in the shim's form.
    pub(crate) sites: BTreeSet<String>,
}

/// The longest time that a model may take without a weakening.
const LONGEST: Duration = Duration::from_secs(1800);

/// Runs all models, or those with the word `only` in their names, unless an earlier run of the same executables has left its notes in `folder`.
pub(crate) fn of_all(
    root: &Path,
    executable: &Path,
    folder: &Path,
    only: Option<&str>,
    jobs: usize,
) -> Result<Vec<Profile>, Failure> {
    files::folder(folder)?;
    let models = models::written(root)?.into_iter();
    let mut models: Vec<_> = models
        .map(|(model, file)| format!("{file}::{model}"))
        .collect();
    models.retain(|model| only.is_none_or(|word| model.contains(word)));
    let profiles = parallel::map(&models, jobs, |_, model| of_one(model, executable, folder));
    let mut profiles: Vec<_> = profiles.into_iter().collect::<Result<_, Failure>>()?;
    profiles.sort_by_key(|profile| profile.took);
    Ok(profiles)
}

fn of_one(model: &str, executable: &Path, folder: &Path) -> Result<Profile, Failure> {
    let failure = |error: std::io::Error| format!("{model}: {error}");
    let notes = folder.join(format!("{model}.txt"));
    let fingerprint = fingerprint(executable).map_err(failure)?;
    if let Some(known) = read(&notes, &fingerprint, model, executable) {
        return Ok(known);
    }
    let (sites, log) = (
        folder.join(format!("{model}.sites")),
        folder.join(format!("{model}.log")),
    );
    fs::write(&sites, "").map_err(failure)?;
    let path = sites.to_string_lossy();
    let environment = [("TRIPCURVE_SITES", &*path)];
    let (verdict, took) = models::run(executable, model, &environment, &log, LONGEST)?;
    if verdict != Verdict::Passed {
        return Err(format!(
            "{model} fails with nothing weakened; see {}",
            log.display()
        ));
    }
    let sites = fs::read_to_string(&sites).map_err(failure)?;
    let text = format!("{fingerprint}\n{}\n{sites}", took.as_millis());
    fs::write(&notes, text).map_err(failure)?;
    read(&notes, &fingerprint, model, executable).ok_or_else(|| format!("{model}: unreadable"))
}

/// The executable's length and the time at which it was built.
pub(crate) fn fingerprint(executable: &Path) -> std::io::Result<String> {
    let data = fs::metadata(executable)?;
    let since = data.modified()?.duration_since(UNIX_EPOCH);
    Ok(format!(
        "{} {}",
        data.len(),
        since.unwrap_or_default().as_nanos()
    ))
}

fn read(notes: &Path, fingerprint: &str, model: &str, executable: &Path) -> Option<Profile> {
    let text = fs::read_to_string(notes).ok()?;
    let mut lines = text.lines();
    if lines.next()? != fingerprint {
        return None;
    }
    Some(Profile {
        model: model.to_owned(),
        executable: executable.to_owned(),
        took: Duration::from_millis(lines.next()?.parse().ok()?),
        sites: lines.map(str::to_owned).collect(),
    })
}
