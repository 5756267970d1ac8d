//! The results of sweeps as text, and as the page `SWEEPS.md`.

use std::fmt::Write as _;

use super::{Family, Figures, Swept};
use crate::table::{Table, short};

/// The name of a family's picture.
#[must_use]
pub fn file(family: Family) -> String {
    format!("sweep-{}.svg", family.name())
}

/// The results of one family for a terminal.
#[must_use]
pub fn text(swept: &Swept) -> String {
    let family = swept.family;
    let [main, second] = tables(swept).map(|table| table.text());
    format!(
        "{}: {}\n{main}\n{}\n{second}",
        family.title(),
        family.main(),
        family.second()
    )
}

/// The page. The pictures are in the folder `charts` next to it.
#[must_use]
pub fn markdown(all: &[Swept], command: &str) -> String {
    let mut page = format!(
        "# One property at a time\n\nWritten by `{command} --out lab`; the same command gives the \
         same page.\nREADME.md says how things are measured. Runs and slow calls begin with a new \
         breaker, so learning is included. The traffic falls 10 s after the outage begins. The \
         limit for slow calls is 100 ms.\n"
    );
    for swept in all {
        let family = swept.family;
        let [main, second] = tables(swept).map(|table| table.markdown());
        let _ = write!(
            page,
            "\n## {title}\n\n![{caption} by {varied}](charts/{file})\n\n{caption}:\n\n{main}\n{}:\n\n{second}",
            capital(family.second()),
            title = family.title(),
            caption = capital(family.main()),
            varied = family.varied(),
            file = file(family),
        );
    }
    page
}

/// The tables of the main and of the second figure.
fn tables(swept: &Swept) -> [Table; 2] {
    let figures: [fn(&Figures) -> Option<f64>; 2] = [|found| found.main, |found| found.second];
    figures.map(|figure| {
        let values = swept.family.values().iter().map(f64::to_string);
        let first = swept.family.varied().to_owned();
        let mut table = Table::new(std::iter::once(first).chain(values));
        for (name, line) in &swept.lines {
            let cells = line.iter().map(|found| short(figure(found)));
            table.row(std::iter::once((*name).to_owned()).chain(cells));
        }
        table
    })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
