//! Health in the format of views.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{BreakerTrouble, Health, HealthStatus};
use crate::events::serialize::VERSION;

/// Writes the word of [`HealthStatus::as_str`], such as `"degraded"`.
impl Serialize for HealthStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// In the format of views, version 1. Whatever a breaker doesn't have is null.
impl Serialize for BreakerTrouble {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let remaining = self.remaining_open().map(|it| it.as_secs_f64());
        let mut all = serializer.serialize_struct("BreakerTrouble", 7)?;
        all.serialize_field("name", self.name())?;
        all.serialize_field("state", &self.state())?;
        all.serialize_field("rejects_calls", &self.rejects_calls())?;
        all.serialize_field("remaining_open_seconds", &remaining)?;
        all.serialize_field("cause", &self.cause())?;
        all.serialize_field("keys", &self.keys())?;
        all.serialize_field("keys_rejecting", &self.keys_rejecting())?;
        all.end()
    }
}

/// In the format of views, version 1.
impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_struct("Health", 5)?;
        all.serialize_field("version", &VERSION)?;
        all.serialize_field("status", &self.status())?;
        all.serialize_field("breakers", &self.breakers())?;
        all.serialize_field("troubles", self.troubles())?;
        all.serialize_field("missing", self.missing())?;
        all.end()
    }
}
