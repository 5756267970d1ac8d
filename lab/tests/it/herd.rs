//! Many clients of one backend: the backend survives if the breakers know of each other.

use std::process::Command;

use tripcurve_lab::herd::{Figures, Kind, Return, live};

/// The figures of one life with 40 clients.
fn life(told: u32, rate: f64, back: Return) -> Figures {
    let kind = Kind {
        clients: 40,
        told,
        rate,
        back,
    };
    live(kind, 5).unwrap()
}

/// Fails when: a ramp's first share goes by one client, or its rounds are as short as one's.
#[test]
fn clients_that_are_told_of_each_other_do_not_kill_a_backend_that_comes_back_cold() {
    let alone = life(1, 12.0, Return::Cold);
    assert!(alone.kills >= 5.0 && alone.re_trips > 0.5, "{alone:?}");
    for rate in [12.0, 50.0] {
        let told = life(40, rate, Return::Cold);
        assert!(told.kills == 0.0 && told.re_trips <= 0.1, "{told:?}");
    }
}

/// Fails when: probes wait no longer for many clients.
#[test]
fn a_dead_backend_gets_a_hundredth_of_the_calls_of_clients_that_are_told_of_each_other() {
    let [alone, told] = [1, 40].map(|told| life(told, 50.0, Return::Warm));
    assert!((0.01..0.02).contains(&alone.onto_dead), "{alone:?}");
    assert!(told.onto_dead <= 0.01, "{told:?}");
    assert!(told.re_trips == 0.0 && told.kills == 0.0, "{told:?}");
    assert!(told.all_closed_after <= 20.0, "{told:?}");
}

#[test]
fn equal_seeds_give_equal_lives() {
    let [one, other] = [(); 2].map(|()| life(40, 3.0, Return::Cold));
    assert_eq!(one, other);
}

fn herd(arguments: &[&str]) -> (bool, String) {
    let lab = Command::new(env!("CARGO_BIN_EXE_tripcurve-lab"))
        .arg("herd")
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8([lab.stdout, lab.stderr].concat()).unwrap();
    (lab.status.success(), text)
}

#[test]
fn the_command_writes_a_row_for_each_rate_return_and_number() {
    let arguments = [
        "--clients",
        "3",
        "--rates",
        "5,10",
        "--told",
        "1,3",
        "--lives",
        "1",
    ];
    let (succeeded, text) = herd(&arguments);
    assert!(succeeded, "{text}");
    assert!(
        text.starts_with("3 clients, 1 lives of each kind, seed 1\n"),
        "{text}"
    );
    let rows = text
        .lines()
        .filter(|line| line.contains("cold") || line.contains("warm"));
    assert_eq!(rows.count(), 8, "{text}");
}

#[test]
fn a_number_that_makes_no_sense_is_refused() {
    for (arguments, expected) in [
        (["--clients", "0"], "--clients is 0; expected in 1..=10000"),
        (
            ["--rates", "0"],
            "--rates is 0; expected above 0, at most 10000",
        ),
        (["--told", "0"], "clients: 0 is not in 1..=1000000"),
    ] {
        let (succeeded, text) = herd(&arguments);
        assert!(!succeeded && text.contains(expected), "{text}");
    }
}
