//! A point, and its line.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A double.
    Float(f64),
    /// A signed integer.
    Integer(i64),
    /// A text.
    Text(String),
}

impl Value {
    /// As a number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            Value::Text(_) => None,
        }
    }
}

/// A point of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its name.
    pub measurement: String,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
    /// Fields by key.
    pub fields: BTreeMap<String, Value>,
    /// When, ns since 1970 UTC.
    pub time_ns: i64,
}

impl Point {
    /// A point without fields.
    pub fn new(measurement: &str, tags: &[(&str, &str)], time_ns: i64) -> Point {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Point { measurement: measurement.to_owned(), tags, fields: BTreeMap::new(), time_ns }
    }

    /// With a double more.
    pub fn float(mut self, name: &str, value: f64) -> Point {
        self.fields.insert(name.to_owned(), Value::Float(value));
        self
    }

    /// With an integer more.
    pub fn integer(mut self, name: &str, value: i64) -> Point {
        self.fields.insert(name.to_owned(), Value::Integer(value));
        self
    }

    /// With a text more.
    pub fn text(mut self, name: &str, value: &str) -> Point {
        self.fields.insert(name.to_owned(), Value::Text(value.to_owned()));
        self
    }

    /// Its line. Names and tags of the tests need no escaping but for spaces and commas.
    pub fn line(&self) -> String {
        let escaped = |text: &str| text.replace(',', "\\,").replace(' ', "\\ ").replace('=', "\\=");
        let mut line = escaped(&self.measurement);
        for (key, value) in &self.tags {
            let _infallible = write!(line, ",{}={}", escaped(key), escaped(value));
        }
        for (i, (key, value)) in self.fields.iter().enumerate() {
            line.push(if i == 0 { ' ' } else { ',' });
            let _infallible = match value {
                Value::Float(number) => write!(line, "{}={number}", escaped(key)),
                Value::Integer(number) => write!(line, "{}={number}i", escaped(key)),
                Value::Text(text) => write!(line, "{}=\"{}\"", escaped(key), text.replace('"', "\\\"")),
            };
        }
        let _infallible = write!(line, " {}", self.time_ns);
        line
    }
}
