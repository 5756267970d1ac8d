//! No file makes the reader panic, in either format. A file that was read is written equally, and
//! its builders can be built.
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

/// Each breaker is built, or refused with a place in the file. If the check passes, all are built.
fn check(config: &Config) {
    let accepted = config.check().is_ok();
    for name in config.names() {
        match config.builder(name) {
            // One shard, because fuzzing has no use for a window of a hundred megabytes.
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
