//! The README's figures are those of the pages that it names.

use std::fs;

/// The cells of a table's row.
fn cells(row: &str) -> Vec<&str> {
    let row = row.trim().trim_matches('|');
    row.split(" | ").map(str::trim).collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap()
}

fn path(file: &str) -> String {
    format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))
}

/// The figure of a policy in this column of the first table of a section.
///
/// `from` names the page, how the section's title begins, and the column.
fn figure(from: &str, policy: &str) -> Option<String> {
    let mut parts = from.splitn(3, ", ");
    let (page, title, column) = (parts.next()?, parts.next()?, parts.next()?);
    let page = read(&format!("{page}.md"));
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with(title))?;
    let table = section.lines().skip_while(|line| !line.starts_with("| "));
    let rows: Vec<_> = table
        .take_while(|line| line.starts_with("| "))
        .map(cells)
        .collect();
    let place = rows.first()?.iter().position(|cell| *cell == column)?;
    let row = rows.iter().find(|row| row[0] == policy)?;
    Some((*row.get(place)?).to_owned())
}

/// The README with the figures that the pages have, and the number of rows with figures.
fn refreshed(readme: &str) -> (String, u32) {
    let mut policies = Vec::new();
    let mut rows = 0;
    let mut refresh = |line: &str| {
        let row = cells(line);
        let (Some(what), Some(&from)) = (row.first(), row.last()) else {
            return line.to_owned();
        };
        if from == "from" {
            policies = row[1..row.len() - 1]
                .iter()
                .map(ToString::to_string)
                .collect();
        }
        if !line.starts_with("| ")
            || !["RESULTS, ", "SWEEPS, "]
                .iter()
                .any(|page| from.starts_with(page))
        {
            return line.to_owned();
        }
        rows += 1;
        let policies: &Vec<String> = &policies;
        let figures: Vec<_> = policies
            .iter()
            .map(|policy| figure(from, policy).unwrap_or_else(|| panic!("{from}: no {policy}")))
            .collect();
        format!("| {what} | {} | {from} |", figures.join(" | "))
    };
    let lines: Vec<_> = readme.lines().map(&mut refresh).collect();
    (lines.join("\n") + "\n", rows)
}

/// `WRITE=1` takes the figures of the pages.
#[test]
fn each_figure_is_that_of_its_page() {
    let readme = read("README.md");
    let (expected, rows) = refreshed(&readme);
    assert!(rows >= 8, "only {rows} rows have figures");
    if std::env::var_os("WRITE").is_some() {
        fs::write(path("README.md"), &expected).unwrap();
        return;
    }
    for (line, expected) in readme.lines().zip(expected.lines()) {
        assert_eq!(
            line, expected,
            "WRITE=1 cargo test -p tripcurve-lab --test it readme::"
        );
    }
}
