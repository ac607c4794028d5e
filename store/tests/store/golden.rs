//! The schema is a contract: its text, and the settings other programs meet.

use rusqlite::Connection;
use tickberry_store::columns;
use tickberry_store::sqlite::schema::TABLES;

use crate::kit::{file, writer};

#[test]
fn tables_are_exactly_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    drop(writer(&file(&directory)));
    let c = Connection::open(file(&directory)).unwrap();
    let texts: Vec<String> = c
        .prepare("SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(texts.join("\n") + "\n", TABLES);
    assert_eq!(describe(&c), GOLDEN);
    let pragma = |name: &str| c.pragma_query_value(None, name, |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(pragma("user_version"), 1);
    assert_eq!(pragma("application_id"), 0x7469_636b);
    assert_eq!(pragma("auto_vacuum"), 2, "incremental");
    let mode: String = c.pragma_query_value(None, "journal_mode", |r| r.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn column_names_in_the_code_are_those_of_the_tables() {
    let directory = tempfile::tempdir().unwrap();
    drop(writer(&file(&directory)));
    let c = Connection::open(file(&directory)).unwrap();
    for (table, names) in [
        (columns::TRADES_TABLE, columns::TRADES.as_slice()),
        (columns::MINUTES_TABLE, &columns::MINUTES),
        (columns::DAYS_TABLE, &columns::DAYS),
        (columns::GAPS_TABLE, &columns::GAPS),
    ] {
        let select = c.prepare(&format!("SELECT * FROM {table}")).unwrap();
        assert_eq!(select.column_names().collect::<Vec<_>>(), names);
    }
}

/// `table: column TYPE[*] …` with `*` for the columns of the key; then strictness and rowid.
fn describe(c: &Connection) -> String {
    let mut text = String::new();
    for table in ["trades", "minute_trades", "daily_trades", "feed_gaps"] {
        let columns: Vec<String> = c
            .prepare(&format!(
                "SELECT name || ' ' || type || CASE WHEN pk > 0 THEN '*' ELSE '' END
                 FROM pragma_table_info('{table}') ORDER BY cid"
            ))
            .unwrap()
            .query_map([], |r| r.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let (without_rowid, strict): (bool, bool) = c
            .query_row("SELECT wr, strict FROM pragma_table_list WHERE name = ?1", [table], |r| {
                Ok((r.get(0)?, r.get(1)?))
            })
            .unwrap();
        assert!(without_rowid && strict, "{table}");
        text.push_str(&format!("{table}: {}\n", columns.join(", ")));
    }
    text
}

const GOLDEN: &str = "\
trades: source TEXT*, epoch INTEGER*, journal_offset INTEGER*, symbol TEXT, time_ms INTEGER, price REAL, volume REAL, conditions TEXT, received_ms INTEGER
minute_trades: source TEXT*, symbol TEXT*, start_ms INTEGER*, open REAL, high REAL, low REAL, close REAL, volume REAL, trade_count INTEGER, vwap REAL, avg_price REAL, coverage REAL, revision INTEGER, final INTEGER
daily_trades: source TEXT*, symbol TEXT*, day TEXT*, open REAL, high REAL, low REAL, close REAL, volume REAL, trade_count INTEGER
feed_gaps: source TEXT*, symbol TEXT*, start_ms INTEGER*, end_ms INTEGER*, reason TEXT*
";
