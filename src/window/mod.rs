//! The window: the recent calls that policies judge.

pub(crate) mod config;
pub(crate) mod ring;
pub(crate) mod sample;
pub(crate) mod time;
pub(crate) mod latest;
mod shards;
mod spread;
pub(crate) mod latencies;
pub(crate) mod histogram;
mod place;
pub(crate) mod bucket;
mod draw;
pub(crate) mod total;
pub(crate) mod count;
mod durations;
mod in_words;
pub(crate) mod counter;
pub(crate) mod bin;
#[cfg(feature = "serde")]
mod saved;

pub(crate) use bin::Bin;
pub use config::{CountWindow, Recording, Timing, Window};
pub(crate) use count::CountRing;
pub(crate) use counter::GenerationCounter;
pub(crate) use latencies::{BinCounts, Latencies, rank_of};
pub(crate) use latest::ClockReading;
pub(crate) use ring::{Call, Counts, KeptTimes, Origin, Ring, Tally, Took, rate};
pub(crate) use sample::Sample;
#[cfg(feature = "serde")]
pub(crate) use saved::SavedWindow;
pub(crate) use time::TimeRing;
pub(crate) use total::{RingTotals, Total};
