//! `cargo bench` starts the comparison from here.
//!
//! The benchmarks are in `benches/compare`, a workspace of its own, because what they compare with
//! must not enter the dependency tree of those who use or test this crate. What is given after `--`
//! goes on to criterion: `cargo bench -- --quick closed`.

use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    // Cargo says `--bench` to a benchmark that it runs as one. Without it this is part of a test
    // run, such as `cargo test --all-targets`, which must not build the peers either.
    if !arguments.iter().any(|argument| argument == "--bench") {
        eprintln!("nothing to test here: `cargo bench` starts the comparison");
        return ExitCode::SUCCESS;
    }

    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/Cargo.toml");
    // `CARGO_TARGET_TMPDIR` is the directory `tmp` within the target directory of this build.
    // Building there leaves criterion's output where it is looked for, in `target/criterion`.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());

    let mut command = Command::new(&cargo);
    command
        .args(["bench", "--manifest-path"])
        .arg(&manifest)
        .arg("--")
        // The inner cargo says it again.
        .args(arguments.iter().filter(|argument| *argument != "--bench"))
        .env(
            "CARGO_TARGET_DIR",
            target.expect("`tmp` lies in a directory"),
        );
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        // A code that doesn't fit, or a signal, in which case there is none, is a failure all the
        // same.
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
