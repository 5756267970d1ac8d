//! A reconfiguration as its documentation describes it.

use tripcurve::State;
use tripcurve::events::Cause;
use tripcurve::persist::Reconfigured;

use super::config::{Config, Part, Policy, Shape};
use super::outage::Outage;
use super::ramp::Guide;
use super::{Call, Interrupted, Model, Phase, Probing};

impl Config {
    /// Takes some of the parts of another configuration, cut to fit the remaining ones. If the part
    /// that decides about durations stays, the policies follow it.
    pub(crate) fn changed(&self, other: &Self, parts: &[Part]) -> Self {
        let from = |part| if parts.contains(&part) { other } else { self };
        let window = from(Part::Window).window;
        let policies = from(Part::Policies).policies.clone();
        let policies = if parts.contains(&Part::Times) {
            policies
        } else {
            self.with_the_same_times(policies)
        };
        Self {
            window,
            policies: Policy::all_fitted(policies, window),
            recording: from(Part::Times).recording,
            timing: from(Part::Times).timing,
            slower_than: from(Part::Times).slower_than,
            shards: from(Part::Shards).shards,
            probes: from(Part::Recovery).probes,
            needed: from(Part::Recovery).needed,
            failure_threshold: from(Part::Recovery).failure_threshold,
            slow_threshold: from(Part::Recovery).slow_threshold,
            half_open_limit: from(Part::Recovery).half_open_limit,
            steps: from(Part::Recovery).steps.clone(),
            clients: from(Part::Recovery).clients,
            open_for: from(Part::OpenTimes).open_for,
            growth: from(Part::OpenTimes).growth,
            by_traffic: from(Part::OpenTimes).by_traffic,
            max_retry_after: from(Part::Others).max_retry_after,
            probe_timeout: from(Part::Others).probe_timeout,
            on_cancel: from(Part::Others).on_cancel,
            start_in: self.start_in,
            enabled: self.enabled,
            metrics_only: self.metrics_only,
            built_at: self.built_at,
        }
    }

    /// These policies, with a policy on slow calls exactly if this configuration has one.
    fn with_the_same_times(&self, mut policies: Vec<Policy>) -> Vec<Policy> {
        let looks = self.limit().is_some();
        for policy in &mut policies {
            match policy {
                Policy::SlowRate {
                    threshold,
                    min_calls,
                } if !looks => {
                    *policy = Policy::FailureRate {
                        threshold: *threshold,
                        min_calls: *min_calls,
                    };
                }
                Policy::Adaptive(policy) if !looks => policy.is_timed = false,
                _ => {}
            }
        }
        if looks {
            policies.push(Policy::SlowRate {
                threshold: 1.0,
                min_calls: 10,
            });
        }
        policies
    }

    /// Whether a window under one configuration holds what it would hold under the other.
    fn has_the_window_of(&self, other: &Self) -> bool {
        let shape = |it: &Self| (it.window.ticks(), it.window.capacity());
        let times = |it: &Self| (it.recording, it.samples(), it.limit());
        // The last n calls are counted in one place.
        let shards = |it: &Self| it.window.buckets().map(|_| it.shards);
        shape(self) == shape(other) && times(self) == times(other) && shards(self) == shards(other)
    }

    /// Whether the other's window can hold the newest calls of this one's. It must not need ages
    /// that this one doesn't know, and the limit for slow calls must be equal.
    fn can_hand_calls_to(&self, other: &Self) -> bool {
        let knows_enough = matches!(
            (self.window, other.window),
            (Shape::Time { .. }, Shape::Time { .. })
                | (Shape::Count { .. }, Shape::Count { .. })
                | (
                    Shape::CountWithin { .. },
                    Shape::CountWithin { .. } | Shape::Count { .. }
                )
        );
        knows_enough && self.limit() == other.limit()
    }

    /// Whether both recover in the same way. For a ramp, this includes how far back the window
    /// looks.
    fn has_the_recovery_of(&self, other: &Self) -> bool {
        let looks_back = |it: &Self| {
            it.has_ramp()
                .then(|| it.window.ticks().map(|_| it.window.length()))
        };
        let steps = |it: &Self| match it.guide() {
            Some(Guide::Steps(steps)) => {
                let share = steps.max_failure_rate();
                Some((steps.shares_in_thousandths, steps.each, share))
            }
            _ => None,
        };
        let rules = |it: &Self| match it.guide() {
            Some(Guide::Rules(rules)) => Some((rules, it.goes_by_traffic())),
            _ => None,
        };
        self.verdicts() == other.verdicts()
            && rules(self) == rules(other)
            && looks_back(self) == looks_back(other)
            && steps(self) == steps(other)
    }

    /// Whether both have equal settings.
    fn is_like(&self, other: &Self) -> bool {
        let growth = |it: &Self| {
            let growth = it.growth()?;
            let healthy_after = growth.healthy_after.unwrap_or(it.open_for);
            let jitter = growth.jitter;
            Some((
                growth.factor_in_tenths,
                growth.longest,
                jitter,
                healthy_after,
            ))
        };
        self.has_the_window_of(other)
            && self.has_the_recovery_of(other)
            && self.half_open_limit() == other.half_open_limit()
            && self.policies() == other.policies()
            && (self.adaptive().is_none() || self.window.length() == other.window.length())
            && self.first_open_time() == other.first_open_time()
            && growth(self) == growth(other)
            && self.max_retry_after() == other.max_retry_after()
            && self.probe_timeout == other.probe_timeout
            && self.on_cancel == other.on_cancel
            && self.mode() == other.mode()
    }
}

/// The calls that a window hands to a window of another shape.
struct HandedOn {
    newest_first: Vec<Call>,
    counted_since: u64,
    failures_in_a_row: u64,
}

impl Model {
    pub(crate) fn reconfigure(&mut self, config: Config) -> Reconfigured {
        if self.config.is_like(&config) {
            return Reconfigured::Unchanged;
        }
        let has_same_window = self.config.has_the_window_of(&config);
        self.has_first_window &= has_same_window;
        let has_same_recovery = self.config.has_the_recovery_of(&config);
        self.open_times.reconfigure(&config);
        if self.config.half_open_limit() != config.half_open_limit() {
            self.half_open_since = self.now;
        }
        let offered = config.evidence();
        self.evidence = match (self.evidence.take(), offered) {
            (Some(present), Some(offered)) => Some(present.succeeded_by(&offered)),
            (_, offered) => offered,
        };
        let known = self.outage.take().unwrap_or(Outage::new(self.now));
        self.outage = config.has_ramp().then_some(known);
        if !has_same_window {
            self.window_since = Some(self.now);
        }
        if !has_same_recovery {
            self.asked = 0;
            self.patience = 0;
        }
        let (before, now) = (self.config.held(), config.held());
        // Settings that switch the breaker off or on clear the window.
        let hands_on = before == now && self.config.can_hand_calls_to(&config);
        let handed_on = hands_on.then(|| {
            // The clock is read for the window that takes the calls over, and not for this one.
            let mut former = self.clone();
            former.read_clock();
            former.handed_on()
        });
        self.config = config;
        if before != now && self.switch(before, now) {
            return Reconfigured::StateChanged(self.state());
        }
        self.begin_anew(has_same_window, has_same_recovery);
        if has_same_window {
            self.judge(false);
            return Reconfigured::WindowKept;
        }
        // A state that rejects calls has no window.
        let Some(handed_on) = handed_on.filter(|_| self.lets_through_all()) else {
            return Reconfigured::WindowReset;
        };
        self.take_on(handed_on);
        self.judge(false);
        Reconfigured::WindowResized
    }

    /// The calls that another window may take over.
    fn handed_on(&self) -> HandedOn {
        let ticks = self.config.window.ticks();
        // A bucket's begin counts a 1,024th later, so rounded widths don't age the calls.
        let has_buckets = self.config.window.buckets().is_some();
        let began = |at: u64, width: u64| {
            let slack = if has_buckets { width / 1_024 } else { 0 };
            (at / width * width + slack).min(self.now)
        };
        // Only a call's bucket or tick is known, and whether it was slow.
        let as_it_is_known = |call: &Call| Call {
            at: ticks.map_or(call.at, |(width, _)| began(call.at, width)),
            is_timed: false,
            ..*call
        };
        HandedOn {
            newest_first: self.window().map(as_it_is_known).collect(),
            counted_since: ticks.map_or(0, |(width, ticks)| {
                let length = width * ticks;
                self.counted_since.max(self.now.saturating_sub(length))
            }),
            failures_in_a_row: self.run(),
        }
    }

    /// Takes over the calls that fit and that are young enough for the current window.
    fn take_on(&mut self, handed_on: HandedOn) {
        let mut calls = handed_on.newest_first;
        if let Some(capacity) = self.config.window.capacity() {
            calls.truncate(capacity as usize);
        }
        calls.retain(|call| self.is_alive(call.at));
        calls.reverse();
        self.calls = calls;
        self.counted_since = handed_on.counted_since;
        self.has_taken_on = true;
        self.failures_in_a_row = handed_on.failures_in_a_row;
    }

    /// Switches the breaker off or on, unless it is in that state already. Switching on acts like a
    /// reset, unless another state was chosen meanwhile.
    fn switch(&mut self, before: Option<State>, now: Option<State>) -> bool {
        if let Phase::Isolated(interrupted) = self.phase
            && now != Some(State::ForcedOpen)
        {
            // It stays isolated, and comes back to another state.
            let held = |state| match state {
                State::Disabled => Interrupted::Disabled,
                _ => Interrupted::MetricsOnly,
            };
            let next = match (before, now) {
                (_, Some(now)) => Some(held(now)),
                (Some(before), None) if held(before) == interrupted => Some(Interrupted::Closed),
                _ => None,
            };
            if next == Some(Interrupted::Closed) {
                self.open_times.reset();
            }
            self.phase = Phase::Isolated(next.unwrap_or(interrupted));
            return false;
        }
        let phase = match now {
            Some(now) if now == self.state() && !matches!(self.phase, Phase::Isolated(_)) => {
                return false;
            }
            Some(State::ForcedOpen) => Phase::ForcedOpen,
            Some(State::Disabled) => Phase::Disabled,
            Some(_) => Phase::MetricsOnly,
            None if before == Some(self.state()) => {
                self.open_times.reset();
                Phase::Closed
            }
            None => return false,
        };
        self.enter(phase, Cause::Reconfigured);
        true
    }

    fn begin_anew(&mut self, has_same_window: bool, has_same_recovery: bool) {
        match self.phase {
            Phase::Closed if !has_same_window => {
                // The new generation begins with no healthy time.
                self.open_times.look_back(self.healthy());
                self.enter(Phase::Closed, Cause::Reconfigured);
            }
            Phase::MetricsOnly if !has_same_window => {
                self.enter(Phase::MetricsOnly, Cause::Reconfigured);
            }
            Phase::HalfOpen { .. } | Phase::Ramp(_) if !has_same_recovery => {
                self.enter(Phase::HalfOpen(Probing::default()), Cause::Reconfigured);
            }
            // The set-aside calls are the rejected ones here.
            _ if !has_same_window => self.set_aside.clear(),
            _ => {}
        }
    }
}
