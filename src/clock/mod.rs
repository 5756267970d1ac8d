//! The breaker's source of time.

#![allow(clippy::disallowed_types, reason = "time is read here")]

pub(crate) mod context;
mod custom;
pub(crate) mod sleep;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use custom::Custom;
use rand::TryRng;
use rand::rngs::SysRng;

use crate::error::{ClockError, ConfigError};
use crate::sync::{Hint, Publisher, SelfContained};
use crate::util::random::{mixed, random_bits_of_this_thread};

/// A clock that is read in its own units.
///
/// Readings are converted to nanoseconds only where nanoseconds are needed.
///
/// Below the public API, time is always an argument, and code reads it through this trait. So a
/// path that needs no time doesn't read the clock, and a model can supply any clock.
pub trait Now {
    /// The clock's reading, in its own units.
    fn raw(&self) -> u64;

    /// A reading in nanoseconds since the clock's origin.
    fn nanos_at(&self, raw: u64) -> u64;

    /// A reading in the clock's units and in nanoseconds.
    #[inline]
    fn raw_and_nanos(&self) -> (u64, u64) {
        let raw = self.raw();
        (raw, self.nanos_at(raw))
    }

    /// Nanoseconds since the clock's origin.
    #[inline]
    fn nanos(&self) -> u64 {
        self.raw_and_nanos().1
    }

    /// Nanoseconds from one reading to a later one; zero if it isn't later.
    #[inline]
    fn nanos_between(&self, begin: u64, end: u64) -> u64 {
        self.nanos_at(end).saturating_sub(self.nanos_at(begin))
    }

    /// A pseudo-random number, from a reading that differs from call to call.
    #[inline]
    fn random_bits(&self, raw: u64) -> u64 {
        mixed(raw)
    }
}

/// The source of time of a breaker.
///
/// The default reads the CPU's time-stamp counter through [`quanta`], at about half the cost of
/// `std::time::Instant::now`. All default clocks of a process share one origin, so their times can
/// be compared. [`Clock::mock`] makes a clock that stands still until a test moves it.
///
/// Cost of a reading: no atomic read-modify-write, no allocation. Never panics.
///
/// ```
/// use std::time::Duration;
/// use tripcurve::time::Clock;
///
/// let (clock, hand) = Clock::mock();
/// assert_eq!(clock.now(), Duration::ZERO);
/// hand.advance(Duration::from_secs(5));
/// assert_eq!(clock.now(), Duration::from_secs(5));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    Counter(&'static Counter),
    Recent(&'static Recent),
    Supplied(Arc<Supplied>),
}

/// A time that the program supplies: a mock clock's, or that of the user's function.
///
/// Both are one variant of [`Source`]. With a fourth variant, each reading of the counter would
/// take two instructions more.
#[derive(Debug, Default)]
struct Supplied {
    /// The user's function; `None` for a mock clock, which the other fields belong to.
    custom: Option<Custom>,
    /// A thread that reads the new time sees what the test prepared before it moved the clock.
    time: Publisher,
    /// How many seeds the clock has handed out.
    seeds: SelfContained,
    /// The system time that was set, and what this clock showed at that moment.
    system: [Hint; 2],
}

impl Supplied {
    #[inline]
    fn nanos(&self) -> u64 {
        if let Some(custom) = &self.custom {
            return custom.nanos();
        }
        self.time.load()
    }

    /// The time of the system's clock when this clock shows `nanos`, in nanoseconds since 1970.
    fn system_nanos_at(&self, nanos: u64) -> u64 {
        let [system, since] = self.system.each_ref().map(Hint::load);
        if nanos >= since {
            system.saturating_add(nanos - since)
        } else {
            system.saturating_sub(since - nanos)
        }
    }
}

/// The process's time-stamp counter, and the reading that counts as zero.
struct Counter {
    clock: quanta::Clock,
    origin: u64,
}

impl Counter {
    fn of_this_process() -> &'static Self {
        static COUNTER: OnceLock<Counter> = OnceLock::new();
        COUNTER.get_or_init(|| {
            let clock = quanta::Clock::new();
            let origin = clock.raw();
            Self { clock, origin }
        })
    }
}

/// The time that quanta's upkeep thread read last, in nanoseconds.
struct Recent {
    clock: quanta::Clock,
    /// The reading that counts as zero.
    origin: quanta::Instant,
}

impl Recent {
    fn of_this_process(interval: Duration) -> io::Result<&'static Self> {
        static RECENT: OnceLock<Recent> = OnceLock::new();
        let clock = Counter::of_this_process().clock.clone();
        // Each call tries to start the thread, in case it was stopped or hasn't started yet.
        match quanta::Upkeep::new_with_clock(interval, clock.clone()).start() {
            // Dropping the handle would end the thread.
            Ok(upkeep) => std::mem::forget(upkeep),
            Err(quanta::Error::UpkeepRunning) => {}
            Err(quanta::Error::FailedToSpawnUpkeepThread(error)) => return Err(error),
        }
        Ok(RECENT.get_or_init(|| {
            let origin = clock.recent();
            Self { clock, origin }
        }))
    }

    #[inline]
    fn nanos(&self) -> u64 {
        nanos_of(self.clock.recent().duration_since(self.origin))
    }
}

impl Default for Source {
    fn default() -> Self {
        Self::Counter(Counter::of_this_process())
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Counter(_) => "counter",
            Self::Recent(_) => "recent",
            Self::Supplied(it) if it.custom.is_some() => "custom",
            Self::Supplied(_) => "mock",
        })
    }
}

impl Clock {
    /// A clock that a thread reads once per `interval`, for all breakers that share it.
    ///
    /// The interval is 1 µs to 1 s. A call through such a breaker costs less than a reading of the
    /// counter. In return, the breaker's time is up to an interval old, and older if the thread is
    /// delayed. Calls are counted in the bucket of that time, and an open time ends later by as
    /// much.
    ///
    /// The thread is [quanta's](quanta::Upkeep); a process has one. The first clock starts it with
    /// its own interval, and the thread runs as long as the process. If another part of the program
    /// has started the thread, that interval holds. If that part stops it, this clock stands still
    /// until the next call of `coarse`. In a forked process, it stands still too.
    ///
    /// Cost of a reading: two loads.
    ///
    /// # Errors
    /// The interval is out of range, or the thread can't be started.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::time::Clock;
    ///
    /// let clock = Clock::coarse(Duration::from_millis(1))?;
    /// let payments = CircuitBreaker::builder("payments").clock(clock.clone()).build()?;
    /// let recommendations = CircuitBreaker::builder("recommendations").clock(clock).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn coarse(interval: Duration) -> Result<Self, ClockError> {
        if !(Duration::from_micros(1)..=Duration::from_secs(1)).contains(&interval) {
            return Err(ClockError::Interval(ConfigError::new(
                "clock.interval",
                format!("{interval:?}"),
                "in 1µs..=1s",
                "1 ms suits most services",
            )));
        }
        let recent = Recent::of_this_process(interval).map_err(ClockError::Thread)?;
        Ok(Self(Source::Recent(recent)))
    }

    /// A clock that stands still at zero, and the handle that moves it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::time::Clock;
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// let (clock, hand) = Clock::mock();
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .open_for(Duration::from_secs(5))
    ///     .clock(clock)
    ///     .build()?;
    /// breaker.trip(Duration::from_secs(5));
    /// assert!(breaker.try_acquire().is_err());
    /// hand.advance(Duration::from_secs(6));
    /// breaker.try_acquire()?.success();
    /// assert_eq!(breaker.state(), State::HalfOpen);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn mock() -> (Self, MockClock) {
        let mock = Arc::new(Supplied::default());
        (Self(Source::Supplied(Arc::clone(&mock))), MockClock(mock))
    }

    /// The time since the clock's origin. Never panics.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }
}

impl Clock {
    /// Whether this clock is another one than `other`. The default clock never is, because a
    /// builder without a clock uses it.
    pub(crate) fn differs_from(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Source::Counter(_), _) | (Source::Recent(_), Source::Recent(_)) => false,
            (Source::Supplied(own), Source::Supplied(other)) => !Arc::ptr_eq(own, other),
            _ => true,
        }
    }

    /// A seed that differs between breakers, also across processes. The jitter uses it.
    ///
    /// A mock clock gives the same seeds in the same order each time. So a simulation can be
    /// repeated.
    pub(crate) fn next_seed(&self) -> u64 {
        match &self.0 {
            Source::Supplied(it) if it.custom.is_none() => mixed(it.seeds.add(1)),
            _ => {
                // The thread's own generator would panic while its thread ends.
                let fallback = |_| u64::from(std::process::id());
                SysRng.try_next_u64().unwrap_or_else(fallback)
            }
        }
    }

    /// The time of the system's clock, in nanoseconds since 1970.
    #[cfg(feature = "serde")]
    pub(crate) fn system_nanos(&self) -> u64 {
        match &self.0 {
            Source::Supplied(it) if it.custom.is_none() => it.system_nanos_at(self.nanos()),
            _ => since_1970(SystemTime::now()),
        }
    }

    /// The time of the system's clock when this clock showed `nanos`.
    ///
    /// It is the system's present time, less what has passed since on this clock. If the system's
    /// clock was set meanwhile, the result follows its new time.
    pub(crate) fn system_time_at(&self, nanos: u64) -> SystemTime {
        match &self.0 {
            Source::Supplied(it) if it.custom.is_none() => {
                SystemTime::UNIX_EPOCH + Duration::from_nanos(it.system_nanos_at(nanos))
            }
            _ => {
                let ago = self.nanos().saturating_sub(nanos);
                let then = SystemTime::now().checked_sub(Duration::from_nanos(ago));
                then.unwrap_or(SystemTime::UNIX_EPOCH)
            }
        }
    }

    /// How many of the clock's units `nanos` nanoseconds are, at least one.
    pub(crate) fn units(&self, nanos: u64) -> u64 {
        match &self.0 {
            Source::Counter(counter) => {
                // 35 days of a counter of 3 GHz, or 285 years of one of 1 MHz. That is long enough
                // for an exact rate, and 64 bits can hold its nanoseconds.
                const LONG: u64 = 1 << 53;
                units_of(nanos, LONG, counter.clock.delta_as_nanos(0, LONG))
            }
            Source::Recent(_) | Source::Supplied(_) => nanos.max(1),
        }
    }
}

/// The time of the system's clock.
#[cfg(feature = "http")]
pub(crate) fn system_time() -> SystemTime {
    SystemTime::now()
}

fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, saturating_nanos)
}

/// How many units `nanos` nanoseconds are, at least one. `units` take `nanos_of_units`.
fn units_of(nanos: u64, units: u64, nanos_of_units: u64) -> u64 {
    let all = u128::from(nanos) * u128::from(units) / u128::from(nanos_of_units.max(1));
    u64::try_from(all).unwrap_or(u64::MAX).max(1)
}

impl Now for Clock {
    #[inline]
    fn raw(&self) -> u64 {
        match &self.0 {
            Source::Counter(counter) => counter.clock.raw(),
            Source::Recent(recent) => recent.nanos(),
            Source::Supplied(it) => it.nanos(),
        }
    }

    #[inline]
    fn nanos_at(&self, raw: u64) -> u64 {
        match &self.0 {
            Source::Counter(counter) => counter.clock.delta_as_nanos(counter.origin, raw),
            Source::Recent(_) | Source::Supplied(_) => raw,
        }
    }

    #[inline]
    fn nanos_between(&self, begin: u64, end: u64) -> u64 {
        match &self.0 {
            Source::Counter(counter) => counter.clock.delta_as_nanos(begin, end),
            Source::Recent(_) | Source::Supplied(_) => end.saturating_sub(begin),
        }
    }

    #[inline]
    fn random_bits(&self, raw: u64) -> u64 {
        match &self.0 {
            Source::Counter(_) => mixed(raw),
            Source::Recent(_) | Source::Supplied(_) => random_bits_of_this_thread(),
        }
    }

    /// Matches on the source once instead of twice.
    #[inline]
    fn raw_and_nanos(&self) -> (u64, u64) {
        match &self.0 {
            Source::Counter(counter) => {
                let raw = counter.clock.raw();
                (raw, counter.clock.delta_as_nanos(counter.origin, raw))
            }
            Source::Recent(_) | Source::Supplied(_) => {
                let nanos = self.raw();
                (nanos, nanos)
            }
        }
    }
}

/// The handle of a mock clock. It moves the clock forward, never back.
///
/// Clones move the same clock.
#[derive(Clone, Debug)]
pub struct MockClock(Arc<Supplied>);

impl MockClock {
    /// Moves the clock forward. The clock stops at the end of its range, 584 years. Never panics.
    pub fn advance(&self, by: Duration) {
        let by = saturating_nanos(by);
        let time = &self.0.time;
        let mut seen = time.peek();
        while let Err(now) = time.hand_over(seen, seen.saturating_add(by)) {
            seen = now;
        }
    }

    /// Moves the clock to `at` after its origin. Never panics.
    ///
    /// If that moment has passed, the clock stays where it is, as a monotonic clock would.
    pub fn advance_to(&self, at: Duration) {
        self.0.time.raise(saturating_nanos(at));
    }

    /// Sets the time of the system's clock. Never panics.
    ///
    /// [`Transition::system_time`](crate::events::Transition::system_time) shows this time, and so
    /// do saved states (feature `serde`).
    ///
    /// From then on, the system's clock moves with this one. Until then, it shows this clock's time
    /// since 1970.
    ///
    /// The time may be before this clock's own time, as when the system's clock was set back. A
    /// time before 1970 counts as 1970, and one after 2554 as the end of 2554. The real system's
    /// clock has the same limits.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::time::Clock;
    ///
    /// let (clock, hand) = Clock::mock();
    /// let at = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .on_transition(move |transition| assert_eq!(transition.system_time(), at))
    ///     .clock(clock)
    ///     .build()?;
    /// hand.advance(Duration::from_secs(3_600));
    /// hand.set_system_time(at);
    /// breaker.force_open();
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn set_system_time(&self, now: SystemTime) {
        let [system, since] = &self.0.system;
        // A test that moves the clock at the same time can't expect an exact time.
        let time = self.0.time.peek();
        system.store(since_1970(now));
        since.store(time);
    }
}

/// `duration` in nanoseconds, if it came from nanoseconds in 64 bits.
///
/// Written this way, the compiler sees where it came from, and converts nothing to seconds and back.
#[inline]
fn nanos_of(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000_000 + u64::from(duration.subsec_nanos())
}

/// `duration` in nanoseconds, at most 584 years.
pub(crate) fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_default_clock_moves_on_and_never_back() {
        let clock = Clock::default();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
        std::thread::sleep(Duration::from_millis(2));
        assert!(clock.now() > last);
    }

    #[test]
    fn a_clocks_units_are_turned_into_nanoseconds_and_back() {
        let (mock, _hand) = Clock::mock();
        for clock in [Clock::default(), mock] {
            let origin = clock.raw();
            let before = clock.nanos_at(origin);
            for nanos in [97_656, 6_000_000_000, 7 * 86_400 * 1_000_000_000_u64] {
                let back = clock.nanos_at(origin + clock.units(nanos)) - before;
                // A reading is cut to whole nanoseconds, and a span to whole units. A slow
                // counter's unit is some tens of nanoseconds.
                assert!(back.abs_diff(nanos) <= 100, "{nanos} ns and back: {back}");
            }
        }
    }

    #[test]
    fn a_slow_counter_has_as_few_units_as_it_should() {
        const LONG: u64 = 1 << 53;
        for megahertz in [1, 24, 25, 54, 122, 250, 1_000, 3_000_u64] {
            let nanos_of_long = u128::from(LONG) * 1_000 / u128::from(megahertz);
            let nanos_of_long = u64::try_from(nanos_of_long).unwrap();
            let units = units_of(6_000_000_000, LONG, nanos_of_long);
            assert!(
                units.abs_diff(6_000_000 * megahertz) <= 1,
                "{megahertz} MHz: {units}"
            );
        }
    }

    #[test]
    fn a_coarse_clock_follows_the_counter() {
        let (coarse, counter) = (
            Clock::coarse(Duration::from_micros(100)).unwrap(),
            Clock::default(),
        );
        let (before, begin) = (coarse.now(), counter.now());
        let mut last = before;
        while coarse.now() < before + Duration::from_millis(5) {
            let now = coarse.now();
            assert!(now >= last);
            last = now;
        }
        assert!(counter.now() > begin);
        let other = Clock::coarse(Duration::from_millis(1)).unwrap();
        assert!(other.now() >= last, "there is one such time in a process");
    }

    #[test]
    fn an_interval_that_makes_no_sense_is_refused() {
        for (interval, value) in [
            (Duration::ZERO, "0ns"),
            (Duration::from_secs(2), "2s"),
            (Duration::MAX, "18446744073709551615.999999999s"),
        ] {
            assert_eq!(
                Clock::coarse(interval).unwrap_err().to_string(),
                format!("clock.interval: {value} is not in 1µs..=1s; 1 ms suits most services")
            );
        }
    }

    #[test]
    fn a_mock_clock_is_never_set_back_and_stops_at_the_end_of_its_range() {
        let (clock, hand) = Clock::mock();
        hand.advance_to(Duration::from_secs(9));
        hand.advance_to(Duration::from_secs(3));
        assert_eq!(clock.now(), Duration::from_secs(9));
        hand.advance(Duration::MAX);
        hand.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn a_duration_in_nanoseconds_has_its_seconds_and_its_rest() {
        for nanos in [0, 999_999_999, 2_000_000_005, u64::MAX] {
            assert_eq!(nanos_of(Duration::from_nanos(nanos)), nanos);
        }
    }

    /// Fails when: a clock that only converts single readings gets another time between two.
    #[test]
    fn the_time_between_two_readings_is_in_nanoseconds_and_never_negative() {
        struct Microseconds;
        impl Now for Microseconds {
            fn raw(&self) -> u64 {
                7
            }
            fn nanos_at(&self, raw: u64) -> u64 {
                1_000 * raw
            }
        }
        assert_eq!(Microseconds.nanos_between(3, 8), 5_000);
        assert_eq!(Microseconds.nanos_between(8, 3), 0);
        assert_eq!(Microseconds.raw_and_nanos(), (7, 7_000));
    }
}
