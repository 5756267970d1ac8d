//! `loom-tests/survivors.txt`: weaker orderings that no model notices, and why the stronger ones
//! stay.
//!
//! A line without indent names a site and the orderings that were tried there. The indented lines
//! below it are the reason. A line with `#` is a comment.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Failure, files};

/// Reads the reasons, by the site and the orderings that were tried.
pub(crate) fn read(root: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let path = root.join("loom-tests/survivors.txt");
    parse(&files::text(&path)?).map_err(|failure| format!("{}: {failure}", path.display()))
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut reasons = BTreeMap::<String, String>::new();
    let mut last = None;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    for line in lines.filter(|line| !line.trim().is_empty()) {
        if line.starts_with(' ') {
            let reason = last.as_ref().and_then(|site| reasons.get_mut(site));
            let reason = reason.ok_or_else(|| format!("a reason without a site: {line}"))?;
            reason.push_str(line.trim());
            reason.push(' ');
        } else {
            reasons.insert(line.to_owned(), String::new());
            last = Some(line.to_owned());
        }
    }
    match reasons.iter().find(|(_, reason)| reason.is_empty()) {
        Some((site, _)) => Err(format!("a site without a reason: {site}")),
        None => Ok(reasons),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn each_site_has_a_reason() {
        let reasons = parse("# a comment\none\n    because\n    of this\n\ntwo\n    so\n").unwrap();
        assert_eq!(reasons["one"], "because of this ");
        assert_eq!(reasons["two"], "so ");
        assert!(parse("one\ntwo\n    so\n").is_err());
        assert!(parse("    so\n").is_err());
    }
}
