//! Starts the comparison from `cargo bench`.
//!
//! The benchmarks are in `benches/compare`, a separate workspace. Otherwise the peers would enter
//! the dependency tree of this crate's users and testers. Arguments after `--` go to criterion:
//! `cargo bench -- --quick closed`.

use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    // Cargo passes `--bench` to a benchmark. Without it, this is part of a test run such as `cargo
    // test --all-targets`, which must not build the peers.
    if !arguments.iter().any(|argument| argument == "--bench") {
        eprintln!("nothing to test here: `cargo bench` starts the comparison");
        return ExitCode::SUCCESS;
    }

    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/Cargo.toml");
    // `CARGO_TARGET_TMPDIR` is the directory `tmp` in this build's target directory. Building in
    // its parent leaves criterion's output in the usual place, `target/criterion`.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());

    let mut command = Command::new(&cargo);
    command
        .args(["bench", "--manifest-path"])
        .arg(&manifest)
        .arg("--")
        // The inner cargo passes `--bench` itself.
        .args(arguments.iter().filter(|argument| *argument != "--bench"))
        .env(
            "CARGO_TARGET_DIR",
            target.expect("`tmp` lies in a directory"),
        );
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        // An exit code out of range is a failure, too. So is a signal, which has no code.
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!(
                "the comparison in {} can't be started with {}: {error}",
                manifest.display(),
                cargo.display(),
            );
            ExitCode::FAILURE
        }
    }
}
