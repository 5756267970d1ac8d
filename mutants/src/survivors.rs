//! `mutants/survivors.txt`: changes that no test notices, and why they are harmless.
//!
//! A line without indent is a file and a change. The indented lines below it are the reason. A line
//! with `#` is a comment. Lines of the code may move, so the place in the file isn't named.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Failure, tree};

/// The reasons, by the file and the change.
pub(crate) fn read(root: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let path = root.join("mutants/survivors.txt");
    parse(&tree::read(&path)?).map_err(|failure| format!("{}: {failure}", path.display()))
}

/// The name in the file of a change whose name has a line and a column.
pub(crate) fn name(file: &str, change: &str) -> String {
    let what = change.splitn(3, ':').nth(2).unwrap_or(change);
    format!("{file} {}", what.trim())
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut reasons = BTreeMap::<String, String>::new();
    let mut open = Vec::<String>::new();
    let mut has_reason = true;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    for line in lines.filter(|line| !line.trim().is_empty()) {
        if line.starts_with(' ') {
            if open.is_empty() {
                return Err(format!("a reason without a change: {line}"));
            }
            for change in &open {
                let reason: &mut String = reasons.entry(change.clone()).or_default();
                reason.push_str(line.trim());
                reason.push(' ');
            }
            has_reason = true;
        } else {
            // Changes that stand together have one reason.
            if has_reason {
                open.clear();
            }
            has_reason = false;
            open.push(line.to_owned());
        }
    }
    if has_reason {
        Ok(reasons)
    } else {
        Err(format!("no reason for {}", open.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::{name, parse};

    #[test]
    fn each_change_has_the_reason_below_it() {
        let reasons = parse("# a comment\na\nb\n    because\n    of this\n\nc\n    so\n").unwrap();
        assert_eq!(reasons["a"], "because of this ");
        assert_eq!(reasons["b"], "because of this ");
        assert_eq!(reasons["c"], "so ");
        assert!(parse("a\n").is_err());
        assert!(parse("    so\n").is_err());
    }

    #[test]
    fn the_place_is_not_part_of_the_name() {
        assert_eq!(
            name("a.rs", "1:2: replace :: with a"),
            "a.rs replace :: with a"
        );
    }
}
