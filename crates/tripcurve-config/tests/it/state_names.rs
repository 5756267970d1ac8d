//! A file and its schema name each state as `State::as_str` does.

use tripcurve::State;
use tripcurve_config::Config;

const NAMES: [(State, &str); 6] = [
    (State::Closed, "closed"),
    (State::Open, "open"),
    (State::HalfOpen, "half-open"),
    (State::ForcedOpen, "forced-open"),
    (State::Disabled, "disabled"),
    (State::MetricsOnly, "metrics-only"),
];

#[test]
fn a_state_has_the_same_name_in_a_file() {
    for (state, name) in NAMES {
        let file = format!("[breakers.api]\nstart_in = \"{name}\"\n");
        let config: Config = toml::from_str(&file).unwrap();
        assert_eq!(config.build("api").unwrap().state(), state);
        assert_eq!(toml::to_string(&config).unwrap(), file);
    }
    for other in [
        "forced open",
        "forced_open",
        "metrics only",
        "metrics_only",
        "Closed",
    ] {
        let file = format!("[breakers.api]\nstart_in = \"{other}\"\n");
        assert!(toml::from_str::<Config>(&file).is_err(), "{other}");
    }
}

#[test]
fn a_state_has_the_same_name_in_the_schema_of_files() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json");
    let text = std::fs::read_to_string(path).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names = NAMES.map(|(_, name)| name);
    for kind in ["Breaker", "Template"] {
        let path = format!("/definitions/{kind}/properties/start_in/enum");
        assert_eq!(
            schema.pointer(&path).unwrap(),
            &serde_json::json!(names),
            "{kind}"
        );
    }
}
