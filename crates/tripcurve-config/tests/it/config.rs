//! Breakers from files: they equal breakers built with the same settings in code. Every error names
//! its place, and a file that is written equals the one that was read.

use std::time::Duration;

use tripcurve::recovery::{Backoff, HalfOpenVerdict, Jitter};
use tripcurve::window::{Recording, Timing, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy};
use tripcurve_config::Config;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn toml(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A file with one breaker that has these settings.
fn payments(settings: &str) -> Config {
    toml(&format!("[breakers.payments]\n{settings}"))
}

/// The reader's error for such a file.
fn misread(settings: &str) -> String {
    let text = format!("[breakers.payments]\n{settings}");
    let error = toml::from_str::<Config>(&text).expect_err(settings);
    error.message().to_owned()
}

#[track_caller]
fn refused(config: &Config, expected: &str) {
    assert_eq!(config.check().unwrap_err().to_string(), expected);
}

#[track_caller]
fn makes(settings: &str, set: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder) {
    let made = payments(settings).builder("payments").unwrap();
    let expected = set(CircuitBreaker::builder("payments"));
    assert_eq!(format!("{made:?}"), format!("{expected:?}"), "{settings}");
}

/// Fails when: a file without policies makes another breaker than a builder without policies.
#[test]
fn without_policies_a_file_means_the_default_and_classic_means_the_pair() {
    makes("", |builder| builder);
    let trips_at_five = |settings: &str| {
        let builder = payments(settings).builder("payments").unwrap();
        let breaker = builder.build().unwrap();
        for _ in 0..5 {
            let _ = breaker.call(|| Err::<(), _>("refused"));
        }
        breaker.state() == State::Open
    };
    assert!(!trips_at_five(""));
    assert!(!trips_at_five("trip_when = ['adaptive']"));
    assert!(trips_at_five("trip_when = ['classic']"));
    assert!(trips_at_five(
        "trip_when = ['classic', { failure_rate = 1.0 }]"
    ));
    assert!(trips_at_five("window = { calls = 5 }"));
    assert!(trips_at_five(
        "window = { calls = 5 }\ntrip_when = ['classic']"
    ));
    assert_eq!(
        misread("trip_when = ['classical']"),
        "invalid value: string \"classical\", expected a policy, as { failure_rate = 0.5, min_calls = \
         20 } or \"adaptive\" or \"classic\", at breakers.payments.trip_when[0]"
    );
    assert_eq!(
        misread("trip_when = [{ classic = true }]"),
        "breakers.payments.trip_when[0].classic: unknown key, expected one of \
         consecutive_failures, failure_count, failure_rate, slow_rate, burn_rate, \
         latency_percentile, slower_than_usual, adaptive, slower_than, above, percentile, factor, \
         short, min_calls, or \"adaptive\" or \"classic\" instead of them all"
    );
}

#[test]
fn each_policy_is_the_one_that_the_same_words_make_in_code() {
    let makes = |policy: &str, expected: TripPolicy| {
        makes(&format!("trip_when = [{policy}]"), |builder| {
            builder.trip_when(expected)
        });
    };
    makes("'classic'", TripPolicy::classic());
    makes(
        "{ consecutive_failures = 7 }",
        TripPolicy::consecutive_failures(7),
    );
    makes("{ failure_count = 7 }", TripPolicy::failure_count(7).into());
    makes(
        "{ failure_count = 7, min_calls = 20 }",
        TripPolicy::failure_count(7).min_calls(20).into(),
    );
    makes(
        "{ failure_rate = 0.3 }",
        TripPolicy::failure_rate(0.3).into(),
    );
    makes(
        "{ failure_rate = 0.3, min_calls = 7 }",
        TripPolicy::failure_rate(0.3).min_calls(7).into(),
    );
    // A whole number is accepted as a number.
    makes("{ failure_rate = 1 }", TripPolicy::failure_rate(1.0).into());
    makes(
        "{ slow_rate = 0.3, slower_than = '2s', min_calls = 7 }",
        TripPolicy::slow_rate(0.3)
            .slower_than(2 * SECOND)
            .min_calls(7)
            .into(),
    );
    makes(
        "{ burn_rate = 0.999, factor = 7, short = '12s', min_calls = 7 }",
        TripPolicy::burn_rate(0.999)
            .factor(7.0)
            .short(12 * SECOND)
            .min_calls(7)
            .into(),
    );
    makes(
        "{ latency_percentile = 95, above = '250ms', min_calls = 7 }",
        TripPolicy::latency_percentile(95.0)
            .above(250 * MILLI)
            .min_calls(7)
            .into(),
    );
    makes(
        "{ slower_than_usual = 3, percentile = 95, min_calls = 7 }",
        TripPolicy::slower_than_usual(3.0)
            .percentile(95.0)
            .min_calls(7)
            .into(),
    );
    makes("'adaptive'", TripPolicy::adaptive().into());
    makes("{ adaptive = {} }", TripPolicy::adaptive().into());
    makes(
        "{ adaptive = { tolerate = 0, false_trip_budget = '7d', slower_than = '1500ms' } }",
        TripPolicy::adaptive()
            .tolerate(0.0)
            .false_trip_budget(7 * DAY)
            .slower_than(1_500 * MILLI)
            .into(),
    );
}

#[test]
fn several_policies_keep_their_order() {
    makes(
        "trip_when = [{ consecutive_failures = 8 }, 'adaptive', { failure_count = 9 }]",
        |builder| {
            builder
                .trip_when(TripPolicy::consecutive_failures(8))
                .trip_when(TripPolicy::adaptive())
                .trip_when(TripPolicy::failure_count(9))
        },
    );
}

#[test]
fn each_other_setting_is_the_one_that_the_same_words_make_in_code() {
    makes("", |builder| builder);
    makes("window = { length = '2m', buckets = 12 }", |builder| {
        builder.window(Window::time(2 * MINUTE, 12))
    });
    makes("window = { length = '2m' }", |builder| {
        builder.window(Window::time(2 * MINUTE, 10))
    });
    makes("window = { buckets = 12 }", |builder| {
        builder.window(Window::time(MINUTE, 12))
    });
    makes("window = { calls = 100 }", |builder| {
        builder.window(Window::count(100))
    });
    makes("window = { calls = 100, within = '1m' }", |builder| {
        builder.window(Window::count(100).within(MINUTE))
    });
    makes("open_for = '1s 500ms'", |builder| {
        builder.open_for(1_500 * MILLI)
    });
    makes(
        "backoff = { base = '5s', factor = 2, longest = '2m' }",
        |builder| builder.backoff(Backoff::exponential(5 * SECOND, 2.0, 2 * MINUTE)),
    );
    for (word, jitter) in [
        ("full", Jitter::Full),
        ("equal", Jitter::Equal),
        ("decorrelated", Jitter::Decorrelated),
        ("none", Jitter::None),
    ] {
        makes(
            &format!(
                "[breakers.payments.backoff]\nbase = '5s'\nfactor = 2\nlongest = '2m'\n\
                 jitter = '{word}'\nhealthy_after = 'forever'"
            ),
            |builder| {
                let backoff = Backoff::exponential(5 * SECOND, 2.0, 2 * MINUTE);
                builder.backoff(backoff.jitter(jitter).healthy_after(Duration::MAX))
            },
        );
    }
    makes("probe_timeout = 'forever'", |builder| {
        builder.probe_timeout(Duration::MAX)
    });
    makes("max_retry_after = '0s'", |builder| {
        builder.max_retry_after(Duration::ZERO)
    });
    makes("warm_up = '30s'", |builder| builder.warm_up(30 * SECOND));
    makes("max_retry_after = '1h'", |builder| {
        builder.max_retry_after(60 * MINUTE)
    });
    makes("on_cancel = 'failure'", |builder| {
        builder.on_cancel(Outcome::Failure)
    });
    makes("on_cancel = 'ignored'", |builder| {
        builder.on_cancel(Outcome::Ignored)
    });
    for set in [false, true] {
        makes(&format!("enabled = {set}"), |builder| builder.enabled(set));
        makes(&format!("metrics_only = {set}"), |builder| {
            builder.metrics_only(set)
        });
    }
    for (word, state) in [
        ("closed", State::Closed),
        ("open", State::Open),
        ("half-open", State::HalfOpen),
        ("forced-open", State::ForcedOpen),
        ("disabled", State::Disabled),
        ("metrics-only", State::MetricsOnly),
    ] {
        makes(&format!("start_in = '{word}'"), |builder| {
            builder.start_in(state)
        });
    }
    for (word, recording) in [
        ("off", Recording::Off),
        ("combined", Recording::Combined),
        ("by-outcome", Recording::ByOutcome),
    ] {
        makes(&format!("latency = '{word}'"), |builder| {
            builder.latency(recording)
        });
    }
    makes("latency = 'combined'\ntiming = 'every-call'", |builder| {
        builder
            .latency(Recording::Combined)
            .timing(Timing::EveryCall)
    });
    makes("timing = 'sampled'", |builder| {
        builder.timing(Timing::Sampled)
    });
    makes("shards = 8", |builder| builder.shards(8));
}

#[test]
fn each_recovery_is_the_one_that_the_same_words_make_in_code() {
    makes("recovery = 'adaptive'", |builder| {
        builder.recovery(Recovery::adaptive())
    });
    makes("recovery = { probes = 2 }", |builder| {
        builder.recovery(Recovery::probes(2))
    });
    makes("recovery = { probes = 2 }\nopen_for = '9s'", |builder| {
        builder.recovery(Recovery::fixed(9 * SECOND, 2))
    });
    makes(
        "recovery = { probes = 5, half_open_limit = '1m', half_open_verdict = 'close' }",
        |builder| {
            let recovery = Recovery::probes(5);
            builder.recovery(recovery.half_open_limit(60 * SECOND, HalfOpenVerdict::Close))
        },
    );
    makes(
        "recovery = { steps = [0.5], each = '1s', half_open_limit = '1m' }",
        |builder| {
            let recovery = Recovery::steps(&[0.5], SECOND);
            builder.recovery(recovery.half_open_limit(60 * SECOND, HalfOpenVerdict::Reopen))
        },
    );
    makes(
        "recovery = { probes = 5, success_threshold = 3, failure_threshold = 1 }",
        |builder| {
            let recovery = Recovery::probes(5)
                .success_threshold(3)
                .failure_threshold(1);
            builder.recovery(recovery)
        },
    );
    makes(
        "trip_when = [{ slow_rate = 0.5, slower_than = '1s' }]
         recovery = { probes = 5, failure_threshold = 2, slow_threshold = 3 }",
        |builder| {
            let slow = TripPolicy::slow_rate(0.5).slower_than(SECOND);
            let recovery = Recovery::probes(5).failure_threshold(2).slow_threshold(3);
            builder.trip_when(slow).recovery(recovery)
        },
    );
    makes(
        "recovery = { probes = 5, success_threshold = 3 }",
        |builder| builder.recovery(Recovery::probes(5).success_threshold(3)),
    );
    makes(
        "recovery = { probes = 5, max_failure_rate = 0.2 }",
        |builder| builder.recovery(Recovery::probes(5).max_failure_rate(0.2)),
    );
    makes(
        "recovery = { steps = [0.1, 0.5, 1], each = '10s', max_failure_rate = 0.2 }",
        |builder| {
            let steps = Recovery::steps(&[0.1, 0.5, 1.0], 10 * SECOND);
            builder.recovery(steps.max_failure_rate(0.2))
        },
    );
    makes("recovery = { clients = 100 }", |builder| {
        builder.recovery(Recovery::adaptive().clients(100))
    });
    makes(
        "recovery = { clients = 100, half_open_limit = '1m' }",
        |builder| {
            let recovery = Recovery::adaptive().clients(100);
            builder.recovery(recovery.half_open_limit(60 * SECOND, HalfOpenVerdict::Reopen))
        },
    );
    // The open time and the recovery are separate settings.
    makes("recovery = 'adaptive'\nopen_for = '9s'", |builder| {
        builder.recovery(Recovery::adaptive().open_for(9 * SECOND))
    });
    makes(
        "recovery = 'adaptive'\nbackoff = { base = '1s', factor = 2, longest = '1m' }",
        |builder| {
            let backoff = Backoff::exponential(SECOND, 2.0, MINUTE);
            builder.recovery(Recovery::adaptive().backoff(backoff))
        },
    );
}

const TEMPLATE: &str = "
    [templates.default]
    window = { length = '30s', buckets = 6 }
    trip_when = ['adaptive', { failure_rate = 0.5, min_calls = 20 }]
    recovery = 'adaptive'
    open_for = '3s'
    shards = 8
";

#[test]
fn a_breaker_has_what_its_template_says_where_it_says_nothing_itself() {
    let config = toml(&format!(
        "{TEMPLATE}
        [breakers.payments]
        template = 'default'
        window = {{ length = '10s' }}
        backoff = {{ base = '5s', factor = 2, longest = '2m' }}
        [breakers.search]"
    ));
    let made = config.builder("payments").unwrap();
    let backoff = Backoff::exponential(5 * SECOND, 2.0, 2 * MINUTE);
    let expected = CircuitBreaker::builder("payments")
        .window(Window::time(10 * SECOND, 10))
        .trip_when(TripPolicy::adaptive())
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(20))
        .recovery(Recovery::adaptive().backoff(backoff))
        .shards(8);
    assert_eq!(format!("{made:?}"), format!("{expected:?}"));
    // A breaker that names no template has none, even if its own name is a template's.
    let made = config.builder("search").unwrap();
    let expected = CircuitBreaker::builder("search");
    assert_eq!(format!("{made:?}"), format!("{expected:?}"));
    let made = config.template("default").unwrap();
    let expected = CircuitBreaker::builder("default")
        .window(Window::time(30 * SECOND, 6))
        .trip_when(TripPolicy::adaptive())
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(20))
        .recovery(Recovery::adaptive().open_for(3 * SECOND))
        .shards(8);
    assert_eq!(format!("{made:?}"), format!("{expected:?}"));
}

#[test]
fn breakers_are_found_by_name_in_the_order_of_the_file() {
    let config = toml("[breakers.search]\n[breakers.'a.b c']\n[breakers.payments]");
    assert!(config.names().eq(["search", "a.b c", "payments"]));
    assert_eq!(config.template_names().count(), 0);
    for name in config.names() {
        let breaker = config.build(name).unwrap();
        assert_eq!(breaker.snapshot().name(), name);
    }
    assert_eq!(
        config.build("paymnets").unwrap_err().to_string(),
        "breakers: \"paymnets\" is not one of search, a.b c, payments; a breaker is asked for by \
         its name in the file"
    );
    assert_eq!(
        config.template("default").unwrap_err().to_string(),
        "templates: \"default\" is not in the file, which has none; a template is asked for by its \
         name in the file"
    );
    assert_eq!(toml(""), Config::default());
}

#[test]
fn a_setting_that_makes_no_sense_is_refused_with_its_place() {
    let refuse = |settings: &str, expected: &str| {
        let error = payments(settings).build("payments").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(expected), "{settings}: {text}");
        refused(&payments(settings), &text);
    };
    refused(
        &payments("window = { buckets = 0 }"),
        "breakers.payments.window.buckets: 0 is not in 1..=1024; 10 suit most services",
    );
    for (settings, expected) in [
        (
            "window = { length = '1ms' }",
            "window.length: 1ms is not in 100ms..=7d",
        ),
        ("window = { calls = 0 }", "window.calls: 0 is not in"),
        (
            "window = { calls = 9, within = '1ms' }",
            "window.within: 1ms is not in",
        ),
        ("open_for = '0s'", "open_for: 0ns is not in"),
        (
            "probe_timeout = '0s'",
            "probe_timeout: 0ns is not at least 1ms",
        ),
        (
            "max_retry_after = '2y'",
            "max_retry_after: 63115200s is not 0",
        ),
        ("shards = 65", "shards: 65 is not in 1..=64"),
        (
            "recovery = { probes = 0 }",
            "recovery.probes: 0 is not in 1..=255",
        ),
        (
            "recovery = { probes = 2, success_threshold = 3 }",
            "recovery.success_threshold: 3 is not in 1..=2",
        ),
        (
            "recovery = { probes = 2, max_failure_rate = 1.0 }",
            "recovery.max_failure_rate: 1 is not at least 0",
        ),
        (
            "recovery = { steps = [], each = '1s' }",
            "recovery.steps: 0 steps is not",
        ),
        (
            "recovery = { steps = [1.0], each = '0s' }",
            "recovery.each: 0ns is not in 1ms..=1 day",
        ),
        (
            "backoff = { base = '0s', factor = 2, longest = '1m' }",
            "backoff.base: 0ns is not in",
        ),
        (
            "backoff = { base = '1s', factor = nan, longest = '1m' }",
            "backoff.factor: NaN is not in 1..=100",
        ),
        (
            "trip_when = [{ failure_rate = 2 }]",
            "trip_when[0].failure_rate: 2 is not above 0.0",
        ),
        (
            "trip_when = [{ failure_rate = 0.5 }, { failure_rate = 0.5, min_calls = 0 }]",
            "trip_when[1].min_calls: 0 is not at least 1",
        ),
        (
            "trip_when = ['adaptive', { slow_rate = 0.5 }]",
            "trip_when[1].slower_than: unset is not in 1µs..=1h",
        ),
        (
            "trip_when = [{ failure_count = 9 }, { adaptive = { tolerate = 7 } }]",
            "trip_when[1].adaptive.tolerate: 7 is not in 0.0..=0.9",
        ),
        (
            "trip_when = ['adaptive', { failure_count = 9 }, 'adaptive']",
            "trip_when[2].adaptive: two adaptive policies is not one",
        ),
        (
            "trip_when = [{ slow_rate = 0.5, slower_than = '1s' }, { slow_rate = 0.9, slower_than = '2s' }]",
            "trip_when[1].slower_than: 2s is not 1s",
        ),
        (
            "trip_when = [{ slow_rate = 0.5, slower_than = '1s' }, { adaptive = { slower_than = '2s' } }]",
            "trip_when[1].adaptive.slower_than: 2s is not 1s",
        ),
        (
            "window = { buckets = 2 }\ntrip_when = [{ burn_rate = 0.999 }]",
            "window.buckets: 2 is not at least 3",
        ),
        (
            "window = { calls = 50 }\ntrip_when = ['adaptive']",
            "trip_when[0].adaptive: Window::count(50) is not a window by time",
        ),
    ] {
        refuse(settings, &format!("breakers.payments.{expected}"));
    }
}

#[test]
fn a_number_of_clients_that_makes_no_sense_is_refused_with_its_place() {
    refused(
        &payments("recovery = { clients = 0 }"),
        "breakers.payments.recovery.clients: 0 is not in 1..=1000000; about how many processes call \
         this dependency; the order of magnitude is enough",
    );
}

#[test]
fn a_setting_of_a_template_is_refused_where_it_stands() {
    let with = |breaker: &str| toml(&format!("{TEMPLATE}\n[breakers.payments]\n{breaker}"));
    let place = |config: &Config| config.check().unwrap_err().setting.into_owned();
    let bad = toml("[templates.default]\nshards = 0\n[breakers.a]\ntemplate = 'default'");
    assert_eq!(place(&bad), "templates.default.shards");
    let unused = toml("[templates.'my own']\nshards = 0");
    assert_eq!(place(&unused), "templates.\"my own\".shards");
    // The policy is in the template, but it is invalid with this breaker's window.
    refused(
        &with("template = 'default'\nwindow = { calls = 50 }"),
        "templates.default.trip_when[0].adaptive: Window::count(50) is not a window by time, which \
         shows how much traffic there is; use Window::time; the decision looks at single calls and \
         not at the window's length (for breakers.payments)",
    );
    refused(
        &with("template = 'defualt'"),
        "breakers.payments.template: \"defualt\" is not one of default; a template stands in the \
         file under templates",
    );
}

#[test]
fn a_key_that_is_not_known_is_refused_by_its_place() {
    let keys = "expected one of template, window, trip_when, recovery, open_for, backoff, \
                probe_timeout, max_retry_after, warm_up, on_cancel, enabled, metrics_only, start_in, \
                latency, timing, shards";
    assert_eq!(
        misread("open_fro = '5s'"),
        format!("breakers.payments.open_fro: unknown key, {keys}")
    );
    assert_eq!(
        misread("recovery = { adaptive = {} }"),
        "breakers.payments.recovery.adaptive: unknown key, expected one of probes, \
         success_threshold, failure_threshold, slow_threshold, steps, each, \
         max_failure_rate, clients, half_open_limit, half_open_verdict, or \"adaptive\" instead of them all"
    );
    // The reader points at the key, and not at the whole table.
    let text = "[breakers.payments]\nopen_for = '5s'\nopen_fro = '5s'";
    let error = toml::from_str::<Config>(text).unwrap_err();
    assert_eq!(error.span().map(|span| &text[span]), Some("open_fro"));
    for (settings, place) in [
        ("window = { bucket = 1 }", "window.bucket"),
        ("recovery = { probe = 1 }", "recovery.probe"),
        ("backoff = { min = '1s' }", "backoff.min"),
        (
            "trip_when = [{ failure_rate = 0.5, min = 1 }]",
            "trip_when[0].min",
        ),
        (
            "trip_when = ['adaptive', { adaptive = { tolerates = 1 } }]",
            "trip_when[1].adaptive.tolerates",
        ),
    ] {
        let text = misread(settings);
        let expected = format!("breakers.payments.{place}: unknown key, expected one of ");
        assert!(text.starts_with(&expected), "{text}");
    }
    assert_eq!(
        toml::from_str::<Config>("[breaker.payments]")
            .unwrap_err()
            .message(),
        "breaker: unknown key, expected one of templates, breakers, registries, fleet; breakers stand there \
         by name, as breakers.payments"
    );
}

#[test]
fn a_value_of_another_kind_is_refused_with_its_place_and_what_it_should_be() {
    for (settings, expected) in [
        (
            "shards = 'ten'",
            "invalid type: string \"ten\", expected a whole number, at most 4294967295, at \
             breakers.payments.shards",
        ),
        (
            "shards = -1",
            "invalid value: integer `-1`, expected a whole number, at most 4294967295, at \
             breakers.payments.shards",
        ),
        (
            "shards = 4294967296",
            "invalid value: integer `4294967296`, expected a whole number, at most 4294967295, at \
             breakers.payments.shards",
        ),
        (
            "trip_when = [{ failure_rate = '50%' }]",
            "invalid type: string \"50%\", expected a number, as 0.5, at \
             breakers.payments.trip_when[0].failure_rate",
        ),
        (
            "open_for = 5",
            "invalid type: integer `5`, expected a duration with its unit, as \"250ms\" or \"1m 30s\", \
             or \"forever\", at breakers.payments.open_for",
        ),
        (
            "window = { length = '60' }",
            "invalid value: string \"60\", expected a duration with its unit, as \"250ms\" or \"1m \
             30s\", or \"forever\", at breakers.payments.window.length",
        ),
        (
            "start_in = 'ajar'",
            "invalid value: string \"ajar\", expected one of \"closed\", \"open\", \"half-open\", \
             \"forced-open\", \"disabled\", \"metrics-only\" at breakers.payments.start_in",
        ),
        (
            "on_cancel = 'success'",
            "invalid value: string \"success\", expected one of \"ignored\", \"failure\" at \
             breakers.payments.on_cancel",
        ),
    ] {
        assert_eq!(misread(settings), expected);
    }
    // The reader adds the position in the text.
    let text = "[breakers.payments]\nopen_for = '5s'\nshards = 'ten'";
    let error = toml::from_str::<Config>(text).unwrap_err();
    assert_eq!(error.span().map(|span| &text[span]), Some("'ten'"));
}

#[test]
fn what_is_no_table_or_list_is_refused_with_its_place_and_what_it_should_be() {
    for (settings, expected) in [
        (
            "window = 60",
            "invalid type: integer `60`, expected a window, as { length = \"60s\", buckets = 10 } or \
             { calls = 100 }, at breakers.payments.window",
        ),
        (
            "recovery = 'adaptiv'",
            "invalid value: string \"adaptiv\", expected a recovery, as \"adaptive\" or { probes = 3 } \
             or { steps = [0.1, 1.0], each = \"10s\" }, at breakers.payments.recovery",
        ),
        (
            "trip_when = 'adaptive'",
            "invalid type: string \"adaptive\", expected a list of policies, as [{ failure_rate = 0.5 }, \
             \"adaptive\"], at breakers.payments.trip_when",
        ),
        (
            "trip_when = ['adaptiv']",
            "invalid value: string \"adaptiv\", expected a policy, as { failure_rate = 0.5, min_calls = \
             20 } or \"adaptive\" or \"classic\", at breakers.payments.trip_when[0]",
        ),
        (
            "trip_when = { failure_rate = 0.5 }",
            "invalid type: map, expected a list of policies, as [{ failure_rate = 0.5 }, \"adaptive\"], \
             at breakers.payments.trip_when",
        ),
        (
            "trip_when = [{ adaptive = true }]",
            "invalid type: boolean `true`, expected settings, as { tolerate = 0.25 } or {}, at \
             breakers.payments.trip_when[0].adaptive",
        ),
        (
            "recovery = { steps = 0.5, each = '10s' }",
            "invalid type: floating point `0.5`, expected a list of numbers, as [0.1, 0.5, 1.0], at \
             breakers.payments.recovery.steps",
        ),
        (
            "backoff = '5s'",
            "invalid value: string \"5s\", expected a backoff, as { base = \"5s\", factor = 2.0, \
             longest = \"2m\" }, at breakers.payments.backoff",
        ),
        (
            "template = ['default']",
            "invalid type: sequence, expected a name at breakers.payments.template",
        ),
    ] {
        assert_eq!(misread(settings), expected);
    }
    for (text, expected) in [
        (
            "breakers = 5",
            "invalid type: integer `5`, expected names with their settings, as { payments = { \
             open_for = \"5s\" } }, at breakers",
        ),
        (
            "[breakers]\nopen_for = '5s'",
            "invalid type: string \"5s\", expected settings, as { open_for = \"5s\" }, at \
             breakers.open_for",
        ),
    ] {
        let error = toml::from_str::<Config>(text).unwrap_err();
        assert_eq!(error.message(), expected);
    }
    let error = serde_json::from_str::<Config>("[]").unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid type: sequence, expected a table with templates and breakers at the file at line 1 \
         column 0"
    );
}

#[test]
fn a_duration_of_several_parts_is_their_sum_or_refused() {
    makes("open_for = '1m 1s500ms'", |builder| {
        builder.open_for(MINUTE + 1_500 * MILLI)
    });
    makes("open_for = ' 1.5 h 0.25ms '", |builder| {
        builder.open_for(90 * MINUTE + MILLI / 4)
    });
    // Each part alone is a valid duration. The sum is a nanosecond too long.
    for text in [
        "18446744073709551615s 1000000000ns",
        "18446744073709551615s 1s",
        "18446744073709551615s 999ms 1ms",
    ] {
        let error = misread(&format!("open_for = '{text}'"));
        let expected = format!(
            "invalid value: string \"{text}\", expected a duration with its unit, as \"250ms\" or \
             \"1m 30s\", or \"forever\", at breakers.payments.open_for"
        );
        assert_eq!(error, expected);
    }
}

#[test]
fn keys_that_do_not_go_together_are_refused_with_their_place() {
    for (settings, expected) in [
        (
            "open_for = '5s'\nbackoff = { base = '1s', factor = 2, longest = '1m' }",
            ": has both open_for and backoff; the open time is fixed or it grows",
        ),
        (
            "trip_when = []",
            ": has no policy in trip_when; leave it out for the default one, or write \
             metrics_only = true for a breaker that never trips",
        ),
        (
            "window = { length = '1m', calls = 10 }",
            ".window: a window is by time, with length or buckets or both, or by count, with calls \
             and perhaps within",
        ),
        (
            "window = {}",
            ".window: a window is by time, with length or buckets or both, or by count, with calls \
             and perhaps within",
        ),
        (
            "recovery = { probes = 3, each = '1s' }",
            ".recovery: a recovery is by probes, perhaps with success_threshold, failure_threshold or \
             slow_threshold, or by steps, with \
             each, the time of one, or adaptive, with clients",
        ),
        (
            "recovery = { clients = 3, probes = 3 }",
            ".recovery: a recovery is by probes, perhaps with success_threshold, failure_threshold or \
             slow_threshold, or by steps, with \
             each, the time of one, or adaptive, with clients",
        ),
        (
            "recovery = { clients = 3, success_threshold = 2 }",
            ".recovery: a recovery is by probes, perhaps with success_threshold, failure_threshold or \
             slow_threshold, or by steps, with \
             each, the time of one, or adaptive, with clients",
        ),
        (
            "recovery = { steps = [0.5, 1.0], each = '10s', slow_threshold = 1 }",
            ".recovery: a recovery is by probes, perhaps with success_threshold, failure_threshold or \
             slow_threshold, or by steps, with \
             each, the time of one, or adaptive, with clients",
        ),
        (
            "recovery = { probes = 3, success_threshold = 2, max_failure_rate = 0.1 }",
            ".recovery: has both success_threshold and max_failure_rate; each replaces the other",
        ),
        (
            "backoff = { base = '1s', longest = '1m' }",
            ".backoff: a backoff needs base, factor and longest, as { base = \"5s\", factor = 2.0, \
             longest = \"2m\" }",
        ),
        (
            "trip_when = ['adaptive', { min_calls = 3 }]",
            ".trip_when[1]: says not which policy it is; add one of consecutive_failures, \
             failure_count, failure_rate, slow_rate, burn_rate, latency_percentile, \
             slower_than_usual, adaptive",
        ),
        (
            "trip_when = [{ failure_rate = 0.5, failure_count = 3 }]",
            ".trip_when[0]: has both failure_count and failure_rate; a list has several policies, \
             any of which trips",
        ),
        (
            "trip_when = [{ consecutive_failures = 3, min_calls = 3 }]",
            ".trip_when[0]: consecutive_failures has no setting min_calls",
        ),
        (
            "trip_when = [{ adaptive = {}, slower_than = '1s' }]",
            ".trip_when[0]: adaptive has no setting slower_than",
        ),
    ] {
        assert_eq!(misread(settings), format!("breakers.payments{expected}"));
    }
    assert_eq!(
        toml::from_str::<Config>("[templates.a]\ntemplate = 'b'")
            .unwrap_err()
            .message(),
        "templates.a.template: a template has none itself"
    );
    // JSON allows a key twice.
    for (text, place) in [
        (r#"{"breakers": {"a": {}, "a": {}}}"#, "breakers.a"),
        (
            r#"{"breakers": {"a": {"shards": 1, "shards": 1}}}"#,
            "breakers.a.shards",
        ),
        (r#"{"breakers": {}, "breakers": {}}"#, "breakers"),
    ] {
        let text = serde_json::from_str::<Config>(text)
            .unwrap_err()
            .to_string();
        let expected = format!("{place}: is there twice; leave one out at line 1");
        assert!(text.starts_with(&expected), "{text}");
    }
}

#[test]
fn a_file_without_breakers_is_one() {
    assert_eq!(toml(""), Config::default());
    assert_eq!(toml("# nothing\n"), Config::default());
    // Some editors begin a file so.
    assert_eq!(
        toml("\u{feff}[breakers.payments]\nopen_for = '5s'"),
        payments("open_for = '5s'")
    );
    assert_eq!(
        Config::default().build("payments").unwrap_err().to_string(),
        "breakers: \"payments\" is not in the file, which has none; a breaker is asked for by its name \
         in the file"
    );
}

const CANONICAL: &str = r#"[templates.default]
trip_when = ["adaptive", { failure_rate = 0.5, min_calls = 20 }]
recovery = "adaptive"

[templates.default.window]
length = "60s"
buckets = 10

[breakers.search]
template = "default"
open_for = "1m 30s"

[breakers.payments]
template = "default"
probe_timeout = "forever"
on_cancel = "failure"
enabled = true
metrics_only = false
start_in = "half-open"
latency = "by-outcome"
shards = 4

[breakers.payments.backoff]
base = "5000ms"
factor = 2.0
longest = "2m"
jitter = "full"

[registries.endpoints]
template = "default"
capacity = 10000
idle_after = "1h"
max_open_share = 0.5
"#;

#[test]
fn what_is_written_is_the_text_that_was_read() {
    assert_eq!(toml::to_string(&toml(CANONICAL)).unwrap(), CANONICAL);
    let text = serde_json::to_string_pretty(&toml(CANONICAL)).unwrap();
    let read: Config = serde_json::from_str(&text).unwrap();
    assert_eq!(read, toml(CANONICAL));
    assert_eq!(serde_json::to_string_pretty(&read).unwrap(), text);
}

#[test]
fn a_breaker_is_off_or_only_measures_as_its_file_says() {
    let state = |settings: &str| payments(settings).build("payments").unwrap().state();
    assert_eq!(state("enabled = false"), State::Disabled);
    assert_eq!(state("enabled = true"), State::Closed);
    assert_eq!(state("metrics_only = true"), State::MetricsOnly);
    assert_eq!(state("metrics_only = false"), State::Closed);
    let both = "enabled = false\nmetrics_only = true";
    assert_eq!(state(both), State::Disabled);
    assert_eq!(
        misread("enabled = 'no'"),
        "invalid type: string \"no\", expected true or false at breakers.payments.enabled"
    );
}

#[test]
fn a_breaker_is_switched_on_where_its_template_is_off() {
    let config = toml(
        "[templates.off]\nenabled = false\nmetrics_only = true\n\
         [breakers.search]\ntemplate = 'off'\n\
         [breakers.payments]\ntemplate = 'off'\nenabled = true",
    );
    let state = |name| config.build(name).unwrap().state();
    assert_eq!(state("search"), State::Disabled);
    assert_eq!(state("payments"), State::MetricsOnly);
    let template = config.template("off").unwrap().build().unwrap();
    assert_eq!(template.state(), State::Disabled);
}

/// Fails when: the breaker stays as it is although `Ok` is returned.
#[test]
fn a_file_that_is_read_again_switches_its_breaker_off_and_on() {
    use tripcurve::persist::Reconfigured;

    let breaker = payments("").build("payments").unwrap();
    let reload = |settings: &str| {
        let settings = payments(settings).builder("payments").unwrap();
        breaker.reconfigure(settings)
    };
    for (settings, state) in [
        ("enabled = false", State::Disabled),
        ("", State::Closed),
        ("metrics_only = true", State::MetricsOnly),
        ("enabled = false\nmetrics_only = true", State::Disabled),
        ("enabled = true\nmetrics_only = false", State::Closed),
        ("start_in = 'disabled'", State::Disabled),
        ("start_in = 'forced-open'", State::ForcedOpen),
        ("start_in = 'closed'", State::Closed),
    ] {
        assert_eq!(reload(settings), Ok(Reconfigured::StateChanged(state)));
        assert_eq!(breaker.state(), state, "{settings}");
        assert_eq!(reload(settings), Ok(Reconfigured::Unchanged));
    }
    let error = reload("start_in = 'open'").unwrap_err();
    assert_eq!(error.setting, "start_in");
}

/// Fails when: reading the same file again counts as a command.
#[test]
fn a_file_that_is_read_again_unchanged_leaves_a_breaker_off_that_was_disabled_by_hand() {
    for settings in ["", "enabled = true", "open_for = '3s'"] {
        let breaker = payments(settings).build("payments").unwrap();
        breaker.disable();
        let again = payments(settings).builder("payments").unwrap();
        breaker.reconfigure(again).unwrap();
        assert_eq!(breaker.state(), State::Disabled);
        // Another changed setting doesn't enable it, either.
        let other = format!("{settings}\nprobe_timeout = '3s'");
        let other = payments(&other).builder("payments").unwrap();
        breaker.reconfigure(other).unwrap();
        assert_eq!(breaker.state(), State::Disabled);
    }
}

#[test]
fn a_file_that_is_read_again_with_another_window_keeps_the_newest_calls() {
    use tripcurve::persist::Reconfigured;

    let first = "window = { length = '60s' }";
    for (window, came) in [
        ("window = { length = '30s' }", Reconfigured::WindowResized),
        (
            "window = { length = '60s', buckets = 20 }",
            Reconfigured::WindowResized,
        ),
        ("shards = 3", Reconfigured::WindowResized),
        ("latency = 'combined'", Reconfigured::WindowResized),
        ("window = { calls = 100 }", Reconfigured::WindowReset),
    ] {
        let breaker = payments(first).build("payments").unwrap();
        let _ = breaker.call(|| Err::<(), _>("no"));
        let again = payments(window).builder("payments").unwrap();
        assert_eq!(breaker.reconfigure(again), Ok(came), "{window}");
        let kept = u64::from(came == Reconfigured::WindowResized);
        assert_eq!(breaker.snapshot().failures(), kept, "{window}");
    }
}

/// For each key of a file, with another value than the default: reading the file again changes the
/// breaker, or is refused.
#[test]
fn no_key_of_a_file_that_is_read_again_is_ignored() {
    use tripcurve::persist::Reconfigured;

    let keys = [
        "window = { length = '30s' }",
        "trip_when = [{ consecutive_failures = 8 }]",
        "recovery = { probes = 4 }",
        "open_for = '7s'",
        "backoff = { base = '5s', factor = 2.0, longest = '2m' }",
        "probe_timeout = '7s'",
        "max_retry_after = '7s'",
        "warm_up = '7s'",
        "on_cancel = 'failure'",
        "enabled = false",
        "metrics_only = true",
        "start_in = 'open'",
        "start_in = 'half-open'",
        "start_in = 'forced-open'",
        "start_in = 'disabled'",
        "start_in = 'metrics-only'",
        "latency = 'combined'",
        "timing = 'every-call'",
        "shards = 3",
    ];
    for key in keys {
        // Only a breaker that times calls has a timing to change.
        let others = if key.starts_with("timing") {
            "latency = 'combined'\n"
        } else {
            ""
        };
        let breaker = payments(others).build("payments").unwrap();
        let again = payments(&format!("{others}{key}"));
        let again = again.builder("payments").unwrap();
        match breaker.reconfigure(again) {
            Ok(came) => assert_ne!(came, Reconfigured::Unchanged, "{key}"),
            Err(error) => assert_eq!(key.split(' ').next(), Some(&*error.setting)),
        }
    }
    // The list contains all keys, plus the template's name.
    let unknown = misread("unknown = 1");
    let known = unknown.split_once("one of template, ").unwrap().1;
    for known in known.split(", ") {
        assert!(keys.iter().any(|key| key.starts_with(known)), "{known}");
    }
}
