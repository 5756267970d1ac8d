//! A copy of the repository whose sources have the changes behind switches.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::changes::Change;
use crate::switches::{self, Switch};
use crate::{Failure, programs};

pub(crate) struct Tree {
    pub(crate) folder: PathBuf,
    /// The switches in each file, by the file's path.
    pub(crate) files: BTreeMap<String, Vec<Switch>>,
    /// The number of each change, by its place in the list.
    pub(crate) numbers: HashMap<u32, u32>,
    /// Changes at places where no switch can stand.
    pub(crate) unplaced: Vec<u32>,
}

/// Copies what git knows, and the crate with the switches beside it.
///
/// The sources with changes and the manifests come later. Cargo would build them again if they were
/// written twice.
pub(crate) fn copy(root: &Path, folder: &Path, changes: &[Change]) -> Result<(), Failure> {
    let mut later: HashSet<_> = changes.iter().map(|it| it.file.clone()).collect();
    later.extend(manifests(changes));
    let mut list = std::process::Command::new("git");
    list.current_dir(root);
    list.args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let switch = folder.with_file_name("switch");
    for file in programs::output(&mut list)?.lines() {
        if later.contains(file) {
            continue;
        }
        let to = file.strip_prefix("mutants/switch/");
        let to = to.map_or_else(|| folder.join(file), |file| switch.join(file));
        let Ok(bytes) = fs::read(root.join(file)) else {
            continue; // deleted and not committed yet
        };
        write(&to, &bytes)?;
        if to.file_name().is_some_and(|name| name == "run") {
            let from = fs::metadata(root.join(file));
            from.and_then(|from| fs::set_permissions(&to, from.permissions()))
                .map_err(|error| format!("{}: {error}", to.display()))?;
        }
    }
    Ok(())
}

/// The manifests of the packages with changes.
fn manifests(changes: &[Change]) -> BTreeSet<String> {
    let packages = changes.iter().filter_map(|it| it.file.split_once("src/"));
    packages
        .map(|(package, _)| format!("{package}Cargo.toml"))
        .collect()
}

/// Adds the crate with the switches to a package.
fn depend(from: &Path, to: &Path, switch: &Path) -> Result<(), Failure> {
    let switch = switch.display();
    let line = format!("\n[dependencies]\nmutant-switch = {{ path = \"{switch}\" }}");
    let text = read(from)?.replacen("\n[dependencies]", &line, 1);
    write(to, text.as_bytes())
}

/// Writes the sources with all changes except those in `without`.
pub(crate) fn write_sources(
    root: &Path,
    folder: &Path,
    changes: &[Change],
    without: &HashSet<u32>,
) -> Result<Tree, Failure> {
    let mut by_file: BTreeMap<&str, Vec<(u32, &Change)>> = BTreeMap::new();
    for (listed, change) in (0..).zip(changes) {
        let of_file = by_file.entry(&change.file).or_default();
        if !without.contains(&listed) {
            of_file.push((listed, change));
        }
    }
    let mut tree = Tree {
        folder: folder.to_owned(),
        files: BTreeMap::new(),
        numbers: HashMap::new(),
        unplaced: Vec::new(),
    };
    // 0 means no change.
    let mut next = 1;
    for (file, of_file) in by_file {
        let source = read(&root.join(file))?;
        let switched = switches::switched(&source, &of_file, &mut next, &mut tree.numbers);
        let switched = switched.map_err(|error| format!("{file}: {error}"))?;
        write(&folder.join(file), switched.text.as_bytes())?;
        tree.unplaced.extend(switched.unplaced);
        tree.files.insert(file.to_owned(), switched.switches);
    }
    let switch = folder.with_file_name("switch");
    for manifest in manifests(changes) {
        depend(&root.join(&manifest), &folder.join(&manifest), &switch)?;
    }
    Ok(tree)
}

pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a file unless it has this content already, so that Cargo doesn't build it again.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let folder = path.parent().expect("a file lies in a folder");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, content))
        .map_err(|error| format!("{}: {error}", path.display()))
}
