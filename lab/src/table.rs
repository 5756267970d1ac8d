//! A table in plain text.

use std::fmt::Write as _;
use std::io::{self, Write};

/// Writes rows under a header; the first column is aligned left, the others right.
///
/// # Errors
/// It can't be written.
pub fn write<const N: usize>(
    to: &mut impl Write,
    header: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let mut widths = header.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut line = |cells: [&str; N]| {
        let mut text = String::new();
        for (index, (cell, width)) in cells.into_iter().zip(widths).enumerate() {
            let _ = match index {
                0 => write!(text, "{cell:width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        writeln!(to, "{}", text.trim_end())
    };
    line(header)?;
    for row in rows {
        line(row.each_ref().map(String::as_str))?;
    }
    Ok(())
}
