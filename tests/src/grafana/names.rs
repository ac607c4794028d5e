//! Which measurements and fields there are, and which a query names.

use crate::influxql::{Condition, Expression, Query, parse};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// Fields and tags by measurement.
pub type Names = BTreeMap<String, BTreeSet<String>>;

/// The measurements of docs/data.md and docs/grafana.md: rows of their tables that begin with a measurement in code style.
pub fn known(document: &str) -> Names {
    let mut names = Names::new();
    for line in document.lines() {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).split('|').map(str::trim).collect();
        let Some(name) = cells[0].strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) else { continue };
        let word = |text: &&str| {
            let letters = |c: char| c.is_ascii_lowercase() || c == '_' || c == '2';
            !text.is_empty() && text.chars().all(letters)
        };
        let plain =
            |text: &str| text.trim().split(' ').next().unwrap_or_default().trim_matches('`').to_owned();
        let words = cells[1..].iter().flat_map(|cell| cell.split(',')).map(plain);
        let words: BTreeSet<String> = words.filter(|text| word(&text.as_str())).collect();
        if word(&name) {
            names.entry(name.to_owned()).or_default().extend(words);
        }
    }
    names
}

/// The measurement a query names, with its fields and tags.
pub fn used(query: &str) -> Result<(String, BTreeSet<String>)> {
    let mut names = BTreeSet::new();
    let measurement = match parse(query)? {
        Query::Select(select) => {
            select.items.iter().for_each(|(item, _)| of_expression(item, &mut names));
            select.condition.iter().for_each(|condition| of_condition(condition, &mut names));
            names.extend(select.by_tags);
            select.measurement
        }
        Query::TagValues { measurement, key, condition } => {
            condition.iter().for_each(|condition| of_condition(condition, &mut names));
            names.insert(key);
            measurement
        }
    };
    Ok((measurement, names))
}

fn of_expression(expression: &Expression, names: &mut BTreeSet<String>) {
    match expression {
        Expression::Name(name) => {
            names.insert(name.clone());
        }
        Expression::Call(_, arguments) => arguments.iter().for_each(|inner| of_expression(inner, names)),
        Expression::Binary(left, _, right) => {
            of_expression(left, names);
            of_expression(right, names);
        }
        Expression::Number(_) | Expression::Duration(_) => {}
    }
}

fn of_condition(condition: &Condition, names: &mut BTreeSet<String>) {
    match condition {
        Condition::TimeFilter | Condition::Since(_) => {}
        Condition::Is(name, _) | Condition::Compare(name, ..) => {
            names.insert(name.clone());
        }
        Condition::And(left, right) | Condition::Or(left, right) => {
            of_condition(left, names);
            of_condition(right, names);
        }
    }
}
