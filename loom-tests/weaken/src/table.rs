//! The table of all orderings in `docs/verification.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::comments;
use crate::orderings::{self, Site};
use crate::records::{self, Record, Records};
use crate::sources::Sources;
use crate::{Failure, files, survivors};

/// The heading of the table's part of the page. The part ends at the next heading.
const HEADING: &str = "## Every memory ordering\n";

const PAGE: &str = "docs/verification.md";

/// The sites that the table names: those with an ordering that could be weaker. The accesses of
/// `explored.rs` stand in for other libraries' under loom, so they aren't there.
fn sites(root: &Path) -> Result<Vec<Site>, Failure> {
    let mut sites = orderings::sites(&Sources::read(root)?, &[])?;
    sites.extend(orderings::sites(&Sources::read_companions(root)?, &[])?);
    sites.retain(|site| !site.is_weakest() && !site.name.starts_with("src/sync/explored.rs"));
    Ok(sites)
}

/// What became of one weaker ordering.
enum Fate {
    Noticed(String),
    Argued,
    Survived,
    NotRecorded,
}

impl Fate {
    fn of(tried: &str, records: &Records, argued: &BTreeSet<String>) -> Self {
        match records.get(tried) {
            Some(Record::Noticed(model)) => Self::Noticed(model.clone()),
            _ if argued.contains(tried) => Self::Argued,
            Some(Record::Survived) => Self::Survived,
            None => Self::NotRecorded,
        }
    }

    fn cell(&self, weaker: &str) -> String {
        match self {
            Self::Noticed(model) => format!("{weaker}: `{model}`"),
            Self::Argued => format!("{weaker}: none, see `survivors.txt`"),
            Self::Survived => format!("{weaker}: none"),
            Self::NotRecorded => format!("{weaker}: not recorded"),
        }
    }
}

/// The ordering that survives together with `tried`, and all orderings between, count as argued.
fn argued(root: &Path, sites: &[Site]) -> Result<BTreeSet<String>, Failure> {
    let listed = survivors::read(root)?;
    let mut argued = BTreeSet::new();
    for site in sites {
        for next in site.weaker(&site.ordering) {
            let is_listed = |ordering: &str| listed.contains_key(&site.tried(ordering));
            if is_listed(next) || site.weaker(next).iter().any(|it| is_listed(it)) {
                argued.insert(site.tried(next));
            }
        }
    }
    Ok(argued)
}

/// The table's part of the page.
fn part(root: &Path) -> Result<String, Failure> {
    let sites = sites(root)?;
    let records = records::read(root)?;
    let argued = argued(root, &sites)?;
    let (mut tried, mut noticed, mut survived) = (0, 0, 0);
    let mut rows = Vec::new();
    for site in &sites {
        let mut fates = Vec::new();
        for weaker in site.weaker(&site.ordering) {
            let fate = Fate::of(&site.tried(weaker), &records, &argued);
            tried += 1;
            noticed += usize::from(matches!(fate, Fate::Noticed(_)));
            survived += usize::from(matches!(fate, Fate::Argued | Fate::Survived));
            fates.push(fate.cell(weaker));
        }
        let (file, rest) = site.name.split_once(' ').unwrap_or((&site.name, ""));
        let file = file.strip_prefix("src/").unwrap_or(file);
        let pair = comments::pair(&site.reason, &site.ordering);
        let fates = fates.join("; ");
        let ordering = &site.ordering;
        rows.push(format!(
            "| {file} `{rest}` | {ordering} | {pair} | {fates} |\n"
        ));
    }
    let (count, left) = (sites.len(), tried - noticed - survived);
    let rows = rows.concat();
    Ok(format!(
        "{HEADING}
Each access of an atomic with an ordering stronger than `Relaxed`, in `src/` and in `crates/`. The
reason is that of the comment at the access or at the method of `src/sync` that it calls. The last
column has each next weaker ordering and the first model that fails with it. `cargo weaken
orderings` finds these models and notes them in `loom-tests/orderings.txt`. `cargo weaken table`
writes this part from there. Accesses with `Relaxed` aren't here: nothing is weaker.

There are {count} such accesses and {tried} weakenings. A model notices {noticed}. Of the others, {survived}
are argued in `loom-tests/survivors.txt`, and {left} are not recorded.

| access | ordering | reason | noticed by |
|---|---|---|---|
{rows}"
    ))
}

/// The page with another part. What follows the part begins with a heading.
fn replaced(page: &str, part: &str) -> Result<String, Failure> {
    let missing = || format!("{PAGE} has no heading {}", HEADING.trim());
    let (before, rest) = page.split_once(HEADING).ok_or_else(missing)?;
    let after = rest.find("\n## ").map_or("", |at| &rest[at..]);
    Ok(format!("{before}{part}{after}"))
}

/// The page, and what it should be.
fn pages(root: &Path) -> Result<[String; 2], Failure> {
    let page = files::text(&root.join(PAGE))?;
    let new = replaced(&page, &part(root)?)?;
    Ok([page, new])
}

/// Writes the table.
pub(crate) fn write(root: &Path) -> Result<(), Failure> {
    let [page, new] = pages(root)?;
    if page == new {
        return Ok(());
    }
    fs::write(root.join(PAGE), new).map_err(|error| format!("{PAGE}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{models, root};

    #[test]
    fn the_table_of_orderings_is_that_of_the_code_and_of_the_records() {
        let [page, new] = pages(&root()).unwrap();
        let differs = |(old, new): (&str, &str)| (old != new).then(|| format!("{old}\n{new}"));
        let first = page.lines().zip(new.lines()).find_map(differs);
        assert!(
            page == new,
            "the table of orderings in {PAGE} is out of date; `cargo weaken table` writes it. It \
             differs first at\n{}",
            first.unwrap_or_default()
        );
    }

    #[test]
    fn each_record_is_of_an_access_and_a_model_that_exist() {
        let root = root();
        let sites = sites(&root).unwrap();
        let models = models::written(&root).unwrap();
        for (tried, record) in records::read(&root).unwrap() {
            assert!(
                sites.iter().any(|site| site.has_weaker(&tried)),
                "loom-tests/orderings.txt: {tried}: there is no such access"
            );
            if let Record::Noticed(model) = record {
                let (file, name) = model.split_once("::").unwrap_or_default();
                let is_there = models.get(name).is_some_and(|it| it == file);
                assert!(
                    is_there,
                    "loom-tests/orderings.txt: there is no model {model}"
                );
            }
        }
    }

    #[test]
    fn each_survivor_is_of_an_access_that_exists() {
        let sites = sites(&root()).unwrap();
        for tried in survivors::read(&root()).unwrap().keys() {
            assert!(
                sites.iter().any(|site| site.has_weaker(tried)),
                "loom-tests/survivors.txt: {tried}: there is no such access"
            );
        }
    }

    #[test]
    fn only_the_part_of_the_table_is_replaced() {
        let page = "# A\n\n## Every memory ordering\n\nold\n\n## B\n";
        let new = replaced(page, "## Every memory ordering\n\nnew\n").unwrap();
        assert_eq!(new, "# A\n\n## Every memory ordering\n\nnew\n\n## B\n");
        assert!(replaced("# A\n", "new").is_err());
    }
}
