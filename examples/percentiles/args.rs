//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
A backend that grows slow and then hangs, seen through the percentiles of the
breaker in front of it.

Usage: cargo run --release --example percentiles -- [OPTIONS]

Options:
      --out DIR   the folder for the log and the chart [default: target/percentiles]
      --quick     a third of the time, for a check that it works
  -h, --help      print this";

pub(crate) enum Args {
    Help,
    Run { out: PathBuf, quick: bool },
}

/// # Errors
///
/// Returns what is wrong with the arguments.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Args, String> {
    let mut out = PathBuf::from_iter(["target", "percentiles"]);
    let mut quick = false;
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("-h" | "--help") => return Ok(Args::Help),
            Some("--quick") => quick = true,
            Some("--out") => out = args.next().ok_or("--out needs a folder")?.into(),
            Some(arg) if arg.starts_with("--out=") => out = arg["--out=".len()..].into(),
            _ => return Err(format!("unknown argument '{}'", arg.display())),
        }
    }
    if out.as_os_str().is_empty() {
        return Err("--out needs a folder".to_owned());
    }
    Ok(Args::Run { out, quick })
}
