//! Tries all that cargo-mutants would change, and says which changes no test notices.
//!
//! cargo-mutants builds each change by itself, which would take weeks. This program builds all of
//! them at once. Each has a switch, which an environment variable sets when a test starts:
//!
//! 1. `cargo mutants --list` says what can be changed, by `.cargo/mutants.toml`.
//! 2. A copy of the repository gets a switch at each place. The program leaves out what doesn't
//!    compile.
//! 3. Each test runs once without a change. This shows the switches that it comes through.
//! 4. Each change runs against the tests that come through it, until one fails.
//!
//! ```text
//! mutants/run                  tries all changes that weren't tried yet
//! mutants/run WORD…            only those with one of these words in their names, again if need be
//! mutants/run --seconds 20     with tests that take 20 seconds of CPU time in all; usually 1
//! mutants/run --models         with the loom models in place of the tests
//! mutants/run --jobs 4         four at once; usually one more than there are processors
//! ```
#![forbid(unsafe_code)]

mod changes;
mod compiled;
mod parallel;
mod programs;
mod reach;
mod records;
mod survivors;
mod switches;
mod tests;
mod tree;
mod trials;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use changes::Change;
use records::{Key, OfFile, Record, Records};
use tests::Test;
use tree::Tree;
use trials::{Outcome, Tried};

/// An error, in words.
type Failure = String;

struct Arguments {
    words: Vec<String>,
    seconds: f64,
    jobs: usize,
    models: bool,
}

impl Arguments {
    /// Whether to try a change of which this is known.
    fn ask_for(&self, change: &Change, known: Option<Record>) -> bool {
        let mut words = self.words.iter();
        if !self.words.is_empty() && !words.any(|word| change.name.contains(word.as_str())) {
            return false;
        }
        known.is_none_or(|record| match record.outcome {
            Outcome::Noticed(_) => false,
            Outcome::Survived { .. } => {
                self.models || !self.words.is_empty() || record.seconds < self.seconds
            }
        })
    }
}

fn arguments() -> Result<Arguments, Failure> {
    let mut arguments = Arguments {
        words: Vec::new(),
        seconds: 1.0,
        jobs: thread::available_parallelism().map_or(2, usize::from) + 1,
        models: false,
    };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut number = || {
            let text = given.next().unwrap_or_default();
            let number = text.parse().ok().filter(|number| *number > 0.0);
            number.ok_or_else(|| format!("{argument} {text}: expected a number above 0"))
        };
        match argument.as_str() {
            "--seconds" => arguments.seconds = number()?,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "more than 0"
            )]
            "--jobs" => arguments.jobs = number()?.ceil() as usize,
            "--models" => arguments.models = true,
            _ if argument.starts_with('-') => {
                return Err(format!(
                    "{argument}: not an option; there are --seconds, --jobs and --models"
                ));
            }
            _ => arguments.words.push(argument),
        }
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.expect("the package lies in the repository");
    let folder = root.join("target/mutants");
    let changes = changes::listed(root)?;
    let hashes = hashes(root, &folder, &changes)?;
    let key = |change: &Change| -> Key {
        let hash = hashes.get(&change.file).cloned().unwrap_or_default();
        (change.file.clone(), hash, change.in_file().to_owned())
    };
    let copy = folder.join("tree");
    tree::copy(root, &copy, &changes)?;
    let (tree, without) = built(root, &folder, &copy, &changes, &key)?;
    eprintln!(
        "{} changes: {} don't compile, {} have no switch",
        changes.len(),
        without.len(),
        tree.unplaced.len()
    );
    let tests = all_tests(&tree, &folder, arguments)?;

    let records = Records::read(root, &folder)?;
    let firsts = firsts(&tree);
    let mut files: BTreeMap<String, OfFile> = BTreeMap::new();
    let mut left = Vec::new();
    let mut keys = HashMap::new();
    for (listed, change) in (0..).zip(&changes) {
        let Some(number) = tree.numbers.get(&listed) else {
            continue;
        };
        let key = key(change);
        let of_file = files.entry(key.0.clone()).or_insert_with(|| OfFile {
            hash: key.1.clone(),
            all: Vec::new(),
        });
        of_file.all.push(key.2.clone());
        if arguments.ask_for(change, records.get(&key)) {
            left.push(Tried {
                number: *number,
                first: firsts[&listed],
                file: change.file.clone(),
                function: change.function().to_owned(),
            });
            keys.insert(*number, key);
        }
    }
    trials::all(
        left,
        &tests,
        arguments.seconds,
        arguments.jobs,
        |tried, outcome| {
            let record = Record {
                seconds: arguments.seconds,
                outcome: outcome.clone(),
            };
            records.note(&keys[&tried.number], &record);
        },
    );
    let (noticed, survivors) = Records::read(root, &folder)?.write(&files)?;
    let reasons = survivors::read(root)?;
    let names = survivors
        .iter()
        .map(|(file, change)| survivors::name(file, change));
    let (harmless, missing): (Vec<_>, Vec<_>) = names.partition(|it| reasons.contains_key(it));
    for name in &missing {
        println!("{name}");
    }
    println!(
        "{} changes were tried. A test noticed {noticed}. Of the others {} are harmless by \
         mutants/survivors.txt, and {} are named above. mutants/results.tsv has all of them.",
        noticed + survivors.len(),
        harmless.len(),
        missing.len()
    );
    Ok(())
}

/// The hash of each file's code. Its tests may change.
fn hashes(
    root: &Path,
    folder: &Path,
    changes: &[Change],
) -> Result<HashMap<String, String>, Failure> {
    let files: BTreeSet<_> = changes.iter().map(|it| it.file.clone()).collect();
    let folder = folder.join("hashed");
    let mut command = std::process::Command::new("git");
    command.current_dir(root).arg("hash-object");
    for file in &files {
        let text = tree::read(&root.join(file))?;
        let lines = text.split_inclusive('\n').take_while(|line| {
            !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test")
        });
        let code: String = lines.collect();
        let hashed = folder.join(file);
        tree::write(&hashed, code.as_bytes())?;
        command.arg(hashed);
    }
    let hashes = programs::output(&mut command)?;
    let hashes = hashes.lines().map(|hash| hash[..12].to_owned());
    Ok(files.into_iter().zip(hashes).collect())
}

/// The tree with the changes that compile, and the others. It begins with what was found before.
fn built(
    root: &Path,
    folder: &Path,
    copy: &Path,
    changes: &[Change],
    key: &impl Fn(&Change) -> Key,
) -> Result<(Tree, HashSet<u32>), Failure> {
    let path = folder.join("uncompilable.json");
    let known = fs::read_to_string(&path).unwrap_or_default();
    let known: HashSet<Key> = serde_json::from_str(&known).unwrap_or_default();
    let without = (0..).zip(changes);
    let without = without.filter(|(_, change)| known.contains(&key(change)));
    let without = without.map(|(listed, _)| listed).collect();
    let check = folder.join("build");
    let (tree, without) = compiled::compiled(root, copy, &check, changes, without)?;
    let mut keys: Vec<_> = without
        .iter()
        .map(|it| key(&changes[*it as usize]))
        .collect();
    keys.sort();
    let text = serde_json::to_string_pretty(&keys).map_err(|error| error.to_string())?;
    tree::write(&path, text.as_bytes())?;
    Ok((tree, without))
}

/// All tests that pass unchanged, with what they come through. Measured once for each build.
fn all_tests(tree: &Tree, folder: &Path, arguments: &Arguments) -> Result<Vec<Test>, Failure> {
    let build = folder.join("build");
    let switches = tree.numbers.values().max().copied().unwrap_or(0);
    let (name, are_models, mut commands) = if arguments.models {
        let build = folder.join("build-models");
        ("models", true, vec![programs::models(&tree.folder, &build)])
    } else {
        let tests = programs::tests(&tree.folder, &build);
        let of_schema = programs::schema_tests(&tree.folder, &build);
        ("tests", false, vec![tests, of_schema])
    };
    let mut tests = Vec::new();
    for command in &mut commands {
        tests.extend(tests::listed(command, are_models)?);
    }
    // Cargo names them in the order in which they were built.
    let executables: BTreeSet<_> = tests.iter().map(|it| &it.executable).collect();
    let executables: Vec<_> = executables.iter().map(|it| (it, modified(it))).collect();
    let of = format!("{executables:?}");
    let path = folder.join(format!("{name}.json"));
    let before = fs::read_to_string(&path).unwrap_or_default();
    let before: Option<(String, Vec<Test>)> = serde_json::from_str(&before).ok();
    if let Some((_, tests)) = before.filter(|before| before.0 == of) {
        return Ok(tests);
    }
    let tests = reach::measured(tests, switches, folder, arguments.jobs)?;
    let text = serde_json::to_string(&(of, &tests)).map_err(|error| error.to_string())?;
    tree::write(&path, text.as_bytes())?;
    Ok(tests)
}

fn modified(path: &Path) -> u128 {
    let modified = fs::metadata(path).and_then(|it| it.modified()).ok();
    let since = modified.and_then(|it| it.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(0, |it| it.as_nanos())
}

/// The first number of the switch of each change, by the change's place in the list.
fn firsts(tree: &Tree) -> HashMap<u32, u32> {
    let switches = tree.files.values().flatten();
    let of_switch = switches.flat_map(|switch| {
        let first = switch.changes.iter().map(|it| tree.numbers[it]).min();
        switch
            .changes
            .iter()
            .map(move |it| (*it, first.unwrap_or(0)))
    });
    of_switch.collect()
}
