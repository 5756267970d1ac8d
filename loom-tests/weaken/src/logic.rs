//! Weakens the logic, by the patches in `loom-tests/weakenings`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::models::{self, Verdict};
use crate::{Failure, files, parallel, root};

/// A patch and its header.
#[derive(Debug, PartialEq, Eq)]
struct Weakening {
    name: String,
    path: PathBuf,
    /// The models that must fail.
    models: Vec<String>,
}

/// The longest time that a model may take to fail.
const LONGEST: Duration = Duration::from_secs(900);

/// Parses the header: `# Why: …`, which may continue on the next line, and `# Must fail: MODEL` for
/// each model.
fn header(text: &str) -> Result<Vec<String>, Failure> {
    let lines: Vec<_> = text
        .lines()
        .map_while(|line| line.strip_prefix("# "))
        .collect();
    if !lines.first().is_some_and(|line| line.starts_with("Why: ")) {
        return Err("the first line must say why: `# Why: …`".to_owned());
    }
    let models = lines
        .iter()
        .filter_map(|line| line.strip_prefix("Must fail: "));
    let models: Vec<_> = models.map(str::to_owned).collect();
    if models.is_empty() {
        return Err("the header must name a model: `# Must fail: MODEL`".to_owned());
    }
    Ok(models)
}

/// Reads the patches with these names, or all patches.
fn read(root: &Path, names: &[String]) -> Result<Vec<Weakening>, Failure> {
    let mut found = Vec::new();
    for path in files::entries(&root.join("loom-tests/weakenings"))? {
        let name = files::stem(&path);
        if path.extension().is_none_or(|ending| ending != "patch") {
            return Err(format!("{} is no patch", path.display()));
        }
        if names.is_empty() || names.contains(&name) {
            let models =
                header(&files::text(&path)?).map_err(|failure| format!("{name}: {failure}"))?;
            found.push(Weakening { name, path, models });
        }
    }
    let is_there = |name: &&String| found.iter().any(|it| it.name == **name);
    if let Some(missing) = names.iter().find(|name| !is_there(name)) {
        return Err(format!("{missing}: there is no such weakening"));
    }
    Ok(found)
}

/// Runs `git apply` in a folder, inside or outside a repository.
fn apply(patch: &Path, folder: &Path, only_check: bool) -> Result<(), Failure> {
    let mut command = Command::new("git");
    command.current_dir(folder).arg("apply");
    if only_check {
        command.arg("--check");
    }
    if let Some(parent) = folder.parent() {
        command.env("GIT_CEILING_DIRECTORIES", parent);
    }
    let done = command
        .arg(patch)
        .output()
        .map_err(|error| format!("git: {error}"))?;
    if done.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&done.stderr).into_owned())
    }
}

/// Checks that each patch still applies and that its models exist.
pub(crate) fn check(names: &[String]) -> Result<(), Failure> {
    let root = root();
    let written = models::written(&root)?;
    let weakenings = read(&root, names)?;
    let mut wrong = Vec::new();
    for Weakening { name, path, models } in &weakenings {
        if let Err(failure) = apply(path, &root, true) {
            wrong.push(format!("{name}: {failure}"));
        }
        let missing = models.iter().filter(|model| !written.contains_key(*model));
        wrong.extend(missing.map(|model| format!("{name}: there is no model {model}")));
    }
    println!("{} weakenings looked at", weakenings.len());
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// Applies each patch to a copy of the repository, and runs the models that must fail.
pub(crate) fn try_all(names: &[String], jobs: usize) -> Result<(), Failure> {
    check(names)?;
    let root = root();
    let weakenings = read(&root, names)?;
    let results = parallel::map(&weakenings, jobs, |job, weakening| {
        try_one(&root, weakening, job)
    });
    let wrong: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    println!(
        "{} weakenings, {} not noticed",
        weakenings.len(),
        wrong.len()
    );
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

fn try_one(root: &Path, weakening: &Weakening, job: usize) -> Result<(), Failure> {
    let Weakening { name, path, models } = weakening;
    let named = |failure: Failure| format!("{name}: {failure}");
    let folder = root.join(format!("target/weaken/job-{job}"));
    let (copy, target) = (folder.join("copy"), folder.join("target"));
    mirror(root, &copy).map_err(|error| named(error.to_string()))?;
    apply(path, &copy, false).map_err(named)?;
    let written = models::written(&copy).map_err(named)?;
    let mut files: Vec<_> = models.iter().map(|model| written[model].as_str()).collect();
    files.sort_unstable();
    files.dedup();
    models::keep(&copy, &files).map_err(named)?;
    let executable = models::build(&copy, &target).map_err(named)?;
    let mut passed = Vec::new();
    for model in models {
        let path = format!("{}::{model}", written[model]);
        let log = folder.join("log");
        let (verdict, took) = models::run(&executable, &path, &[], &log, LONGEST).map_err(named)?;
        let word = match verdict {
            Verdict::Failed => "fails",
            Verdict::Passed => "PASSES",
            Verdict::TimedOut => "TOOK TOO LONG",
        };
        println!("{name}: {model} {word} ({took:.1?})");
        if verdict != Verdict::Failed {
            passed.push(format!("{name}: {model} doesn't notice it"));
        }
    }
    if passed.is_empty() {
        Ok(())
    } else {
        Err(passed.join("\n"))
    }
}

/// Makes `copy` equal to `from`, without touching a file that is equal already. Cargo rebuilds
/// every touched file.
fn mirror(from: &Path, copy: &Path) -> std::io::Result<()> {
    fs::create_dir_all(copy)?;
    for entry in fs::read_dir(copy)? {
        let path = entry?.path();
        let original = from.join(path.file_name().unwrap_or_default());
        if !original.exists() {
            if path.is_dir() {
                fs::remove_dir_all(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
        }
    }
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let there = copy.join(name);
        if path.is_dir() {
            if name != "target" && name != ".git" {
                mirror(&path, &there)?;
            }
        } else if path.is_file() && fs::read(&path)? != fs::read(&there).unwrap_or_default() {
            fs::copy(&path, &there)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_why_and_names_models() {
        let text = "# Why: it breaks\n# in two lines.\n# Must fail: a\n# Must fail: b\n--- a/x\n";
        assert_eq!(header(text).unwrap(), ["a", "b"]);
        assert!(header("# Must fail: a\n").is_err());
        assert!(header("# Why: it breaks\n").is_err());
    }

    #[test]
    fn every_patch_applies_and_names_models_that_exist() {
        check(&[]).unwrap();
    }
}
