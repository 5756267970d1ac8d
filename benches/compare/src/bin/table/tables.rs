//! A table for each group.

use std::error::Error;
use std::fmt::Write as _;

use crate::measured::{Group, Measured, Median};

/// The peer that the other libraries are compared with.
const PEER: &str = "recloser";

/// The layout of a group's table.
struct Layout {
    group: &'static str,
    columns: Columns,
    /// The divisors of the rows.
    bases: &'static [Base],
}

/// The part after the last slash of the names.
enum Columns {
    /// Nothing follows the row's name. There is one column.
    Nothing,
    Threads,
    Calls,
    Named(&'static [&'static str]),
}

enum Base {
    /// The given row, in the same column.
    Row(&'static str),
    /// The same row, in the given column.
    Own(&'static str),
    /// The given row in the given column, for all cells.
    Cell(&'static str),
}

const LAYOUTS: [Layout; 11] = [
    Layout {
        group: "closed",
        columns: Columns::Nothing,
        bases: &[Base::Row("limit/private_increment"), Base::Row(PEER)],
    },
    Layout {
        group: "closed_latency",
        columns: Columns::Nothing,
        bases: &[Base::Row("limit/two_private_increments"), Base::Row(PEER)],
    },
    Layout {
        group: "count_window",
        columns: Columns::Calls,
        bases: &[Base::Row("limit/increment"), Base::Row(PEER)],
    },
    Layout {
        group: "failing",
        columns: Columns::Named(&["none", "one_percent", "all"]),
        bases: &[Base::Row(PEER), Base::Own("none")],
    },
    Layout {
        group: "open",
        columns: Columns::Nothing,
        bases: &[Base::Row("limit/clock_read"), Base::Row(PEER)],
    },
    Layout {
        group: "rejected",
        columns: Columns::Threads,
        bases: &[Base::Row("limit/clock_read"), Base::Row(PEER)],
    },
    Layout {
        group: "async",
        columns: Columns::Nothing,
        bases: &[
            Base::Row("limit/private_increment"),
            Base::Row(PEER),
            Base::Row("tripcurve/call"),
        ],
    },
    Layout {
        group: "contended",
        columns: Columns::Threads,
        bases: &[Base::Row("limit/private_increment"), Base::Row(PEER)],
    },
    Layout {
        group: "many_breakers",
        columns: Columns::Nothing,
        bases: &[Base::Row("limit/private_increment"), Base::Row(PEER)],
    },
    Layout {
        group: "snapshot_while_writing",
        columns: Columns::Named(&["snapshot_alone", "snapshot", "record_alone", "record"]),
        bases: &[Base::Cell("tripcurve/record_alone")],
    },
    Layout {
        group: "bulkhead",
        columns: Columns::Threads,
        bases: &[Base::Row("limit/two_additions"), Base::Row("tokio")],
    },
];

pub(crate) fn all(measured: &[Measured]) -> Result<String, Box<dyn Error>> {
    let mut tables = String::new();
    for layout in &LAYOUTS {
        let Some(group) = Group::new(layout.group, measured)? else {
            continue;
        };
        writeln!(tables, "{}", layout.table(&group)?)?;
        let more = match layout.group {
            "failing" => growth(&group)?,
            "snapshot_while_writing" => hindrance(&group)?,
            _ => continue,
        };
        writeln!(tables, "{more}")?;
    }
    Ok(tables)
}

impl Layout {
    fn table(&self, group: &Group<'_>) -> Result<String, Box<dyn Error>> {
        let columns: Vec<String> = match self.columns {
            Columns::Nothing => vec![String::new()],
            Columns::Threads | Columns::Calls => {
                let numbers = group.numbers().into_iter();
                numbers.map(|number| format!("/{number}")).collect()
            }
            Columns::Named(names) => names.iter().map(|name| format!("/{name}")).collect(),
        };
        if columns.is_empty() {
            return Err(format!("no row of {} ends with a number", self.group).into());
        }
        let threads = match (&self.columns, columns.as_slice()) {
            (Columns::Threads, [first, .., last]) => Some((first, last)),
            _ => None,
        };

        let mut header = format!("| `{}` |", self.group);
        for column in &columns {
            let what = self.title(column);
            for base in self.bases_of(column) {
                match base {
                    Base::Row(row) => write!(header, " {what}÷ `{row}` |")?,
                    Base::Own(own) => write!(header, " {what}÷ its own `{own}` |")?,
                    Base::Cell(cell) => write!(header, " {what}÷ `{cell}` |")?,
                }
            }
        }
        if let Some((first, last)) = threads {
            let (first, last) = (first.trim_matches('/'), last.trim_matches('/'));
            write!(header, " calls per second: {last} threads ÷ {first} |")?;
        }
        let cells = header.matches('|').count() - 2;
        let mut table = format!("{header}\n|---|{}\n", "---:|".repeat(cells));

        for row in self.rows(group, &columns) {
            write!(table, "| `{row}` |")?;
            for column in &columns {
                for base in self.bases_of(column) {
                    let Some(&median) = group.medians.get(format!("{row}{column}").as_str()) else {
                        table.push_str(" – |");
                        continue;
                    };
                    let base = match base {
                        Base::Row(row) => format!("{row}{column}"),
                        Base::Own(own) => format!("{row}/{own}"),
                        Base::Cell(cell) => (*cell).to_owned(),
                    };
                    write!(table, " {} |", median / group.median(&base)?)?;
                }
            }
            if let Some((first, last)) = threads {
                // The time of a call is the total time over all calls, so the throughput is its
                // inverse.
                let at = |column| group.median(&format!("{row}{column}"));
                write!(table, " {} |", at(first)? / at(last)?)?;
            }
            table.push('\n');
        }
        Ok(table)
    }

    /// The divisors of a column. A column isn't divided by itself.
    fn bases_of(&self, column: &str) -> impl Iterator<Item = &'static Base> {
        let of_itself = move |base: &&Base| match base {
            Base::Own(own) => column.trim_matches('/') == *own,
            _ => false,
        };
        self.bases.iter().filter(move |base| !of_itself(base))
    }

    fn title(&self, column: &str) -> String {
        let column = column.trim_matches('/');
        match (&self.columns, column) {
            (Columns::Nothing, _) => String::new(),
            (Columns::Threads, "1") => "1 thread ".to_owned(),
            (Columns::Threads, count) => format!("{count} threads "),
            (Columns::Calls, count) => format!("{count} calls "),
            (Columns::Named(_), name) => format!("`{name}` "),
        }
    }

    /// Ours first, then the peers from fast to slow, then the limit.
    fn rows<'a>(&self, group: &Group<'a>, columns: &[String]) -> Vec<&'a str> {
        let limit = self.bases.iter().find_map(|base| match base {
            Base::Row(row) if row.starts_with("limit/") => Some(*row),
            _ => None,
        });
        let place = |row: &str| match row.split('/').next() {
            Some("tripcurve") => 0,
            Some("limit") if Some(row) == limit => 3,
            Some("limit") => 2,
            _ => 1,
        };
        let mut rows: Vec<(&str, Median)> = group
            .medians
            .iter()
            .filter_map(|(name, &median)| Some((name.strip_suffix(&*columns[0])?, median)))
            .collect();
        rows.sort_by(|(one, one_median), (other, other_median)| {
            place(one)
                .cmp(&place(other))
                .then(one_median.point.total_cmp(&other_median.point))
        });
        rows.into_iter().map(|(row, _)| row).collect()
    }
}

/// How the cost of a failure grows, one setting at a time.
fn growth(group: &Group<'_>) -> Result<String, Box<dyn Error>> {
    const ALL: &str = "tripcurve/all";
    const NONE: &str = "tripcurve/none";

    let mut rows: Vec<(&str, u32, Median)> = group
        .medians
        .iter()
        .filter_map(|(name, &median)| {
            let setting = name.strip_prefix(ALL)?.strip_prefix('/')?;
            let (what, number) = setting.rsplit_once('_')?;
            Some((what, number.parse().ok()?, median))
        })
        .collect();
    rows.sort_by_key(|&(what, number, _)| (what, number));

    let mut table = format!("| `{ALL}/…` | ÷ `{ALL}` | ÷ `{NONE}` |\n|---|---:|---:|\n");
    let (all, none) = (group.median(ALL)?, group.median(NONE)?);
    for (what, number, median) in rows {
        writeln!(
            table,
            "| `{what}_{number}` | {} | {} |",
            median / all,
            median / none
        )?;
    }
    Ok(table)
}

/// The additional cost of a call while a reader takes snapshots, by their frequency.
fn hindrance(group: &Group<'_>) -> Result<String, Box<dyn Error>> {
    const ALONE: &str = "/record_alone";
    const OFTEN: &str = "/record_beside_1000_a_second";
    const ALWAYS: &str = "/record";

    let mut table = "| a call beside snapshots | 1,000 a second ÷ `record_alone` \
                     | one after the other ÷ `record_alone` |\n|---|---:|---:|\n"
        .to_owned();
    for row in group
        .medians
        .keys()
        .filter_map(|name| name.strip_suffix(OFTEN))
    {
        let of = |column| group.median(&format!("{row}{column}"));
        let (alone, often, always) = (of(ALONE)?, of(OFTEN)?, of(ALWAYS)?);
        writeln!(
            table,
            "| `{row}` | {} | {} |",
            often / alone,
            always / alone
        )?;
    }
    Ok(table)
}
