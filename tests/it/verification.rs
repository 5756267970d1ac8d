//! `docs/verification.md` names the test, model and weakening of each invariant. These tests check
//! that each name exists, and that no model and no weakening is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The folder of the models and weakenings. The published package has none, and no fuzz targets or
/// other crates.
fn loom_tests() -> Option<PathBuf> {
    Some(root().join("loom-tests")).filter(|folder| folder.is_dir())
}

fn page() -> String {
    fs::read_to_string(root().join("docs/verification.md")).unwrap()
}

/// The files with this extension in a folder and its subfolders.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|its| its == ending) {
            found.push(path);
        }
    }
    found
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The functions of a file with the attribute `#[test]` or tokio's, including those in `proptest!`.
fn tests_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
            let name = rest.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
            found.extend(name.take(1).map(str::to_owned));
            is_test = false;
        }
    }
    found
}

/// `file::test` for each test of the files. `name` gives the file's name.
fn named(files: &[PathBuf], name: impl Fn(&Path) -> String) -> BTreeSet<String> {
    files
        .iter()
        .flat_map(|path| {
            let file = name(path);
            let tests = tests_of(path).into_iter();
            tests.map(move |test| format!("{file}::{test}"))
        })
        .collect()
}

fn tests() -> BTreeSet<String> {
    let mut found = named(&files(&root().join("tests"), "rs"), stem);
    for folder in ["src", "crates"] {
        found.extend(named(&files(&root().join(folder), "rs"), |path| {
            let path = path.strip_prefix(root()).unwrap();
            path.to_string_lossy().replace('\\', "/")
        }));
    }
    found
}

/// Whether there is a test of this name, written as on the page.
pub(crate) fn is_test(name: &str) -> bool {
    static TESTS: LazyLock<BTreeSet<String>> = LazyLock::new(tests);
    TESTS.contains(name)
}

fn models(loom_tests: &Path) -> BTreeSet<String> {
    named(&files(&loom_tests.join("tests"), "rs"), stem)
}

fn weakenings(loom_tests: &Path) -> BTreeSet<String> {
    let patches = files(&loom_tests.join("weakenings"), "patch");
    patches.iter().map(|path| stem(path)).collect()
}

/// The names in backticks in a part of the page.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of a table: the model, and the changes that weaken it.
fn rows(page: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    page.lines().filter_map(|line| {
        let (model, weakenings) = line.strip_prefix("| `")?.split_once("` |")?;
        Some((model, quoted(weakenings).collect()))
    })
}

/// Whether a name on the page is a test, all tests of a file, or a fuzz target.
fn exists(name: &str, tests: &BTreeSet<String>) -> bool {
    if let Some(target) = name.strip_prefix("fuzz/") {
        let targets = root().join("fuzz/fuzz_targets");
        !targets.is_dir() || targets.join(target).with_extension("rs").is_file()
    } else if name.starts_with("crates/") && !root().join("crates").is_dir() {
        true
    } else if let Some(file) = name.strip_suffix('*') {
        tests.iter().any(|test| test.starts_with(file))
    } else {
        tests.contains(name)
    }
}

#[test]
fn each_test_that_the_page_names_exists() {
    let (page, tests) = (page(), tests());
    let named = page.lines().filter_map(|line| line.strip_prefix("- `"));
    let mut count = 0;
    for name in named.filter_map(|line| line.strip_suffix('`')) {
        count += 1;
        assert!(
            exists(name, &tests),
            "docs/verification.md: `{name}` is no test"
        );
    }
    assert!(count > 50, "only {count} tests were found on the page");
}

/// The published package has no SECURITY.md.
#[test]
fn each_test_that_the_security_page_names_exists() {
    let Ok(page) = fs::read_to_string(root().join("SECURITY.md")) else {
        return;
    };
    let tests = tests();
    let (_, promises) = page.split_once("| input | promise |").unwrap();
    let last_cells = promises.lines().filter_map(|line| line.rsplit('|').nth(1));
    let named: Vec<_> = last_cells.flat_map(quoted).collect();
    for name in &named {
        assert!(exists(name, &tests), "SECURITY.md: `{name}` is no test");
    }
    assert!(named.len() > 15, "only {} tests were found", named.len());
}

/// The row that the page should have for a model.
fn row(model: &str, loom_tests: &Path) -> String {
    let name = model.split("::").last().unwrap_or(model);
    let weakenings = weakenings(loom_tests);
    let of_this: Vec<_> = weakenings
        .iter()
        .filter(|weakening| fails(weakening, name, loom_tests))
        .map(|weakening| format!("`{weakening}`"))
        .collect();
    let cell = if of_this.is_empty() {
        "weaker orderings".to_owned()
    } else {
        of_this.join(", ")
    };
    format!("| `{model}` | {cell} |")
}

/// Whether the header of a weakening names this model.
fn fails(weakening: &str, model: &str, loom_tests: &Path) -> bool {
    let patch = loom_tests.join("weakenings").join(weakening);
    let patch = fs::read_to_string(patch.with_extension("patch")).unwrap();
    patch
        .split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .any(|word| word == model)
}

#[test]
fn the_page_names_each_model() {
    let Some(loom_tests) = loom_tests() else {
        return;
    };
    let (page, models) = (page(), models(&loom_tests));
    let named: BTreeSet<_> = rows(&page).map(|(model, _)| model.to_owned()).collect();
    let missing: Vec<_> = models
        .difference(&named)
        .map(|model| row(model, &loom_tests))
        .collect();
    let unknown: Vec<_> = named.difference(&models).collect();
    assert!(
        missing.is_empty(),
        "these rows belong into docs/verification.md:\n{}",
        missing.join("\n")
    );
    assert!(
        unknown.is_empty(),
        "docs/verification.md names models that don't exist: {unknown:#?}"
    );
}

#[test]
fn the_page_names_each_weakening_beside_a_model_that_it_names() {
    let Some(loom_tests) = loom_tests() else {
        return;
    };
    let (page, weakenings) = (page(), weakenings(&loom_tests));
    let mut named = BTreeSet::new();
    for (model, weakened_by) in rows(&page) {
        let model = model.split("::").last().unwrap_or(model);
        for weakening in weakened_by {
            assert!(
                weakenings.contains(weakening),
                "docs/verification.md: there is no loom-tests/weakenings/{weakening}.patch"
            );
            assert!(
                fails(weakening, model, &loom_tests),
                "docs/verification.md: {weakening}.patch doesn't name the model {model}"
            );
            named.insert(weakening.to_owned());
        }
    }
    let missing: Vec<_> = weakenings.difference(&named).collect();
    assert!(
        missing.is_empty(),
        "not in docs/verification.md: {missing:#?}"
    );
}

#[test]
fn each_fault_has_tests_that_exist_and_each_test_of_faults_has_its_row() {
    let (page, tests) = (page(), tests());
    let (_, section) = page.split_once("\n## Faults\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut named = BTreeSet::new();
    for row in section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
    {
        let cell = row.split(" | ").nth(2).unwrap();
        let of_row: Vec<_> = quoted(cell).collect();
        assert!(!of_row.is_empty(), "docs/verification.md: no test in {row}");
        for name in of_row {
            assert!(
                exists(name, &tests),
                "docs/verification.md: `{name}` is no test"
            );
            named.insert(name.to_owned());
        }
    }
    // The child process of another test.
    named.insert("stopped_process::what_a_stopped_process_does".to_owned());
    let faults = self::named(&files(&root().join("tests/it/faults"), "rs"), stem);
    let missing: Vec<_> = faults.difference(&named).collect();
    assert!(
        missing.is_empty(),
        "not under Faults in docs/verification.md: {missing:#?}"
    );
}
