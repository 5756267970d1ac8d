//! Builds the models and runs one of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Failure, files};

/// The file that makes one executable of all models.
const ALL: &str = "loom-tests/tests/all.rs";

/// The result of a model's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// An assertion of the model or of loom failed, or ended the process.
    Failed,
    /// The model took much longer than it should.
    TimedOut,
}

/// The models in the files of `loom-tests/tests`, each with its file's name.
pub(crate) fn written(root: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let mut models = BTreeMap::new();
    for path in files::entries(&root.join("loom-tests/tests"))? {
        let parsed = syn::parse_file(&files::text(&path)?);
        let parsed = parsed.map_err(|error| format!("{}: {error}", path.display()))?;
        let file = files::stem(&path);
        for item in parsed.items {
            if let syn::Item::Fn(function) = item
                && function.attrs.iter().any(|it| it.path().is_ident("test"))
            {
                models.insert(function.sig.ident.to_string(), file.clone());
            }
        }
    }
    Ok(models)
}

/// Leaves only the models of these files in the executable. The others need not be built then.
pub(crate) fn keep(folder: &Path, files: &[&str]) -> Result<(), Failure> {
    let path = folder.join(ALL);
    let modules: Vec<_> = files.iter().map(|file| format!("mod {file};\n")).collect();
    fs::write(&path, modules.concat()).map_err(|error| format!("{}: {error}", path.display()))
}

/// Builds the models' executable from the sources in `folder`.
pub(crate) fn build(folder: &Path, target: &Path) -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(folder)
        .env("RUSTFLAGS", "--cfg tripcurve_loom")
        .args(["test", "--release", "--package", "tripcurve-loom-tests"])
        .args(["--features", "tracing"])
        .args(["--no-run", "--message-format", "json-render-diagnostics"])
        .arg("--target-dir")
        .arg(target)
        .args(["--test", "all"]);
    let done = command.output().map_err(|error| error.to_string())?;
    if !done.status.success() {
        let output = String::from_utf8_lossy(&done.stderr);
        return Err(format!("it doesn't build:\n{output}"));
    }
    let messages = String::from_utf8_lossy(&done.stdout);
    let executable = messages.lines().find_map(executable);
    executable.ok_or_else(|| "cargo names no executable of the models".to_owned())
}

/// The executable that one of cargo's messages names.
fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    Some(message.get("executable")?.as_str()?.into())
}

/// Runs one model, `file::model`, with a time limit.
pub(crate) fn run(
    executable: &Path,
    model: &str,
    environment: &[(&str, &str)],
    log: &Path,
    at_most: Duration,
) -> Result<(Verdict, Duration), Failure> {
    let failure = |error: std::io::Error| format!("{model}: {error}");
    let output = File::create(log).map_err(failure)?;
    let begin = Instant::now();
    let mut child = Command::new(executable)
        .args(["--exact", model, "--nocapture", "--test-threads", "1"])
        .env_remove("TRIPCURVE_LOOM")
        .env_remove("LOOM_CHECKPOINT_FILE")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(failure)?)
        .stderr(output)
        .spawn()
        .map_err(failure)?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failure)? {
            break status;
        }
        if begin.elapsed() > at_most {
            child.kill().and_then(|()| child.wait()).map_err(failure)?;
            return Ok((Verdict::TimedOut, begin.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let output = fs::read(log).map_err(failure)?;
    let output = String::from_utf8_lossy(&output);
    let verdict = if status.success() && output.contains("test result: ok. 1 passed") {
        Verdict::Passed
    } else if output.contains("panicked at") {
        Verdict::Failed
    } else {
        return Err(format!("{model}: neither passed nor failed:\n{output}"));
    };
    Ok((verdict, begin.elapsed()))
}
