//! The comments that give an ordering's reason, and what it pairs with.

/// The farthest that a comment may lie above its ordering, in lines.
const ABOVE: usize = 9;

/// The comment that names `ordering` above a site, of which `above` are the lines before it.
pub(crate) fn reason(above: &[&str], ordering: &str) -> Option<String> {
    let near = above.len().saturating_sub(ABOVE);
    let mut end = above.len();
    while end > near {
        let comment = comment_that_ends(&above[..end]);
        if comment.is_empty() {
            end -= 1;
            continue;
        }
        let text = comment.join("\n");
        if text.contains(ordering) {
            return Some(text);
        }
        end -= comment.len();
    }
    None
}

/// The comment's lines at the end of these lines, without their slashes.
fn comment_that_ends<'l>(lines: &[&'l str]) -> Vec<&'l str> {
    let line = |line: &&'l str| {
        Some(
            line.trim()
                .strip_prefix("//")?
                .trim_start_matches('/')
                .trim(),
        )
    };
    let mut comment: Vec<_> = lines.iter().rev().map_while(line).collect();
    comment.reverse();
    comment
}

/// The sentence of a comment that says what the access pairs with, or else the one that names its
/// ordering.
pub(crate) fn pair(reason: &str, ordering: &str) -> String {
    let text = without_links(&reason.replace('\n', " "));
    let sentences: Vec<_> = text.split_inclusive(". ").map(str::trim).collect();
    let with = |words: &str| {
        let own = sentences
            .iter()
            .find(|it| it.contains(words) && it.contains(ordering));
        own.or_else(|| sentences.iter().find(|it| it.contains(words)))
    };
    let named = || sentences.iter().find(|it| it.contains(ordering));
    let found = with("pairs with").or_else(named).or(sentences.first());
    found.map_or_else(String::new, |it| it.replace('|', "\\|"))
}

/// Leaves out the targets of links: `[a](b)` becomes `a`.
fn without_links(text: &str) -> String {
    let mut left = text;
    let mut result = String::new();
    while let Some((before, after)) = left.split_once("](") {
        let Some((_, rest)) = after.split_once(')') else {
            break;
        };
        let (start, name) = before.rsplit_once('[').unwrap_or((before, ""));
        result.push_str(start);
        result.push_str(name);
        left = rest;
    }
    result + left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_that_names_the_ordering_is_found() {
        let lines = [
            "// Release: pairs with the load in `f`.",
            "// Without it, it fails.",
            "let a = 1;",
            "// Something else.",
            "self.word",
        ];
        let found = reason(&lines, "Release").unwrap();
        assert_eq!(
            found,
            "Release: pairs with the load in `f`.\nWithout it, it fails."
        );
        assert_eq!(reason(&lines, "Acquire"), None);
    }

    #[test]
    fn the_sentence_with_the_pair_is_taken_without_its_links() {
        let reason =
            "The word now.\n\nAcquire: pairs with the Release in [`f`](Self::f). Or it fails.";
        assert_eq!(
            pair(reason, "Acquire"),
            "Acquire: pairs with the Release in `f`."
        );
        assert_eq!(
            pair("Relaxed is enough. So it is.", "Relaxed"),
            "Relaxed is enough."
        );
    }
}
