//! The command line.

use std::ffi::OsString;
use std::ops::RangeInclusive;

pub(crate) const USAGE: &str = "\
A shop with circuit breakers beside one without, through a bad half-minute.

Usage: cargo run --release --example storefront -- [OPTIONS]

Options:
      --plain     print lines instead of drawing on the terminal; so it does by
                  itself where stdout is no terminal of at least 80 by 24
      --rate N    shoppers a second, for each storefront, 100 to 1000 [default: 400]
  -h, --help      print this";

const RATES: RangeInclusive<u32> = 100..=1_000;

pub(crate) enum Args {
    Help,
    Run { plain: bool, rate: u32 },
}

/// # Errors
///
/// Returns what is wrong with the arguments.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Args, String> {
    let (mut plain, mut rate) = (false, 400);
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("-h" | "--help") => return Ok(Args::Help),
            Some("--plain") => plain = true,
            Some("--rate") => {
                let value = args.next().ok_or("--rate needs a number")?;
                rate = parse_rate(&value.to_string_lossy())?;
            }
            Some(arg) if arg.starts_with("--rate=") => rate = parse_rate(&arg["--rate=".len()..])?,
            _ => return Err(format!("unknown argument '{}'", arg.display())),
        }
    }
    Ok(Args::Run { plain, rate })
}

fn parse_rate(value: &str) -> Result<u32, String> {
    value
        .parse()
        .ok()
        .filter(|rate| RATES.contains(rate))
        .ok_or_else(|| {
            let (low, high) = (RATES.start(), RATES.end());
            format!("--rate '{value}' is not a number from {low} to {high}")
        })
}
