//! Weakens the orderings of `src/`, one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crate::models::{self, Verdict};
use crate::profile::{self, Profile};
use crate::records::{Record, Recorder};
use crate::sources::Sources;
use crate::trials::{Trial, Trials};
use crate::{Failure, files, parallel, root, survivors};

/// One ordering of one access.
#[derive(Debug)]
pub(crate) struct Site {
    /// The shim's name of the site: file, line and column, and which of two orderings.
    place: String,
    /// The name for people: the file, the enclosing function, the operation, and its number there.
    /// Relaxed accesses are numbered by themselves, because the sources don't show them all.
    pub(crate) name: String,
    operation: String,
    pub(crate) ordering: String,
    /// The comment with the ordering's reason.
    pub(crate) reason: String,
    /// The models that execute the site, by their numbers, the fastest first.
    models: Vec<usize>,
}

/// Splits a place into file, line, column and the rest.
fn parts(place: &str) -> Option<(&str, usize, usize, &str)> {
    let mut parts = place.splitn(4, ':');
    let (file, line, column) = (parts.next()?, parts.next()?, parts.next()?);
    let rest = parts.next().unwrap_or_default();
    Some((file, line.parse().ok()?, column.parse().ok()?, rest))
}

/// What is known of a place.
#[derive(Default)]
struct Found {
    operation: String,
    ordering: String,
    reason: String,
    models: Vec<usize>,
}

/// All sites: those in the sources, and those that a model has executed.
///
/// # Errors
/// A model has executed an access that could be weaker, and the sources don't show it.
pub(crate) fn sites(sources: &Sources, profiles: &[Profile]) -> Result<Vec<Site>, Failure> {
    let mut found = BTreeMap::<_, Found>::new();
    for access in &sources.accesses {
        for (index, ordering) in access.orderings.iter().enumerate() {
            let suffix = ["", "failure"][index.min(1)];
            let place = (access.file.as_str(), access.line, access.column, suffix);
            let site = Found {
                operation: access.operation.clone(),
                ordering: ordering.clone(),
                reason: access.reason.clone(),
                models: Vec::new(),
            };
            found.insert(place, site);
        }
    }
    for (number, profile) in profiles.iter().enumerate() {
        for line in &profile.sites {
            let [name, operation, ordering] = line.split(' ').collect::<Vec<_>>()[..] else {
                continue;
            };
            let Some(place) = parts(name) else { continue };
            if ordering != "Relaxed" && !found.contains_key(&place) {
                return Err(format!("{name}: the sources don't show this access"));
            }
            let site = found.entry(place).or_insert_with(|| Found {
                operation: operation.to_owned(),
                ordering: ordering.to_owned(),
                ..Found::default()
            });
            site.models.push(number);
        }
    }
    let mut times = BTreeMap::<_, usize>::new();
    let named = found.into_iter().map(|(place, site)| {
        let (file, line, column, suffix) = place;
        let function = sources.function_at(file, line);
        let (part, colon) = match suffix {
            "" => (String::new(), ""),
            suffix => (format!("({suffix})"), ":"),
        };
        let name = format!("{file} {function} {}{part}", site.operation);
        let kind = (name.clone(), site.ordering == "Relaxed");
        let time = times.entry(kind).or_default();
        *time += 1;
        let name = match *time {
            1 => name,
            time => format!("{name}#{time}"),
        };
        Site {
            place: format!("{file}:{line}:{column}{colon}{suffix}"),
            name,
            operation: site.operation,
            ordering: site.ordering,
            reason: site.reason,
            models: site.models,
        }
    });
    Ok(named.collect())
}

/// The orderings one step weaker. For a fence, `Relaxed` stands for its absence.
fn weaker(operation: &str, is_failure: bool, ordering: &str) -> &'static [&'static str] {
    match (operation, ordering) {
        ("load", "SeqCst") => &["Acquire"],
        (_, "SeqCst") if is_failure => &["Acquire"],
        ("store", "SeqCst") => &["Release"],
        (_, "SeqCst") => &["AcqRel"],
        (_, "AcqRel") => &["Acquire", "Release"],
        (_, "Acquire" | "Release") => &["Relaxed"],
        _ => &[],
    }
}

impl Site {
    pub(crate) fn weaker(&self, ordering: &str) -> &'static [&'static str] {
        weaker(&self.operation, self.place.ends_with("failure"), ordering)
    }

    pub(crate) fn is_weakest(&self) -> bool {
        self.weaker(&self.ordering).is_empty()
    }

    fn has_all(&self, words: &[String]) -> bool {
        let whole = format!("{} {}", self.place, self.name);
        words.iter().all(|word| whole.contains(word))
    }

    pub(crate) fn tried(&self, ordering: &str) -> String {
        format!("{} {}->{ordering}", self.name, self.ordering)
    }

    /// Whether `tried` is this site with one of the orderings weaker than its own.
    pub(crate) fn has_weaker(&self, tried: &str) -> bool {
        let next = self.weaker(&self.ordering);
        let mut below = next.iter().flat_map(|it| self.weaker(it));
        next.iter().any(|it| self.tried(it) == tried) || below.any(|it| self.tried(it) == tried)
    }
}

/// Builds the models, runs them once, and finds the sites with these words in their names. With
/// `only`, it takes just the models with this word in their names.
fn look(
    words: &[String],
    only: Option<&str>,
    jobs: usize,
) -> Result<(Vec<Site>, Vec<Profile>), Failure> {
    let root = root();
    let sources = Sources::read(&root)?;
    let executable = models::build(&root, &root.join("target/loom"))?;
    let folder = root.join("target/weaken/profiles");
    let profiles = profile::of_all(&root, &executable, &folder, only, jobs)?;
    let mut sites = sites(&sources, &profiles)?;
    sites.retain(|site| site.has_all(words));
    Ok((sites, profiles))
}

/// Prints each site with its number of models. With words, it also names the models.
pub(crate) fn list(words: &[String], only: Option<&str>, jobs: usize) -> Result<(), Failure> {
    let (sites, profiles) = look(words, only, jobs)?;
    for site in &sites {
        let count = site.models.len();
        let Site {
            name,
            ordering,
            place,
            ..
        } = site;
        println!("{name} {ordering}, {count} models ({place})");
        if !words.is_empty() {
            for model in &site.models {
                println!("    {}", profiles[*model].model);
            }
        }
    }
    let strong: Vec<_> = sites.iter().filter(|site| !site.is_weakest()).collect();
    let unseen = |site: &&&Site| site.models.is_empty();
    println!(
        "{} sites, {} of them not relaxed; no model executes {} and {}",
        sites.len(),
        strong.len(),
        sites.iter().filter(|site| site.models.is_empty()).count(),
        strong.iter().filter(unseen).count(),
    );
    Ok(())
}

/// Runs the site's models with the weakening `wanted`, until one of them fails.
fn attempt(
    site: &Site,
    profiles: &[Profile],
    folder: &Path,
    job: usize,
    wanted: &str,
) -> Result<Trial, Failure> {
    let environment = [("TRIPCURVE_WEAKEN", wanted)];
    let log = folder.join(format!("orderings-{job}.log"));
    let mut timed_out = 0;
    for model in &site.models {
        let Profile {
            model,
            executable,
            took,
            ..
        } = &profiles[*model];
        let at_most = 10 * *took + Duration::from_secs(60);
        match models::run(executable, model, &environment, &log, at_most)?.0 {
            Verdict::Failed => return Ok(Trial::Caught { by: model.clone() }),
            Verdict::TimedOut => timed_out += 1,
            Verdict::Passed => {}
        }
    }
    Ok(Trial::Survived { timed_out })
}

/// Tries the orderings weaker than `ordering`. Returns the weakest ones that no model notices.
fn descend(
    site: &Site,
    ordering: &str,
    caught: &mut BTreeSet<&'static str>,
    try_one: &impl Fn(&str) -> Result<Trial, Failure>,
) -> Result<BTreeSet<&'static str>, Failure> {
    let mut survivors = BTreeSet::new();
    for next in site.weaker(ordering) {
        // An ordering weaker than one that a model notices is noticed, too. An ordering stronger
        // than a survivor survives, too.
        let is_below = caught.iter().any(|it| site.weaker(it).contains(next));
        let is_above = survivors.iter().any(|it| site.weaker(next).contains(it));
        if caught.contains(next) || is_below || is_above || survivors.contains(next) {
            continue;
        }
        match try_one(next)? {
            Trial::Caught { by } => {
                println!("caught: {} by {by}", site.tried(next));
                caught.insert(next);
            }
            Trial::Survived { timed_out } => {
                let models = site.models.len();
                let slow = match timed_out {
                    0 => String::new(),
                    count => format!(", {count} took too long"),
                };
                println!(
                    "SURVIVED: {}, {models} models{slow} ({})",
                    site.tried(next),
                    site.place
                );
                let below = descend(site, next, caught, try_one)?;
                if below.is_empty() {
                    survivors.insert(*next);
                }
                survivors.extend(below);
            }
        }
    }
    Ok(survivors)
}

/// Tries every weaker ordering of the sites with these words in their names, and notes the results.
///
/// With `only`, what survives these few models is no survivor yet, so it is only printed.
pub(crate) fn try_all(words: &[String], only: Option<&str>, jobs: usize) -> Result<(), Failure> {
    let (mut sites, profiles) = look(words, only, jobs)?;
    sites.retain(|site| !site.is_weakest());
    let all = self::sites(&Sources::read(&root())?, &[])?;
    let is_there = |tried: &str| all.iter().any(|site| site.has_weaker(tried));
    let recorder = Recorder::open(&root(), is_there)?;
    let argued = survivors::read(&root())?;
    let folder = root().join("target/weaken");
    files::folder(&folder)?;
    let fastest = profiles.first().ok_or("there are no models")?;
    let fingerprint = profile::fingerprint(&fastest.executable);
    let fingerprint = fingerprint.map_err(|error| error.to_string())?;
    let trials = Trials::open(&folder.join("trials.txt"), &fingerprint)?;
    let survived = parallel::map(&sites, jobs, |job, site| {
        let try_one = |ordering: &str| {
            let wanted = format!("{}={ordering}", site.place);
            let are_all_run = only.is_none();
            let trial = trials.of(&wanted, are_all_run, || {
                attempt(site, &profiles, &folder, job, &wanted)
            })?;
            let record = match &trial {
                Trial::Caught { by } => Some(Record::Noticed(by.clone())),
                Trial::Survived { timed_out: 0 } if only.is_none() => Some(Record::Survived),
                Trial::Survived { .. } => None,
            };
            let is_shim = site.name.starts_with("src/sync/explored.rs");
            if let Some(record) = record.filter(|_| !is_shim) {
                recorder.note(site.tried(ordering), record)?;
            }
            Ok(trial)
        };
        let survived = descend(site, &site.ordering, &mut BTreeSet::new(), &try_one)?;
        Ok(survived
            .into_iter()
            .map(|next| site.tried(next))
            .collect::<Vec<_>>())
    });
    let survived: Result<Vec<_>, Failure> = survived.into_iter().collect();
    let survived: BTreeSet<_> = survived?.into_iter().flatten().collect();
    println!(
        "{} sites weakened, {} survivors",
        sites.len(),
        survived.len()
    );
    if only.is_some() {
        return Ok(());
    }
    let mut wrong = Vec::new();
    for tried in survived.iter().filter(|tried| !argued.contains_key(*tried)) {
        wrong.push(format!(
            "no model notices it, and survivors.txt hasn't got it: {tried}"
        ));
    }
    let of_these = |tried: &&String| sites.iter().any(|site| tried.starts_with(&site.name));
    for tried in argued
        .keys()
        .filter(|tried| words.is_empty() || of_these(tried))
    {
        if !survived.contains(tried) {
            wrong.push(format!(
                "survivors.txt has it, and it didn't survive: {tried}"
            ));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(operation: &str, ordering: &str) -> Site {
        Site {
            place: "src/a.rs:1:1".to_owned(),
            name: format!("src/a.rs f {operation}"),
            operation: operation.to_owned(),
            ordering: ordering.to_owned(),
            reason: String::new(),
            models: Vec::new(),
        }
    }

    /// The weakest survivors, and all orderings that were tried, if a model notices the `noticed`
    /// ones.
    fn tried(site: &Site, noticed: &[&str]) -> (Vec<&'static str>, Vec<String>) {
        let all = std::cell::RefCell::new(Vec::new());
        let try_one = |ordering: &str| {
            all.borrow_mut().push(ordering.to_owned());
            Ok(if noticed.contains(&ordering) {
                Trial::Caught { by: String::new() }
            } else {
                Trial::Survived { timed_out: 0 }
            })
        };
        let survivors = descend(site, &site.ordering, &mut BTreeSet::new(), &try_one).unwrap();
        (survivors.into_iter().collect(), all.into_inner())
    }

    #[test]
    fn the_weakest_survivors_are_found() {
        let exchange = site("compare_exchange", "AcqRel");
        let both = ["Acquire", "Release"];
        assert_eq!(tried(&exchange, &both).0, [""; 0]);
        assert_eq!(tried(&exchange, &["Acquire", "Relaxed"]).0, ["Release"]);
        assert_eq!(tried(&exchange, &["Relaxed"]).0, ["Acquire", "Release"]);
        assert_eq!(tried(&exchange, &[]).0, ["Relaxed"]);
        assert_eq!(tried(&site("load", "Acquire"), &[]).0, ["Relaxed"]);
    }

    #[test]
    fn nothing_below_what_is_noticed_is_tried() {
        let exchange = site("compare_exchange", "AcqRel");
        assert_eq!(tried(&exchange, &["Acquire"]).1, ["Acquire", "Release"]);
    }

    #[test]
    fn a_place_has_a_file_a_line_and_a_column() {
        let place = ("src/a.rs", 12, 9, "failure");
        assert_eq!(parts("src/a.rs:12:9:failure"), Some(place));
        assert_eq!(parts("src/a.rs:12:9"), Some(("src/a.rs", 12, 9, "")));
        assert_eq!(parts("src/a.rs"), None);
    }
}
