//! No file makes the reading of breakers panic, in either format; what was read is written as the same,
//! and a builder that the file gives can be built.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tripcurve_config::Config;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(config) = toml::from_str::<Config>(text) {
        let written = toml::to_string(&config).unwrap();
        let read: Config = toml::from_str(&written).unwrap();
        assert_eq!(toml::to_string(&read).unwrap(), written);
        check(&config);
    }
    if let Ok(config) = serde_json::from_str::<Config>(text) {
        let written = serde_json::to_string(&config).unwrap();
        let read: Config = serde_json::from_str(&written).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), written);
        check(&config);
    }
});

/// Each breaker is made, or refused with a place in the file; all, if none is refused beforehand.
fn check(config: &Config) {
    let accepted = config.check().is_ok();
    for name in config.names() {
        match config.builder(name) {
            // One shard, since fuzzing has no use for a window of a hundred megabytes.
            Ok(builder) => drop(builder.shards(1).build().unwrap()),
            Err(error) => {
                assert!(!accepted);
                assert!(
                    error.setting.starts_with("breakers.")
                        || error.setting.starts_with("templates.")
                );
            }
        }
    }
}
