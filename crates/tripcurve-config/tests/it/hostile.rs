//! Files made to harm their reader: deep nesting, YAML aliases, keys twice, numbers without end.
//! Each is refused with a message of bounded length, and no reader panics.

use std::fmt::Write;

use tripcurve_config::Config;

/// What the readers of TOML, JSON and YAML say of a file, one of which can read its format.
fn toml(file: &str) -> Result<(), String> {
    let config: Config = toml::from_str(file).map_err(|error| error.message().to_owned())?;
    config.check().map_err(|error| error.to_string())
}

fn json(file: &str) -> Result<(), String> {
    let config: Config = serde_json::from_str(file).map_err(|error| error.to_string())?;
    config.check().map_err(|error| error.to_string())
}

fn yaml(file: &str) -> Result<(), String> {
    let config: Config = serde_saphyr::from_str(file).map_err(|error| error.to_string())?;
    config.check().map_err(|error| error.to_string())
}

#[track_caller]
fn is_refused(what: &str, read: Result<(), String>) {
    let said = read.expect_err(what);
    assert!(said.len() < 2_000, "{what}: {} bytes", said.len());
}

const SETTINGS: [&str; 4] = ["window", "trip_when", "open_for", "probes"];

#[test]
fn values_that_are_nested_deeply_are_refused() {
    for depth in [10, 100, 1_000, 100_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for setting in SETTINGS {
                let what = format!("{setting}, {depth} levels of {open}");
                let file = format!(r#"{{"breakers":{{"b":{{"{setting}":{value}}}}}}}"#);
                is_refused(&what, json(&file));
                is_refused(&what, yaml(&file));
                let value = value.replace(':', "=");
                is_refused(&what, toml(&format!("[breakers.b]\n{setting} = {value}")));
            }
        }
    }
}

#[test]
fn yaml_aliases_that_multiply_are_refused() {
    let mut file =
        String::from("breakers:\n  b:\n    trip_when:\n    - &a0 [adaptive, adaptive]\n");
    for level in 1..40 {
        let before = format!("*a{}", level - 1);
        writeln!(file, "    - &a{level} [{before}, {before}]").unwrap();
    }
    is_refused("aliases of aliases", yaml(&file));
    is_refused("an alias of itself", yaml("breakers: &a\n  b: *a\n"));
    is_refused("an alias of nothing", yaml("breakers: *a\n"));
}

#[test]
fn keys_that_stand_twice_are_refused() {
    is_refused("TOML, breaker", toml("[breakers.b]\n[breakers.b]\n"));
    is_refused(
        "TOML, setting",
        toml("[breakers.b]\nprobes = 1\nprobes = 2\n"),
    );
    is_refused("JSON, breaker", json(r#"{"breakers":{"b":{},"b":{}}}"#));
    is_refused(
        "JSON, setting",
        json(r#"{"breakers":{"b":{"probes":1,"probes":2}}}"#),
    );
    is_refused("JSON, table", json(r#"{"breakers":{},"breakers":{}}"#));
    is_refused("YAML, breaker", yaml("breakers:\n  b: {}\n  b: {}\n"));
    is_refused(
        "YAML, setting",
        yaml("breakers:\n  b:\n    probes: 1\n    probes: 2\n"),
    );
}

#[test]
fn numbers_without_end_are_refused() {
    let digits = "9".repeat(10_000);
    let numbers = [
        "-1",
        "1e999",
        "-1e999",
        "18446744073709551616",
        "1e-999",
        "0.5",
        &digits,
    ];
    for number in numbers {
        let what = &number[..number.len().min(20)];
        is_refused(
            what,
            json(&format!(r#"{{"breakers":{{"b":{{"probes":{number}}}}}}}"#)),
        );
        is_refused(
            what,
            yaml(&format!("breakers:\n  b:\n    probes: {number}\n")),
        );
        is_refused(what, toml(&format!("[breakers.b]\nprobes = {number}\n")));
    }
    for number in ["nan", "inf", "-inf"] {
        let policy = format!("[breakers.b]\ntrip_when = [{{ failure_rate = {number} }}]");
        is_refused(number, toml(&policy));
    }
    for duration in [
        &format!("{digits}h"),
        "18446744073709551616s",
        "1e9s",
        "-1s",
        "0s",
    ] {
        let what = &duration[..duration.len().min(20)];
        is_refused(
            what,
            toml(&format!("[breakers.b]\nopen_for = \"{duration}\"\n")),
        );
    }
}
