//! Line protocol. What cannot be written as it is: a backslash in a tag (before a separator it would escape that) and
//! control characters (a line break would begin another point). Both are percent-encoded in tags, and so is the percent
//! sign, so that no two symbols become one series and the reader gets back what was written.

use std::fmt::Write as _;

use super::slot::Nanos;

/// Lines, and where each ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    text: String,
    ends: Vec<usize>,
}

/// A value of a field. The types are fixed in `fields`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Float(f64),
    Integer(i64),
    Text(&'a str),
}

impl Lines {
    /// Adds a point. Tags without a value and numbers that are none are left out; a point without a field is no point.
    pub(super) fn push(
        &mut self,
        measurement: &str,
        tags: &[(&str, &str)],
        fields: &[(&str, Option<Value<'_>>)],
        time: Nanos,
    ) {
        let begin = self.text.len();
        escaped(&mut self.text, measurement, &[',', ' ']);
        for (key, value) in tags.iter().filter(|(_, value)| !value.is_empty()) {
            self.text.push(',');
            escaped(&mut self.text, key, &[',', '=', ' ']);
            self.text.push('=');
            escaped(&mut self.text, &tag_value(value), &[',', '=', ' ']);
        }
        let mut separator = ' ';
        for (key, value) in fields {
            let Some(value) = value.filter(|value| !matches!(value, Value::Float(f) if !f.is_finite()))
            else {
                continue;
            };
            self.text.push(separator);
            separator = ',';
            escaped(&mut self.text, key, &[',', '=', ' ']);
            self.text.push('=');
            self.value(value);
        }
        if separator == ' ' {
            self.text.truncate(begin);
            return;
        }
        // Writing to a text cannot fail.
        writeln!(self.text, " {}", time.0).ok();
        self.ends.push(self.text.len());
    }

    fn value(&mut self, value: Value<'_>) {
        match value {
            Value::Float(float) => write!(self.text, "{float}").ok(),
            Value::Integer(integer) => write!(self.text, "{integer}i").ok(),
            Value::Text(text) => {
                self.text.push('"');
                for c in text.chars() {
                    match c {
                        '"' | '\\' => self.text.extend(['\\', c]),
                        '\n' | '\r' => self.text.push(' '),
                        _ => self.text.push(c),
                    }
                }
                self.text.push('"');
                None
            }
        };
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text of some of them.
    pub(super) fn text(&self, lines: std::ops::Range<usize>) -> &str {
        let end = |line: usize| line.checked_sub(1).and_then(|i| self.ends.get(i)).copied().unwrap_or(0);
        self.text.get(end(lines.start)..end(lines.end)).unwrap_or_default()
    }
}

fn escaped(into: &mut String, text: &str, special: &[char]) {
    for c in text.chars() {
        if special.contains(&c) {
            into.push('\\');
        }
        into.push(c);
    }
}

/// What a tag says for a text; see the module.
pub(super) fn tag_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '%' || c == '\\' || c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                write!(out, "%{byte:02X}").ok();
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// The text a tag was written for. What was not written here stays as it is.
pub(super) fn tag_text(value: &str) -> String {
    let (mut out, mut rest) = (Vec::with_capacity(value.len()), value.as_bytes());
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| value.to_owned())
}

#[cfg(test)]
mod tests {
    use influxdb_line_protocol::{FieldValue, parse_lines};
    use proptest::prelude::*;

    use super::*;

    fn one(symbol: &str, text: &str, float: f64, integer: i64) -> Lines {
        let mut lines = Lines::default();
        let fields = [
            ("price", Some(Value::Float(float))),
            ("journal_offset", Some(Value::Integer(integer))),
            ("conditions", Some(Value::Text(text))),
            ("received_ms", None),
        ];
        lines.push("trades", &[("source", "finnhub"), ("symbol", symbol)], &fields, Nanos(-5));
        lines
    }

    #[test]
    fn a_line_as_it_goes_out() {
        let lines = one("BINANCE:BTC USDT,a=b", r#"["1","a\"b"]"#, 5e-5, 7);
        let expected = concat!(
            r#"trades,source=finnhub,symbol=BINANCE:BTC\ USDT\,a\=b price=0.00005,journal_offset=7i,"#,
            r#"conditions="[\"1\",\"a\\\"b\"]" -5"#,
            "\n"
        );
        assert_eq!(lines.text(0..1), expected);
    }

    #[test]
    fn numbers_that_are_none_and_tags_without_value_are_left_out() {
        let mut lines = Lines::default();
        let nan = Some(Value::Float(f64::NAN));
        lines.push("m", &[], &[("a", nan)], Nanos(1));
        assert_eq!(lines.len(), 0, "a point without a field is no point");
        lines.push(
            "m",
            &[("t", "")],
            &[("a", nan), ("b", Some(Value::Float(f64::INFINITY))), ("c", Some(Value::Float(-0.0)))],
            Nanos(1),
        );
        lines.push("m", &[], &[("d", Some(Value::Integer(i64::MIN)))], Nanos(2));
        assert_eq!(lines.text(0..2), "m c=-0 1\nm d=-9223372036854775808i 2\n");
        assert_eq!(lines.text(1..2), "m d=-9223372036854775808i 2\n");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            symbol in "\\PC{1,20}|[\\x00-\\x7f]{1,20}|[,= \\\\%\"\\n\\r\\t]{1,9}",
            text in "[^\\r\\n]{0,30}",
            float in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO,
            integer: i64,
        ) {
            let lines = one(&symbol, &text, float, integer);
            let mut parsed = parse_lines(lines.text(0..1));
            let line = parsed.next().unwrap().unwrap();
            prop_assert!(parsed.next().is_none(), "one point, one line");
            prop_assert_eq!(line.series.measurement.as_str(), "trades");
            let tags = line.series.tag_set.as_ref().unwrap();
            prop_assert_eq!(tags.len(), 2);
            prop_assert_eq!(tag_text(tags[1].1.as_str()), symbol);
            prop_assert_eq!(line.timestamp, Some(-5));
            let (float_read, integer_read) = (&line.field_set[0].1, &line.field_set[1].1);
            prop_assert!(matches!(float_read, FieldValue::F64(f) if f.to_bits() == float.to_bits()));
            prop_assert!(matches!(integer_read, FieldValue::I64(i) if *i == integer));
            prop_assert!(matches!(&line.field_set[2].1, FieldValue::String(s) if s.as_str() == text));
        }

        #[test]
        fn no_two_symbols_become_one(one in "[%\\\\0-9A-F\\n]{1,8}", other in "[%\\\\0-9A-F\\n]{1,8}") {
            prop_assert_eq!(one == other, tag_value(&one) == tag_value(&other));
        }
    }
}
