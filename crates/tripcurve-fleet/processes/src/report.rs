//! What a run has found, as a table.

use std::fmt::Write;

/// What happened in a scenario.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    /// The openings, in ms after the fault, and whether the fleet ordered each.
    pub(crate) openings: Vec<(f64, bool)>,
    /// Calls that failed until all had opened.
    pub(crate) failed: Option<u64>,
    /// Calls that reached the broken backend after that, and how many asked.
    pub(crate) dead: Option<(u64, u64)>,
    /// Until all were closed again, in ms after the backend works.
    pub(crate) back: Option<f64>,
    /// When members said that they had lost the store, in ms after the fault.
    pub(crate) said: Vec<f64>,
    pub(crate) remarks: Vec<String>,
    /// In s, until all was well again.
    pub(crate) took: f64,
    /// What should have held and didn't.
    pub(crate) wrong: Vec<String>,
}

pub(crate) const HEAD: &str = "\
| scenario | opened by the fleet + alone | first, half, last (ms) | failed calls | reached the dead \
backend while open | all closed after (ms) | said that the store is lost: first, last (ms) | besides | took (s) |
|---|---|---|---|---|---|---|---|---|";

impl Row {
    pub(crate) fn new(scenario: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn by_fleet(&self) -> usize {
        self.openings.iter().filter(|it| it.1).count()
    }

    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    pub(crate) fn expect(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.wrong.push(what.into());
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut openings: Vec<f64> = self.openings.iter().map(|it| it.0).collect();
        openings.sort_by(f64::total_cmp);
        let mut text = format!("| {} ", self.scenario);
        // Writing to a string never fails.
        let _ = match &*openings {
            [] => write!(text, "| 0 | "),
            all => write!(
                text,
                "| {} + {} | {:.0}, {:.0}, {:.0} ",
                self.by_fleet(),
                all.len() - self.by_fleet(),
                all[0],
                all[all.len() / 2],
                all[all.len() - 1]
            ),
        };
        let failed = self.failed.map(|it| it.to_string()).unwrap_or_default();
        let dead = self.dead.map(|(came, asked)| format!("{came} of {asked}"));
        let back = self.back.map(|it| format!("{it:.0}")).unwrap_or_default();
        let said = self.said.iter().copied();
        let (least, most) = (said.clone().reduce(f64::min), said.reduce(f64::max));
        let said = least.zip(most).map(|(a, b)| format!("{a:.0}, {b:.0}"));
        let _ = write!(
            text,
            "| {failed} | {} | {back} | {} | {} | {:.0} |",
            dead.unwrap_or_default(),
            said.unwrap_or_default(),
            self.remarks.join("; "),
            self.took
        );
        for it in &self.wrong {
            let _ = write!(text, "\n**wrong**: {it}");
        }
        text
    }
}
