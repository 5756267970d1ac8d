//! What a scrape gets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Output};

/// The samples of a scrape, by name with labels.
pub(crate) struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Scrapes a server by curl.
    pub(crate) fn of(server: SocketAddr) -> Self {
        let text = run(Command::new("curl")
            .args(["--silent", "--fail"])
            .arg(format!("http://{server}/metrics")));
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| line.rsplit_once(' '));
        Self(
            samples
                .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
                .collect(),
        )
    }

    /// The sum of the samples of a metric.
    pub(crate) fn sum(&self, metric: &str) -> f64 {
        let of_metric = |series: &str| series.split('{').next() == Some(metric);
        let values = self.0.iter().filter(|(series, _)| of_metric(series));
        values.map(|(_, value)| value).sum()
    }

    /// The states of a breaker that aren't 0.
    pub(crate) fn states(&self, name: &str) -> Vec<(&str, f64)> {
        let prefix = format!("circuit_breaker_state{{name=\"{name}\",state=\"");
        let all = self.0.iter().filter_map(|(series, value)| {
            let state = series.strip_prefix(&prefix)?.strip_suffix("\"}")?;
            Some((state, *value))
        });
        all.filter(|(_, value)| *value != 0.0).collect()
    }

    #[track_caller]
    pub(crate) fn check_no_counter_fell(&self, before: &Self) {
        for (series, value) in &before.0 {
            if series.contains("_total{") {
                assert!(self.0[series] >= *value, "{series}");
            }
        }
    }
}

/// Runs a command that must succeed, and returns what it prints.
pub(crate) fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; `.ci/ecosystem monitoring` installs it")
    })
}

/// Lets promtool look at a scrape. It must succeed, and have nothing to say.
pub(crate) fn lint(server: SocketAddr) {
    let scrape = format!("curl --silent --fail http://{server}/metrics | promtool check metrics");
    let output = output(Command::new("bash").args(["-o", "pipefail", "-c", &scrape]));
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// Lets promtool look at a text that was rendered.
pub(crate) fn lint_text(text: &str) {
    use std::io::Write as _;
    use std::process::Stdio;

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
