//! A breaker or a registry as the wall shows it.

use std::sync::Arc;

use serde::Serialize;
use tripcurve::State;
use tripcurve::policy::TripLevel;
use tripcurve::snapshot::{Snapshot, Totals};

use crate::clock::Millis;
use crate::fleet::FleetDetail;
use crate::sampler::IsThere;

/// A card of the wall.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// A number that the stream uses. No other breaker gets it until the program ends.
    pub(crate) id: u32,
    /// The name in addresses: of several breakers with one name, the second has `~2` behind it.
    pub(crate) key: Arc<str>,
    pub(crate) name: Arc<str>,
    /// How often the state has changed.
    pub(crate) generation: u64,
    pub(crate) state: State,
    pub(crate) since_ms: Millis,
    #[serde(flatten)]
    pub(crate) detail: Detail,
    #[serde(skip)]
    pub(crate) brief: Brief,
    /// The frame in which the brief changed.
    #[serde(skip)]
    pub(crate) changed_at: u64,
    /// Whether the breaker is there. A registry never is.
    #[serde(skip)]
    pub(crate) is_there: IsThere,
}

impl Row {
    /// Adds the breakers of this card to the number of breakers in each state.
    pub(crate) fn count_into(&self, states: &mut [u32; 6]) {
        match &self.detail {
            Detail::Breaker(_) => states[usize::from(place_of(self.state))] += 1,
            Detail::Registry(registry) => {
                for (all, own) in states.iter_mut().zip(registry.states) {
                    *all += own;
                }
            }
        }
    }
}

/// What only a breaker has, or only a registry.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Detail {
    Breaker(Box<BreakerDetail>),
    Registry(RegistryDetail),
}

/// The numbers of a breaker.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BreakerDetail {
    pub(crate) open_until_ms: Option<Millis>,
    /// Why the breaker is open, or was open before it became half-open.
    pub(crate) why: Option<String>,
    pub(crate) why_kind: Option<&'static str>,
    pub(crate) levels: Vec<Level>,
    pub(crate) failure_rate: Option<f64>,
    /// The calls in the window.
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) per_second: PerSecond,
    /// Rejected calls since the breaker was made.
    pub(crate) rejected: u64,
    pub(crate) in_flight: Option<u32>,
    pub(crate) overdue: u64,
    pub(crate) probes_in_flight: u32,
    /// The share of calls that a ramp lets through.
    pub(crate) share: Option<f64>,
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
    /// The fleet that the breaker has joined.
    pub(crate) fleet: Option<FleetDetail>,
}

/// How near a policy is to a trip.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Level {
    pub(crate) policy: &'static str,
    pub(crate) measured: f64,
    pub(crate) threshold: f64,
    pub(crate) calls: u64,
    pub(crate) min_calls: u64,
    /// 0 is far from a trip, 1 is at the trip.
    pub(crate) fill: f64,
}

impl From<&TripLevel> for Level {
    fn from(level: &TripLevel) -> Self {
        Self {
            policy: level.kind(),
            measured: short(level.measured()),
            threshold: short(level.threshold()),
            calls: level.calls(),
            min_calls: level.min_calls(),
            fill: short(level.fill()),
        }
    }
}

/// Calls a second, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct PerSecond {
    pub(crate) success: f64,
    pub(crate) failure: f64,
    pub(crate) timed_out: f64,
    pub(crate) ignored: f64,
    pub(crate) rejected: f64,
}

impl PerSecond {
    /// The rates between two totals of one breaker.
    #[allow(clippy::cast_precision_loss, reason = "a rate needs three digits")]
    pub(crate) fn between(before: &Totals, after: &Totals, seconds: f64) -> Self {
        let rate = |before: u64, after: u64| {
            short(after.saturating_sub(before) as f64 / seconds.max(1e-3))
        };
        Self {
            success: rate(before.successes, after.successes),
            failure: rate(before.failures, after.failures),
            timed_out: rate(before.timed_out, after.timed_out),
            ignored: rate(before.ignored, after.ignored),
            rejected: rate(before.rejected, after.rejected),
        }
    }

    /// All calls that ended or were rejected.
    pub(crate) fn all(&self) -> f64 {
        self.success + self.failure + self.timed_out + self.ignored + self.rejected
    }
}

/// The numbers of a registry.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RegistryDetail {
    /// The number of breakers in each state, in the order of [`STATES`].
    pub(crate) states: [u32; 6],
    /// The breakers that aren't closed, the worst first, at most twenty.
    pub(crate) worst: Vec<WorstKey>,
}

/// A breaker of a registry that isn't closed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct WorstKey {
    #[serde(skip)]
    pub(crate) rank: u8,
    pub(crate) name: Arc<str>,
    pub(crate) state: &'static str,
    /// Whether the name was too long, so it finds no breaker.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cut: bool,
}

impl WorstKey {
    /// How many bytes of a name are shown.
    const NAME_BYTES: usize = 200;

    /// Cuts the name if it is too long for a list.
    pub(crate) fn shortened(mut self) -> Self {
        if self.name.len() > Self::NAME_BYTES {
            let mut ends = (0..=Self::NAME_BYTES).rev();
            let end = ends.find(|at| self.name.is_char_boundary(*at));
            self.name = format!("{}…", &self.name[..end.unwrap_or_default()]).into();
            self.cut = true;
        }
        self
    }
}

/// All states. The stream sends a state as its place in this list.
pub(crate) const STATES: [State; 6] = [
    State::Closed,
    State::Open,
    State::HalfOpen,
    State::ForcedOpen,
    State::Disabled,
    State::MetricsOnly,
];

/// The place of a state in [`STATES`].
pub(crate) fn place_of(state: State) -> u8 {
    let place = STATES.iter().position(|it| *it == state);
    place.and_then(|it| u8::try_from(it).ok()).unwrap_or(0)
}

/// How bad a state is: 0 is the worst.
pub(crate) fn rank_of(state: State) -> u8 {
    match state {
        State::Open | State::ForcedOpen => 0,
        State::HalfOpen => 1,
        State::MetricsOnly | State::Disabled => 2,
        _ => 3,
    }
}

/// What the page knows of each card, also of those that aren't on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Brief {
    /// The place of the state in [`STATES`].
    pub(crate) state: u8,
    /// How near the breaker is to a trip, in twentieths.
    pub(crate) fill: u8,
    /// The logarithm of calls a second, to sort by traffic.
    pub(crate) traffic: u8,
}

impl Brief {
    /// The brief of a card. A small change keeps the former step. So a number at the border of two
    /// steps isn't sent each second.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both are small and not negative"
    )]
    pub(crate) fn new(state: State, fill: f64, per_second: f64, former: Option<Self>) -> Self {
        let step = |value: f64, former: Option<u8>| {
            let rounded = value.round().clamp(0.0, 200.0) as u8;
            match former {
                Some(former) if (value - f64::from(former)).abs() < 0.75 => former,
                _ => rounded,
            }
        };
        Self {
            state: place_of(state),
            fill: step(fill * 20.0, former.map(|it| it.fill)),
            traffic: step((1.0 + per_second).log2(), former.map(|it| it.traffic)),
        }
    }
}

impl BreakerDetail {
    /// The policy that is nearest to a trip.
    pub(crate) fn fill(&self) -> f64 {
        let fills = self.levels.iter().map(|level| level.fill);
        fills.fold(0.0, f64::max)
    }

    /// The numbers of a snapshot.
    pub(crate) fn new(snapshot: &Snapshot, levels: &[TripLevel], per_second: PerSecond) -> Self {
        let is_shut = matches!(
            snapshot.state(),
            State::Open | State::HalfOpen | State::ForcedOpen
        );
        let opening = snapshot.latest_opening().filter(|_| is_shut);
        let percentile = |percentile| {
            let time = snapshot.latency()?.percentile(percentile)?;
            Some(short(time.as_secs_f64()))
        };
        Self {
            open_until_ms: None,
            why: opening.map(|it| it.to_string()),
            why_kind: opening.map(|it| it.cause().kind()),
            levels: levels.iter().map(Level::from).collect(),
            failure_rate: snapshot.failure_rate().map(short),
            calls: snapshot.calls(),
            failures: snapshot.failures(),
            per_second,
            rejected: snapshot.totals().rejected,
            in_flight: None,
            overdue: snapshot.overdue(),
            probes_in_flight: snapshot.probes_in_flight(),
            share: snapshot.admitted_share().map(short),
            p50: percentile(50.0),
            p99: percentile(99.0),
            p999: percentile(99.9),
            fleet: None,
        }
    }
}

/// Rounds to four significant digits, so that a number takes few bytes.
pub(crate) fn short(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    #[allow(clippy::cast_possible_truncation, reason = "a logarithm is small")]
    let digits = 3 - value.abs().log10().floor() as i32;
    if digits >= 0 {
        let scale = 10_f64.powi(digits);
        (value * scale).round() / scale
    } else {
        let scale = 10_f64.powi(-digits);
        (value / scale).round() * scale
    }
}

#[cfg(test)]
mod tests {
    use super::{BreakerDetail, Brief, PerSecond, STATES, WorstKey, place_of, rank_of, short};
    use tripcurve::snapshot::Totals;
    use tripcurve::{CircuitBreaker, State, TripPolicy};

    #[test]
    #[allow(clippy::float_cmp, reason = "the results are exact")]
    fn numbers_keep_four_digits() {
        assert_eq!(short(0.123_456), 0.1235);
        assert_eq!(short(123_456.0), 123_500.0);
        assert_eq!(short(f64::INFINITY), 0.0);
        assert_eq!(short(0.0), 0.0);
    }

    #[test]
    fn a_small_change_is_no_news() {
        let brief = |fill, former| Brief::new(State::Closed, fill, 10.0, former);
        let first = brief(0.5, None);
        assert_eq!(first.fill, 10);
        assert_eq!(brief(0.53, Some(first)), first);
        assert_eq!(brief(0.55, Some(first)).fill, 11);
    }

    #[test]
    fn a_long_name_of_a_list_is_cut_between_two_characters() {
        let shown = |name: &str| {
            let key = WorstKey {
                rank: 0,
                name: name.into(),
                state: "open",
                cut: false,
            };
            let shown = key.shortened();
            (shown.name.to_string(), shown.cut)
        };
        assert_eq!(shown("tenant"), ("tenant".to_owned(), false));
        let longest = "a".repeat(200);
        assert_eq!(shown(&longest), (longest, false));
        let cut = shown(&format!("a{}", "ü".repeat(500)));
        assert_eq!(cut, (format!("a{}…", "ü".repeat(99)), true));
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "the quotients are exact")]
    fn a_breaker_is_as_near_to_a_trip_as_the_nearest_policy() {
        let breaker = CircuitBreaker::builder("payments")
            .trip_when(TripPolicy::consecutive_failures(8))
            .trip_when(TripPolicy::failure_count(2))
            .build()
            .unwrap();
        let fill = || {
            let (snapshot, levels) = (breaker.snapshot(), breaker.trip_levels());
            BreakerDetail::new(&snapshot, &levels, PerSecond::default()).fill()
        };
        assert_eq!(fill(), 0.0);
        breaker.try_acquire().unwrap().failure();
        assert_eq!(fill(), 0.5);
    }

    #[test]
    fn rates_are_the_calls_of_each_outcome_by_the_time_between() {
        let totals = |times: u64| {
            let mut totals = Totals::default();
            totals.successes = 100 * times;
            totals.failures = 40 * times;
            totals.timed_out = 20 * times;
            totals.ignored = 10 * times;
            totals.rejected = 4 * times;
            totals
        };
        let rates = PerSecond::between(&totals(1), &totals(3), 8.0);
        let expected = PerSecond {
            success: 25.0,
            failure: 10.0,
            timed_out: 5.0,
            ignored: 2.5,
            rejected: 1.0,
        };
        assert_eq!(rates, expected);
        assert!((rates.all() - 43.5).abs() < 1e-9);
    }

    /// Fails when: a page shows a breaker that works before one that rejects.
    #[test]
    fn states_that_reject_more_calls_rank_first() {
        let ranks = STATES.map(|state| (state.as_str(), rank_of(state)));
        let expected = [
            ("closed", 3),
            ("open", 0),
            ("half-open", 1),
            ("forced-open", 0),
            ("disabled", 2),
            ("metrics-only", 2),
        ];
        assert_eq!(ranks, expected);
        assert_eq!(STATES.map(place_of), [0, 1, 2, 3, 4, 5]);
    }
}
