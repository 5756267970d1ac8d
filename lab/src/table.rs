//! A table, as text and as Markdown.

use std::fmt::Write as _;

/// Rows and a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self {
            header: header.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Formats the table for a terminal. The first column is aligned left, the others right.
    #[must_use]
    pub fn text(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in self.lines() {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in self.lines() {
            let mut line = String::new();
            for (index, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let _ = match index {
                    0 => write!(line, "{cell:width$}"),
                    _ => write!(line, "  {cell:>width$}"),
                };
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    /// Formats the table as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
        let rule: Vec<String> = self
            .header
            .iter()
            .enumerate()
            .map(|(index, _)| if index == 0 { "---" } else { "---:" }.to_owned())
            .collect();
        let rows: String = self.rows.iter().map(line).collect();
        line(&self.header) + &line(&rule) + &rows
    }

    /// Formats the table as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let line = |cell: &str, scope: &str, row: &Vec<String>| {
            let mut line = String::from("<tr>");
            for (index, text) in row.iter().enumerate() {
                let text = crate::html::escaped(text);
                let _ = match index {
                    0 => write!(line, "<th scope=\"{scope}\">{text}</th>"),
                    _ => write!(line, "<{cell}>{text}</{cell}>"),
                };
            }
            line + "</tr>\n"
        };
        let rows: String = self.rows.iter().map(|row| line("td", "row", row)).collect();
        format!(
            "<table class=\"figures\">\n<thead>{}</thead>\n<tbody>{rows}</tbody>\n</table>\n",
            line("th", "col", &self.header)
        )
    }

    fn lines(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.header).chain(&self.rows)
    }
}

/// Formats a number with three digits, as short as possible.
#[must_use]
pub fn short(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if !value.is_finite() => "∞".to_owned(),
        Some(value) if value.abs() >= 99.95 => format!("{value:.0}"),
        Some(value) if value.abs() >= 9.995 => format!("{value:.1}"),
        Some(value) if value.abs() >= 0.0095 => format!("{value:.2}"),
        Some(value) => format!("{value:.1e}"),
    }
}

/// Formats a share in percent.
#[must_use]
pub fn percent(share: Option<f64>) -> String {
    match share {
        None => "–".to_owned(),
        Some(share) => format!("{} %", short(Some(share * 100.0))),
    }
}
