//! Why a member can't start, and why a breaker can't join.

use std::fmt::Write;
use std::{error, fmt};

use tripcurve::error::ConfigError;

/// A member can't start.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// A setting makes no sense.
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// There is no runtime of tokio.
    NoRuntime(tokio::runtime::TryCurrentError),
    /// The operating system gives no random number.
    NoRandomNumber(Box<dyn error::Error + Send + Sync>),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting {
                name,
                value,
                expected,
            } => write!(f, "fleet: {name} is {value}; expected {expected}"),
            Self::NoRuntime(_) => f.write_str(
                "fleet: there is no runtime of tokio here; call spawn within one, for example in \
                 an async function",
            ),
            Self::NoRandomNumber(_) => {
                f.write_str("fleet: the operating system gives no random number")
            }
        }
    }
}

impl error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Setting { .. } => None,
            Self::NoRuntime(it) => Some(it),
            Self::NoRandomNumber(it) => Some(&**it),
        }
    }
}

/// A breaker can't join a fleet.
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// The breaker has no adaptive policy.
    NotAdaptive(ConfigError),
    /// A breaker of this name has joined already. Two would count as one member.
    NameTaken(String),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAdaptive(_) => f.write_str("fleet: the breaker can't join"),
            Self::NameTaken(name) => write!(
                f,
                "fleet: breaker \"{name}\" has joined already; give each breaker that joins a name \
                 of its own"
            ),
        }
    }
}

impl error::Error for JoinError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::NotAdaptive(it) => Some(it),
            Self::NameTaken(_) => None,
        }
    }
}

/// The longest text that a member keeps of an error, in bytes.
const LONGEST: usize = 1_024;

/// A text that takes no more than [`LONGEST`] bytes.
#[derive(Default)]
struct Short(String);

impl Write for Short {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let mut end = more.len().min(LONGEST - self.0.len());
        while !more.is_char_boundary(end) {
            end -= 1;
        }
        self.0.push_str(&more[..end]);
        if end < more.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// The beginning of a text.
pub(super) fn shortened(text: &str) -> String {
    let mut short = Short::default();
    // An error says that the rest was left out.
    let _ = short.write_str(text);
    short.0
}

/// An error with its sources, shortened.
pub(super) fn text(error: &dyn error::Error) -> String {
    let mut text = Short::default();
    let mut written = write!(text, "{error}");
    let mut source = error.source();
    // An error that is its own source ends at the bound, since each source takes two bytes or more.
    while let (Ok(()), Some(it)) = (written, source) {
        written = write!(text, ": {it}");
        source = it.source();
    }
    text.0
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn a_text_is_cut_after_1024_bytes_and_never_within_a_character() {
        let full = "x".repeat(LONGEST);
        assert_eq!(shortened("x"), "x");
        assert_eq!(shortened(&full), full);
        assert_eq!(shortened(&format!("{full}y")), full);
        // An é takes two bytes, and a ♥ three.
        let almost = "x".repeat(LONGEST - 2);
        assert_eq!(shortened(&format!("{almost}é")), format!("{almost}é"));
        assert_eq!(shortened(&format!("{almost}é!")), format!("{almost}é"));
        assert_eq!(shortened(&format!("{almost}♥")), almost);
    }

    #[test]
    fn a_text_in_parts_has_one_bound_and_says_when_it_is_reached() {
        let (part, mut short) = ("x".repeat(LONGEST / 2), Short::default());
        assert!(short.write_str(&part).is_ok() && short.write_str(&part).is_ok());
        assert!(short.write_str("").is_ok() && short.write_str("y").is_err());
        assert_eq!(short.0, "x".repeat(LONGEST));
    }

    #[test]
    fn errors_name_their_sources() {
        let classic = tripcurve::CircuitBreaker::builder("search")
            .trip_when(tripcurve::TripPolicy::classic())
            .build()
            .unwrap();
        let refused = JoinError::NotAdaptive(classic.fleet_port().unwrap_err());
        let source = refused.source().unwrap().to_string();
        assert_eq!(text(&refused), format!("{refused}: {source}"));
        assert!(JoinError::NameTaken("search".into()).source().is_none());
        let no_random = SpawnError::NoRandomNumber("no device".into());
        assert_eq!(no_random.source().unwrap().to_string(), "no device");
        assert_eq!(
            text(&no_random),
            "fleet: the operating system gives no random number: no device"
        );
    }
}
