//! InfluxQL: how questions are put, and how answers are read. Integers come as integers and doubles in their shortest
//! form, so both are exact.

use std::time::Duration;

use serde_json::Value;

use super::answer::{Answer, message, trouble};
use super::link::{Ask, Link, READING};
use crate::StoreError;

/// A text in a question.
pub(super) fn text(value: &str) -> String {
    let mut out = String::from("'");
    for c in value.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// A name in a question.
pub(super) fn name(value: &str) -> String {
    format!("\"{value}\"")
}

/// A row of an answer: values by the place of their column.
pub(super) struct Row<'a>(&'a [Value]);

impl Row<'_> {
    pub(super) fn integer(&self, column: usize) -> Option<i64> {
        self.0.get(column)?.as_i64()
    }

    /// Stored from a u64 that fits.
    pub(super) fn unsigned(&self, column: usize) -> Option<u64> {
        u64::try_from(self.integer(column)?).ok()
    }

    pub(super) fn float(&self, column: usize) -> Option<f64> {
        self.0.get(column)?.as_f64()
    }

    pub(super) fn text(&self, column: usize) -> Option<&str> {
        self.0.get(column)?.as_str()
    }
}

/// Asks a bucket; gives the rows of each statement's series to `take`, which says whether it understood: its columns
/// are those asked for, in that order, after the time.
pub(super) fn ask(
    link: &Link,
    bucket: &str,
    question: &str,
    take: impl FnMut(usize, &Row<'_>) -> Option<()>,
) -> Result<(), StoreError> {
    ask_within(READING, link, bucket, question, take)
}

/// The same; how long it may take.
pub(super) fn ask_within(
    patience: Duration,
    link: &Link,
    bucket: &str,
    question: &str,
    mut take: impl FnMut(usize, &Row<'_>) -> Option<()>,
) -> Result<(), StoreError> {
    let form = [("db", bucket), ("epoch", "ns"), ("q", question)];
    let answer = link.ask("/query", &Ask::Form(&form, patience))?;
    read(link.url(), bucket, &answer, &mut take)
}

fn read(
    url: &str,
    bucket: &str,
    answer: &Answer,
    take: &mut dyn FnMut(usize, &Row<'_>) -> Option<()>,
) -> Result<(), StoreError> {
    if answer.status != 200 {
        return Err(trouble(url, bucket, answer.status, &answer.text));
    }
    let away = |detail: String| StoreError::Away { url: url.to_owned(), detail };
    let json: Value = serde_json::from_str(&answer.text).map_err(|error| away(format!("/query: {error}")))?;
    let none = Vec::new();
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    for (statement, result) in
        json.get("results").and_then(Value::as_array).unwrap_or(&none).iter().enumerate()
    {
        if let Some(error) = result.get("error") {
            let words = message(error.as_str().unwrap_or_default());
            // A server that has never been written to does not know the bucket as a database.
            if words.contains("database not found") {
                return Err(trouble(url, bucket, 404, &words));
            }
            return Err(away(format!("/query: {words}")));
        }
        for series in result.get("series").and_then(Value::as_array).unwrap_or(&none) {
            for row in series.get("values").and_then(Value::as_array).unwrap_or(&none) {
                let row = row.as_array().unwrap_or(&none);
                take(statement, &Row(row)).ok_or_else(|| {
                    let columns = list(series.get("columns"));
                    away(format!("/query: a row that is none of ours: {columns:?} {row:?}"))
                })?;
            }
            if series.get("partial").and_then(Value::as_bool) == Some(true) {
                return Err(away("/query: the answer is cut short by the server's limits".into()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<(i64, f64, String)>, StoreError> {
        let mut found = Vec::new();
        let answer = Answer { status: 200, text: text.into(), date_ms: None };
        read("http://h:1", "b", &answer, &mut |_, row| {
            found.push((row.integer(0)?, row.float(1)?, row.text(2)?.to_owned()));
            Some(())
        })?;
        Ok(found)
    }

    #[test]
    fn numbers_come_back_exactly() {
        let text = r#"{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","f","s"],"values":[
            [9007199254740993,0.1,"a"],[-9223372036854775806,9007199254740992,""],[1,1.7976931348623157e+308,""],[2,5e-324,""]]}]}]}"#;
        let found = rows(text).unwrap();
        assert_eq!(found[0], (9_007_199_254_740_993, 0.1, "a".into()));
        assert_eq!((found[1].0, found[1].1), (-9_223_372_036_854_775_806, 9_007_199_254_740_992.0));
        assert_eq!((found[2].1, found[3].1), (f64::MAX, 5e-324));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(rows(r#"{"results":[{"statement_id":0}]}"#).unwrap().is_empty());
        for (text, words) in [
            (r#"{"results":[{"error":"parse error"}]}"#, "parse error"),
            (r#"{"results":[{"series":[{"values":[[1,"x",2]]}]}]}"#, "none of ours"),
            (r#"{"results":[{"series":[{"values":[],"partial":true}]}]}"#, "cut short"),
            ("<html>", "/query"),
        ] {
            assert!(rows(text).unwrap_err().to_string().contains(words), "{text}");
        }
    }

    #[test]
    fn texts_are_quoted() {
        assert_eq!(text(r"it's a\b"), r"'it\'s a\\b'");
        assert_eq!(name("final"), "\"final\"");
    }
}
