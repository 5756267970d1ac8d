//! The saved form of a percentile's usual value.

use serde::{Deserialize, Serialize};

use super::{PercentileBaseline, layout};
use crate::error::ConfigError;
use crate::sync::SelfContained;
use crate::util::checksum::summed;

/// The saved usual value of a percentile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedPercentileBaseline {
    /// The percentile, in thousandths.
    percentile: u32,
    /// The number of observations.
    times: u32,
    /// The mean's logarithm, as the bits of an `f32`, so that no reader can round it.
    logarithm: u32,
}

summed!(SavedPercentileBaseline {
    percentile,
    times,
    logarithm,
});

impl SavedPercentileBaseline {
    /// The largest logarithm of nanoseconds, slightly above that of the 68.7 s that a histogram
    /// tells apart.
    const LARGEST: f32 = 25.0;

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most a hundred thousand"
    )]
    fn thousandths(percentile: f64) -> u32 {
        (percentile * 1e3).round() as u32
    }

    pub(crate) fn is_of(&self, percentile: f64) -> bool {
        self.percentile == Self::thousandths(percentile)
    }

    /// Checks that a breaker can have learnt these values.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let logarithm = f32::from_bits(self.logarithm);
        if self.times == 0 && self.logarithm != 0 {
            return Err(ConfigError::damaged(
                "usual.logarithm",
                logarithm,
                "0, as nothing was learnt",
            ));
        }
        if (0.0..=Self::LARGEST).contains(&logarithm) {
            return Ok(());
        }
        Err(ConfigError::damaged(
            "usual.logarithm",
            logarithm,
            format!("in 0..={}", Self::LARGEST),
        ))
    }
}

impl PercentileBaseline {
    pub(crate) fn save(&self, percentile: f64) -> SavedPercentileBaseline {
        let (times, logarithm) = Self::unpack(self.word.load());
        SavedPercentileBaseline {
            percentile: SavedPercentileBaseline::thousandths(percentile),
            times,
            logarithm: logarithm.to_bits(),
        }
    }

    pub(crate) fn restore(&mut self, saved: &SavedPercentileBaseline) {
        let times = layout::TIMES.of(saved.times.into());
        let logarithm = layout::LOGARITHM.of(saved.logarithm.into());
        self.word = SelfContained::new(times | logarithm);
    }
}
