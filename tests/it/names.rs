//! Names from outside are escaped and cut wherever they are shown. Lookups use their full text.

use std::time::Duration;

use tripcurve::time::Clock;
use tripcurve::{CallError, CircuitBreaker, TripPolicy};

/// Names that forge a log line, steer a terminal or reverse a text, and the escaped text.
const EVIL: &str = "pay\nERROR \u{1b}[2J\0\u{202e}\u{85}";
const SHOWN: &str = r"pay\nERROR \u{1b}[2J\0\u{202e}\u{85}";

fn megabyte() -> String {
    "n\n".repeat(500_000)
}

/// All texts that a breaker and its parts show, each with its label.
fn shown(name: &str) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let mut show = |what, text: String| all.push((what, text));
    let clock = Clock::mock().0;
    let (sender, told) = std::sync::mpsc::channel();
    // A name that is too long is accepted where it can't be refused.
    let fresh = CircuitBreaker::new(name.to_owned());
    assert_eq!(fresh.name(), name);
    let builder = CircuitBreaker::builder(name.to_owned());
    show("builder", format!("{builder:?} {builder:#?}"));
    let breaker = match builder.clone().build() {
        Ok(_) => builder
            .clock(clock)
            .trip_when(TripPolicy::consecutive_failures(1))
            .on_transition(move |transition| sender.send(transition.clone()).unwrap())
            .build()
            .unwrap(),
        Err(error) => {
            show("config error", format!("{error} {error:?}"));
            fresh
        }
    };
    let breaker = &breaker;
    show("breaker", format!("{breaker:?}"));
    let snapshot = breaker.snapshot();
    show("snapshot", format!("{snapshot} {snapshot:?}"));
    let permit = breaker.try_acquire().unwrap();
    show("permit", format!("{permit:?}"));
    let owned = breaker.try_acquire_owned().unwrap();
    show("owned permit", format!("{owned:?}"));
    drop((permit, owned));

    #[cfg(feature = "retry")]
    let budget = {
        let budget = tripcurve::retry::RetryBudget::builder(breaker);
        show("budget builder", format!("{budget:?}"));
        let budget = budget.burst(1).floor(0).build().unwrap();
        show("budget", format!("{budget:?}"));
        while budget.try_withdraw().is_ok() {}
        let exhausted = budget.try_withdraw().unwrap_err();
        show("budget exhausted", format!("{exhausted} {exhausted:?}"));
        budget
    };

    breaker.trip(Duration::from_secs(1));
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.name(), name);
    show("rejected", format!("{rejected} {rejected:?} {rejected:#?}"));
    let failed = CallError::<String>::from(rejected);
    show("call error", format!("{failed} {failed:?}"));
    #[cfg(feature = "retry")]
    {
        let refused = budget.try_withdraw().unwrap_err();
        show("retry refused", format!("{refused} {refused:?}"));
    }
    if let Ok(transition) = told.try_recv() {
        assert_eq!(transition.name(), name);
        show("transition", format!("{transition} {transition:?}"));
    }
    breaker.reset();
    all.extend(shown_with_features(breaker));
    all
}

/// The texts that the features add.
#[allow(unused_mut, unused_variables, reason = "each part has its feature")]
fn shown_with_features(breaker: &CircuitBreaker) -> Vec<(&'static str, String)> {
    let name = breaker.name();
    let mut all = Vec::new();
    let mut show = |what, text: String| all.push((what, text));
    #[cfg(feature = "bulkhead")]
    {
        use tripcurve::bulkhead::Bulkhead;

        let bulkhead = Bulkhead::new(1).unwrap().named(name.to_owned());
        show("bulkhead", format!("{bulkhead:?}"));
        let _permit = bulkhead.try_acquire().unwrap();
        let full = bulkhead.try_acquire().unwrap_err();
        show("bulkhead full", format!("{full} {full:?}"));
        let both = breaker.with_bulkhead(bulkhead.clone());
        show("guarded", format!("{both:?}"));
        let blocking = Bulkhead::blocking(1, 1).unwrap().named(name.to_owned());
        show("blocking", format!("{blocking:?}"));
        let both = breaker.with_blocking(blocking);
        show("guarded blocking", format!("{both:?}"));
    }
    #[cfg(feature = "async")]
    if let Ok(patient) = breaker.waiting(Duration::from_secs(1)) {
        show("waiting", format!("{patient:?}"));
    }
    #[cfg(feature = "tokio")]
    show(
        "call timeout",
        format!("{:?}", breaker.call_timeout(Duration::from_secs(1))),
    );
    #[cfg(feature = "registry")]
    {
        use tripcurve::registry::Registry;

        let named = name.to_owned();
        let keys = Registry::<u32>::builder(CircuitBreaker::builder("template"));
        let keys = keys.name_with(move |_| named.clone()).build().unwrap();
        assert_eq!(keys.get_or_create(&1).name(), name);
        show(
            "key",
            format!("{:?} {:?}", keys.get_or_create(&1), keys.snapshots()),
        );
        let template = Registry::<u32>::builder(CircuitBreaker::builder(name.to_owned()));
        show("registry builder", format!("{template:?}"));
        match template.build() {
            Ok(registry) => show("registry", format!("{registry:?}")),
            Err(error) => show("registry error", format!("{error} {error:?}")),
        }
    }
    {
        let other = CircuitBreaker::builder("other");
        let error = breaker.reconfigure(other).unwrap_err();
        show("reconfigure", format!("{error} {error:?}"));
    }
    #[cfg(feature = "serde")]
    {
        let saved = breaker.save();
        assert_eq!(saved.name(), name);
        show("saved", format!("{saved:?}"));
        let other = CircuitBreaker::builder("other").restore(saved.clone());
        let error = other.build().unwrap_err();
        show("restored", format!("{error} {error:?}"));
    }
    all
}

/// Checks that the text has no control or format character, except line ends of an alternate
/// `Debug`.
#[track_caller]
fn is_harmless(what: &str, text: &str) {
    let steers = |letter: char| {
        letter.is_control() && letter != '\n' || ('\u{202a}'..='\u{202e}').contains(&letter)
    };
    assert!(!text.contains(steers), "{what}: {text:?}");
    assert!(!text.contains("\nERROR"), "{what}: {text:?}");
    assert!(text.len() < 20_000, "{what}: {} bytes", text.len());
}

#[test]
fn a_name_is_escaped_and_cut_wherever_it_is_shown() {
    for name in [EVIL, &megabyte()] {
        let all = shown(name);
        assert!(all.len() >= 10);
        for (what, text) in all {
            is_harmless(what, &text);
            let begins = if name == EVIL { SHOWN } else { r"n\nn\nn\nn\n" };
            // `Debug` escapes the escapes of a message again.
            let found = text.contains(begins) || text.contains(&begins.replace('\\', r"\\"));
            assert!(found, "{what}: {text}");
        }
    }
}

#[test]
fn ordinary_names_are_shown_as_they_are() {
    for name in ["payments", "Zahlungen für Köln", "支付/v1", "it's e\u{301}"] {
        let breaker = CircuitBreaker::new(name.to_owned());
        assert!(
            breaker
                .snapshot()
                .to_string()
                .starts_with(&format!("{name} is closed"))
        );
        assert_eq!(
            format!("{:?}", tripcurve::name::Name::from(name.to_owned())),
            format!("\"{name}\"")
        );
    }
}

#[test]
fn build_refuses_a_name_beyond_its_limit() {
    let build = |length| CircuitBreaker::builder("ü".repeat(length)).build();
    assert!(build(1_024).is_ok());
    let error = build(1_025).unwrap_err();
    assert_eq!(error.setting, "name");
    let begins = format!(
        "name: \"{}…\", of 2050 bytes, is not at most 1024",
        "ü".repeat(128)
    );
    assert!(error.to_string().starts_with(&begins), "{error}");
}

#[test]
fn build_refuses_more_policies_than_its_limit() {
    let build = |policies| {
        let builder = CircuitBreaker::builder("many");
        let policy = || TripPolicy::failure_count(1_000_000);
        (0..policies)
            .fold(builder, |builder, _| builder.trip_when(policy()))
            .build()
    };
    assert!(build(64).is_ok());
    assert_eq!(
        build(65).unwrap_err().to_string(),
        "trip_when: 65 is not at most 64 policies; any of them trips, so leave those out that \
         another one covers"
    );
}
