//! Causes, openings and transitions in the format of views; see `guide::watching`.

use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use super::entry::WindowCounts;
use super::{Cause, Opening, Transition};
use crate::name::label::Label;
use crate::state::State;

/// The version of the format of all views. It grows when a field changes its meaning or goes away.
pub(crate) const VERSION: u32 = 1;

/// As [`State::as_str`] spells it, such as `"half-open"`.
impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// As the label's text, not escaped.
impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A field of a cause.
pub(super) trait CauseField {
    /// Writes the value into a map: by `name`, or by `name_of_seconds` if it is a time.
    fn serialize_into<M: SerializeMap>(
        self,
        map: &mut M,
        name: &'static str,
        name_of_seconds: &'static str,
    ) -> Result<(), M::Error>;
}

macro_rules! fields {
    ($($type:ty: $names:expr, $value:expr;)*) => {$(
        impl CauseField for $type {
            fn serialize_into<M: SerializeMap>(
                self,
                map: &mut M,
                name: &'static str,
                name_of_seconds: &'static str,
            ) -> Result<(), M::Error> {
                map.serialize_entry($names(name, name_of_seconds), &$value(self))
            }
        }
    )*};
}

fields! {
    u64: plain, u64::from;
    u32: plain, u64::from;
    // No cause has an infinite number. A format such as JSON could not write it.
    f64: plain, |number: f64| number.is_finite().then_some(number);
    Duration: in_seconds, |time: Duration| time.as_secs_f64();
}

fn plain(name: &'static str, _: &'static str) -> &'static str {
    name
}

fn in_seconds(_: &'static str, name: &'static str) -> &'static str {
    name
}

/// As a map of its [`kind`](Cause::kind), its numbers, and its `Display` as `text`.
impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 + self.fields()))?;
        map.serialize_entry("kind", self.kind())?;
        self.serialize_fields(&mut map)?;
        map.serialize_entry("text", &format_args!("{self}"))?;
        map.end()
    }
}

/// As `calls`, `failures` and `slow`.
impl Serialize for WindowCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut counts = serializer.serialize_struct("WindowCounts", 3)?;
        counts.serialize_field("calls", &self.calls())?;
        counts.serialize_field("failures", &self.failures())?;
        counts.serialize_field("slow", &self.slow())?;
        counts.end()
    }
}

/// In the format of views, version 1; see [the guide](crate::guide::watching).
impl Serialize for Opening {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut opening = serializer.serialize_struct("Opening", 8)?;
        opening.serialize_field("version", &VERSION)?;
        opening.serialize_field("from", &self.from())?;
        opening.serialize_field("to", &self.to())?;
        opening.serialize_field("generation", &self.generation())?;
        opening.serialize_field("at_seconds", &self.at().as_secs_f64())?;
        opening.serialize_field("cause", &self.cause())?;
        opening.serialize_field("counts", &self.counts())?;
        opening.serialize_field("label", &self.label())?;
        opening.end()
    }
}

/// In the format of views, version 1; see [the guide](crate::guide::watching).
impl Serialize for Transition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut transition = serializer.serialize_struct("Transition", 10)?;
        transition.serialize_field("version", &VERSION)?;
        transition.serialize_field("name", self.name())?;
        transition.serialize_field("from", &self.from())?;
        transition.serialize_field("to", &self.to())?;
        transition.serialize_field("generation", &self.generation())?;
        transition.serialize_field("at_seconds", &self.at().as_secs_f64())?;
        transition.serialize_field("cause", &self.cause())?;
        transition.serialize_field("counts", &self.counts())?;
        transition.serialize_field("label", &self.label())?;
        transition.serialize_field("missed", &self.missed())?;
        transition.end()
    }
}
