//! The schema of configuration files, which the tests compare with the reader.

use schemars::generate::SchemaSettings;
use serde_json::Value;
use tripcurve_config::Config;

/// Draft 7, because editors for TOML and YAML understand it.
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    generator.into_root_schema_for::<Config>().to_value()
}
