//! From exact values to the store's rows: the last step, and the only one where numbers become floats.

use std::sync::Arc;

use tickberry_store::{DayRow, GapRow, MinuteRow, TradeRow, columns};
use tickberry_wire::{Columns, Conditions, Source};

use crate::window;

/// The names of a source and its symbols, shared by all rows.
pub(crate) struct Rows {
    source: Arc<str>,
}

impl Rows {
    pub(crate) fn new(source: &Source) -> Self {
        Self { source: source.as_str().into() }
    }

    pub(crate) fn source(&self) -> Arc<str> {
        self.source.clone()
    }

    /// The trades of a batch with offsets from `from` on; price updates are rows too.
    pub(crate) fn trades(&self, columns: &Columns, from: u64, into: &mut Vec<TradeRow>) {
        let head = columns.head();
        let received_ms = head.received_ms();
        for (journal_offset, row) in (head.first_offset..).zip(columns.rows()) {
            if journal_offset < from {
                continue;
            }
            into.push(TradeRow {
                source: self.source(),
                epoch: head.epoch.get(),
                journal_offset,
                symbol: columns.groups()[usize::from(row.group)].symbol.clone().into(),
                time_ms: row.time_ms,
                price: columns.price(row).to_f64(),
                volume: columns.volume(row).to_f64(),
                conditions: columns.conditions(row).map(json),
                received_ms,
            });
        }
    }

    pub(crate) fn minute(&self, minute: &window::Minute) -> MinuteRow {
        MinuteRow {
            source: self.source(),
            symbol: minute.symbol.clone().into(),
            start_ms: minute.start_ms,
            open: minute.open.to_f64(),
            high: minute.high.to_f64(),
            low: minute.low.to_f64(),
            close: minute.close.to_f64(),
            volume: minute.volume.to_f64(),
            trade_count: count(minute.trade_count),
            vwap: minute.vwap,
            avg_price: minute.avg_price,
            coverage: minute.coverage,
            revision: count(minute.revision),
            final_: i64::from(minute.is_final),
        }
    }

    pub(crate) fn day(&self, day: &window::Day) -> DayRow {
        DayRow {
            source: self.source(),
            symbol: day.symbol.clone().into(),
            day: tickberry_store::day_text(day.start_ms),
            open: day.open.to_f64(),
            high: day.high.to_f64(),
            low: day.low.to_f64(),
            close: day.close.to_f64(),
            volume: day.volume.to_f64(),
            trade_count: count(day.trade_count),
        }
    }

    pub(crate) fn gap(&self, gap: &window::GapRow) -> GapRow {
        GapRow {
            source: self.source(),
            symbol: gap.symbol.as_ref().map_or(columns::ALL_SYMBOLS, |s| s.as_str()).into(),
            start_ms: gap.start_ms,
            end_ms: gap.end_ms,
            reason: gap.reason.as_str().to_owned(),
        }
    }
}

/// Counts of records fit: the journal's offsets do.
fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn json(conditions: &Conditions) -> Arc<str> {
    let codes: Vec<&str> = conditions.codes().collect();
    serde_json::to_string(&codes).expect("texts serialize").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickberry_wire::{Batch, Body, Decimal, Epoch, Symbol, Trade};

    #[test]
    fn a_trades_row_is_what_was_sent() {
        let trade = |symbol: &str, volume: &str, conditions: Option<&[&str]>| Trade {
            symbol: Symbol::new(symbol).unwrap(),
            time_ms: 1_795_000_000_123,
            price: Decimal::parse("61234.50").unwrap(),
            volume: Decimal::parse(volume).unwrap(),
            conditions: conditions.map(|c| Conditions::new(c.iter().copied()).unwrap()),
        };
        let batch = Batch {
            epoch: Epoch::new(1_795_000_000, 5),
            first_offset: 40,
            committed: 0,
            elapsed_ms: 250,
            anchor_ms: None,
            body: Body::Trades(vec![
                trade("A", "1", None),
                trade("A", "5e-05", Some(&["1", "a\"b"])),
                trade("B", "0", Some(&[])),
            ]),
        };
        let mut rows = Vec::new();
        Rows::new(&Source::new("finnhub").unwrap()).trades(
            &Columns::from_batch(&batch).unwrap(),
            41,
            &mut rows,
        );
        assert_eq!(rows.len(), 2, "what the store holds already is left out");
        assert_eq!((rows[0].journal_offset, &*rows[0].symbol, rows[0].volume), (41, "A", 0.000_05));
        assert_eq!(rows[0].conditions.as_deref(), Some(r#"["1","a\"b"]"#));
        assert_eq!((rows[1].volume, rows[1].conditions.as_deref()), (0.0, Some("[]")));
        assert_eq!(rows[1].received_ms, None);
        let received = Batch { anchor_ms: Some(1_795_000_000_000), ..batch };
        rows.clear();
        Rows::new(&Source::new("finnhub").unwrap()).trades(
            &Columns::from_batch(&received).unwrap(),
            0,
            &mut rows,
        );
        assert_eq!(rows[2].received_ms, Some(1_795_000_000_250));
    }
}
