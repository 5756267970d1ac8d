//! Programs that this one starts.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Failure;

/// Cargo in this folder. The switches evaluate constants by an unstable feature.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(folder).env("RUSTC_BOOTSTRAP", "1");
    command
}

/// What a command prints. Its errors go to the terminal.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{command:?}: {error}"))
}

/// The packages whose code is changed, with all they have.
const PACKAGES: [&str; 9] = [
    "--all-features",
    "--package",
    "tripcurve",
    "--package",
    "tripcurve-config",
    "--package",
    "tripcurve-dashboard",
    "--package",
    "tripcurve-fleet",
];

/// Switches bring parentheses and branches that lints complain about.
const NO_WARNINGS: &str = "--allow warnings";

const LOOM: &str = "--allow warnings --cfg tripcurve_loom";

/// Checks the tests of the packages.
pub(crate) fn check(folder: &Path, build: &Path) -> Command {
    let mut command = cargo(folder);
    command.arg("check").args(PACKAGES);
    optimised(&mut command, build, NO_WARNINGS);
    command
}

/// Checks the loom models.
pub(crate) fn check_models(folder: &Path, build: &Path) -> Command {
    let mut command = cargo(folder);
    command.args(["check", "--package", "tripcurve-loom-tests"]);
    optimised(&mut command, build, LOOM);
    command
}

/// Builds the tests of the packages, optimised so that they are short.
pub(crate) fn tests(folder: &Path, build: &Path) -> Command {
    let mut command = cargo(folder);
    command.args(["test", "--tests"]).args(PACKAGES);
    optimised(&mut command, build, NO_WARNINGS);
    command
}

/// The tests of the schema of configuration files, which are a workspace of their own.
pub(crate) fn schema_tests(folder: &Path, build: &Path) -> Command {
    let mut command = cargo(folder);
    command.args(["test", "--manifest-path"]);
    command.arg("crates/tripcurve-config/schema-tests/Cargo.toml");
    optimised(&mut command, build, NO_WARNINGS);
    command
}

/// The loom models.
pub(crate) fn models(folder: &Path, build: &Path) -> Command {
    let mut command = cargo(folder);
    command.args([
        "test",
        "--release",
        "--tests",
        "--package",
        "tripcurve-loom-tests",
    ]);
    optimised(&mut command, build, LOOM);
    command
}

fn optimised(command: &mut Command, build: &Path, flags: &str) {
    command
        .arg("--target-dir")
        .arg(build)
        .env("RUSTFLAGS", flags)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_TEST_OPT_LEVEL", "1");
}
