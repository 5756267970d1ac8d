//! The tests, and how one of them is run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wait4::Wait4 as _;

use crate::{Failure, programs};

/// A test of an executable, and what it usually takes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Test {
    pub(crate) executable: PathBuf,
    /// Where Cargo would run it.
    folder: PathBuf,
    pub(crate) name: String,
    /// A model explores more with some changes. That it takes long shows nothing.
    #[serde(default)]
    is_model: bool,
    /// In seconds.
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
    /// The first numbers of the switches that it comes through.
    pub(crate) reached: Vec<u32>,
}

/// How the process of a test ends that failed. One that was stopped ends otherwise.
const FAILED: i32 = 101;

pub(crate) struct Run {
    pub(crate) passed: bool,
    /// It ended by itself.
    pub(crate) ended: bool,
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
}

#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds test executables and lists their tests, those that are ignored too.
///
/// Tests that look at the text of the code are left out: they would notice a harmless change.
pub(crate) fn listed(command: &mut Command, are_models: bool) -> Result<Vec<Test>, Failure> {
    command.args(["--no-run", "--message-format", "json"]);
    let mut tests = Vec::new();
    for line in programs::output(command)?.lines() {
        let Ok(artifact) = serde_json::from_str::<Artifact>(line) else {
            continue;
        };
        let (Some(executable), Some(manifest), Some(target)) =
            (artifact.executable, artifact.manifest_path, artifact.target)
        else {
            continue;
        };
        let is_test = target
            .kind
            .iter()
            .any(|kind| kind == "test" || kind == "lib");
        if !is_test || target.name == "monitoring" {
            continue;
        }
        let folder = manifest.parent().expect("a manifest lies in a folder");
        let mut list = Command::new(&executable);
        list.current_dir(folder)
            .args(["--list", "--format", "terse"]);
        for line in programs::output(&mut list)?.lines() {
            let Some(name) = line.strip_suffix(": test") else {
                continue;
            };
            if ["house_rules::", "verification::"]
                .iter()
                .any(|text| name.starts_with(text))
            {
                continue;
            }
            tests.push(Test {
                executable: executable.clone(),
                folder: folder.to_owned(),
                name: name.to_owned(),
                is_model: are_models,
                cpu: 0.0,
                wall: 0.0,
                reached: Vec::new(),
            });
        }
    }
    Ok(tests)
}

impl Test {
    /// What it takes, in seconds of CPU time. A test that waits keeps others from running too.
    pub(crate) fn cost(&self) -> f64 {
        self.cpu.max(self.wall / 3.0)
    }

    /// Runs it with a change. It fails if it takes ten times as long as usual.
    pub(crate) fn run(&self, change: u32) -> Run {
        let cpu = Duration::from_secs_f64(self.cpu * 10.0 + 2.0);
        let wall = Duration::from_secs_f64(self.wall * 10.0 + 8.0);
        self.run_within(cpu, wall, change, None)
    }

    /// Runs it without a change, and notes in a file of zeros which switches it comes through.
    pub(crate) fn run_unchanged(&self, limit: Duration, reached: &Path) -> Run {
        self.run_within(limit, limit * 4, 0, Some(reached))
    }

    fn run_within(
        &self,
        cpu: Duration,
        wall: Duration,
        change: u32,
        reached: Option<&Path>,
    ) -> Run {
        let mut command = Command::new("timeout");
        command
            .current_dir(&self.folder)
            .arg("--signal=KILL")
            .arg(wall.as_secs().to_string())
            // A change may ask for all memory there is.
            .args(["prlimit", "--data=4000000000"])
            .arg(format!("--cpu={}", cpu.as_secs()))
            .arg(&self.executable)
            .args([&self.name, "--exact", "--include-ignored"])
            .env("MUTANT", change.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(reached) = reached {
            command.env("MUTANT_REACHED", reached);
        }
        let begin = Instant::now();
        let mut child = command.spawn().expect("timeout can be started");
        let group = child.id();
        let used = child.wait4().expect("a child can be waited for");
        let success = used.status.success();
        let passed = success || self.is_model && used.status.code() != Some(FAILED);
        if !success {
            // What the test has started is in the group of `timeout`.
            let mut kill = Command::new("kill");
            kill.args(["-KILL", "--", &format!("-{group}")]);
            let _ = kill.stderr(Stdio::null()).status();
        }
        Run {
            passed,
            ended: success || used.status.code() == Some(FAILED),
            cpu: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
            wall: begin.elapsed().as_secs_f64(),
        }
    }
}
