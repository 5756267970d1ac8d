//! What is measured against a goal.

use crate::table::{Table, short};

/// A measured value and its bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The goal, such as `F1`.
    pub goal: &'static str,
    /// What was measured.
    pub what: String,
    /// The value.
    pub value: f64,
    /// The value must be at most this.
    pub most: f64,
}

impl Measured {
    /// Whether the goal is met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.value <= self.most
    }
}

/// A part of the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its title.
    pub title: &'static str,
    /// What stands above the table.
    pub text: String,
    /// The figures.
    pub table: Table,
    /// What is compared with goals.
    pub measured: Vec<Measured>,
}

/// A table of what was measured and of the bounds.
#[must_use]
pub fn table<'a>(measured: impl IntoIterator<Item = &'a Measured>) -> Table {
    let mut table = Table::new(["goal", "what", "measured", "at most", ""]);
    for it in measured {
        table.row([
            it.goal.to_owned(),
            it.what.clone(),
            short(Some(it.value)),
            short(Some(it.most)),
            if it.is_met() { "met" } else { "missed" }.to_owned(),
        ]);
    }
    table
}
