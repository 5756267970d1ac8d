//! The form of the dashboard, which no Grafana checks here.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::expressions::DASHBOARD;
use super::text_of;

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&text_of(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().clone();
    assert!(panels.len() > 15, "{panels:?}");
    panels
}

#[test]
fn each_panel_has_an_id_of_its_own_and_says_what_it_shows() {
    let mut ids = BTreeSet::new();
    for panel in panels() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty(), "{panel}");
        if panel["type"] != "row" {
            let description = panel["description"].as_str().unwrap();
            assert!(description.ends_with('.'), "{panel}");
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
        }
    }
}

#[test]
fn panels_lie_side_by_side() {
    let mut taken = BTreeSet::new();
    for panel in panels() {
        let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{panel}");
        for column in place("x")..place("x") + place("w") {
            for row in place("y")..place("y") + place("h") {
                assert!(taken.insert((column, row)), "{panel}");
            }
        }
    }
}

#[test]
fn each_query_asks_the_chosen_data_source() {
    let chosen = json!({ "type": "prometheus", "uid": "${datasource}" });
    for panel in panels() {
        let mut letters = BTreeSet::new();
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(panel["datasource"], chosen, "{panel}");
            assert_eq!(target["datasource"], chosen, "{panel}");
            assert!(letters.insert(target["refId"].as_str().unwrap()), "{panel}");
        }
    }
}
