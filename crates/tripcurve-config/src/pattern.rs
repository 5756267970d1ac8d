//! Names with a `*` for any letters.

/// Whether a name fits a pattern. Takes time in proportion to both lengths at most.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let Some((beginning, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(beginning) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return name.ends_with(part);
        }
        // The first place is the best one, because it leaves most for the other parts.
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "payments"),
            ("pay*", "payments"),
            ("pay*", "pay"),
            ("*ments", "payments"),
            ("p*m*s", "payments"),
            ("p**s", "payments"),
            ("*a*a", "banana"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "payments"),
            ("pay", "payments"),
            ("pay*pay", "pay"),
            ("*a*b", "banana"),
            // One letter can't stand for two parts.
            ("x*ab*ab", "xab"),
            ("p*x*s", "payments"),
            ("*x", "payments"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
