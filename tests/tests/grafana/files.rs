//! The files by themselves: no server is needed to see these mistakes.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tickberry_tests::grafana::{Names, dashboards, known, of_dashboard, used};
use tickberry_tests::harness::project_files;

const DATA: &str = include_str!("../../../docs/data.md");
const PIPELINE: &str = include_str!("../../../docs/grafana.md");

/// Every measurement with its fields and tags, as the documents say.
fn names() -> Names {
    let mut names = known(DATA);
    for (measurement, fields) in known(PIPELINE) {
        names.entry(measurement).or_default().extend(fields);
    }
    names
}

/// Every query in the files: dashboards and rules.
fn queries() -> Vec<(String, String)> {
    let boards = dashboards().unwrap();
    let asked = boards.iter().flat_map(|(_, board)| of_dashboard(board).unwrap());
    let mut all: Vec<(String, String)> = asked.map(|asked| (asked.name, asked.query)).collect();
    for (file, text) in rules() {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("query: '")?.strip_suffix('\''));
        all.extend(lines.map(|line| (file.clone(), line.replace("''", "'"))));
    }
    all
}

fn rules() -> Vec<(String, String)> {
    let files = std::fs::read_dir(project_files().join("provisioning/alerting")).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// Queries that name what is not there.
fn strangers(names: &Names) -> Vec<String> {
    let mut strangers = Vec::new();
    for (name, query) in queries() {
        let (measurement, used) = used(&query).unwrap();
        match names.get(&measurement) {
            None => strangers.push(format!("{name}: no measurement {measurement}")),
            Some(known) => strangers
                .extend(used.iter().filter(|field| !known.contains(*field)).map(|f| format!("{name}: {f}"))),
        }
    }
    strangers
}

#[test]
fn queries_name_what_the_documents_name() {
    assert_eq!(strangers(&names()), Vec::<String>::new());
}

#[test]
fn a_name_that_changes_is_noticed() {
    let mut fields: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, query) in queries() {
        let (measurement, names) = used(&query).unwrap();
        fields.entry(measurement).or_default().extend(names);
    }
    assert!(fields.values().map(BTreeSet::len).sum::<usize>() > 50, "{fields:?}");
    for (measurement, field) in fields.iter().flat_map(|(m, all)| all.iter().map(move |field| (m, field))) {
        let mut changed = names();
        changed.get_mut(measurement).unwrap().remove(field);
        assert!(!strangers(&changed).is_empty(), "{measurement}.{field}");
    }
}

#[test]
fn no_query_is_overlooked() {
    for (file, board) in dashboards().unwrap() {
        let mut there = BTreeSet::new();
        texts(&board, &mut |key, text| {
            if key == "query" && (text.starts_with("SELECT") || text.starts_with("SHOW")) {
                there.insert(text.to_owned());
            }
        });
        let found = of_dashboard(&board).unwrap();
        let distinct: BTreeSet<&String> = found.iter().map(|asked| &asked.query).collect();
        assert_eq!(distinct.len(), there.len(), "{file}");
    }
    let rules = rules();
    let count = |word: &str| rules.iter().map(|(_, text)| text.matches(word).count()).sum::<usize>();
    assert_eq!(count("query: '"), count("- uid: tickberry-") - count("- uid: tickberry-webhook"));
}

#[test]
fn dashboards_can_be_imported_anywhere() {
    let mut uids = BTreeSet::new();
    for (file, board) in dashboards().unwrap() {
        assert_eq!(board["schemaVersion"], 42, "{file}");
        assert!(uids.insert(board["uid"].as_str().unwrap().to_owned()), "{file}: its uid is taken");
        assert!(board.get("id").is_none_or(Value::is_null), "{file}: an id belongs to one server");
        let offered = board["timepicker"]["refresh_intervals"].as_array().unwrap();
        assert!(offered.contains(&board["refresh"]), "{file}: its refresh is not on offer");
        let first = &board["templating"]["list"][0];
        assert_eq!((&first["name"], &first["type"]), (&"datasource".into(), &"datasource".into()), "{file}");
        let mut sources = 0;
        texts(&board, &mut |key, text| {
            if key == "uid" && text != board["uid"] {
                assert_eq!(text, "${datasource}", "{file}");
                sources += 1;
            }
        });
        assert!(sources >= of_dashboard(&board).unwrap().len(), "{file}: a query without data source");
        layout(&file, board["panels"].as_array().unwrap());
    }
}

/// Since 10.3 a page finds an annotation's end by measurement and field, and its text by a part of that.
#[test]
fn annotations_show_what_they_ask_for() {
    for (file, board) in dashboards().unwrap() {
        for annotation in board["annotations"]["list"].as_array().unwrap() {
            let target = &annotation["target"];
            let (measurement, names) = used(target["query"].as_str().unwrap()).unwrap();
            let columns: Vec<String> = names.iter().map(|name| format!("{measurement}.{name}")).collect();
            let text = target["textColumn"].as_str().unwrap();
            assert!(columns.iter().any(|column| column.contains(text)), "{file}: {annotation}");
            if let Some(end) = target["timeEndColumn"].as_str() {
                assert!(columns.iter().any(|column| column == end), "{file}: {annotation}");
            }
        }
    }
}

#[test]
fn rules_have_their_own_uids_and_our_data_source() {
    let mut uids = BTreeSet::new();
    for (file, text) in rules() {
        for line in text.lines().map(str::trim) {
            if let Some(uid) = line.strip_prefix("- uid: ") {
                assert!(uids.insert(uid.to_owned()), "{file}: {uid} twice");
            }
            if let Some(source) = line.strip_prefix("datasourceUid: ") {
                assert!(["tickberry", "__expr__"].contains(&source), "{file}: {source}");
            }
        }
    }
    let source =
        std::fs::read_to_string(project_files().join("provisioning/datasources/tickberry.yaml")).unwrap();
    assert!(source.contains("\n    uid: tickberry\n"));
}

/// Panels have their own ids and places.
fn layout(file: &str, panels: &[Value]) {
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_i64().unwrap()), "{file}: {title}: its id is taken");
        let side = |name: &str| panel["gridPos"][name].as_i64().unwrap();
        assert!(side("x") + side("w") <= 24, "{file}: {title} is too wide");
        for cell in (side("x")..side("x") + side("w")).flat_map(|x| (0..side("h")).map(move |y| (x, y))) {
            assert!(taken.insert((cell.0, cell.1 + side("y"))), "{file}: {title} lies over another");
        }
    }
}

/// Every text with its key.
fn texts(value: &Value, each: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if let Some(text) = value.as_str() {
                    each(key, text);
                }
                texts(value, each);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| texts(value, each)),
        _ => {}
    }
}
