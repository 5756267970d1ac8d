//! Which test comes through which switches.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::Failure;
use crate::parallel;
use crate::tests::Test;

/// A test that takes longer than this in seconds of CPU time is left out.
const LONGEST: Duration = Duration::from_secs(20);

/// Runs each test without a change. Those that pass come back, with what they took and reached.
pub(crate) fn measured(
    tests: Vec<Test>,
    switches: u32,
    folder: &Path,
    jobs: usize,
) -> Result<Vec<Test>, Failure> {
    let count = tests.len();
    let measured = parallel::map(tests, jobs, |index, mut test| {
        let file = folder.join(format!("reached-{index}"));
        let zeros = vec![0; switches as usize + 1];
        fs::write(&file, zeros).map_err(|error| format!("{}: {error}", file.display()))?;
        let run = test.run_unchanged(LONGEST, &file);
        let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let _ = fs::remove_file(&file);
        test.cpu = run.cpu;
        test.wall = run.wall;
        test.reached = (0..)
            .zip(bytes)
            .filter(|(_, byte)| *byte != 0)
            .map(|(first, _)| first)
            .collect();
        let is_usable = run.passed && run.ended;
        if !is_usable {
            eprintln!(
                "left out, since it fails or takes long unchanged: {}",
                test.name
            );
        }
        Ok::<_, Failure>((is_usable, test))
    });
    let measured = measured.into_iter().collect::<Result<Vec<_>, _>>()?;
    let usable: Vec<_> = measured
        .into_iter()
        .filter(|(is_usable, _)| *is_usable)
        .map(|(_, test)| test)
        .collect();
    eprintln!("{} of {count} tests are usable", usable.len());
    Ok(usable)
}
