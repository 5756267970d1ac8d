//! Readers of several formats report equal errors for equal files.

use tripcurve_config::Config;

/// The errors of the readers of TOML, JSON and YAML for one file.
fn said_by_each_reader(file: &serde_json::Value) -> [String; 3] {
    let refused = |read: Result<Config, String>| {
        let checked = read.and_then(|config| config.check().map_err(|error| error.to_string()));
        checked.expect_err("it makes no sense")
    };
    let toml = toml::to_string(file).unwrap();
    let toml = toml::from_str(&toml).map_err(|error: toml::de::Error| error.message().to_owned());
    let json = file.to_string();
    let json = serde_json::from_str(&json).map_err(|error| error.to_string());
    let yaml = serde_saphyr::to_string(file).unwrap();
    let yaml = serde_saphyr::from_str(&yaml).map_err(|error| error.to_string());
    [toml, json, yaml].map(refused)
}

#[test]
fn each_reader_names_the_place_in_the_same_words() {
    let payments = |settings| serde_json::json!({ "breakers": { "payments": settings } });
    for (settings, expected) in [
        (
            serde_json::json!({ "window": { "buckets": 0 } }),
            "breakers.payments.window.buckets: 0 is not in 1..=1024; 10 suit most services",
        ),
        (
            serde_json::json!({ "window": { "bucket": 20 } }),
            "breakers.payments.window.bucket: unknown key, expected one of length, buckets, calls, \
             within",
        ),
        (
            serde_json::json!({ "open_for": "5 parsecs" }),
            "invalid value: string \"5 parsecs\", expected a duration with its unit, as \"250ms\" or \
             \"1m 30s\", or \"forever\", at breakers.payments.open_for",
        ),
        (
            serde_json::json!({ "window": "60s" }),
            "invalid value: string \"60s\", expected a window, as { length = \"60s\", buckets = 10 } \
             or { calls = 100 }, at breakers.payments.window",
        ),
        (
            serde_json::json!({ "trip_when": [5] }),
            "invalid type: integer `5`, expected a policy, as { failure_rate = 0.5, min_calls = 20 } or \
             \"adaptive\" or \"classic\", at breakers.payments.trip_when[0]",
        ),
        (
            serde_json::json!({ "trip_when": ["adaptive", { "failure_rate": 50 }] }),
            "breakers.payments.trip_when[1].failure_rate: 50 is not above 0.0 and at most 1.0; it is a \
             fraction: half of the calls is 0.5",
        ),
        (
            serde_json::json!({ "trip_when": [{ "failure_rate": 0.5 }, { "min_calls": 10 }] }),
            "breakers.payments.trip_when[1]: says not which policy it is; add one of \
             consecutive_failures, failure_count, failure_rate, slow_rate, burn_rate, \
             latency_percentile, slower_than_usual, adaptive",
        ),
        (
            serde_json::json!({ "latency": "on" }),
            "invalid value: string \"on\", expected one of \"off\", \"combined\", \"by-outcome\" at \
             breakers.payments.latency",
        ),
        (
            serde_json::json!({ "template": "defualt" }),
            "breakers.payments.template: \"defualt\" is not in the file, which has none; a template \
             stands in the file under templates",
        ),
    ] {
        let [toml, json, yaml] = said_by_each_reader(&payments(settings));
        // The other readers add the position in the text.
        assert_eq!(toml, expected);
        assert!(json.starts_with(expected), "{json}");
        assert!(yaml.contains(expected), "{yaml}");
    }
}

#[test]
fn words_and_names_are_what_they_look_like_in_yaml() {
    // In YAML, `off`, `5` and `1` may have other types.
    let text = "breakers:\n  1:\n    latency: off\n    open_for: 5s\n";
    let config: Config = serde_saphyr::from_str(text).unwrap();
    assert_eq!(
        config,
        toml::from_str("[breakers.1]\nlatency = 'off'\nopen_for = '5s'").unwrap()
    );
    let written = serde_saphyr::to_string(&config).unwrap();
    let again: Config = serde_saphyr::from_str(&written).unwrap();
    assert_eq!(again, config);
    let error = serde_saphyr::from_str::<Config>("breakers: { payments: { open_for: 5 } }");
    let expected = "invalid value: string \"5\", expected a duration with its unit, as \"250ms\" or \
                    \"1m 30s\", or \"forever\", at breakers.payments.open_for";
    let error = error.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}
