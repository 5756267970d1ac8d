//! The pictures come out, and their labels can be read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tripcurve_lab::compare;
use tripcurve_lab::labels::Area;
use tripcurve_lab::policies;
use tripcurve_lab::sweep::{self, Depth, Family};

/// A folder of its own for a test, which is removed at the test's end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("tripcurve-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the program and returns its output. It must succeed.
fn lab(arguments: &[&str], out: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tripcurve-lab"))
        .args(arguments)
        .arg("--out")
        .arg(out)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The texts of a picture that are among these names, each with its area.
fn labels(picture: &str, names: &[&str]) -> Vec<(String, Area)> {
    let number = |tag: &str, name: &str| -> Option<i32> {
        let (_, rest) = tag.split_once(&format!("{name}=\""))?;
        rest.split_once('"')?.0.parse().ok()
    };
    let label = |text: &str| {
        let (tag, rest) = text.split_once('>')?;
        let text = rest.split_once("</text>")?.0.trim().to_owned();
        let corner = (number(tag, "x")?, number(tag, "y")?);
        let area = Area::of(&text, corner);
        names.contains(&text.as_str()).then_some((text, area))
    };
    picture.split("<text ").skip(1).filter_map(label).collect()
}

/// Checks that each name stands in the picture once, and that none covers another one.
#[track_caller]
fn assert_readable(picture: &str, names: &[&str]) {
    let whole = Area {
        from: (0, 0),
        to: (960, 620),
    };
    let mut found = labels(picture, names);
    for (index, (name, area)) in found.iter().enumerate() {
        assert!(whole.contains(area), "{name} is outside at {area:?}");
        for (other, covered) in &found[..index] {
            assert!(!area.overlaps(covered), "{name} covers {other}");
        }
    }
    found.sort();
    let mut names = names.to_vec();
    names.sort_unstable();
    let found: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(found, names);
}

#[test]
fn the_names_in_the_chart_of_noise_stand_apart() {
    let folder = Folder::new("noise");
    let quick =
        "compare --quick --scenarios outage-50,healthy --rates 100 --repetitions 2 --effort 0.005";
    let quick: Vec<_> = quick.split(' ').collect();
    lab(&quick, &folder.0);
    let picture = fs::read_to_string(folder.0.join("charts/noise.svg")).unwrap();
    let names: Vec<_> = policies::all().iter().map(|one| one.name).collect();
    assert_readable(&picture, &names);
}

/// Little work: the pictures come out, but the figures mean nothing.
const LITTLE: Depth = Depth {
    quiet_lives: 1,
    quiet_calls: 2e3,
    outages: 2,
    warm_up: 500.0,
};

#[test]
fn each_sweep_has_a_picture_and_two_tables_with_all_its_policies() {
    let folder = Folder::new("sweeps");
    let all: Vec<_> = Family::ALL
        .iter()
        .map(|family| {
            let names: Vec<_> = family.policies().iter().map(ToString::to_string).collect();
            let contestants = compare::contestants(&names, None).unwrap();
            assert_eq!(contestants.len(), names.len(), "{family:?}");
            sweep::sweep(*family, &contestants, &LITTLE, 3).unwrap()
        })
        .collect();
    sweep::write(&folder.0, &all, "cargo lab sweep").unwrap();
    let page = fs::read_to_string(folder.0.join("SWEEPS.md")).unwrap();
    for family in Family::ALL {
        let file = format!("charts/sweep-{}.svg", family.name());
        assert!(page.contains(&format!("({file})")), "{file}");
        let picture = fs::read_to_string(folder.0.join(&file)).unwrap();
        assert_readable(&picture, family.policies());
        for name in family.policies() {
            assert!(page.contains(&format!("| {name} |")), "{name}");
        }
        let lines = picture.matches("<polyline").count();
        assert!(lines >= family.policies().len(), "{file}: {lines} lines");
    }
}

#[test]
fn a_sweep_is_equal_for_equal_seeds_on_any_number_of_threads() {
    let names = ["adaptive", "semian-adaptive"].map(str::to_owned);
    let contestants = compare::contestants(&names, None).unwrap();
    let run = |seed, threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let sweep = || sweep::sweep(Family::FallPartial, &contestants, &LITTLE, seed).unwrap();
        pool.build().unwrap().install(sweep)
    };
    assert_eq!(run(1, 1), run(1, 3));
    assert_ne!(run(1, 1), run(2, 1));
}

#[test]
fn an_unknown_sweep_names_the_known_ones() {
    let output = Command::new(env!("CARGO_BIN_EXE_tripcurve-lab"))
        .args(["sweep", "nonsense"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: no family is called \"nonsense\"; expected some of: runs, slow-calls, fall-total, \
         fall-partial\n"
    );
}
