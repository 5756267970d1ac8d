//! The JSON Schema of configuration files equals `config.schema.json`. It accepts each file that
//! the reader accepts. It refuses the files that the reader refuses, as far as a schema can.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::prelude::*;
use proptest::sample::Index;
use schema_tests::schema;
use serde_json::{Map, Value, json};
use tripcurve_config::Config;

#[path = "../../tests/it/any_config/mod.rs"]
mod any_config;

use any_config::file;

fn validator() -> &'static Validator {
    static VALIDATOR: LazyLock<Validator> =
        LazyLock::new(|| jsonschema::validator_for(&schema()).unwrap());
    &VALIDATOR
}

/// The folder of tripcurve-config.
fn own() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn read(file: &Value) -> Result<Config, String> {
    serde_json::from_value(file.clone()).map_err(|error| error.to_string())
}

/// Reads the file and checks its settings.
fn accepted(file: &Value) -> Result<Config, String> {
    let config = read(file)?;
    config.check().map_err(|error| error.to_string())?;
    Ok(config)
}

#[test]
fn the_schema_in_this_package_is_that_of_the_reader() {
    const COMMAND: &str = "WRITE=1 cargo schema-tests schema_in_this_package";
    let path = own().join("config.schema.json");
    if std::env::var_os("WRITE").is_some() {
        let text = serde_json::to_string_pretty(&schema()).unwrap();
        fs::write(&path, text + "\n").unwrap();
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    let written: Value = serde_json::from_str(&text).unwrap_or_default();
    assert!(
        written == schema(),
        "config.schema.json is out of date; write it again with\n    {COMMAND}"
    );
}

/// All parts of the text between `open` and `close`.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    let pieces = text.split(open).skip(1);
    pieces.map(move |piece| piece.split(close).next().unwrap_or_default())
}

fn files_under(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_under(&path, ending, found);
        } else if path.extension().is_some_and(|own| own == ending) {
            found.push(path);
        }
    }
}

/// The files in the documentation and the examples, each with the name of its place.
fn shown() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for page in [
        "../../README.md",
        "README.md",
        "src/lib.rs",
        "src/config.rs",
    ] {
        let text = fs::read_to_string(own().join(page)).unwrap();
        let text = text.replace("/// ", "").replace("//! ", "");
        let text = text.replace("///", "").replace("//!", "");
        for (open, close) in [("toml::from_str(r#\"", "\"#)"), ("```toml\n", "```")] {
            all.extend(between(&text, open, close).map(|file| (page.to_owned(), file.to_owned())));
        }
    }
    let mut paths = Vec::new();
    files_under(&own().join("examples"), "toml", &mut paths);
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        all.push((path.display().to_string(), text));
    }
    all
}

#[test]
fn each_file_that_users_are_shown_is_accepted() {
    let validator = validator();
    let shown = shown();
    assert!(shown.len() >= 2, "the files were not found");
    for (place, text) in shown {
        let file: Value = toml::from_str(&text).unwrap_or_else(|error| panic!("{place}: {error}"));
        accepted(&file).unwrap_or_else(|error| panic!("{place}: {error}"));
        if let Err(error) = validator.validate(&file) {
            panic!("{place}: {error} at {}", error.instance_path());
        }
    }
}

/// The definition with this name in the schema.
fn definition<'a>(schema: &'a Value, name: &str) -> &'a Value {
    &schema["definitions"][name]
}

#[test]
fn each_key_says_what_it_is_for() {
    let schema = schema();
    let definitions = schema["definitions"].as_object().unwrap();
    let mut seen = 0;
    for section in definitions.values().chain([&schema]) {
        let forms = section["oneOf"].as_array().into_iter().flatten();
        for form in forms.chain([section]) {
            for (key, value) in form["properties"].as_object().into_iter().flatten() {
                let about = value["description"].as_str().unwrap_or_default();
                assert!(about.ends_with('.') && about.len() > 20, "{key}: {about}");
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "the keys were not found");
}

#[test]
fn each_key_stands_in_the_documentation_of_config() {
    let page = fs::read_to_string(own().join("src/config.rs")).unwrap();
    let (table, _) = page.split_once("# Errors").unwrap();
    let schema = schema();
    let definitions = schema["definitions"].as_object().unwrap();
    for section in definitions.values() {
        let forms = section["oneOf"].as_array().into_iter().flatten();
        for form in forms.chain([section]) {
            for key in form["properties"].as_object().into_iter().flatten() {
                let key = key.0;
                let stands = [format!("`{key}`"), format!("{key} =")];
                assert!(stands.iter().any(|text| table.contains(text)), "{key}");
            }
        }
    }
}

/// A breaker with this key and the keys that it needs. `{}` is the number.
const LIMITS: [(&str, &str, &str); 26] = [
    ("Breaker", "shards", "shards = {}"),
    ("Template", "shards", "shards = {}"),
    ("Window", "buckets", "window = { buckets = {} }"),
    (
        "Window",
        "calls",
        "trip_when = [{ consecutive_failures = 1 }]\nwindow = { calls = {} }",
    ),
    ("Recovery", "probes", "recovery = { probes = {} }"),
    (
        "Recovery",
        "success_threshold",
        "recovery = { probes = 255, success_threshold = {} }",
    ),
    (
        "Recovery",
        "failure_threshold",
        "recovery = { probes = 255, failure_threshold = {} }",
    ),
    (
        "Recovery",
        "slow_threshold",
        "trip_when = [{ slow_rate = 0.5, slower_than = '1s' }]\nrecovery = { probes = 255, slow_threshold = {} }",
    ),
    (
        "Recovery",
        "steps",
        "recovery = { steps = [{}], each = '1s' }",
    ),
    (
        "Recovery",
        "max_failure_rate",
        "recovery = { probes = 3, max_failure_rate = {} }",
    ),
    (
        "Recovery",
        "max_failure_rate",
        "recovery = { steps = [1.0], each = '1s', max_failure_rate = {} }",
    ),
    ("Recovery", "clients", "recovery = { clients = {} }"),
    (
        "Backoff",
        "factor",
        "backoff = { base = '1s', factor = {}, longest = '1m' }",
    ),
    (
        "Policy",
        "consecutive_failures",
        "trip_when = [{ consecutive_failures = {} }]",
    ),
    (
        "Policy",
        "failure_count",
        "trip_when = [{ failure_count = {} }]",
    ),
    (
        "Policy",
        "failure_rate",
        "trip_when = [{ failure_rate = {} }]",
    ),
    (
        "Policy",
        "slow_rate",
        "trip_when = [{ slow_rate = {}, slower_than = '1s' }]",
    ),
    (
        "Policy",
        "burn_rate",
        "trip_when = [{ burn_rate = {}, factor = 1 }]",
    ),
    (
        "Policy",
        "latency_percentile",
        "trip_when = [{ latency_percentile = {}, above = '1s' }]",
    ),
    (
        "Policy",
        "slower_than_usual",
        "trip_when = [{ slower_than_usual = {} }]",
    ),
    (
        "Policy",
        "percentile",
        "trip_when = [{ slower_than_usual = 2, percentile = {} }]",
    ),
    (
        "Policy",
        "factor",
        "trip_when = [{ burn_rate = 0.999, factor = {} }]",
    ),
    (
        "Policy",
        "min_calls",
        "trip_when = [{ failure_rate = 0.5, min_calls = {} }]",
    ),
    (
        "Adaptive",
        "tolerate",
        "trip_when = [{ adaptive = { tolerate = {} } }]",
    ),
    ("Registry", "capacity", "capacity = {}"),
    ("Registry", "max_open_share", "max_open_share = {}"),
];

/// The bounds of numbers in the schema: definition, key, bounds.
fn bounded(schema: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (name, section) in schema["definitions"].as_object().unwrap() {
        let forms = section["oneOf"].as_array().into_iter().flatten();
        for form in forms.chain([section]) {
            for (key, value) in form["properties"].as_object().into_iter().flatten() {
                let value = if value["type"] == "array" {
                    &value["items"]
                } else {
                    value
                };
                if ["integer", "number"]
                    .iter()
                    .any(|kind| value["type"] == *kind)
                {
                    all.push((name.clone(), key.clone(), value.clone()));
                }
            }
        }
    }
    all
}

/// Numbers at the bounds: those within and those outside.
fn at_the_bounds(bounds: &Value) -> (Vec<String>, Vec<String>) {
    let (mut within, mut beyond) = (Vec::new(), Vec::new());
    if bounds["type"] == "integer" {
        let least = bounds["minimum"].as_u64().unwrap();
        let most = bounds["maximum"].as_u64().unwrap();
        within.extend([least, most].map(|number| number.to_string()));
        beyond.extend([least - 1, most + 1].map(|number| number.to_string()));
        return (within, beyond);
    }
    for (bound, is_within, inside) in [
        ("minimum", true, 1.0),
        ("maximum", true, -1.0),
        ("exclusiveMinimum", false, 1.0),
        ("exclusiveMaximum", false, -1.0),
    ] {
        let Some(bound) = bounds[bound].as_f64() else {
            continue;
        };
        let inside = inside * 1e-6 * bound.abs().max(1.0);
        within.push(format!("{:?}", bound + inside));
        beyond.push(format!("{:?}", bound - inside));
        let at = if is_within { &mut within } else { &mut beyond };
        at.push(format!("{bound:?}"));
    }
    assert_eq!(
        within.len() + beyond.len(),
        6,
        "a bound is missing: {bounds}"
    );
    (within, beyond)
}

#[test]
fn schema_and_check_have_the_same_bounds_for_each_number() {
    let schema = schema();
    let validator = validator();
    let bounded = bounded(&schema);
    let named: BTreeSet<_> = bounded
        .iter()
        .map(|(name, key, _)| (&name[..], &key[..]))
        .collect();
    let tested: BTreeSet<_> = LIMITS.iter().map(|(name, key, _)| (*name, *key)).collect();
    assert_eq!(named, tested);
    for (name, key, text) in LIMITS {
        let of_key = |found: &&(String, String, Value)| found.0 == name && found.1 == key;
        let (_, _, bounds) = bounded.iter().find(of_key).unwrap();
        let (within, beyond) = at_the_bounds(bounds);
        let group = match name {
            "Template" => "templates",
            "Registry" => "registries",
            _ => "breakers",
        };
        let file = |number: &String| -> Value {
            let text = format!("[{group}.a]\n{}", text.replace("{}", number));
            toml::from_str(&text).unwrap()
        };
        for file in within.iter().map(file) {
            accepted(&file).unwrap();
            assert!(validator.is_valid(&file), "{file}");
        }
        for file in beyond.iter().map(file) {
            assert!(accepted(&file).is_err(), "{file}");
            assert!(!validator.is_valid(&file), "{file}");
        }
    }
}

fn with_open_time(text: &str) -> Value {
    json!({ "breakers": { "a": { "probe_timeout": text } } })
}

#[test]
fn schema_and_reader_know_the_same_units() {
    let validator = validator();
    let schema = schema();
    let pattern = definition(&schema, "Duration")["pattern"].as_str().unwrap();
    let units = between(pattern, ")?(", ")").next().unwrap().split('|');
    assert!(units.clone().count() > 30, "{pattern}");
    for unit in units {
        accepted(&with_open_time(&format!("5{unit}")))
            .map(drop)
            .or_else(|error| {
                // Too short, but a valid duration.
                error
                    .contains("is not at least 1ms")
                    .then_some(())
                    .ok_or(error)
            })
            .unwrap();
    }
    // All candidates of up to three letters, and the longer units that are shown.
    let letters: Vec<_> = ('a'..='z')
        .chain(['M', 'H', 'µ'])
        .map(String::from)
        .collect();
    let mut units = letters.clone();
    for _ in 0..2 {
        let shorter = units.clone();
        let longer = shorter
            .iter()
            .flat_map(|unit| letters.iter().map(move |last| format!("{unit}{last}")));
        units.extend(longer);
    }
    for unit in &units {
        let file = with_open_time(&format!("5{unit}"));
        assert_eq!(read(&file).is_ok(), validator.is_valid(&file), "{unit}");
    }
}

/// The file without its invalid settings.
fn mended(mut file: Value) -> Value {
    while let Err(error) = read(&file).unwrap().check() {
        let place = error.setting.as_ref();
        let group = place.split('.').next().unwrap();
        // Names may contain dots, but keys don't.
        let sections = file[group].as_object_mut().unwrap();
        let (section, key) = sections
            .iter()
            .find_map(|(name, section)| {
                let rest = [name.clone(), format!("{name:?}")]
                    .into_iter()
                    .find_map(|name| place.strip_prefix(&format!("{group}.{name}.")))?;
                let key = rest.split(['.', '[']).next()?;
                section.get(key).map(|_| (name.clone(), key.to_owned()))
            })
            .unwrap_or_else(|| panic!("{error}: {sections:?}"));
        sections[&section].as_object_mut().unwrap().remove(&key);
    }
    file
}

/// Visits all tables of the file, and all other values with the table that contains them.
fn visit(value: &mut Value, depth: usize, look: &mut impl FnMut(&mut Value, usize)) {
    look(value, depth);
    match value {
        Value::Object(table) => {
            for value in table.values_mut() {
                visit(value, depth + 1, look);
            }
        }
        Value::Array(list) => {
            for value in list {
                visit(value, depth + 1, look);
            }
        }
        _ => {}
    }
}

/// Changes one of the values for which `is_one` holds. Returns `false` if there is none.
fn change(
    file: &mut Value,
    which: Index,
    is_one: impl Fn(&Value, usize) -> bool,
    change: impl Fn(&mut Value),
) -> bool {
    let mut count = 0;
    visit(file, 0, &mut |value, depth| {
        count += usize::from(is_one(value, depth));
    });
    if count == 0 {
        return false;
    }
    let which = which.index(count);
    let mut number = 0;
    visit(file, 0, &mut |value, depth| {
        // A replaced value isn't visited again.
        if number <= which && is_one(value, depth) {
            if number == which {
                change(value);
            }
            number += 1;
        }
    });
    true
}

fn both_refuse(validator: &Validator, file: &Value) -> Result<(), TestCaseError> {
    prop_assert!(read(file).is_err(), "read: {file}");
    prop_assert!(!validator.is_valid(file), "valid: {file}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_file_that_is_accepted_is_valid(file in file()) {
        let file = mended(file);
        let validator = validator();
        let error = validator.validate(&file).map_err(|error| format!("{error}: {file}"));
        prop_assert_eq!(error, Ok(()));
        // The written file is valid, too.
        let written = serde_json::to_value(accepted(&file).unwrap()).unwrap();
        prop_assert!(validator.is_valid(&written));
    }

    #[test]
    fn an_unknown_key_is_refused_by_both(file in file(), which: Index, key in "[a-z_]{3,12}x") {
        let mut file = mended(file);
        let changed = change(&mut file, which, |value, _| value.is_object(), |value| {
            // In the place of a breaker, a number is invalid.
            value.as_object_mut().unwrap().insert(key.clone(), 5.into());
        });
        prop_assert!(changed);
        both_refuse(validator(), &file)?;
    }

    #[test]
    fn a_value_of_another_kind_is_refused_by_both(file in file(), which: Index, other in 0..3_usize) {
        let mut file = mended(file);
        let other = [json!(true), Value::Null, json!([[]])][other].clone();
        let is_no_switch = |value: &Value, _| !value.is_boolean();
        if change(&mut file, which, is_no_switch, |value| *value = other.clone()) {
            both_refuse(validator(), &file)?;
        }
    }

    #[test]
    fn a_word_that_is_no_duration_is_refused_by_both(
        file in file(),
        which: Index,
        word in "-1s|0|5|5s 0|1[.]5|[.]5s|1[.]s|1m 30|5 parsecs|1[.]2[.]3s|5s!|| |s|5S|Forever|∞|5s forever",
    ) {
        let mut file = mended(file);
        let is_duration = |value: &Value, _| {
            let first = value.as_str().and_then(|text| text.chars().next());
            first.is_some_and(|letter| letter.is_ascii_digit())
        };
        // Template names may begin with a digit.
        for (_, breaker) in file["breakers"].as_object_mut().unwrap() {
            breaker.as_object_mut().unwrap().remove("template");
        }
        if change(&mut file, which, is_duration, |value| *value = word.clone().into()) {
            both_refuse(validator(), &file)?;
        }
    }

    #[test]
    fn what_is_read_as_a_duration_is_valid(text in "([0-9 .]{0,4}[mshdnuµ]{0,2}){0,3}") {
        let file = with_open_time(&text);
        if read(&file).is_ok() {
            prop_assert!(validator().is_valid(&file), "{text}");
        }
    }
}

#[test]
fn a_schema_named_in_the_file_is_kept() {
    let text = "\"$schema\" = \"./config.schema.json\"\n\n[breakers.payments]\nshards = 1\n";
    let config: Config = toml::from_str(text).unwrap();
    assert_eq!(toml::to_string(&config).unwrap(), text);
    let file = json!({ "$schema": "./config.schema.json", "breakers": { "payments": {} } });
    assert!(validator().is_valid(&file));
    assert_eq!(
        serde_json::to_value(accepted(&file).unwrap()).unwrap(),
        file
    );
    // The key is valid only at the top level.
    let mut nested = Map::new();
    nested.insert(
        "breakers".to_owned(),
        json!({ "payments": { "$schema": "x" } }),
    );
    let nested = Value::from(nested);
    assert!(read(&nested).is_err() && !validator().is_valid(&nested));
}

#[test]
fn what_does_not_go_together_is_refused_by_both() {
    let validator = validator();
    for settings in [
        "open_for = '5s'\nbackoff = { base = '1s', factor = 2, longest = '1m' }",
        "trip_when = []",
        "window = { length = '1m', calls = 10 }",
        "window = { length = '1m', within = '1m' }",
        "window = {}",
        "recovery = {}",
        "recovery = 'adaptiv'",
        "recovery = { probes = 3, each = '1s' }",
        "recovery = { steps = [0.5] }",
        "recovery = { probes = 3, clients = 3 }",
        "recovery = { clients = 3, max_failure_rate = 0.1 }",
        "recovery = { probes = 3, success_threshold = 2, max_failure_rate = 0.1 }",
        "backoff = { base = '1s', longest = '1m' }",
        "trip_when = [{}]",
        "trip_when = [{ min_calls = 3 }]",
        "trip_when = [{ failure_rate = 0.5, failure_count = 3 }]",
        "trip_when = [{ consecutive_failures = 3, min_calls = 3 }]",
        "trip_when = [{ adaptive = {}, slower_than = '1s' }]",
        "trip_when = [{ adaptive = 'adaptive' }]",
        "enabled = 'no'",
        "metrics_only = 1",
        "start_in = 'ajar'",
        "on_cancel = 'success'",
        "shards = 1.5",
    ] {
        let text = format!("[breakers.a]\n{settings}");
        let file: Value = toml::from_str(&text).unwrap();
        assert!(read(&file).is_err(), "{settings}");
        assert!(!validator.is_valid(&file), "{settings}");
    }
    // The key is required, but only the check reports it.
    for policy in ["{ slow_rate = 0.5 }", "{ latency_percentile = 99 }"] {
        let text = format!("[breakers.a]\ntrip_when = [{policy}]");
        let file: Value = toml::from_str(&text).unwrap();
        assert!(accepted(&file).is_err(), "{policy}");
        assert!(!validator.is_valid(&file), "{policy}");
    }
    for text in [
        "[templates.a]\ntemplate = 'b'",
        "[registries.a]\nidle_after = '1s'",
        "[registries.a]\nshards = 1",
        "[fleet]\nnamespace = 'shop'",
        "[fleet]\naddress = 'redis://store/'",
        "[fleet]\naddress = 'redis://store/'\nnamespace = ''",
        "[fleet]\naddress = 'redis://store/'\naddress_from = 'REDIS_URL'\nnamespace = 'shop'",
        "[fleet]\naddress = 'http://store/'\nnamespace = 'shop'",
        "[fleet]\naddress = 'redis://shop:hunter2@'\nnamespace = 'shop'",
        "[fleet]\naddress = 'redis://:6379'\nnamespace = 'shop'",
        "[fleet]\naddress_from = ''\nnamespace = 'shop'",
        "[fleet]\naddress = 'redis://store/'\nnamespace = 'shop'\njoin = '*'",
    ] {
        let file: Value = toml::from_str(text).unwrap();
        assert!(
            accepted(&file).is_err() && !validator.is_valid(&file),
            "{text}"
        );
    }
}
