//! What is sent, in which order, and what each answer leads to.

use tickberry_store::{ErrorKind, GapRow, LeftOut, StoreWriter, WriteBatch};

use crate::fake::Fake;
use crate::kit::{batch, config, now_ms, trade, writer};

#[test]
fn rows_come_before_the_cursor_and_its_state_is_not_written_again_at_once() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut writer = writer(&fake, &folder);
    assert_eq!(writer.name(), "influxdb");
    assert_eq!(writer.settle().as_secs(), 2);
    assert!(writer.cursors().unwrap().is_empty());
    let gap = GapRow {
        source: "finnhub".into(),
        symbol: "*".into(),
        start_ms: 0,
        end_ms: now_ms(),
        reason: "start".into(),
    };
    let first = WriteBatch { gaps: vec![gap], ..batch(0, 1_500) };
    assert_eq!(writer.write(&first).unwrap().left_out, LeftOut::default());
    let sent: Vec<(String, usize, bool)> = fake
        .world()
        .writes
        .drain(..)
        .map(|(bucket, lines)| (bucket, lines.lines().count(), lines.starts_with("tickberry_cursor")))
        .collect();
    // The gap, the witness of this process, what it began with, the cursor.
    let expected = [
        ("trades", 1000, false),
        ("trades", 500, false),
        ("minutes", 1, false),
        ("trades", 1, false),
        ("minutes", 1, false),
        ("minutes", 1, true),
    ];
    assert_eq!(sent, expected.map(|(bucket, lines, cursor)| (bucket.to_owned(), lines, cursor)));
    assert_eq!(writer.cursors().unwrap(), [first.cursor]);
    writer.write(&batch(1_500, 1_510)).unwrap();
    writer.write(&batch(1_510, 1_520)).unwrap();
    let last = fake.world().writes.last().unwrap().1.clone();
    assert!(!last.contains("state=") && last.contains("reached=1520i"), "{last}");
    assert_eq!(writer.cursors().unwrap()[0].stored, 1_510, "whole again after the store was asked");
    // Nothing to write, nothing written.
    let before = fake.world().writes.len();
    writer.write(&batch(1_520, 1_520)).unwrap();
    writer.write(&batch(1_520, 1_520)).unwrap();
    assert!(fake.world().writes.len() <= before + 1);
}

#[test]
fn what_a_bucket_no_longer_keeps_is_not_sent_by_the_servers_clock() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut writer = writer(&fake, &folder);
    let week = 7 * 86_400_000;
    let trades = vec![
        trade(0, now_ms() - week - 3_600_000),
        trade(1, now_ms() - week + 3_600_000),
        trade(2, i64::MAX),
    ];
    let mixed = WriteBatch { trades, ..batch(3, 3) };
    assert_eq!(writer.write(&mixed).unwrap().left_out, LeftOut { expired: 1, refused: 1 });
    let aside = std::fs::read_to_string(folder.path().join("refused.lp")).unwrap();
    assert!(aside.starts_with("# no time InfluxDB has") && aside.contains("journal_offset=2i"), "{aside}");
    let sent = fake.world().writes[0].clone();
    assert!(
        sent.0 == "trades" && sent.1.lines().count() == 1 && sent.1.contains("journal_offset=1i"),
        "{sent:?}"
    );
    // This host's clock is not asked: a server of a year ago still keeps them.
    fake.world().date = Some("Sat, 29 Nov 2025 03:17:40 GMT".into());
    assert_eq!(writer.write(&mixed).unwrap().left_out, LeftOut { expired: 0, refused: 1 });
    // The server has the last word: what it drops is counted, and no failure.
    let said = "failure writing points to database: partial write: dropped 2 points outside retention policy of duration 1h dropped=2";
    fake.world().answers.push_back((422, format!("{{\"message\":\"{said}\"}}")));
    assert_eq!(writer.write(&mixed).unwrap().left_out, LeftOut { expired: 2, refused: 1 });
}

#[test]
fn a_line_that_is_refused_is_found_and_the_stream_goes_on() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut writer = writer(&fake, &folder);
    fake.world().refuses = Some("journal_offset=617i".into());
    assert_eq!(writer.write(&batch(0, 1_000)).unwrap().left_out, LeftOut { expired: 0, refused: 1 });
    let aside = std::fs::read_to_string(folder.path().join("refused.lp")).unwrap();
    assert!(aside.starts_with("# 400: unable to parse\ntrades,") && aside.lines().count() == 2, "{aside}");
    assert_eq!(writer.cursors().unwrap()[0].stored, 1_000);
}

#[test]
fn answers_that_are_no_matter_of_the_lines_fail_the_batch_and_leave_the_cursor() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    for (status, kind) in [
        (429, ErrorKind::Away),
        (500, ErrorKind::Away),
        (503, ErrorKind::Away),
        (200, ErrorKind::Away),
        (401, ErrorKind::Refused),
        (404, ErrorKind::Refused),
    ] {
        let mut writer = writer(&fake, &folder);
        fake.world().answers.push_back((status, String::new()));
        let error = writer.write(&batch(0, 5)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.is_transient() && fake.world().cursor.is_empty());
    }
    assert_eq!(writer(&fake, &folder).write(&batch(0, 5)).unwrap().left_out, LeftOut::default());
}

#[test]
fn another_process_fails_the_batch_before_anything_is_written() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut writer = writer(&fake, &folder);
    writer.write(&batch(0, 5)).unwrap();
    let before = fake.world().writes.len();
    fake.world().started = "2026-11-29T03:17:40.264475116Z".into();
    for _ in 0..2 {
        let error = writer.write(&batch(5, 9)).unwrap_err();
        assert!(error.to_string().contains("started anew at 2026-11-29T03:17:40.264475116Z"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Away);
    }
    assert!(writer.cursors().is_err(), "neither is its cursor read as if nothing had happened");
    assert_eq!(fake.world().writes.len(), before);
    crate::kit::writer(&fake, &folder).write(&batch(5, 9)).unwrap();
}

#[test]
fn who_is_behind_writes_only_trades_and_a_backup_is_noticed() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let (mut ahead, mut behind) = (writer(&fake, &folder), writer(&fake, &folder));
    behind.write(&batch(0, 5)).unwrap();
    let backup = fake.world().cursor.clone();
    assert!(ahead.cursors().unwrap()[0].stored == 5);
    ahead.write(&batch(5, 100)).unwrap();
    let before = fake.world().writes.len();
    behind.write(&batch(5, 50)).unwrap();
    let lines = |write: &str| {
        write.lines().map(|line| line.split(',').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let written: Vec<_> = fake.world().writes[before..].iter().flat_map(|write| lines(&write.1)).collect();
    assert_eq!(written, vec!["trades"; 45], "neither windows nor a cursor");
    // Beyond the other's place it writes again, once it has looked at who that is.
    assert_eq!(behind.write(&batch(50, 120)).unwrap_err().kind(), ErrorKind::Busy);
    behind.cursors().unwrap();
    behind.write(&batch(5, 120)).unwrap();
    // The server's data are replaced while it runs.
    fake.world().cursor = backup;
    assert_eq!(behind.write(&batch(120, 130)).unwrap_err().kind(), ErrorKind::Busy);
    // A probe is no failure: it leads to the question.
    behind.write(&batch(130, 130)).unwrap();
    assert_eq!(behind.cursors().unwrap()[0].stored, 5);
    behind.write(&batch(5, 130)).unwrap();
}

#[test]
fn the_token_is_asked_for_again_each_time() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("token");
    std::fs::write(&file, "old").unwrap();
    let path = file.clone();
    let mut config = config(&fake, &folder);
    config.token =
        std::sync::Arc::new(move || Ok(std::fs::read_to_string(&path).map_err(|e| e.to_string())?.into()));
    let open = || tickberry_store::influx::InfluxWriter::open(config.clone());
    assert_eq!(open().err().unwrap().kind(), ErrorKind::Refused);
    std::fs::write(&file, "secret-token").unwrap();
    assert!(open().is_ok());
}

/// A log with a hole: what the last process took first is gone, and with it all it took.
#[test]
fn what_a_process_took_first_is_looked_for_when_another_is_met() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let start = |started: &str| {
        fake.world().started = started.into();
        let mut writer = writer(&fake, &folder);
        let cursors = writer.cursors().unwrap();
        (writer, cursors.first().map_or(0, |cursor| cursor.stored))
    };
    let (mut one, stored) = start("one");
    one.write(&batch(0, 5)).unwrap();
    assert_eq!(stored, 0);
    // The same process: another writer changes nothing of what it began with.
    let (mut again, stored) = start("one");
    again.write(&batch(5, 9)).unwrap();
    assert_eq!(stored, 5);
    let (mut two, stored) = start("two");
    assert_eq!(stored, 9, "the witness is there");
    two.write(&batch(9, 50)).unwrap();
    two.write(&batch(50, 60)).unwrap();
    assert_eq!(fake.world().witnesses.len(), 2, "one a process");
    fake.world().witnesses.retain(|_, process| process != "two");
    let (mut three, stored) = start("three");
    assert_eq!(stored, 9, "back to what process two began with");
    three.write(&batch(9, 60)).unwrap();
    assert_eq!(start("four").1, 60);
    fake.world().witnesses.clear();
    assert_eq!(start("five").1, 9, "and the same for what was written again");
}
