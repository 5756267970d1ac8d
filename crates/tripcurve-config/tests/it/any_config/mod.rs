//! Random configuration files that can be read. Their values may be invalid.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// A table with some of these keys and their values.
fn some_of(
    keys: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> impl Strategy<Value = Map<String, Value>> {
    let entries: Vec<_> = keys
        .into_iter()
        .map(|(key, value)| {
            proptest::option::of(value).prop_map(move |value| Some((key.to_owned(), value?)))
        })
        .collect();
    entries.prop_map(|entries| entries.into_iter().flatten().collect())
}

fn whole() -> BoxedStrategy<Value> {
    prop_oneof![0..20_u32, any::<u32>()]
        .prop_map(Value::from)
        .boxed()
}

fn number() -> BoxedStrategy<Value> {
    prop_oneof![0.0..2.0, -1e9..1e9]
        .prop_map(Value::from)
        .boxed()
}

fn time() -> BoxedStrategy<Value> {
    let unit = select(vec!["ns", "us", "ms", "s", "m", "h", "d", "days", "y"]);
    prop_oneof![
        4 => (0..2_000_u32, unit).prop_map(|(number, unit)| format!("{number}{unit}").into()),
        1 => Just("forever".into()),
        1 => Just("1h  30min 5s".into()),
    ]
    .boxed()
}

fn word(words: &'static [&'static str]) -> BoxedStrategy<Value> {
    select(words).prop_map(Value::from).boxed()
}

/// A table with the first key, and some of the others.
fn table(
    key: &'static str,
    value: BoxedStrategy<Value>,
    others: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> BoxedStrategy<Value> {
    (value, some_of(others))
        .prop_map(move |(value, mut table)| {
            table.insert(key.to_owned(), value);
            table.into()
        })
        .boxed()
}

fn policy() -> BoxedStrategy<Value> {
    let min = || ("min_calls", whole());
    let adaptive = some_of(vec![
        ("tolerate", number()),
        ("false_trip_budget", time()),
        ("slower_than", time()),
    ]);
    prop_oneof![
        table("consecutive_failures", whole(), vec![]),
        table("failure_count", whole(), vec![]),
        table("failure_rate", number(), vec![min()]),
        table("slow_rate", number(), vec![("slower_than", time()), min()]),
        table(
            "burn_rate",
            number(),
            vec![("factor", number()), ("short", time()), min()]
        ),
        table(
            "latency_percentile",
            number(),
            vec![("above", time()), min()]
        ),
        table(
            "slower_than_usual",
            number(),
            vec![("percentile", number()), min()]
        ),
        Just("adaptive".into()),
        Just("classic".into()),
        adaptive.prop_map(|settings| json!({ "adaptive": settings })),
    ]
    .boxed()
}

fn settings() -> impl Strategy<Value = Map<String, Value>> {
    let window = prop_oneof![
        table("length", time(), vec![("buckets", whole())]),
        table("buckets", whole(), vec![]),
        table("calls", whole(), vec![("within", time())]),
    ];
    let rate = || ("max_failure_rate", number());
    let steps = (vec(0.0..1.5, 0..20), time(), some_of(vec![rate()])).prop_map(
        |(shares, each, mut table)| {
            table.insert("steps".to_owned(), shares.into());
            table.insert("each".to_owned(), each);
            Value::from(table)
        },
    );
    let recovery = prop_oneof![
        Just("adaptive".into()),
        table("probes", whole(), vec![rate()]),
        table("probes", whole(), vec![("success_threshold", whole())]),
        table("clients", whole(), vec![("half_open_limit", time())]),
        steps,
    ];
    let jitter = word(&["full", "equal", "decorrelated", "none"]);
    let more = some_of(vec![("jitter", jitter), ("healthy_after", time())]);
    let backoff =
        (time(), number(), time(), more).prop_map(|(base, factor, longest, mut table)| {
            table.insert("base".to_owned(), base);
            table.insert("factor".to_owned(), factor);
            table.insert("longest".to_owned(), longest);
            Value::from(table)
        });
    let open_time = proptest::option::of(prop_oneof![
        time().prop_map(|time| ("open_for", time)),
        backoff.prop_map(|backoff| ("backoff", backoff)),
    ]);
    let others = some_of(vec![
        ("window", window.boxed()),
        (
            "trip_when",
            vec(policy(), 1..4).prop_map(Value::from).boxed(),
        ),
        ("recovery", recovery.boxed()),
        ("probe_timeout", time()),
        ("max_retry_after", time()),
        ("on_cancel", word(&["ignored", "failure"])),
        ("enabled", any::<bool>().prop_map(Value::from).boxed()),
        ("metrics_only", any::<bool>().prop_map(Value::from).boxed()),
        ("start_in", word(&["closed", "half-open", "metrics-only"])),
        ("latency", word(&["off", "combined", "by-outcome"])),
        ("timing", word(&["sampled", "every-call"])),
        ("shards", whole()),
    ]);
    (others, open_time).prop_map(|(mut table, open_time)| {
        table.extend(open_time.map(|(key, value)| (key.to_owned(), value)));
        table
    })
}

/// A registry. Without a capacity it has no `idle_after`.
fn registry() -> impl Strategy<Value = Map<String, Value>> {
    let template = "[a-z]{1,4}".prop_map(Value::from);
    let keys = some_of(vec![
        ("template", template.boxed()),
        ("capacity", whole()),
        ("idle_after", time()),
        ("max_open_share", number()),
    ]);
    keys.prop_map(|mut table| {
        if !table.contains_key("capacity") {
            table.remove("idle_after");
        }
        table
    })
}

/// A fleet. No value looks like a duration.
fn fleet() -> impl Strategy<Value = Map<String, Value>> {
    let text = |form: &'static str| form.prop_map(Value::from).boxed();
    let join = vec("[*]{1,2}", 0..3).prop_map(Value::from);
    let optional = some_of(vec![
        ("zone", text("([a-z][a-z0-9-]{0,3})?")),
        ("classifier_word", text("[a-z]{0,4}")),
        ("join", join.boxed()),
    ]);
    let address = prop_oneof![
        ("rediss?://([a-z]{1,4}:[!-~é]{0,4}@)?[a-z]{1,8}(:6379)?(/0?)?")
            .prop_map(|it| ("address", it)),
        "unix:///[a-z]{1,4}".prop_map(|it| ("address", it)),
        "[A-Z]{1,4}".prop_map(|it| ("address_from", it)),
    ];
    (optional, address, "[a-z]{1,4}").prop_map(|(mut table, (key, address), namespace)| {
        table.insert(key.to_owned(), address.into());
        table.insert("namespace".to_owned(), namespace.into());
        table
    })
}

pub(crate) fn file() -> impl Strategy<Value = Value> {
    let names = "[a-z]{1,4}|[ -~é]{0,6}";
    let templates = btree_map(names, settings(), 0..3);
    let breakers = btree_map(names, (settings(), proptest::option::of("[a-z]")), 1..4);
    let registries = btree_map(names, registry(), 0..3);
    let fleet = proptest::option::of(fleet());
    let parts = (templates, breakers, registries, fleet);
    parts.prop_map(|(templates, breakers, registries, fleet)| {
        let known: Vec<_> = templates.keys().cloned().collect();
        let breakers: Map<_, _> = breakers
            .into_iter()
            .map(|(name, (mut settings, other))| {
                let template = known.first().cloned().or(other);
                settings.extend(template.map(|name| ("template".to_owned(), name.into())));
                (name, settings.into())
            })
            .collect();
        let mut file =
            json!({ "templates": templates, "breakers": breakers, "registries": registries });
        if let Some(fleet) = fleet {
            file["fleet"] = fleet.into();
        }
        file
    })
}
