//! The thresholds of the policies in force.

use super::Core;
use super::view::with_view;
use crate::policy::TripPolicy;

impl Core {
    /// Shows the threshold of each policy that judges a share of the window's calls.
    pub fn for_each_threshold(&self, mut show: impl FnMut(&'static str, f64)) {
        with_view!(self, |view| {
            let policies = view.settings().policies.iter();
            for (policy, threshold) in policies.filter_map(TripPolicy::threshold) {
                show(policy, threshold);
            }
        });
    }
}
