//! Leaves out the changes that don't compile.
//!
//! The compiler names the text of the change that it doesn't take. It can miss others, because it
//! stops after the phase in which it found the first. So the tree is checked until it compiles.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::changes::Change;
use crate::switches::Switch;
use crate::tree::{self, Tree};
use crate::{Failure, programs};

#[derive(Deserialize)]
struct Line {
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    level: String,
    rendered: Option<String>,
    spans: Vec<Place>,
    children: Vec<Message>,
}

#[derive(Deserialize)]
struct Place {
    file_name: String,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
    expansion: Option<Box<Expansion>>,
}

#[derive(Deserialize)]
struct Expansion {
    span: Place,
}

/// The tree with all changes that compile, and the others by their places in the list.
pub(crate) fn compiled(
    root: &Path,
    folder: &Path,
    build: &Path,
    changes: &[Change],
    mut without: HashSet<u32>,
) -> Result<(Tree, HashSet<u32>), Failure> {
    for round in 1.. {
        let tree = tree::write_sources(root, folder, changes, &without)?;
        let errors = errors(folder, build)?;
        if errors.is_empty() {
            return Ok((tree, without));
        }
        let before = without.len();
        for error in &errors {
            without.extend(blamed(error, &tree, folder));
        }
        eprintln!(
            "round {round}: {} errors, {} changes don't compile",
            errors.len(),
            without.len()
        );
        if without.len() == before {
            let first = errors[0].rendered.as_deref().unwrap_or_default();
            return Err(format!("no change explains this error:\n{first}"));
        }
    }
    unreachable!("the rounds end when no change is left to blame")
}

/// The errors of the packages, or else those of the loom models, which contain other code.
fn errors(folder: &Path, build: &Path) -> Result<Vec<Message>, Failure> {
    let errors = errors_of(&mut programs::check(folder, build))?;
    if errors.is_empty() {
        let build = build.with_file_name("build-models");
        return errors_of(&mut programs::check_models(folder, &build));
    }
    Ok(errors)
}

fn errors_of(command: &mut Command) -> Result<Vec<Message>, Failure> {
    command
        .args(["--tests", "--keep-going", "--message-format", "json"])
        .stderr(Stdio::null());
    let output = command.output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| {
        let line: Line = serde_json::from_str(line).ok()?;
        line.message
    });
    let errors: Vec<_> = messages
        .filter(|it| it.level == "error" && !it.spans.is_empty())
        .collect();
    if errors.is_empty() && !output.status.success() {
        return Err(format!("{command:?}: {}, without an error", output.status));
    }
    Ok(errors)
}

/// The changes that may be at fault for an error.
///
/// These are the changes whose text the error names. If there are none, it is all changes of the
/// innermost switch around the error's place.
fn blamed(error: &Message, tree: &Tree, folder: &Path) -> Vec<u32> {
    let mut places = Vec::new();
    collect(error, &mut places);
    let mut found = Vec::new();
    for (place, _) in &places {
        for switch in switches(place, tree, folder) {
            for (change, text) in switch.changes.iter().zip(&switch.alternatives) {
                if within(place, text) {
                    found.push(*change);
                }
            }
        }
    }
    if found.is_empty() {
        // The primary places first.
        places.sort_by_key(|(_, is_primary)| !is_primary);
        for (place, _) in &places {
            let around = switches(place, tree, folder).filter(|it| within(place, &it.whole));
            if let Some(innermost) = around.min_by_key(|it| it.whole.len()) {
                return innermost.changes.clone();
            }
        }
        // An arm that can be left out doesn't make a match complete.
        for (place, _) in &places {
            let arms = switches(place, tree, folder)
                .filter(|it| it.alternatives.iter().all(Range::is_empty))
                .filter(|it| it.whole.start >= place.byte_end);
            if let Some(next) = arms.min_by_key(|it| it.whole.start) {
                return next.changes.clone();
            }
        }
    }
    found
}

fn collect<'a>(message: &'a Message, places: &mut Vec<(&'a Place, bool)>) {
    for span in &message.spans {
        let mut place = span;
        places.push((place, span.is_primary));
        while let Some(expansion) = &place.expansion {
            place = &expansion.span;
            places.push((place, span.is_primary));
        }
    }
    for child in &message.children {
        collect(child, places);
    }
}

fn within(place: &Place, range: &Range<usize>) -> bool {
    range.start <= place.byte_start && place.byte_end <= range.end
}

fn switches<'a>(place: &Place, tree: &'a Tree, folder: &Path) -> impl Iterator<Item = &'a Switch> {
    let name = Path::new(&place.file_name);
    let name = name.strip_prefix(folder).unwrap_or(name);
    let of_file = name.to_str().and_then(|name| tree.files.get(name));
    of_file.into_iter().flatten()
}
