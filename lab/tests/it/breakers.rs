//! Breakers of a file: ours, and peers with the settings that only they have.

use tripcurve_lab::compare;
use tripcurve_lab::log::Call;
use tripcurve_lab::peers::{Breakers, Peer, catalogue};
use tripcurve_lab::replay::{Contestants, Course};

const MILLISECOND: u64 = 1_000_000;

/// A file in the folder for temporary files.
struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("tripcurve-{name}-{}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn contestants(&self) -> Contestants {
        let text = self.0.to_str().unwrap();
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A call every 100 ms. Those from 5 s on fail.
fn trips(file: &str) -> Vec<(String, Option<u64>)> {
    let calls: Vec<Call> = (0..300)
        .map(|number| Call {
            began: number * 100 * MILLISECOND,
            took: 10 * MILLISECOND,
            succeeded: number < 50,
        })
        .collect();
    let first = |course: &Course| course.trips.first().map(|trip| trip.at / MILLISECOND);
    let file = File::new("breakers", file);
    let Contestants(all) = file.contestants();
    all.iter()
        .map(|one| (one.name.clone(), first(&one.run(&calls).unwrap())))
        .collect()
}

#[test]
fn a_file_has_our_breakers_and_peers_with_the_same_keys() {
    let found = trips(
        "[templates.usual]
        trip_when = [{ consecutive_failures = 8 }]

        [breakers.ours]
        template = \"usual\"

        [breakers.theirs]
        trip_when = [{ consecutive_failures = 8 }]
        [peers.theirs]
        is = \"gobreaker\"

        [breakers.swept]
        trip_when = [{ consecutive_failures = 3 }]
        [peers.swept]
        is = \"envoy\"
        max_ejection_time = \"20s\"",
    );
    // Call 50 fails first, and ends at 5,010 ms.
    let expected = [
        ("ours", Some(5_710)),
        ("theirs", Some(5_710)),
        ("swept", Some(5_210)),
    ];
    let expected = expected.map(|(name, at)| (name.to_owned(), at));
    assert_eq!(found, expected);
}

#[test]
fn a_comparison_takes_the_breakers_of_a_file() {
    let file = File::new(
        "compared",
        "[breakers.mine]\ntrip_when = [\"adaptive\"]\n[breakers.polly-def]\n[peers.polly-def]\nis = \"gobreaker\"",
    );
    let names = ["mine", "polly-def", "gobreaker"].map(str::to_owned);
    let found = compare::contestants(&names, Some(&file.0)).unwrap();
    // Those of the file come last, and one replaces a peer of its name.
    let found: Vec<_> = found.iter().map(|one| (one.name, one.is_ours())).collect();
    assert_eq!(
        found,
        [("gobreaker", false), ("mine", true), ("polly-def", false)]
    );
    let missing = compare::contestants(&names, Some("none.toml".as_ref())).unwrap_err();
    assert!(missing.to_string().starts_with("none.toml: "), "{missing}");
}

#[test]
fn a_setting_that_makes_no_sense_is_named_with_its_place() {
    for (file, message) in [
        (
            "[breakers.a]\nwindow = { bucket = 20 }",
            "breakers.a.window.bucket: unknown key, expected one of length, buckets, calls, within",
        ),
        (
            "[breakers.a]\n[peers.a]\nis = \"polli\"",
            "peers.a.is: it is \"polli\"; expected one of hystrix, resilience4j, polly, sentinel, \
             gobreaker, envoy, finagle, sre, aegis, semian, recloser, failsafe",
        ),
        (
            "[breakers.a]\n[peers.a]\nabout = \"no kind\"",
            "peers.a.is: it is missing; expected one of hystrix, resilience4j, polly, sentinel, \
             gobreaker, envoy, finagle, sre, aegis, semian, recloser, failsafe",
        ),
        (
            "[peers.a]\nis = \"polly\"",
            "peers.a: it is without a breaker; expected [breakers.a]",
        ),
        (
            "[breakers.a]\nrecovery = { probes = 3 }\n[peers.a]\nis = \"polly\"",
            "breakers.a.recovery.probes: polly has no such setting; it takes window.length, \
             failure_rate, failure_rate.min_calls, open_for",
        ),
        (
            "[breakers.a]\ntrip_when = [\"adaptive\"]\n[peers.a]\nis = \"gobreaker\"",
            "breakers.a.trip_when: gobreaker has no such setting; it takes consecutive_failures, \
             open_for, recovery.probes",
        ),
        (
            "[breakers.a]\n[peers.a]\nis = \"semian\"\nkp = \"much\"",
            "peers.a.kp: it is \"much\"; expected a number",
        ),
        (
            "[breakers.a]\nbackoff = { base = \"5s\", factor = 3.0, longest = \"1m\" }\n[peers.a]\nis = \"finagle\"",
            "breakers.a.backoff.factor: it is 3.0; expected 2.0",
        ),
    ] {
        let error = Breakers::read(file).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn each_key_of_the_semian_changes_it() {
    let keys = [
        "kp = 2.0",
        "ki = 1",
        "kd = 0.5",
        "integral_lower_cap = -1.0",
        "integral_upper_cap = 1.0",
        "sliding_interval = \"2s\"",
        "dead_zone_ratio = 0.5",
        "initial_error_rate = 0.1",
        "ideal_error_rate_estimator_cap_value = 0.2",
    ];
    let built = |key: &str| {
        let file = format!("[breakers.a]\n[peers.a]\nis = \"semian\"\n{key}");
        let read = Breakers::read(&file).unwrap();
        let peer = read.peers[0].rules.build(1);
        assert!(matches!(peer, Peer::Semian(_)));
        format!("{peer:?}")
    };
    let plain = built("");
    for key in keys {
        assert_ne!(built(key), plain, "{key}");
    }
}

#[test]
fn the_published_peers_keep_the_order_of_their_file() {
    let names: Vec<_> = catalogue().iter().map(|entry| entry.name).collect();
    assert_eq!(names.first(), Some(&"hystrix"));
    assert_eq!(names.last(), Some(&"failsafe-rs-tuned"));
    let file = include_str!("../../peers.toml");
    assert_eq!(names.len(), file.matches("\n[breakers.").count());
}
