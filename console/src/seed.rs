//! What the store knows, told to the view before the bus is heard: the symbols there are, and their last
//! quarter of an hour, so that the price line is there at once after a restart.

use tickberry_store::{Query, Series, StoreError, StoreReader};
use tickberry_wire::Decimal;

use crate::view::{Event, MAX_SYMBOLS, Price};

/// How far back the price line goes.
const LINE_MS: i64 = 15 * 60_000;
/// Trades read for one symbol at most: bounds time and memory of a start.
const MOST: usize = 20_000;

/// Events for everything the store has; the symbols that traded last come first if there are too many.
pub(crate) fn read(store: &dyn StoreReader) -> Result<Vec<Event>, StoreError> {
    let mut all = store.series()?;
    all.sort_by_key(|series| std::cmp::Reverse(series.last_ms));
    all.truncate(MAX_SYMBOLS);
    all.iter().map(|series| known(store, series)).collect()
}

fn known(store: &dyn StoreReader, series: &Series) -> Result<Event, StoreError> {
    let newest = Query {
        source: Some(series.source.to_string()),
        from_ms: series.last_ms - LINE_MS,
        newest: true,
        ..Query::symbol(&*series.symbol, MOST)
    };
    let mut prices: Vec<Price> = Vec::new();
    for row in store.trades(&newest)? {
        // The digits of a double are those of the price, less zeros at the end.
        let Ok(price) = Decimal::parse(&crate::api::record::real(row.price)) else { continue };
        let time_ms = row.time_ms;
        let next = Price { symbol: series.symbol.to_string(), time_ms, price, update: row.volume == 0.0 };
        match prices.last_mut() {
            Some(last) if last.time_ms.div_euclid(1000) == time_ms.div_euclid(1000) => *last = next,
            _ => prices.push(next),
        }
    }
    Ok(Event::Known { source: series.source.to_string(), symbol: series.symbol.to_string(), prices })
}
