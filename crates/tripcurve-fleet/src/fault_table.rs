//! `docs/fleet-processes.md` names the test of each fault. These tests check that each name exists.

use std::fs;
use std::path::Path;

fn read(path: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(path).ok()
}

/// The page and the scenarios of the processes. The published package has neither.
fn page() -> Option<(String, String)> {
    let page = read("../../docs/fleet-processes.md")?;
    Some((page, read("processes/src/scenarios.rs")?))
}

/// The names of a row's last column.
fn names(row: &str) -> Vec<&str> {
    let cells: Vec<_> = row.trim_matches('|').split('|').collect();
    let [_, _, names] = &*cells else {
        return Vec::new();
    };
    names.split('`').skip(1).step_by(2).collect()
}

fn exists(name: &str, scenarios: &str) -> bool {
    if let Some(scenario) = name.strip_prefix("processes/") {
        return scenarios.contains(&format!("(\"{scenario}\", "))
            || scenarios.contains(&format!("(\n        \"{scenario}\",\n"));
    }
    let Some((file, test)) = name.split_once("::") else {
        return false;
    };
    read(&format!("src/{file}")).is_some_and(|it| it.contains(&format!("fn {test}(")))
}

#[test]
fn each_fault_has_a_test_that_makes_it_happen() {
    let Some((page, scenarios)) = page() else {
        return;
    };
    let (_, table) = page.split_once("| what goes wrong |").unwrap();
    let rows = table.lines().skip(2).take_while(|it| it.starts_with('|'));
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() >= 20, "{}", rows.len());
    for row in rows {
        let names = names(row);
        assert!(!names.is_empty(), "{row}");
        for name in names {
            assert!(exists(name, &scenarios), "{name}");
        }
    }
}

#[test]
fn each_scenario_stands_in_the_table() {
    let Some((page, scenarios)) = page() else {
        return;
    };
    let (_, all) = scenarios.split_once("ALL: &[(&str, Act)] = &[").unwrap();
    let (all, _) = all.split_once("\n];").unwrap();
    let names: Vec<_> = all.split('"').skip(1).step_by(2).collect();
    assert!(names.len() >= 18, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("`processes/{name}`")), "{name}");
    }
}
