//! The changes that cargo-mutants lists.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Failure, programs};

/// A line, counted from 1, and a column in characters, counted from 1.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Span {
    pub(crate) start: Position,
    pub(crate) end: Position,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Function {
    function_name: String,
}

/// A change, as `cargo mutants --list --json` prints it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Change {
    pub(crate) file: String,
    pub(crate) package: String,
    function: Option<Function>,
    pub(crate) genre: String,
    pub(crate) span: Span,
    pub(crate) replacement: String,
    /// What cargo-mutants calls it: file, line, column, and what is replaced by what.
    pub(crate) name: String,
}

impl Change {
    /// The function in which the change is, with its type. Empty outside of functions.
    pub(crate) fn function(&self) -> &str {
        self.function.as_ref().map_or("", |it| &it.function_name)
    }

    /// The name without the file: line, column, and what is replaced by what.
    pub(crate) fn in_file(&self) -> &str {
        let in_file = self.name.strip_prefix(&self.file).unwrap_or(&self.name);
        in_file.trim_start_matches(':')
    }
}

/// All changes of the repository's packages, by `.cargo/mutants.toml`.
pub(crate) fn listed(root: &Path) -> Result<Vec<Change>, Failure> {
    let mut command = programs::cargo(root);
    command.args(["mutants", "--workspace", "--list", "--json"]);
    let text = programs::output(&mut command)?;
    let mut changes: Vec<Change> =
        serde_json::from_str(&text).map_err(|error| format!("cargo mutants --list: {error}"))?;
    // cargo-mutants knows only modules under `#[cfg(test)]`, without other conditions, as tests.
    changes.retain(|change| !change.function().starts_with("tests::"));
    if changes.is_empty() {
        return Err("cargo mutants lists no change".to_owned());
    }
    Ok(changes)
}
