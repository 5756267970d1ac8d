//! The results as text, and as the page `FLEET.md`.

use std::fmt::Write as _;

use super::goals::{Section, table};

/// Why goals are missed, by the beginning of what was measured.
const ARGUMENTS: &str = include_str!("arguments.md");

/// A part for a terminal.
#[must_use]
pub fn text(section: &Section) -> String {
    format!(
        "{}\n{}\n{}",
        section.title,
        section.table.text(),
        table(&section.measured).text()
    )
}

/// The page.
#[must_use]
pub fn markdown(sections: &[Section], command: &str) -> String {
    let measured = || sections.iter().flat_map(|it| &it.measured);
    let met = measured().filter(|it| it.is_met()).count();
    let mut page = format!(
        "# What a fleet's judgement is worth\n\nWritten by `{command} --out lab`; the same command \
         gives the same page. The members are the real `Machine` of `tripcurve-fleet` with real \
         breakers and mock clocks, and the store is the real `MemoryStore`. Messages take 1 to 2 ms \
         each way, announcements too, unless a row says otherwise. Calls are Poisson, take 20 ms \
         (median), and 1 % of them fail usually. README.md has the rest.\n\n## The goals\n\n{met} of \
         {} are met.\n\n{}\n{ARGUMENTS}",
        measured().count(),
        table(measured()).markdown()
    );
    for section in sections {
        let _ = write!(
            page,
            "\n## {}\n\n{}\n\n{}",
            section.title,
            section.text,
            section.table.markdown()
        );
    }
    page
}
