//! The recommendations for logs with a known story.

use std::fs;
use std::process::Command;

use tripcurve::CircuitBreaker;
use tripcurve_config::Config;
use tripcurve_lab::replay::Policy;

/// Runs the program and returns its output. It must succeed.
fn lab(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tripcurve-lab"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The recommendation for a sample of six hours.
fn recommend_for(kind: &str, arguments: &[&str]) -> String {
    recommend_for_hours("6", kind, arguments)
}

fn recommend_for_hours(hours: &str, kind: &str, arguments: &[&str]) -> String {
    let file = format!("tripcurve-recommend-{kind}-{}.csv", std::process::id());
    let path = std::env::temp_dir().join(file);
    let path = path.to_str().unwrap();
    lab(&[
        "sample", kind, "--seed", "5", "--hours", hours, "--out", path,
    ]);
    let text = lab(&[&["recommend", path][..], arguments].concat());
    fs::remove_file(path).unwrap();
    text
}

/// The cells of the table row that begins with this name.
fn row(text: &str, name: &str) -> Vec<String> {
    let row = text.lines().find_map(|line| {
        line.strip_prefix(name)
            .filter(|rest| rest.starts_with(' '))
            .map(|rest| rest.split_whitespace().map(|cell| cell.replace(',', "")))
    });
    row.unwrap_or_else(|| panic!("no row {name} in\n{text}"))
        .collect()
}

fn recommended(text: &str) -> &str {
    text.lines()
        .find_map(|line| line.strip_prefix("Recommended: "))
        .unwrap_or_else(|| panic!("nothing is recommended in\n{text}"))
}

#[test]
fn what_is_recommended_does_what_it_says_when_it_is_replayed() {
    let text = lab(&["recommend", "samples/outage.csv"]);
    let policy = recommended(&text);
    let replay = lab(&["replay", "samples/outage.csv", "--policy", policy]);
    // In the recommendation: score, failed made, good lost, …. In the replay: trips, failed made,
    // …, good lost, ….
    let (said, done) = (row(&text, policy), row(&replay, policy));
    assert_eq!((&said[1], &said[2]), (&done[1], &done[4]), "{text}{replay}");
    assert!(text.contains("let breaker = CircuitBreaker::builder(\"outage\")\n"));
    let (_, file) = text
        .split_once("\nOr in a file, which tripcurve_config::Config reads:\n\n")
        .unwrap();
    let config: Config = toml::from_str(file).unwrap();
    let expected = policy
        .parse::<Policy>()
        .unwrap()
        .apply(CircuitBreaker::builder("outage"));
    assert_eq!(
        format!("{:?}", config.builder("outage").unwrap()),
        format!("{expected:?}")
    );
}

#[test]
fn for_an_outage_a_policy_is_recommended_that_is_better_than_none() {
    let text = recommend_for("outage", &[]);
    let score = |name: &str| row(&text, name)[0].parse::<f64>().unwrap();
    let best = score(recommended(&text));
    assert!(best < 0.5 * score("no breaker"), "{text}");
    assert!(best <= score("default"), "{text}");
    assert!(
        text.contains("with one outage there is nothing to check the choice on"),
        "{text}"
    );
}

#[test]
fn where_there_are_several_outages_the_choice_is_checked_on_others() {
    let text = recommend_for("flapping", &[]);
    assert!(text.contains("Chosen on the first"), "{text}");
    assert!(text.contains("the choice holds"), "{text}");
    let check = |name: &str| row(&text, name)[3].parse::<f64>().unwrap();
    assert!(check(recommended(&text)) < check("no breaker"), "{text}");
}

#[test]
fn in_a_log_without_outage_it_says_so_and_recommends_from_the_baseline() {
    let text = recommend_for("poison", &[]);
    assert!(text.contains("There is no outage in this log."), "{text}");
    assert!(
        text.contains("It trips never on this log and loses 0 good calls."),
        "{text}"
    );
    assert!(text.contains("TripPolicy::adaptive()"), "{text}");
}

#[test]
fn for_a_bad_shard_it_recommends_to_leave_it_alone() {
    let text = recommend_for("bad-shard", &[]);
    assert!(
        text.contains("No policy does clearly better than no breaker here"),
        "{text}"
    );
    assert!(
        text.contains("It trips never on this log and loses 0 good calls."),
        "{text}"
    );
}

#[test]
fn slow_calls_count_only_for_who_says_so() {
    let unasked = recommend_for_hours("2", "brown-out", &[]);
    assert!(unasked.contains("says --slower-than 200ms"), "{unasked}");
    let asked = recommend_for_hours("2", "brown-out", &["--slower-than", "200ms"]);
    assert!(
        asked.contains(".slower_than(Duration::from_millis(200))"),
        "{asked}"
    );
}

#[test]
fn lost_calls_that_weigh_more_never_make_it_lose_more() {
    let lost = |weight| {
        let text = lab(&["recommend", "samples/outage.csv", "--lost-weighs", weight]);
        row(&text, recommended(&text))[2].parse::<u64>().unwrap()
    };
    assert!(lost("20") <= lost("0.05"));
}
