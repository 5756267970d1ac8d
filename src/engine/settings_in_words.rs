//! The settings in force, in words.

use std::time::Duration;

use super::Core;
use super::settings::Settings;
use super::view::{Configuration, View, with_view};
use crate::clock::Now;
use crate::latency::times::Timed;
use crate::window::Recording;

impl Core {
    /// The settings in force: the name of the builder's method, and the value in words.
    #[must_use]
    pub fn settings_in_words(&self, clock: &impl Now) -> Vec<(&'static str, String)> {
        with_view!(self, |view| view.settings_in_words(clock))
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    fn settings_in_words(self, clock: &impl Now) -> Vec<(&'static str, String)> {
        let settings = self.settings();
        let nanos = |nanos| format!("{:?}", Duration::from_nanos(nanos));
        let open_for = if settings.open_for == Settings::DEFAULT_OPEN_TIMES {
            "500ms, and twice as long after each failed recovery, up to 5s".to_owned()
        } else if self.open_times().is_some() {
            format!("{} at first; it grows", nanos(settings.open_for))
        } else if self.adaptive().is_some_and(|it| it.by_traffic) {
            "by the traffic".to_owned()
        } else {
            nanos(settings.open_for)
        };
        let recovery = if self.adaptive().is_some() {
            "a probe, then a growing share of the calls".to_owned()
        } else {
            let (needed, permitted) = (settings.probes.needed(), settings.probes.permitted());
            format!("{needed} of {permitted} probes must succeed")
        };
        let probe_timeout = match settings.probe_timeout {
            u64::MAX => "none".to_owned(),
            timeout => nanos(timeout),
        };
        let recording = self.timed().map_or(Recording::Off, |it| it.recording);
        let slower_than = self.timed().and_then(Timed::limit);
        let mut all = vec![
            ("window", self.ring().in_words(clock)),
            ("open_for", open_for),
            ("recovery", recovery),
            ("probe_timeout", probe_timeout),
            ("on_cancel", format!("{:?}", settings.on_cancel)),
            ("latency", format!("{recording:?}")),
        ];
        all.extend(slower_than.map(|limit| ("slower_than", nanos(limit))));
        all
    }
}
