//! The JSON Schema of the file, for editors. It is generated from the keys that the reader knows.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Config;
use crate::fleet::FleetKeys;
use crate::named::{MAX_NAME_CHARS, Named};
use crate::read::{Form, Meaning, Section, Written};
use crate::registry::RegistryKeys;
use crate::scalars::Text;
use crate::settings::{Settings, Template};
use crate::words::{Choice, Time, Word};

/// A section that describes its keys.
pub(crate) trait Described: Section {
    const NAME: &'static str;

    fn describe(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)>;
}

/// The schema of a key: its value, its purpose and its limits.
pub(crate) fn described(mut value: Schema, about: &[&str], mut limits: Schema) -> Schema {
    let object = value.ensure_object();
    // The limits make the format redundant.
    object.remove("format");
    object.insert("description".to_owned(), about.concat().trim().into());
    object.append(limits.ensure_object());
    value
}

/// A table that may have only the keys for which `is_there` returns `true`.
fn table(properties: &[(&'static str, Schema)], is_there: impl Fn(&str) -> bool) -> Schema {
    let mut keys = json_schema!({});
    for (key, value) in properties.iter().filter(|(key, _)| is_there(key)) {
        keys.insert((*key).to_owned(), value.clone().to_value());
    }
    json_schema!({
        "type": "object",
        "properties": keys,
        "additionalProperties": false,
    })
}

impl Form {
    fn schema(&self, properties: &[(&'static str, Schema)]) -> Schema {
        let has = |key: &str| self.needs.contains(&key) || self.may.contains(&key);
        let mut form = table(properties, has);
        if !self.needs.is_empty() {
            form.insert("required".to_owned(), self.needs.into());
        }
        form
    }
}

impl<S: Meaning + Described> JsonSchema for Written<S> {
    fn schema_name() -> Cow<'static, str> {
        S::NAME.trim_end_matches("Keys").into()
    }

    fn schema_id() -> Cow<'static, str> {
        format!(concat!(module_path!(), "::{}"), S::NAME).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let properties = S::describe(generator);
        let short = S::SHORT.iter();
        let words = short.map(|short| json_schema!({ "const": short.word }));
        let forms = S::FORMS.iter().map(|form| form.schema(&properties));
        let mut all: Vec<_> = words.chain(forms).collect();
        match all.len() {
            1 => all.remove(0),
            _ => json_schema!({ "oneOf": all }),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "maxLength": MAX_NAME_CHARS },
            "maxProperties": Self::MOST,
            "additionalProperties": generator.subschema_for::<T>(),
        })
    }
}

fn settings(generator: &mut SchemaGenerator, is_there: impl Fn(&str) -> bool) -> Schema {
    let mut schema = table(&Settings::describe(generator), is_there);
    let both = json_schema!({ "required": ["open_for", "backoff"] });
    schema.insert("not".to_owned(), both.to_value());
    schema
}

impl JsonSchema for Settings {
    fn schema_name() -> Cow<'static, str> {
        "Breaker".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Breaker").into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        settings(generator, |_| true)
    }
}

impl JsonSchema for Template {
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Template").into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        settings(generator, |key| key != "template")
    }
}

impl JsonSchema for RegistryKeys {
    fn schema_name() -> Cow<'static, str> {
        "Registry".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Registry").into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = table(&Self::describe(generator), |_| true);
        let needs = json_schema!({ "idle_after": ["capacity"] });
        schema.insert("dependencies".to_owned(), needs.to_value());
        schema
    }
}

impl JsonSchema for FleetKeys {
    fn schema_name() -> Cow<'static, str> {
        "Fleet".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Fleet").into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = table(&Self::describe(generator), |_| true);
        schema.insert("required".to_owned(), ["namespace"].into());
        let either = ["address", "address_from"].map(|key| json_schema!({ "required": [key] }));
        schema.insert("oneOf".to_owned(), either.map(Schema::to_value).into());
        schema
    }
}

/// Generates the schema for [editors](Config#editors), or for a part of a larger file's schema.
///
/// ```
/// use schemars::generate::SchemaSettings;
/// use tripcurve_config::Config;
///
/// // Draft 7 is what most editors understand; `config.schema.json` of this package is this one.
/// let generator = SchemaSettings::draft07().into_generator();
/// let schema = generator.into_root_schema_for::<Config>();
/// assert_eq!(schema.get("type").unwrap(), "object");
/// ```
impl JsonSchema for Config {
    fn schema_name() -> Cow<'static, str> {
        "CircuitBreakers".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::CircuitBreakers").into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = table(&Self::describe(generator), |_| true);
        schema.insert("title".to_owned(), "Circuit breakers of tripcurve".into());
        schema
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Duration").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        struct Expected;
        impl fmt::Display for Expected {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Time::expected(f)
            }
        }

        let expected = Expected.to_string();
        let expected = expected.trim_end_matches(',');
        let units = Self::UNITS;
        let number = r"[0-9][0-9\s]*(\.\s*[0-9][0-9\s]*)?";
        json_schema!({
            "type": "string",
            "description": expected,
            "pattern": format!(r"^(forever|\s*({number}({units})\s*)+)$"),
            // This isn't part of JSON Schema, but editors show it instead of the pattern.
            "patternErrorMessage": expected,
            "examples": ["250ms", "5s", "1m 30s", "1d", "forever"],
        })
    }
}

impl<T: Choice> JsonSchema for Word<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
        json_schema!({ "enum": words })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tripcurve::Outcome;

    use super::*;

    /// Fails when: in the schema of a larger file, a part of ours is taken for a type of the same name.
    #[test]
    fn each_part_has_an_id_of_this_crate() {
        let ids = [
            Settings::schema_id(),
            Template::schema_id(),
            RegistryKeys::schema_id(),
            FleetKeys::schema_id(),
            Config::schema_id(),
            Time::schema_id(),
        ];
        let distinct: BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "{ids:?}");
        for id in &ids {
            assert!(id.starts_with("tripcurve_config::"), "{id}");
        }
    }

    #[test]
    fn parts_are_named_for_what_they_are() {
        assert_eq!(Config::schema_name(), "CircuitBreakers");
        assert_eq!(Named::<Settings>::schema_name(), "NamedBreaker");
        assert_eq!(Word::<Outcome>::schema_name(), "Word");
    }
}
