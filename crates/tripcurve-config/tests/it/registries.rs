//! Registries from files equal those that are built with the same settings in code. Every error
//! names its place.

use std::time::Duration;

use tripcurve::outcome::DefaultClassifier;
use tripcurve::registry::{Registry, RegistryBuilder};
use tripcurve::{CircuitBreaker, Outcome, State};
use tripcurve_config::Config;

type Builder = RegistryBuilder<u32, DefaultClassifier>;

fn toml(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A file with one registry that has these settings.
fn hosts(settings: &str) -> Config {
    toml(&format!(
        "[templates.many]\nshards = 1\n[registries.hosts]\n{settings}"
    ))
}

fn built(config: &Config) -> Registry<u32> {
    let builder: Builder = config.registry("hosts", |template| template).unwrap();
    builder.build().unwrap()
}

#[test]
fn each_setting_is_the_one_that_the_same_words_make_in_code() {
    type Set = fn(Builder) -> Builder;
    let settings: [(&str, Set); 5] = [
        ("", |it| it),
        ("capacity = 700", |it| it.capacity(700)),
        ("capacity = 700\nidle_after = '1m 30s'", |it| {
            it.capacity(700).idle_after(Duration::from_secs(90))
        }),
        ("max_open_share = 0.25", |it| it.max_open_share(0.25)),
        // A whole number is accepted as a number.
        ("max_open_share = 1", |it| it.max_open_share(1.0)),
    ];
    for (text, set) in settings {
        let made: Builder = hosts(text).registry("hosts", |template| template).unwrap();
        let expected = set(Registry::builder(CircuitBreaker::builder("hosts")));
        assert_eq!(format!("{made:?}"), format!("{expected:?}"), "{text}");
    }
}

#[test]
fn its_breakers_have_its_name_and_the_settings_of_its_template() {
    let config = hosts("template = 'many'");
    let template = config.registry_template("hosts").unwrap();
    let expected = CircuitBreaker::builder("hosts").shards(1);
    assert_eq!(format!("{template:?}"), format!("{expected:?}"));
    assert_eq!(built(&config).get_or_create(&7).name(), "hosts");
    assert_eq!(config.registry_names().collect::<Vec<_>>(), ["hosts"]);
}

#[test]
fn the_program_adds_what_no_file_can_hold() {
    let classified = hosts("").registry("hosts", |template| {
        template.classify(|_: &Result<(), ()>| Outcome::Success)
    });
    let registry: Registry<u32, _> = classified.unwrap().build().unwrap();
    let breaker = registry.get_or_create(&7);
    let _ = breaker.call(|| Err(()));
    assert_eq!(breaker.snapshot().successes(), 1);
}

#[test]
fn at_most_the_share_of_the_file_is_open() {
    let config = toml(
        "[templates.brittle]\ntrip_when = [{ consecutive_failures = 1 }]\n\
         [registries.hosts]\ntemplate = 'brittle'\nmax_open_share = 0.5",
    );
    let registry = built(&config);
    let all: Vec<_> = (0..4).map(|host| registry.get_or_create(&host)).collect();
    for breaker in &all {
        let _ = breaker.call(|| Err::<(), _>("down"));
    }
    let open = all.iter().filter(|it| it.state() == State::Open).count();
    assert_eq!(open, 2);
}

#[test]
fn a_file_that_is_read_again_reconfigures_its_breakers() {
    let registry = built(&hosts("template = 'many'"));
    let breaker = registry.get_or_create(&7);
    let again =
        "[templates.many]\nenabled = false\nshards = 1\n[registries.hosts]\ntemplate = 'many'";
    let template = toml(again).registry_template("hosts").unwrap();
    registry.reconfigure(template).unwrap();
    assert_eq!(breaker.state(), State::Disabled);
}

#[test]
fn a_setting_that_makes_no_sense_is_refused_with_its_place() {
    for (settings, expected) in [
        (
            "capacity = 0",
            "registries.hosts.capacity: 0 is not at least 1; as many keys as are in use at a time; \
             leave it out if nobody else chooses the keys",
        ),
        (
            "capacity = 1\nidle_after = '1us'",
            "registries.hosts.idle_after: 1µs is not at least 1ms; minutes suit hosts that may come \
             back; Duration::MAX forgets none for its age",
        ),
        (
            "idle_after = '1h'",
            "registries.hosts.idle_after: 3600s is not of any use without a capacity; set capacity \
             too, or leave it out: nothing is dropped without a capacity",
        ),
        (
            "max_open_share = 0.0",
            "registries.hosts.max_open_share: 0 is not more than 0 and at most 1; 0.5 lets half of \
             the members open; to open none, let them only measure",
        ),
        (
            "max_open_share = 1.5",
            "registries.hosts.max_open_share: 1.5 is not more than 0 and at most 1; 0.5 lets half of \
             the members open; to open none, let them only measure",
        ),
        (
            "template = 'few'",
            "registries.hosts.template: \"few\" is not one of many; a template stands in the file \
             under templates",
        ),
    ] {
        let config = hosts(settings);
        assert_eq!(config.check().unwrap_err().to_string(), expected);
        let error: Result<Builder, _> = config.registry("hosts", |template| template);
        assert_eq!(error.err().unwrap().to_string(), expected);
    }
    let config = toml("[templates.many]\nshards = 0\n[registries.hosts]\ntemplate = 'many'");
    let error = config.registry_template("hosts").unwrap_err();
    assert_eq!(error.setting, "templates.many.shards");
    let error = config.registry_template("tenants").unwrap_err();
    assert_eq!(
        error.to_string(),
        "registries: \"tenants\" is not one of hosts; a registry is asked for by its name in the file"
    );
}

#[test]
fn a_key_of_a_breaker_is_refused_in_a_registry() {
    let error = toml::from_str::<Config>("[registries.hosts]\nshards = 1").unwrap_err();
    assert_eq!(
        error.message(),
        "registries.hosts.shards: unknown key, expected one of template, capacity, idle_after, \
         max_open_share"
    );
}
