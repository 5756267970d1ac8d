//! Names from a file are escaped and cut in every message, and have a limit.

use std::fmt::Write;

use tripcurve_config::Config;

/// A name that forges a log line, steers a terminal or reverses a text.
const EVIL: &str = "pay\nERROR \u{1b}[2J\0\u{202e}\u{85}";

fn megabyte() -> String {
    "n\n".repeat(500_000)
}

/// Checks that the text has no control or format character, except line ends of an alternate
/// `Debug`.
#[track_caller]
fn is_harmless(what: &str, text: &str) {
    let steers = |letter: char| {
        letter.is_control() && letter != '\n' || ('\u{202a}'..='\u{202e}').contains(&letter)
    };
    assert!(!text.contains(steers), "{what}: {text:?}");
    assert!(!text.contains("\nERROR"), "{what}: {text:?}");
    assert!(text.len() < 20_000, "{what}: {} bytes", text.len());
}

/// The error of a JSON file.
fn fault(file: &str) -> String {
    match serde_json::from_str::<Config>(file) {
        Ok(config) => config.check().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn errors_of_a_file_show_names_escaped_and_cut() {
    for name in [EVIL, &megabyte(), &"n".repeat(1_000_000)] {
        let name = quoted(name);
        for (what, file) in [
            (
                "unknown key",
                format!(r#"{{"breakers": {{{name}: {{"x": 1}}}}}}"#),
            ),
            ("key", format!(r"{{{name}: {{}}}}")),
            (
                "key of a breaker",
                format!(r#"{{"breakers": {{"a": {{{name}: 1}}}}}}"#),
            ),
            (
                "no template",
                format!(r#"{{"breakers": {{"a": {{"template": {name}}}}}}}"#),
            ),
            (
                "word",
                format!(r#"{{"breakers": {{"a": {{"latency": {name}}}}}}}"#),
            ),
            (
                "recovery",
                format!(r#"{{"breakers": {{"a": {{"recovery": {name}}}}}}}"#),
            ),
            (
                "duration",
                format!(r#"{{"breakers": {{"a": {{"open_for": {name}}}}}}}"#),
            ),
            (
                "shards",
                format!(r#"{{"breakers": {{{name}: {{"shards": 0}}}}}}"#),
            ),
            (
                "twice",
                format!(r#"{{"breakers": {{{name}: {{}}, {name}: {{}}}}}}"#),
            ),
            (
                "in the template",
                format!(
                    r#"{{"templates": {{{name}: {{"shards": 0}}}},
                        "breakers": {{"a": {{"template": {name}}}}}}}"#
                ),
            ),
        ] {
            let error = fault(&file);
            is_harmless(what, &error);
            assert!(error.len() < 4_000, "{what}: {} bytes", error.len());
        }
    }
    let config: Config = serde_json::from_str(r#"{"breakers": {"a": {}}}"#).unwrap();
    is_harmless(
        "asked for",
        &config.builder(&megabyte()).unwrap_err().to_string(),
    );
    is_harmless("asked for", &config.template(EVIL).unwrap_err().to_string());
}

#[test]
fn a_file_with_a_name_beyond_the_limit_is_refused() {
    let file = |length| format!(r#"{{"breakers": {{"{}": {{}}}}}}"#, "n".repeat(length));
    assert!(serde_json::from_str::<Config>(&file(1_024)).is_ok());
    let error = fault(&file(1_025));
    let reason = "…: has a name of 1025 bytes, expected at most 1024 characters; choose one that \
                  people can read";
    assert!(error.contains(reason), "{error}");
}

#[test]
fn a_file_with_more_policies_than_the_limit_is_refused() {
    let file = |policies: usize| {
        let all = vec![r#"{"failure_count": 5}"#; policies].join(",");
        format!(r#"{{"breakers": {{"a": {{"trip_when": [{all}]}}}}}}"#)
    };
    let config: Config = serde_json::from_str(&file(64)).unwrap();
    assert!(config.check().is_ok());
    for policies in [65, 100_000] {
        let error = fault(&file(policies));
        let reason = "breakers.a.trip_when: has more than 64, expected at most 64; any of them \
                      trips, so leave those out that another one covers";
        assert!(error.starts_with(reason), "{error}");
    }
}

fn breakers(count: usize) -> String {
    let mut file = String::from("{");
    for group in ["templates", "breakers"] {
        let begin = if file.len() > 1 { "," } else { "" };
        write!(file, "{begin}\"{group}\": {{").unwrap();
        for number in 0..count {
            let begin = if number > 0 { "," } else { "" };
            let template = format!(r#""template": "t{number}""#);
            let (letter, keys) = match group {
                "templates" => ("t", r#""open_for": "2s""#),
                _ => ("b", template.as_str()),
            };
            write!(file, r#"{begin}"{letter}{number}": {{{keys}}}"#).unwrap();
        }
        file.push('}');
    }
    file + "}"
}

/// Once, each lookup of a name searched all names before it. This file took 12 seconds.
#[test]
fn a_file_of_16_000_breakers_with_a_template_each_is_checked() {
    const COUNT: usize = 16_000;
    let config: Config = serde_json::from_str(&breakers(COUNT)).unwrap();
    assert_eq!(config.check(), Ok(()));
    assert_eq!(config.names().count(), COUNT);
    assert_eq!(config.names().last(), Some("b15999"));
    assert_eq!(config.template_names().next(), Some("t0"));
    assert!(config.build("b7999").is_ok());
    let error = config.builder("b16000").unwrap_err().to_string();
    assert!(error.contains("b19 and 15980 more"), "{error}");
    assert!(error.len() < 300, "{error}");
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&written).unwrap(), config);
}

#[test]
fn a_file_with_more_breakers_than_the_limit_is_refused() {
    let error = fault(&breakers(100_001));
    let reason = "templates: has more than 100000, expected at most 100000; keep them in several \
                  files, or breakers by key in a registry";
    assert!(error.starts_with(reason), "{error}");
}

#[test]
fn a_file_that_is_too_long_is_refused_before_it_is_read() {
    assert_eq!(Config::check_len(Config::MAX_FILE_LEN), Ok(()));
    let error = Config::check_len(Config::MAX_FILE_LEN + 1).unwrap_err();
    assert_eq!(error.setting, "the file");
}
