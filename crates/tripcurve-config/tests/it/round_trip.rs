//! Any file that can be read is written equally, in TOML and in JSON. No text makes the reader
//! panic.

use proptest::prelude::*;
use serde_json::Value;
use tripcurve::registry::Registry;
use tripcurve_config::Config;

use crate::any_config::file;

/// Checks that each breaker and registry of the file can be built, and that each error has a place.
fn check(config: &Config) -> Result<(), TestCaseError> {
    for name in config.names() {
        match config.builder(name) {
            Ok(builder) => drop(builder.shards(1).build().unwrap()),
            Err(error) => {
                let setting = &error.setting;
                let is_place =
                    setting.starts_with("breakers.") || setting.starts_with("templates.");
                prop_assert!(is_place, "{error}");
                prop_assert!(config.check().is_err());
            }
        }
    }
    for name in config.registry_names() {
        match config.registry(name, |template| template.shards(1)) {
            Ok(builder) => drop::<Registry<u8>>(builder.build().unwrap()),
            Err(error) => {
                let setting = &error.setting;
                let is_place =
                    setting.starts_with("registries.") || setting.starts_with("templates.");
                prop_assert!(is_place, "{error}");
                prop_assert!(config.check().is_err());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_read_is_written_as_the_same(file in file()) {
        let config: Config = serde_json::from_value(file.clone()).unwrap();
        // The text stays as it was, except that "adaptive" replaces an empty table.
        let text = serde_json::to_string(&config).unwrap();
        let again: Config = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), &text[..]);
        let written: Value = serde_json::from_str(&text).unwrap();
        let expected = file.to_string().replace(r#"{"adaptive":{}}"#, r#""adaptive""#);
        prop_assert_eq!(written, serde_json::from_str::<Value>(&expected).unwrap());

        let text = toml::to_string(&config).unwrap();
        let again: Config = toml::from_str(&text).unwrap();
        prop_assert_eq!(toml::to_string(&again).unwrap(), text);
        prop_assert_eq!(&again, &config);
        check(&config)?;
    }

    #[test]
    fn a_file_with_a_piece_cut_out_is_read_or_refused(
        file in file(),
        from in any::<prop::sample::Index>(),
        length in 1..30_usize,
    ) {
        for mut text in [
            file.to_string(),
            toml::to_string(&serde_json::from_value::<Config>(file).unwrap()).unwrap(),
        ] {
            let from = from.index(text.len());
            let is_kept = |at: usize| at < from || at >= from + length;
            text = text
                .char_indices()
                .filter_map(|(at, letter)| is_kept(at).then_some(letter))
                .collect();
            if let Ok(config) = toml::from_str::<Config>(&text) {
                check(&config)?;
            }
            if let Ok(config) = serde_json::from_str::<Config>(&text) {
                check(&config)?;
            }
        }
    }
}
