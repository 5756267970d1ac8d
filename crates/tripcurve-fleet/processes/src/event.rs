//! What members tell, one line each on the standard output.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Something that a member tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Opened { by_fleet: bool },
    Closed,
    Connected,
    LocalOnly(String),
    OtherSettings,
    Status(Status),
}

/// What a member is and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) is_connected: bool,
    pub(crate) is_closed: bool,
    pub(crate) fleet_is_closed: bool,
    pub(crate) members: u64,
    pub(crate) asked: u64,
    pub(crate) admitted: u64,
    pub(crate) failed: u64,
    pub(crate) slow: u64,
    /// In µs.
    pub(crate) longest: u64,
}

/// The time in µs. All processes have the same clock.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// Tells the coordinator.
pub(crate) fn tell(what: &What) {
    let text = match what {
        What::Opened { by_fleet: true } => "opened fleet".to_owned(),
        What::Opened { by_fleet: false } => "opened alone".to_owned(),
        What::Closed => "closed".to_owned(),
        What::Connected => "connected".to_owned(),
        What::LocalOnly(reason) => format!("local {}", reason.replace('\n', " ")),
        What::OtherSettings => "other".to_owned(),
        What::Status(it) => format!(
            "status {} {} {} {} {} {} {} {} {}",
            u8::from(it.is_connected),
            u8::from(it.is_closed),
            u8::from(it.fleet_is_closed),
            it.members,
            it.asked,
            it.admitted,
            it.failed,
            it.slow,
            it.longest
        ),
    };
    // The coordinator may be gone.
    let _ = writeln!(std::io::stdout().lock(), "{} {text}", now());
}

/// Reads a line that [`tell`] wrote.
pub(crate) fn read(line: &str) -> Option<(u64, What)> {
    let (at, text) = line.split_once(' ')?;
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let what = match word {
        "opened" => What::Opened {
            by_fleet: rest == "fleet",
        },
        "closed" => What::Closed,
        "connected" => What::Connected,
        "local" => What::LocalOnly(rest.to_owned()),
        "other" => What::OtherSettings,
        "status" => {
            let numbers: Result<Vec<u64>, _> = rest.split(' ').map(str::parse).collect();
            let numbers: [u64; 9] = numbers.ok()?.try_into().ok()?;
            let [
                connected,
                closed,
                fleet_closed,
                members,
                asked,
                admitted,
                failed,
                slow,
                longest,
            ] = numbers;
            What::Status(Status {
                is_connected: connected == 1,
                is_closed: closed == 1,
                fleet_is_closed: fleet_closed == 1,
                members,
                asked,
                admitted,
                failed,
                slow,
                longest,
            })
        }
        _ => return None,
    };
    Some((at.parse().ok()?, what))
}
