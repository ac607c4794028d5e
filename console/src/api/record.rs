//! Rows as JSON and CSV, from one description of their cells, so that the two cannot drift apart.
//!
//! A number is written as the shortest text that reads back as the same double, in plain digits and
//! never with an exponent: what a page shows and what the database holds can be compared as text.

use std::fmt::Write;

use tickberry_store::{GapRow, MinuteRow, TradeRow, columns};

/// One value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    /// A string.
    Text(&'a str),
    /// A JSON value kept as its text (`conditions`).
    Json(&'a str),
    /// A whole number.
    Whole(i64),
    /// A whole number that is never negative.
    Count(u64),
    /// A double.
    Real(f64),
    /// SQL's NULL: `null` in JSON, nothing in CSV.
    Null,
}

/// A row of the read API: a row of a store, cell by cell.
pub(crate) trait Record {
    /// Its columns, as the tables name them.
    const COLUMNS: &'static [&'static str];
    /// Its values, in the order of the columns.
    fn cells(&self) -> Vec<Cell<'_>>;
    /// The time it is found by.
    fn time_ms(&self) -> i64;
}

impl Record for MinuteRow {
    const COLUMNS: &'static [&'static str] = &columns::MINUTES;
    fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            Cell::Text(&self.source),
            Cell::Text(&self.symbol),
            Cell::Whole(self.start_ms),
            Cell::Real(self.open),
            Cell::Real(self.high),
            Cell::Real(self.low),
            Cell::Real(self.close),
            Cell::Real(self.volume),
            Cell::Whole(self.trade_count),
            Cell::Real(self.vwap),
            Cell::Real(self.avg_price),
            Cell::Real(self.coverage),
            Cell::Whole(self.revision),
            Cell::Whole(self.final_),
        ]
    }
    fn time_ms(&self) -> i64 {
        self.start_ms
    }
}

impl Record for TradeRow {
    const COLUMNS: &'static [&'static str] = &columns::TRADES;
    fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            Cell::Text(&self.source),
            Cell::Count(self.epoch),
            Cell::Count(self.journal_offset),
            Cell::Text(&self.symbol),
            Cell::Whole(self.time_ms),
            Cell::Real(self.price),
            Cell::Real(self.volume),
            self.conditions.as_deref().map_or(Cell::Null, Cell::Json),
            self.received_ms.map_or(Cell::Null, Cell::Whole),
        ]
    }
    fn time_ms(&self) -> i64 {
        self.time_ms
    }
}

impl Record for GapRow {
    const COLUMNS: &'static [&'static str] = &columns::GAPS;
    fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            Cell::Text(&self.source),
            Cell::Text(&self.symbol),
            Cell::Whole(self.start_ms),
            Cell::Whole(self.end_ms),
            Cell::Text(&self.reason),
        ]
    }
    fn time_ms(&self) -> i64 {
        self.start_ms
    }
}

/// The shortest plain digits of a double.
pub(crate) fn real(value: f64) -> String {
    // -0.0 is printed with its sign by Rust, and no store tells it from 0.
    if value == 0.0 { "0".into() } else { format!("{value}") }
}

/// How rows become a text: JSON as an array with a row a line (so that `head` and `diff` are useful), CSV as
/// in RFC 4180 with a header line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv,
}

impl Format {
    /// What comes before the rows.
    pub(crate) fn head<R: Record>(self) -> String {
        match self {
            Format::Json => "[".into(),
            Format::Csv => R::COLUMNS.join(",") + "\r\n",
        }
    }

    /// Rows; `first` when nothing came before them.
    pub(crate) fn rows<R: Record>(self, rows: &[R], first: bool) -> String {
        match self {
            Format::Json => json(rows, first),
            Format::Csv => csv(rows),
        }
    }

    /// What comes after the rows.
    pub(crate) fn tail(self) -> &'static str {
        match self {
            Format::Json => "]\n",
            Format::Csv => "",
        }
    }

    /// For the header of the answer.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

fn json<R: Record>(rows: &[R], first: bool) -> String {
    let mut out = String::with_capacity(rows.len() * 200);
    for (index, row) in rows.iter().enumerate() {
        out.push_str(if first && index == 0 { "\n" } else { ",\n" });
        for (column, (name, cell)) in R::COLUMNS.iter().zip(row.cells()).enumerate() {
            out.push(if column == 0 { '{' } else { ',' });
            quote(&mut out, name);
            out.push(':');
            match cell {
                Cell::Text(text) => quote(&mut out, text),
                Cell::Json(text) => out.push_str(text),
                Cell::Whole(number) => push(&mut out, number),
                Cell::Count(number) => push(&mut out, number),
                Cell::Real(number) if number.is_finite() => out.push_str(&real(number)),
                Cell::Real(_) | Cell::Null => out.push_str("null"),
            }
        }
        out.push('}');
    }
    out
}

/// Lines end with CRLF, as RFC 4180 asks.
fn csv<R: Record>(rows: &[R]) -> String {
    let mut out = String::with_capacity(rows.len() * 120);
    for row in rows {
        for (column, cell) in row.cells().into_iter().enumerate() {
            if column > 0 {
                out.push(',');
            }
            match cell {
                Cell::Text(text) | Cell::Json(text) => field(&mut out, text),
                Cell::Whole(number) => push(&mut out, number),
                Cell::Count(number) => push(&mut out, number),
                Cell::Real(number) if number.is_finite() => out.push_str(&real(number)),
                Cell::Real(_) | Cell::Null => {}
            }
        }
        out.push_str("\r\n");
    }
    out
}

fn push(out: &mut String, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("writing to a String does not fail");
}

fn quote(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("a str is always valid JSON"));
}

fn field(out: &mut String, text: &str) {
    if text.contains([',', '"', '\r', '\n']) || text.starts_with(' ') || text.ends_with(' ') {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row(&'static str, Option<&'static str>, i64, f64);

    impl Record for Row {
        const COLUMNS: &'static [&'static str] = &["symbol", "conditions", "time_ms", "price"];
        fn cells(&self) -> Vec<Cell<'_>> {
            vec![
                Cell::Text(self.0),
                self.1.map_or(Cell::Null, Cell::Json),
                Cell::Whole(self.2),
                Cell::Real(self.3),
            ]
        }
        fn time_ms(&self) -> i64 {
            self.2
        }
    }

    fn whole(format: Format, rows: &[Row]) -> String {
        format.head::<Row>() + &format.rows(rows, true) + format.tail()
    }

    #[test]
    fn csv_is_escaped_as_rfc_4180_asks() {
        let rows = [
            Row("AAPL", None, 1, 0.1 + 0.2),
            Row("A,B", Some(r#"["1","12"]"#), -2, 5e-5),
            Row("say \"hi\"\nthere", Some("[]"), 3, 55107.0),
        ];
        assert_eq!(
            whole(Format::Csv, &rows),
            "symbol,conditions,time_ms,price\r\n\
             AAPL,,1,0.30000000000000004\r\n\
             \"A,B\",\"[\"\"1\"\",\"\"12\"\"]\",-2,0.00005\r\n\
             \"say \"\"hi\"\"\nthere\",[],3,55107\r\n"
        );
        assert_eq!(whole(Format::Csv, &[]), "symbol,conditions,time_ms,price\r\n");
    }

    #[test]
    fn json_keeps_plain_digits() {
        let rows = [Row("A\"B", Some(r#"["1"]"#), 1, 1e21), Row("é", None, 2, f64::NAN)];
        assert_eq!(
            whole(Format::Json, &rows),
            "[\n{\"symbol\":\"A\\\"B\",\"conditions\":[\"1\"],\"time_ms\":1,\"price\":1000000000000000000000},\n\
             {\"symbol\":\"é\",\"conditions\":null,\"time_ms\":2,\"price\":null}]\n"
        );
        assert_eq!(whole(Format::Json, &[]), "[]\n");
        assert_eq!(real(-0.0), "0");
    }
}
