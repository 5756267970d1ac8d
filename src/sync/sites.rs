//! Weakens one access, for the check that a model notices.
//!
//! A site is where the code calls an atomic's method or [`fence`](super::fence): a file, a line and
//! a column. Two environment variables are read once:
//!
//! - `TRIPCURVE_WEAKEN`, for instance `src/state/machine.rs:211:14=Relaxed`, gives one site this
//!   ordering instead of its own. A site with `:failure` appended means the ordering of a failed
//!   exchange. A fence that becomes `Relaxed` is left out. Commas separate several sites.
//! - `TRIPCURVE_SITES` names a file. Each executed site is appended to it once, with the operation
//!   and the ordering.
//!
//! So one build of the models can weaken any site. `cargo weaken` sets the variables.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::panic::Location;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::Ordering;

/// One of the two orderings of a compare-exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// The ordering of an exchange that succeeds, or the only ordering of another access.
    Own,
    Failure,
}

impl Part {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::Failure => ":failure",
        }
    }
}

/// The ordering of the caller's access: the written one, unless a variable weakens it.
#[track_caller]
pub(super) fn ordering(operation: &str, written: Ordering) -> Ordering {
    at(Location::caller(), Part::Own, operation, written)
}

/// The ordering of the caller's compare-exchange when it fails, unless a variable weakens it.
#[track_caller]
pub(super) fn failure_ordering(operation: &str, written: Ordering) -> Ordering {
    at(Location::caller(), Part::Failure, operation, written)
}

fn at(site: &Location<'_>, part: Part, operation: &str, written: Ordering) -> Ordering {
    if let Some(log) = log() {
        log.note(site, part, operation, written);
    }
    weaker(site, part).unwrap_or(written)
}

/// A site with an ordering of its own in this run.
struct Weaker {
    site: String,
    line: u32,
    ordering: Ordering,
}

fn weaker(site: &Location<'_>, part: Part) -> Option<Ordering> {
    static WEAKER: OnceLock<Vec<Weaker>> = OnceLock::new();
    let all = WEAKER.get_or_init(|| {
        let wanted = std::env::var("TRIPCURVE_WEAKEN").unwrap_or_default();
        let wanted = wanted.split(',').filter(|one| !one.is_empty());
        wanted.map(Weaker::parse).collect()
    });
    all.iter()
        .filter(|it| it.line == site.line())
        .find(|it| it.site == format!("{site}{}", part.suffix()))
        .map(|it| it.ordering)
}

impl Weaker {
    fn parse(wanted: &str) -> Self {
        let parsed = wanted.split_once('=').and_then(|(site, ordering)| {
            let line = site.split(':').nth(1)?.parse().ok()?;
            let (site, ordering) = (site.to_owned(), named(ordering)?);
            Some(Self {
                site,
                line,
                ordering,
            })
        });
        parsed.unwrap_or_else(|| panic!("TRIPCURVE_WEAKEN: {wanted}; expected SITE=ORDERING"))
    }
}

fn named(ordering: &str) -> Option<Ordering> {
    // All five, because each may be asked for. Loom panics if an ordering is too strong for an
    // access.
    Some(match ordering {
        "Relaxed" => Ordering::Relaxed,
        "Acquire" => Ordering::Acquire,
        "Release" => Ordering::Release,
        "AcqRel" => Ordering::AcqRel,
        "SeqCst" => Ordering::SeqCst,
        _ => return None,
    })
}

/// The sites that have been executed.
struct Log(Mutex<Noted>);

struct Noted {
    places: HashSet<(String, u32, u32, Part)>,
    file: File,
}

fn log() -> Option<&'static Log> {
    static LOG: OnceLock<Option<Log>> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let path = std::env::var_os("TRIPCURVE_SITES")?;
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.unwrap_or_else(|error| panic!("TRIPCURVE_SITES: {error}"));
        let places = HashSet::new();
        Some(Log(Mutex::new(Noted { places, file })))
    });
    log.as_ref()
}

impl Log {
    /// Appends the site to the file, the first time.
    fn note(&self, site: &Location<'_>, part: Part, operation: &str, written: Ordering) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (site.file().to_owned(), site.line(), site.column(), part);
        if noted.places.insert(place) {
            let line = format!("{site}{} {operation} {written:?}\n", part.suffix());
            let appended = noted.file.write_all(line.as_bytes());
            appended.unwrap_or_else(|error| panic!("TRIPCURVE_SITES: {error}"));
        }
    }
}
