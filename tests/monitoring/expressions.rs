//! The expressions of the dashboard and of the alert rules.

use std::collections::BTreeSet;

use serde_json::Value;
use tripcurve::State;

use super::{documented_metrics, text_of};

pub(crate) const DASHBOARD: &str = "docs/monitoring/grafana-dashboard.json";
pub(crate) const ALERTS: &str = "docs/monitoring/alerts.yml";

/// What an expression's variables of Grafana stand for. A longer name stands before its prefixes.
const VARIABLES: [(&str, &str); 5] = [
    ("$__rate_interval", "10s"),
    ("$__interval", "10s"),
    ("$__range", "5m"),
    ("$job", ".*"),
    ("$name", ".*"),
];

/// An expression, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expression {
    pub(crate) place: String,
    /// Without variables.
    pub(crate) text: String,
}

impl Expression {
    fn new(place: impl Into<String>, text: &str) -> Self {
        let (place, mut text) = (place.into(), text.to_owned());
        for (variable, value) in VARIABLES {
            text = text.replace(variable, value);
        }
        assert!(!text.contains('$'), "{place}: {text}");
        Self { place, text }
    }

    /// The selectors of our metrics, such as `circuit_breaker_state{state="open"}`.
    pub(crate) fn selectors(&self) -> Vec<Self> {
        let starts = self.text.match_indices("circuit_breaker");
        let selectors = starts.map(|(start, _)| {
            let rest = &self.text[start..];
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            let end = end.unwrap_or(rest.len());
            if !rest[end..].starts_with('{') {
                return &rest[..end];
            }
            let labels = rest.find('}').unwrap_or_else(|| panic!("{self:?}"));
            &rest[..=labels]
        });
        let place = format!("a selector of {}", self.place);
        selectors.map(|it| Self::new(&place, it)).collect()
    }

    /// The names of our metrics.
    fn metrics(&self) -> BTreeSet<String> {
        let selectors = self.selectors().into_iter();
        let names = selectors.map(|it| it.text.split('{').next().map(ToOwned::to_owned));
        names.flatten().collect()
    }

    /// The labels that the selectors name, each with the words that it may have.
    fn matched(&self) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        for selector in self.selectors() {
            let labels = selector.text.split_once('{').map(|(_, labels)| labels);
            for matcher in labels.into_iter().flat_map(|it| it.split(", ")) {
                let (label, rest) = matcher.split_once('=').unwrap();
                let words = rest.trim_matches(['~', '"', '}']).split('|');
                found.extend(words.map(|word| (label.to_owned(), word.to_owned())));
            }
        }
        found
    }
}

/// The expressions of the dashboard: those of its panels and those of its variables.
pub(crate) fn of_dashboard() -> Vec<Expression> {
    fn walk(value: &Value, title: &str, found: &mut Vec<Expression>) {
        let title = value.get("title").and_then(Value::as_str).unwrap_or(title);
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match (key.as_str(), value) {
                        ("expr", Value::String(text)) => found.push(Expression::new(title, text)),
                        ("definition", Value::String(text)) => found.push(of_variable(text)),
                        _ => walk(value, title, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, title, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    let dashboard: Value = serde_json::from_str(&text_of(DASHBOARD)).unwrap();
    walk(&dashboard, "", &mut found);
    assert!(found.len() > 20, "{found:?}");
    found
}

/// The selector in a variable's `label_values(selector, label)`.
fn of_variable(definition: &str) -> Expression {
    let arguments = definition.strip_prefix("label_values(");
    let arguments = arguments.and_then(|it| it.strip_suffix(')')).unwrap();
    let (selector, label) = arguments.rsplit_once(", ").unwrap();
    Expression::new(format!("the variable of {label}"), selector)
}

/// The expressions of the alert rules: `expr: …` on one line, or folded on the lines below.
pub(crate) fn of_alerts() -> Vec<Expression> {
    let text = text_of(ALERTS);
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    let mut alert = "";
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some((_, name)) = line.split_once("alert: ") {
            alert = name;
        }
        let Some((_, first)) = line.split_once(" expr: ") else {
            continue;
        };
        let mut expression = first.replace(">-", "");
        while let Some(folded) = lines.next_if(|next| indent(next) > indent(line)) {
            expression += " ";
            expression += folded.trim();
        }
        found.push(Expression::new(alert, expression.trim()));
    }
    assert_eq!(found.len(), text.matches("- alert: ").count());
    found
}

#[test]
fn each_expression_uses_only_documented_metrics() {
    let documented = documented_metrics();
    for expression in of_dashboard().into_iter().chain(of_alerts()) {
        let metrics = expression.metrics();
        assert!(!metrics.is_empty(), "{expression:?}");
        for metric in metrics {
            assert!(
                documented.contains_key(&metric),
                "{metric} in {expression:?}"
            );
        }
    }
}

#[test]
fn the_dashboard_shows_each_documented_metric() {
    let expressions = of_dashboard();
    let shown: BTreeSet<_> = expressions.iter().flat_map(Expression::metrics).collect();
    for metric in documented_metrics().keys() {
        assert!(shown.contains(metric), "{metric}");
    }
}

#[test]
fn selectors_name_labels_and_words_that_there_are() {
    let documented = text_of("src/metrics/mod.rs");
    let states = [
        State::Closed,
        State::Open,
        State::HalfOpen,
        State::ForcedOpen,
        State::Disabled,
        State::MetricsOnly,
    ];
    let states = states.map(State::as_str);
    for expression in of_dashboard().into_iter().chain(of_alerts()) {
        for (label, word) in expression.matched() {
            let is_known = match label.as_str() {
                "job" | "name" => word == ".*",
                "state" | "from" | "to" => states.contains(&word.as_str()),
                "outcome" | "policy" => documented.contains(&format!("`{word}`")),
                _ => false,
            };
            assert!(is_known, "{label} and {word} in {expression:?}");
        }
    }
}
