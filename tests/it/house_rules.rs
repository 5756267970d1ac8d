//! Rules of this repository that no compiler lint knows, checked on the sources in `src/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::punctuated::Punctuated;
use syn::{Attribute, Item, Meta, Token};

/// A line of code without its comment, and its place.
struct Line {
    file: String,
    number: usize,
    code: String,
    has_comment: bool,
}

fn sources() -> Vec<(String, String)> {
    let found = sources_in("src");
    assert!(found.len() > 15, "the sources were not found");
    found
}

/// Cargo marks its target folders, which packages with a workspace of their own have beside them.
fn is_build_output(path: &Path) -> bool {
    path.join("CACHEDIR.TAG").is_file()
}

/// The sources in a folder of the repository, by their paths in it.
fn sources_in(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if is_build_output(&path) {
                continue;
            }
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The lines of a file before its tests.
fn lines_of(file: &str, text: &str) -> Vec<Line> {
    text.lines()
        .take_while(|line| {
            !(line.contains("#[cfg(") && line.contains("test") && !line.contains("feature"))
        })
        .enumerate()
        .map(|(index, line)| {
            let (code, comment) = line
                .split_once("//")
                .map_or((line, None), |(code, comment)| (code, Some(comment)));
            Line {
                file: file.to_owned(),
                number: index + 1,
                code: code.to_owned(),
                has_comment: comment.is_some(),
            }
        })
        .collect()
}

fn lines() -> Vec<Line> {
    sources()
        .iter()
        .flat_map(|(file, text)| lines_of(file, text))
        .collect()
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
}

#[test]
fn locks_waits_and_clocks_are_refused_by_lints_that_are_on() {
    let lib = sources().into_iter().find(|(file, _)| file == "lib.rs");
    let lib = lib.unwrap().1;
    assert!(lib.contains("warn(clippy::disallowed_methods, clippy::disallowed_types)"));
    let allowed: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| text.contains("clippy::disallowed_"))
        .map(|(file, _)| file)
        .collect();
    // These run once per process: the clock's origin and the number of cores. A saved state
    // contains the time when it was saved, and a transition the time when it was made.
    let expected = [
        "builder/validate.rs",
        "clock/mod.rs",
        "events/mod.rs",
        "lib.rs",
        "saved/mod.rs",
    ];
    assert_eq!(allowed, expected);
}

#[test]
fn there_is_no_unsafe_code() {
    let lib = &sources()
        .into_iter()
        .find(|(file, _)| file == "lib.rs")
        .unwrap()
        .1;
    assert!(lib.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn atomics_come_through_the_sync_module_alone() {
    let lines = lines();
    let found: Vec<_> = lines
        .iter()
        .filter(|line| !line.file.starts_with("sync/"))
        .filter(|line| {
            line.code.contains("sync::atomic")
                && !line.code.contains("core::sync::atomic::Ordering")
                || [
                    "AtomicBool",
                    "AtomicUsize",
                    "AtomicU32",
                    "AtomicPtr",
                    "AtomicCell",
                ]
                .iter()
                .any(|name| words(&line.code).any(|word| word == *name))
        })
        .map(|line| format!("src/{}:{}: {}", line.file, line.number, line.code.trim()))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_memory_ordering_has_its_reason_beside_it() {
    let orderings = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
    let lines = lines();
    let found: Vec<_> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| words(&line.code).any(|word| orderings.contains(&word)))
        .filter(|(index, line)| {
            !lines[index.saturating_sub(9)..=*index]
                .iter()
                .any(|above| above.file == line.file && above.has_comment)
        })
        .map(|(_, line)| format!("src/{}:{}: {}", line.file, line.number, line.code.trim()))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn modules_use_only_what_stands_below_them_in_lib() {
    let sources = sources();
    let lib = &sources.iter().find(|(file, _)| file == "lib.rs").unwrap().1;
    let order: Vec<_> = lib
        .lines()
        .filter_map(|line| {
            let private = line.strip_prefix("pub ").unwrap_or(line);
            private.strip_prefix("mod ")?.strip_suffix(';')
        })
        .collect();
    assert!(order.len() > 15, "the modules were not found");
    let place = |module: &str| order.iter().position(|name| *name == module);
    let mut found = Vec::new();
    for (file, text) in &sources {
        let module = file.split(['/', '.']).next().unwrap();
        let Some(own) = place(module) else { continue };
        for line in lines_of(file, text) {
            for (_, path) in line
                .code
                .match_indices("crate::")
                .map(|(at, found)| (at, &line.code[at + found.len()..]))
            {
                let used = words(path).next().unwrap_or_default();
                if place(used).is_some_and(|used| used < own) {
                    found.push(format!("src/{file}:{}: uses {used}, above it", line.number));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_file_has_more_than_400_lines_of_code() {
    let mut found = Vec::new();
    for folder in ["src", "crates"] {
        for (file, text) in sources_in(folder) {
            if file.contains("/tests/") {
                continue;
            }
            let code = lines_of(&file, &text)
                .iter()
                .filter(|line| !line.code.trim().is_empty())
                .count();
            if code > 400 {
                found.push(format!("{folder}/{file} has {code} lines of code"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// A type, and the conditions under which it is compiled.
struct Declared {
    file: String,
    name: String,
    conditions: Vec<Meta>,
}

impl Declared {
    /// Whether a condition of one negates a condition of the other. Then no build has both.
    fn excludes(&self, other: &Self) -> bool {
        let negates = |one: &Meta, other: &Meta| listed(one, "not").contains(other);
        self.conditions.iter().any(|own| {
            let mut others = other.conditions.iter();
            others.any(|other| negates(own, other) || negates(other, own))
        })
    }
}

/// The conditions in the parentheses of a condition, if `word` comes before them.
fn listed(condition: &Meta, word: &str) -> Vec<Meta> {
    match condition {
        Meta::List(list) if list.path.is_ident(word) => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            parts.unwrap().into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The conditions of the `cfg` attributes. All of them must hold.
fn conditions(attributes: &[Attribute]) -> impl Iterator<Item = Meta> {
    let cfgs = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"));
    cfgs.flat_map(|cfg| {
        let condition: Meta = cfg.parse_args().unwrap();
        let all = listed(&condition, "all");
        if all.is_empty() { vec![condition] } else { all }
    })
}

fn items_of(file: &Path) -> Vec<Item> {
    let text = fs::read_to_string(file).unwrap();
    syn::parse_file(&text).unwrap().items
}

/// The file of a module that `parent` declares.
fn file_of(parent: &Path, module: &str) -> PathBuf {
    let is_folder = ["lib.rs", "mod.rs"]
        .iter()
        .any(|name| parent.ends_with(name));
    let folder = if is_folder {
        parent.parent().unwrap().to_owned()
    } else {
        parent.with_extension("")
    };
    let file = folder.join(format!("{module}.rs"));
    if file.exists() {
        file
    } else {
        folder.join(module).join("mod.rs")
    }
}

/// Adds the types that a file and its modules declare, except in tests.
///
/// A module's conditions apply to its types, whether the module is inline or in a separate file.
fn declared(file: &Path, items: &[Item], outer: &[Meta], found: &mut Vec<Declared>) {
    for item in items {
        let (attributes, name) = match item {
            Item::Struct(item) => (&item.attrs, &item.ident),
            Item::Enum(item) => (&item.attrs, &item.ident),
            Item::Union(item) => (&item.attrs, &item.ident),
            Item::Trait(item) => (&item.attrs, &item.ident),
            Item::Type(item) => (&item.attrs, &item.ident),
            Item::Mod(item) => (&item.attrs, &item.ident),
            _ => continue,
        };
        let conditions: Vec<_> = outer
            .iter()
            .cloned()
            .chain(conditions(attributes))
            .collect();
        if conditions
            .iter()
            .any(|condition| condition.path().is_ident("test"))
        {
            continue;
        }
        if let Item::Mod(module) = item {
            if let Some((_, items)) = &module.content {
                declared(file, items, &conditions, found);
            } else {
                let file = file_of(file, &name.to_string());
                declared(&file, &items_of(&file), &conditions, found);
            }
        } else {
            let (file, name) = (file.display().to_string(), name.to_string());
            found.push(Declared {
                file,
                name,
                conditions,
            });
        }
    }
}

/// If two types share a name, a reader can't tell which one a line means.
#[test]
fn no_type_name_is_declared_twice() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let mut all = Vec::new();
    declared(&root, &items_of(&root), &[], &mut all);
    assert!(all.len() > 150, "only {} types were found", all.len());
    let mut by_name = BTreeMap::<_, Vec<&Declared>>::new();
    for one in &all {
        let same = by_name.entry(&one.name).or_default();
        if !same.iter().any(|other| one.excludes(other)) {
            same.push(one);
        }
    }
    let twice: Vec<_> = by_name
        .iter()
        .filter(|(_, same)| same.len() > 1)
        .map(|(name, same)| (name, same.iter().map(|one| &one.file).collect::<Vec<_>>()))
        .collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

/// Fails when: a step of `.ci/run` has no job in the workflow or no row in CONTRIBUTING.md.
#[test]
fn each_step_of_ci_is_a_job_and_has_a_row() {
    let text = |name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        fs::read_to_string(path).unwrap()
    };
    let run = text(".ci/run");
    let halves = run.lines().filter_map(|line| {
        let steps = line.strip_prefix("each_of ")?.strip_suffix(" &")?;
        Some(steps.split(' '))
    });
    let mut steps: Vec<_> = halves.flatten().collect();
    steps.sort_unstable();
    assert!(steps.len() > 15, "{steps:?}");

    let workflow = text(".github/workflows/ci.yml");
    let jobs = workflow
        .lines()
        .filter_map(|it| it.strip_prefix("          - "));
    let mut jobs: Vec<_> = jobs.collect();
    jobs.sort_unstable();
    assert_eq!(jobs, steps, "ci.yml");

    let page = text("CONTRIBUTING.md");
    let (_, table) = page.split_once("| step | checks |").unwrap();
    let rows = table.lines().skip(2).map_while(|it| it.strip_prefix("| `"));
    let rows = rows.filter_map(|it| it.split_once('`'));
    let mut rows: Vec<_> = rows.map(|it| it.0).collect();
    rows.sort_unstable();
    assert_eq!(rows, steps, "CONTRIBUTING.md");
}
