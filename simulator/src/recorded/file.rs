//! Reading a recording: comma-separated lines, the first one names the columns, possibly gzipped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::{MAX_TRADES, RecordingError, finnhub_symbol};
use crate::trade::{Conditions, Trade, plain_number};

/// All trades of the file, in its order.
pub fn load(file: &Path) -> Result<Vec<Trade>, RecordingError> {
    let unreadable = |error| RecordingError::Unreadable { file: file.to_owned(), error };
    let raw = BufReader::new(File::open(file).map_err(unreadable)?);
    let plain: Box<dyn Read> = match file.extension() {
        Some(ext) if ext == "gz" => Box::new(MultiGzDecoder::new(raw)),
        _ => Box::new(raw),
    };
    let mut lines = BufReader::new(plain).lines();
    let header = lines.next().transpose().map_err(unreadable)?.unwrap_or_default();
    let column = |column: &'static str| {
        let found = header.trim_end().split(',').position(|name| name == column);
        found.ok_or(RecordingError::Column { file: file.to_owned(), column })
    };
    let columns = [column("trade_ms")?, column("symbol")?, column("price")?, column("qty")?];
    let mut symbols = BTreeMap::new();
    let mut trades = Vec::new();
    for (index, line) in lines.enumerate() {
        let line = line.map_err(unreadable)?;
        if line.trim_end().is_empty() {
            continue;
        }
        if trades.len() == MAX_TRADES {
            return Err(RecordingError::TooLong);
        }
        trades.push(trade(&line, columns, &mut symbols).map_err(|(column, value)| {
            RecordingError::Value {
                file: file.to_owned(),
                line: index + 2,
                column,
                value: value.chars().take(40).collect(),
            }
        })?);
    }
    Ok(trades)
}

/// The trade of a line, or the column that is wrong and what stands there.
fn trade<'a>(
    line: &'a str,
    [time, symbol, price, volume]: [usize; 4],
    symbols: &mut BTreeMap<String, Arc<str>>,
) -> Result<Trade, (&'static str, &'a str)> {
    let fields: Vec<&str> = line.trim_end().split(',').collect();
    let field = |index: usize| fields.get(index).copied().unwrap_or("");
    let name = field(symbol);
    if name.is_empty() {
        return Err(("symbol", name));
    }
    if !symbols.contains_key(name) {
        symbols.insert(name.to_owned(), finnhub_symbol(name));
    }
    Ok(Trade {
        symbol: symbols[name].clone(),
        time_ms: field(time).parse().map_err(|_| ("trade_ms", field(time)))?,
        price: plain_number(field(price)).ok_or(("price", field(price)))?,
        volume: plain_number(field(volume)).ok_or(("qty", field(volume)))?,
        conditions: Conditions::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const HEADER: &str = "recv_ns,event_ms,trade_ms,symbol,price,qty,trade_id,buyer_maker,x\n";

    fn file(content: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    #[test]
    fn lines_become_trades() {
        let file =
            file(&format!("{HEADER}1,2,1723161255342,BTCUSDT,61837.63000000,0.02000000,3735683259,1,\n\n"));
        let trades = load(file.path()).unwrap();
        assert_eq!(trades.len(), 1);
        assert_eq!((&*trades[0].symbol, trades[0].time_ms), ("BINANCE:BTCUSDT", 1723161255342));
        assert_eq!((&*trades[0].price, &*trades[0].volume), ("61837.63", "0.02"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (content, says) in [
            ("".to_owned(), "no column \"trade_ms\""),
            ("trade_ms,symbol,price\n".to_owned(), "no column \"qty\""),
            (format!("{HEADER}1,2,x,BTCUSDT,1,1,1,1,\n"), "line 2: trade_ms \"x\""),
            (format!("{HEADER}1,2,3,BTCUSDT,1,1,1,1,\n1,2,3,BTCUSDT,1e5,1,1,1,\n"), "line 3: price \"1e5\""),
            (format!("{HEADER}1,2,3,BTCUSDT,1\n"), "line 2: qty \"\""),
            (format!("{HEADER}1,2,3,,1,1\n"), "line 2: symbol"),
        ] {
            let error = load(file(&content).path()).unwrap_err().to_string();
            assert!(error.contains(says), "{error:?} lacks {says:?}");
        }
        let error = load(Path::new("/nowhere/x.csv.gz")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/x.csv.gz") && error.contains("No such file"), "{error}");
    }
}
