//! The counted paths: each way through a breaker, repeated.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

#[cfg(feature = "all")]
use tripcurve::State;
use tripcurve::retry::RetryBudget;
use tripcurve::time::Clock;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, TripPolicy};

/// A path's name, and the function that makes this many calls.
pub(crate) type Path = (&'static str, fn(u64));

/// The loop and the guarded work, without a breaker.
pub(crate) const NOTHING: Path = ("nothing", |calls| {
    counted_calls(calls, succeed);
});

/// The default clock alone. Some machines have no counter that `quanta` can read.
pub(crate) const CLOCK: &str = "clock";

pub(crate) const PATHS: &[Path] = &[
    (CLOCK, |calls| {
        let clock = Clock::default();
        counted_calls(calls, || {
            black_box(clock.now());
            succeed()
        });
    }),
    ("closed/try_acquire", |calls| {
        let breaker = CircuitBreaker::new("closed");
        counted_calls(calls, || acquire(&breaker, succeed, Outcome::Success));
    }),
    ("closed/record", |calls| {
        let breaker = CircuitBreaker::new("closed");
        counted_calls(calls, || {
            let permit = breaker.try_acquire().expect("it stays closed");
            let answer = succeed();
            permit.record(Outcome::Success);
            answer
        });
    }),
    ("closed/call", |calls| {
        let breaker = CircuitBreaker::new("closed");
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("closed/call/classic", |calls| {
        let breaker = build(CircuitBreaker::builder("closed").trip_when(TripPolicy::classic()));
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("closed/try_acquire/scaled", |calls| {
        let breaker = scaled();
        counted_calls(calls, || acquire(&breaker, succeed, Outcome::Success));
    }),
    ("closed/call/scaled", |calls| {
        let breaker = scaled();
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("closed/call_async", |calls| {
        let breaker = CircuitBreaker::new("closed");
        counted_calls(calls, || {
            let call = pin!(breaker.call_async(|| async { succeed() }));
            call.poll(&mut Context::from_waker(Waker::noop()))
        });
    }),
    ("closed/try_acquire/coarse_clock", |calls| {
        let breaker = build(coarse());
        counted_calls(calls, || acquire(&breaker, succeed, Outcome::Success));
    }),
    ("closed/call/coarse_clock", |calls| {
        let breaker = build(coarse());
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("closed/call/one_shard", |calls| {
        let breaker = build(CircuitBreaker::builder("closed").shards(1));
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("closed/call/count_window", |calls| {
        let breaker = build(count_window());
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("closed/try_acquire/latency", |calls| {
        let breaker = build(latency());
        counted_calls(calls, || acquire(&breaker, succeed, Outcome::Success));
    }),
    ("closed/call/latency", |calls| {
        let breaker = build(latency());
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("closed/call/slow_rate", |calls| {
        let breaker = build(slow_rate());
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("closed/call/adaptive/slower_than", |calls| {
        let policy = TripPolicy::adaptive().slower_than(Duration::from_secs(1));
        let breaker = build(CircuitBreaker::builder("slow").trip_when(policy));
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("open/try_acquire", |calls| {
        let breaker = open(CircuitBreaker::builder("open"));
        counted_calls(calls, || breaker.try_acquire());
    }),
    ("open/call", |calls| {
        let breaker = open(CircuitBreaker::builder("open"));
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("open/try_acquire/scaled", |calls| {
        let breaker = scaled_open();
        counted_calls(calls, || breaker.try_acquire());
    }),
    ("open/call/scaled", |calls| {
        let breaker = scaled_open();
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("open/try_acquire/classic", |calls| {
        let breaker = open(CircuitBreaker::builder("open").trip_when(TripPolicy::classic()));
        counted_calls(calls, || breaker.try_acquire());
    }),
    ("open/call/classic", |calls| {
        let breaker = open(CircuitBreaker::builder("open").trip_when(TripPolicy::classic()));
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("failing/try_acquire", |calls| {
        let breaker = build(out_of_reach());
        counted_calls(calls, || acquire(&breaker, fail, Outcome::Failure));
    }),
    ("failing/call", |calls| {
        let breaker = build(out_of_reach());
        counted_calls(calls, || breaker.call(fail));
    }),
    ("failing/call/one_shard", |calls| {
        let breaker = build(out_of_reach().shards(1));
        counted_calls(calls, || breaker.call(fail));
    }),
    // If all calls fail, they satisfy any rule about the last calls. So every other call succeeds.
    ("failing/call/count_window", |calls| {
        let breaker = build(count_window().trip_when(TripPolicy::failure_rate(1.0)));
        let mut fails = false;
        counted_calls(calls, || {
            fails = !fails;
            breaker.call(|| run(u32::from(!fails)))
        });
    }),
    ("retry_budget/deposit", |calls| {
        let budget = RetryBudget::new(&CircuitBreaker::new("budget"));
        counted_calls(calls, || {
            budget.deposit();
            succeed()
        });
    }),
    ("retry_budget/try_withdraw", |calls| {
        let burst = u32::try_from(calls).expect("calls are few");
        let breaker = build(CircuitBreaker::builder("budget").clock(Clock::mock().0));
        let budget = RetryBudget::builder(&breaker).burst(burst).build();
        let budget = budget.expect("the settings are valid");
        counted_calls(calls, || {
            budget.try_withdraw().expect("there are as many");
            succeed()
        });
    }),
];

/// The paths that need all features: ways through a breaker that was reconfigured, or that makes
/// events.
#[cfg(feature = "all")]
pub(crate) const WITH_ALL: &[Path] = &[
    ("reconfigured/closed/call", |calls| {
        let breaker = reconfigured(CircuitBreaker::builder("reconfigured").probes(1));
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("reconfigured/closed/call/another_window", |calls| {
        let window = Window::time(Duration::from_secs(30), 10);
        let breaker = reconfigured(CircuitBreaker::builder("reconfigured").window(window));
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("reconfigured/open/call", |calls| {
        let breaker = reconfigured(CircuitBreaker::builder("reconfigured").probes(1));
        breaker.trip(Duration::from_secs(3600));
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("reconfigured/failing/call", |calls| {
        let breaker = build(out_of_reach());
        let settings = rules_out_of_reach().probes(1);
        breaker
            .reconfigure(settings)
            .expect("the settings are valid");
        counted_calls(calls, || breaker.call(fail));
    }),
    ("traced/closed/call", |calls| {
        let breaker = build(traced());
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("traced/open/call", |calls| {
        let breaker = build(traced());
        breaker.trip(Duration::from_secs(3600));
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("fleet/closed/call", |calls| {
        let breaker = CircuitBreaker::new("fleet");
        let _port = breaker.fleet_port().expect("it decides by evidence");
        counted_calls(calls, || breaker.call(succeed));
    }),
    ("fleet/without/failing/call", |calls| {
        let breaker = measuring();
        let mut failures = 0_u32;
        counted_calls(calls, || {
            failures += 1;
            if failures.is_multiple_of(1_024) {
                black_box(breaker.name());
            }
            breaker.call(fail)
        });
    }),
    ("fleet/failing/call", |calls| {
        let breaker = measuring();
        let port = breaker.fleet_port().expect("it decides by evidence");
        let mut failures = 0_u32;
        counted_calls(calls, || {
            // A full word would take no more failures.
            failures += 1;
            if failures.is_multiple_of(1_024) {
                black_box(port.take_unreported());
            }
            breaker.call(fail)
        });
    }),
];
#[cfg(not(feature = "all"))]
pub(crate) const WITH_ALL: &[Path] = &[];

/// A breaker that makes events, without a subscriber.
#[cfg(feature = "all")]
fn traced() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("traced")
        .trace()
        .trace_rejections(10)
}

/// A breaker that weighs failures and never trips. It has measured its traffic, and its clock
/// stands still, so it doesn't look at the traffic again.
#[cfg(feature = "all")]
fn measuring() -> CircuitBreaker {
    let (clock, hand) = Clock::mock();
    let settings = CircuitBreaker::builder("fleet").start_in(State::MetricsOnly);
    let breaker = build(settings.shards(8).clock(clock));
    for _ in 0..20 {
        hand.advance(Duration::from_secs(1));
        breaker.call(succeed).expect("it measures");
        breaker.call(fail).expect_err("it fails");
    }
    breaker
}

#[cfg(feature = "all")]
fn reconfigured(settings: CircuitBreakerBuilder) -> CircuitBreaker {
    let breaker = CircuitBreaker::new("reconfigured");
    breaker
        .reconfigure(settings)
        .expect("the settings are valid");
    breaker
}

/// The function whose instructions are counted, with all its callees. Callgrind finds it by its
/// name; see `COUNTED` in `main.rs`.
#[inline(never)]
pub(crate) fn counted_calls<T>(calls: u64, mut call: impl FnMut() -> T) {
    for _ in 0..calls {
        // By reference, so the reply must exist as a whole, but isn't copied.
        black_box(&call());
    }
}

/// A call with a permit and its outcome. It is inlined, so the count is that of a caller's own
/// code.
#[allow(clippy::inline_always, reason = "see above")]
#[inline(always)]
fn acquire(
    breaker: &CircuitBreaker,
    work: impl Fn() -> Result<u32, ()>,
    outcome: Outcome,
) -> Result<u32, ()> {
    let permit = breaker.try_acquire().expect("it stays closed");
    let answer = work();
    match outcome {
        Outcome::Success => permit.success(),
        _ => permit.failure(),
    }
    answer
}

/// The guarded work. The compiler can't know its result.
fn run(number: u32) -> Result<u32, ()> {
    match black_box(number) {
        0 => Err(()),
        number => Ok(number),
    }
}

pub(crate) fn succeed() -> Result<u32, ()> {
    run(1)
}

pub(crate) fn fail() -> Result<u32, ()> {
    run(0)
}

pub(crate) fn build(builder: CircuitBreakerBuilder) -> CircuitBreaker {
    builder.build().expect("the settings are valid")
}

/// Two rules that no failures satisfy. The number of shards is that of a machine with four cores,
/// because the count depends on it. The clock stands still, because the window's sum takes a few
/// instructions more or less at different places in the ring.
fn out_of_reach() -> CircuitBreakerBuilder {
    rules_out_of_reach().clock(Clock::mock().0)
}

/// The rules without the clock, which a reconfigured breaker keeps.
fn rules_out_of_reach() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("failing")
        .shards(8)
        .trip_when(TripPolicy::failure_count(u32::MAX))
        .trip_when(TripPolicy::consecutive_failures(u32::MAX))
}

/// A breaker whose bucket counts one call in four. The bucket holds all calls, because it is wide.
fn scaled() -> CircuitBreaker {
    let window = Window::time(Duration::from_secs(10 * 3600), 10);
    let breaker = build(CircuitBreaker::builder("scaled").window(window));
    for _ in 0..300_000 {
        let _ = breaker.call(succeed);
    }
    breaker
}

/// An open breaker whose bucket counts one rejection in four. It stays open for the whole run.
fn scaled_open() -> CircuitBreaker {
    let window = Window::time(Duration::from_secs(10 * 3600), 10);
    let breaker = open(CircuitBreaker::builder("scaled").window(window));
    for _ in 0..300_000 {
        let _ = breaker.call(succeed);
    }
    breaker
}

fn count_window() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("count").window(Window::count(100))
}

fn coarse() -> CircuitBreakerBuilder {
    let clock = Clock::coarse(Duration::from_secs(1)).expect("a thread can be started");
    CircuitBreaker::builder("coarse").clock(clock)
}

fn latency() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("latency").latency(Recording::Combined)
}

/// A rule on slow calls without a histogram.
fn slow_rate() -> CircuitBreakerBuilder {
    let policy = TripPolicy::slow_rate(0.5).slower_than(Duration::from_secs(1));
    CircuitBreaker::builder("slow").trip_when(policy)
}

fn open(builder: CircuitBreakerBuilder) -> CircuitBreaker {
    let breaker = build(builder);
    breaker.trip(Duration::from_secs(3600));
    breaker
}
