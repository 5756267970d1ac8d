//! The fleet of a file: its values, who joins, and errors that name the place and no password.

use tripcurve::error::ConfigError;
use tripcurve_config::{Config, FleetConfig};

const STORE: &str = "address = 'redis://store:6379/'\nnamespace = 'shop'\n";

fn toml(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A fleet with these settings, in a file with four breakers. `mail` can't join.
fn fleet(settings: &str) -> Result<FleetConfig, ConfigError> {
    let config = toml(&format!(
        "[fleet]\n{settings}\n[breakers.payments]\n[breakers.search-eu]\n[breakers.search-us]\n\
         [breakers.mail]\ntrip_when = [{{ consecutive_failures = 5 }}]"
    ));
    let checked = config.check();
    let fleet = config.fleet();
    assert_eq!(checked.is_err(), fleet.is_err(), "{settings}");
    Ok(fleet?.unwrap())
}

fn error(settings: &str) -> String {
    fleet(settings).unwrap_err().to_string()
}

#[test]
fn the_values_are_those_of_the_file() {
    let text = format!("{STORE}zone = 'eu-1a'\nclassifier_word = '5xx'");
    let fleet = fleet(&text).unwrap();
    assert_eq!(fleet.address().unwrap(), "redis://store:6379/");
    assert_eq!(fleet.namespace(), "shop");
    assert_eq!(fleet.zone(), "eu-1a");
    assert_eq!(fleet.classifier_word(), "5xx");
}

#[test]
fn a_file_without_a_fleet_has_none() {
    assert_eq!(toml("[breakers.payments]").fleet().unwrap(), None);
}

#[test]
fn who_joins_is_said_by_name_and_by_pattern() {
    let joining = |join: &str| {
        let fleet = fleet(&format!("{STORE}{join}")).unwrap();
        let names: Vec<_> = fleet.breakers().map(str::to_owned).collect();
        assert!(names.iter().all(|it| fleet.joins(it)));
        assert!(!fleet.joins("mail"));
        names.join(" ")
    };
    assert_eq!(joining(""), "payments search-eu search-us");
    assert_eq!(joining("join = ['*']"), "payments search-eu search-us");
    assert_eq!(joining("join = ['search-*']"), "search-eu search-us");
    // Each joins once, in the order of the breakers.
    assert_eq!(
        joining("join = ['*-us', 'payments', '*s']"),
        "payments search-us"
    );
    assert_eq!(joining("join = []"), "");
}

#[test]
fn an_unknown_name_of_join_is_an_error_with_its_place() {
    assert_eq!(
        error(&format!("{STORE}join = ['payments', 'payment']")),
        "fleet.join[1]: \"payment\" is not one of payments, search-eu, search-us, mail; join names \
         breakers of the file; a * stands for any letters"
    );
    assert!(error(&format!("{STORE}join = ['serach-*']")).starts_with("fleet.join[0]: "));
}

#[test]
fn a_named_breaker_that_cannot_join_is_an_error_and_one_of_a_pattern_is_not() {
    assert_eq!(
        error(&format!("{STORE}join = ['mail']")),
        "fleet.join[0]: \"mail\" is not a breaker that trips on evidence; give it trip_when = \
         [\"adaptive\"], or leave it out"
    );
    let passed_over = fleet(&format!("{STORE}join = ['m*']")).unwrap();
    assert_eq!(passed_over.breakers().count(), 0);
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        error("address = 'redis://store/'"),
        "fleet.namespace: nothing is not a name that all members share; the name of the \
         application suits"
    );
    assert!(error("namespace = 'shop'").starts_with("fleet.address: nothing is not one of "));
    let both = format!("{STORE}address_from = 'REDIS_URL'");
    assert!(error(&both).starts_with("fleet.address: both is not one of "));
}

#[test]
fn no_error_and_no_debug_output_shows_a_password() {
    for address in [
        "http://shop:hunter2@store:6379/",
        "shop:hunter2@store:6379",
        "redis://shop:hunter2@",
        "redis://shop:hunter2@/0",
        "redis://shop:hunter2@:6379",
        "hunter2",
        "",
    ] {
        let error = error(&format!("address = '{address}'\nnamespace = 'shop'"));
        assert!(error.starts_with("fleet.address: "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let good = "address = 'rediss://shop:hunter2@store/'\nnamespace = 'shop'";
    let fleet = fleet(good).unwrap();
    let config = toml(&format!("[fleet]\n{good}"));
    for shown in [format!("{fleet:?}"), format!("{config:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("rediss://"), "{shown}");
    }
}

#[test]
fn the_address_may_stand_in_the_environment() {
    let of = |variable: &str| {
        fleet(&format!("address_from = '{variable}'\nnamespace = 'shop'")).unwrap()
    };
    // The file is right, whatever the environment in which it is checked.
    assert_eq!(
        of("TRIPCURVE_NOBODY_SETS_THIS")
            .address()
            .unwrap_err()
            .to_string(),
        "fleet.address_from: \"TRIPCURVE_NOBODY_SETS_THIS\" is not the name of an environment \
         variable that is set; set it to the store's address, or write the address under \
         fleet.address"
    );
    // Cargo sets this one, to something else.
    let error = of("CARGO_MANIFEST_DIR").address().unwrap_err().to_string();
    assert!(error.starts_with("fleet.address_from: "), "{error}");
    assert!(!error.contains("tripcurve-config"), "{error}");
}

#[test]
fn only_join_can_change_while_the_process_runs() {
    let before = fleet(STORE).unwrap();
    let change = |settings: &str| before.check_change(Some(&fleet(settings).unwrap()));
    change(STORE).unwrap();
    change(&format!("{STORE}join = ['payments']")).unwrap();
    assert_eq!(
        change(&format!("{STORE}zone = 'b'"))
            .unwrap_err()
            .to_string(),
        "fleet.zone: \"b\" is not \"\", as when this process started; restart it to change that"
    );
    for (settings, at) in [
        (
            "address = 'redis://other/'\nnamespace = 'shop'",
            "fleet.address",
        ),
        (
            "address_from = 'REDIS_URL'\nnamespace = 'shop'",
            "fleet.address",
        ),
        (
            "address = 'redis://store:6379/'\nnamespace = 'b'",
            "fleet.namespace",
        ),
    ] {
        assert_eq!(change(settings).unwrap_err().setting, at);
    }
    let word = format!("{STORE}classifier_word = 'b'");
    assert_eq!(change(&word).unwrap_err().setting, "fleet.classifier_word");
    assert_eq!(before.check_change(None).unwrap_err().setting, "fleet");
}
