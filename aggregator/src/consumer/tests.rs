//! What a consumer gives to the store when more comes than a transaction usually holds.

use std::time::{Duration, Instant};

use tickberry_store::WriteBatch;
use tickberry_wire::{Batch, Body, Control, Decimal, Epoch, EpochStart, Source, Symbol, Trade};

use super::{Action, Consumer, Fetched, Told};
use crate::reader::JournalHead;
use crate::records::Records;
use crate::window::FoldConfig;

const EPOCH: Epoch = Epoch::new(1_795_000_000, 1);
const START: i64 = 1_795_000_020_000;

fn batch(first_offset: u64, committed: u64, body: Body) -> Records {
    let batch =
        Batch { epoch: EPOCH, first_offset, committed, elapsed_ms: first_offset, anchor_ms: None, body };
    Records::try_from(&batch).unwrap()
}

fn trades(first: u64, count: u64, committed: u64) -> Records {
    let trade = |offset: u64| Trade {
        symbol: Symbol::new("A").unwrap(),
        time_ms: START + offset as i64 / 10,
        price: Decimal::new(offset as i64 + 1, 2).unwrap(),
        volume: Decimal::new(1, 0).unwrap(),
        conditions: None,
    };
    batch(first, committed, Body::Trades((first..first + count).map(trade).collect()))
}

/// A consumer that has read a journal of one record and hears the rest over the bus.
fn live(now: Instant) -> Consumer {
    let told = Told { epoch: Some(EPOCH), committed: 1, up: true };
    let source = Source::new("finnhub").unwrap();
    let (mut consumer, _) = Consumer::new(FoldConfig::default(), &source, None, Duration::ZERO, told, now);
    assert!(matches!(*consumer.tick(now), [Action::Fetch(0)]));
    let start = Control::EpochStart(EpochStart { previous: None, simulated: true });
    let head = JournalHead { epoch: EPOCH, committed: 1 };
    for item in [Fetched::Head(head), Fetched::Batch(batch(0, 0, Body::Control(start))), Fetched::End] {
        assert!(writes(consumer.read(item, now)).is_empty());
    }
    assert!(consumer.reader().is_live());
    let first = writes(consumer.commit_due(now));
    assert_eq!(first.len(), 1);
    consumer.written(now, &mut Vec::new());
    consumer
}

fn writes(actions: Vec<Action>) -> Vec<WriteBatch> {
    let write = |action| if let Action::Write(batch) = action { Some(batch) } else { None };
    actions.into_iter().filter_map(write).collect()
}

/// Hears `count` trades from offset 1 on, of which nothing is durable, then that all of it is.
fn hear_all(consumer: &mut Consumer, from: u64, count: u64, now: Instant) -> Vec<Action> {
    for first in (from..from + count).step_by(1_000) {
        assert!(consumer.hear(trades(first, 1_000, from), now).is_empty());
    }
    consumer.hear(batch(from + count, from + count, Body::Commit), now)
}

#[test]
fn a_commit_of_more_than_a_transaction_usually_holds_is_written_at_once() {
    let now = Instant::now();
    let mut consumer = live(now);
    let written = writes(hear_all(&mut consumer, 1, 60_000, now));
    assert_eq!(written.iter().map(|batch| batch.trades.len()).collect::<Vec<_>>(), [60_000]);
    let mut actions = Vec::new();
    consumer.written(now, &mut actions);
    assert!(actions.is_empty() && consumer.is_attached());
    assert_eq!(consumer.stored(), 60_001);
}

#[test]
fn what_a_slow_store_cannot_take_meanwhile_comes_from_the_journal_when_it_has_answered() {
    let now = Instant::now();
    let mut consumer = live(now);
    assert_eq!(writes(hear_all(&mut consumer, 1, 20_000, now)).len(), 1);
    assert!(writes(hear_all(&mut consumer, 20_001, 60_000, now)).is_empty());
    assert!(!consumer.is_attached() && consumer.book().rows_waiting() == 0);
    let mut actions = Vec::new();
    consumer.written(now, &mut actions);
    assert!(matches!(*actions, [Action::AskStore]), "{actions:?}");
    assert_eq!(consumer.stored(), 20_001);
}
