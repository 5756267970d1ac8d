//! Logs as CSV: a header with the columns in any order, then a line for each call.

use std::borrow::Cow;
use std::io::{BufRead, Read};

use csv::{ByteRecord, ReaderBuilder};

use super::LogError;
use super::column::Column;
use super::gather::Gather;
use super::line::{Cell, Line, Problem};

/// Reads the lines after `header`, which is line number `header_line`.
pub(super) fn read(
    header: &str,
    header_line: u64,
    rest: impl BufRead,
    gather: &mut Gather,
) -> Result<(), LogError> {
    let delimiter = delimiter(header);
    let names = cells_of(header, delimiter)?;
    let columns: Vec<_> = names.iter().map(|name| Column::named(name)).collect();
    let mut header_cells = Line::default();
    fill(&mut header_cells, &names, &columns, |_| Cow::Borrowed(""));
    if let Some(part) = header_cells.missing() {
        return Err(LogError::Header {
            part,
            found: names.join(", "),
        });
    }
    gather.columns(header_cells.names());
    let mut reader = builder(delimiter).from_reader(rest);
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        let position = record.position().map_or(0, csv::Position::line);
        let entry = if record.len() == names.len() {
            let mut line = Line::default();
            fill(&mut line, &names, &columns, |index| {
                String::from_utf8_lossy(&record[index])
            });
            line.entry()
        } else {
            let spans_lines = record.iter().any(|cell| cell.contains(&b'\n'));
            Err(Problem::Cells {
                found: record.len(),
                expected: names.len(),
                hint: if spans_lines {
                    " (it spans several lines: is a quote not closed?)"
                } else {
                    ""
                },
            })
        };
        gather.add(header_line + position, entry);
    }
    Ok(())
}

fn fill<'a>(
    line: &mut Line<'a>,
    names: &'a [String],
    columns: &[Option<Column>],
    text: impl Fn(usize) -> Cow<'a, str>,
) {
    for (index, column) in columns.iter().enumerate() {
        if let Some(column) = *column {
            line.put(Cell {
                name: Cow::Borrowed(&names[index]),
                column,
                text: text(index),
            });
        }
    }
}

fn builder(delimiter: u8) -> ReaderBuilder {
    let mut builder = ReaderBuilder::new();
    builder
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'));
    builder
}

/// The delimiter that the header has most of.
fn delimiter(header: &str) -> u8 {
    [b',', b';', b'\t']
        .into_iter()
        .rev()
        .max_by_key(|&delimiter| header.bytes().filter(|&byte| byte == delimiter).count())
        .unwrap_or(b',')
}

fn cells_of(header: &str, delimiter: u8) -> Result<Vec<String>, LogError> {
    let mut record = ByteRecord::new();
    builder(delimiter)
        .from_reader(header.as_bytes().chain(&b"\n"[..]))
        .read_byte_record(&mut record)?;
    Ok(record
        .iter()
        .map(|cell| String::from_utf8_lossy(cell).trim().to_owned())
        .collect())
}
