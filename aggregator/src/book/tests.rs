//! However often it is interrupted, a store is what its cursor says: the rows of the journal up to there.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tickberry_store::{Cursor, DayRow, GapRow, MinuteRow, TradeRow, WriteBatch};
use tickberry_wire::{
    Batch, Body, Control, Decimal, Epoch, EpochStart, Gap, GapReason, Source, Symbol, Trade,
};

use super::{Book, Page};
use crate::records::Records;
use crate::window::FoldConfig;

/// What decoding the batch gives.
fn records(batch: &Batch) -> Records {
    batch.try_into().unwrap()
}

const START: i64 = 1_795_000_020_000;
const CONFIG: FoldConfig = FoldConfig { lateness_ms: 2000, kept_ms: 300_000 };

/// A store in memory: one write is one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
struct Store {
    trades: BTreeMap<(u64, u64), TradeRow>,
    minutes: BTreeMap<(String, i64), MinuteRow>,
    days: BTreeMap<(String, String), DayRow>,
    gaps: Vec<GapRow>,
    cursor: Option<Cursor>,
}

impl Store {
    fn write(&mut self, batch: WriteBatch) {
        self.trades.extend(batch.trades.into_iter().map(|t| ((t.epoch, t.journal_offset), t)));
        self.minutes.extend(batch.minutes.into_iter().map(|m| ((m.symbol.to_string(), m.start_ms), m)));
        self.days.extend(batch.days.into_iter().map(|d| ((d.symbol.to_string(), d.day.clone()), d)));
        for gap in batch.gaps {
            if !self.gaps.contains(&gap) {
                self.gaps.push(gap);
            }
        }
        self.cursor = Some(batch.cursor);
    }

    fn stored(&self) -> u64 {
        self.cursor.as_ref().map_or(0, |c| c.stored)
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A frame arrives: time passes, and some trades around it.
    Frame { step_ms: i64, trades: Vec<(bool, i64, i64, i64)> },
    /// The feed was away.
    Gap { ms: i64 },
    /// Everything so far is durable.
    Flush,
    /// The store is given what there is; all of it, or only closed windows.
    Page { all: bool },
    /// The gateway loses what is not durable.
    PowerCut,
    /// The aggregator starts anew from the store.
    Restart,
    /// Somebody begins or ends to look.
    Look(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let trade = (any::<bool>(), -40_000_i64..500, 1_i64..50, 0_i64..4);
    let frame = (0_i64..9_000, prop::collection::vec(trade, 0..5));
    let step = prop_oneof![
        10 => frame.prop_map(|(step_ms, trades)| Step::Frame { step_ms, trades }),
        1 => (1_i64..90_000).prop_map(|ms| Step::Gap { ms }),
        4 => Just(Step::Flush),
        4 => any::<bool>().prop_map(|all| Step::Page { all }),
        1 => Just(Step::PowerCut),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::Look),
    ];
    prop::collection::vec(step, 1..120)
}

/// The gateway's side: what it has journaled and how much of it is durable.
struct Journal {
    batches: Vec<Batch>,
    committed: u64,
    epoch: Epoch,
    now: i64,
    elapsed_ms: u64,
}

impl Journal {
    fn new() -> Self {
        let mut journal =
            Self { batches: Vec::new(), committed: 0, epoch: Epoch::new(1, 1), now: START, elapsed_ms: 0 };
        journal.append(Body::Control(Control::EpochStart(EpochStart { previous: None, simulated: true })));
        journal.committed = journal.head();
        journal
    }

    fn head(&self) -> u64 {
        self.batches.last().map_or(0, Batch::end_offset)
    }

    fn append(&mut self, body: Body) -> Batch {
        let batch = Batch {
            epoch: self.epoch,
            first_offset: self.head(),
            committed: self.committed,
            elapsed_ms: self.elapsed_ms,
            anchor_ms: None,
            body,
        };
        self.batches.push(batch.clone());
        batch
    }

    fn power_cut(&mut self) -> Batch {
        let committed = self.committed;
        self.batches.retain(|b| b.end_offset() <= committed);
        let previous = Some((self.epoch, self.head()));
        self.epoch = Epoch::new(self.epoch.unix_seconds() + 1, 1);
        self.elapsed_ms = 0;
        let batch = self.append(Body::Control(Control::EpochStart(EpochStart { previous, simulated: true })));
        self.committed = self.head();
        batch
    }
}

fn open(cursor: Option<&Cursor>) -> Book {
    let (book, error) = Book::open(CONFIG, &Source::new("finnhub").unwrap(), cursor);
    assert_eq!(error, None);
    book
}

/// Gives a book what is durable from where it stands, as the reader would after a start.
fn catch_up(book: &mut Book, journal: &Journal) {
    let from = book.next();
    for batch in &journal.batches {
        if batch.end_offset() > from && batch.end_offset() <= journal.committed {
            book.deliver(records(batch), journal.committed);
        }
    }
}

/// The store of an aggregator that was never disturbed and stopped at this offset.
fn undisturbed(journal: &Journal, stored: u64) -> Store {
    let (mut book, mut store) = (open(None), Store::default());
    for batch in journal.batches.iter().filter(|b| b.end_offset() <= stored) {
        book.deliver(records(batch), batch.end_offset());
    }
    store.write(book.turn_page(true).batch.unwrap());
    store
}

fn run(steps: Vec<Step>) {
    let (mut journal, mut store) = (Journal::new(), Store::default());
    let mut book = open(None);
    catch_up(&mut book, &journal);
    for step in steps.into_iter().chain([Step::Flush, Step::Page { all: true }]) {
        match step {
            Step::Frame { step_ms, trades } => {
                journal.now += step_ms;
                journal.elapsed_ms += step_ms as u64;
                let trades = trades.into_iter().map(|(which, offset, price, volume)| Trade {
                    symbol: Symbol::new(if which { "A" } else { "B" }).unwrap(),
                    time_ms: journal.now + offset,
                    price: Decimal::new(price, 1).unwrap(),
                    volume: Decimal::new(volume, 2).unwrap(),
                    conditions: None,
                });
                let trades: Vec<Trade> = trades.collect();
                let body =
                    if trades.is_empty() { Body::Control(Control::Tick) } else { Body::Trades(trades) };
                let batch = journal.append(body);
                book.deliver(records(&batch), journal.committed);
            }
            Step::Gap { ms } => {
                let (from_ms, to_ms) = (journal.now, journal.now + ms);
                journal.now = to_ms;
                journal.elapsed_ms += ms as u64;
                let gap = Gap { from_ms, to_ms, reason: GapReason::Disconnect, symbols: Vec::new() };
                let batch = journal.append(Body::Control(Control::Gap(gap)));
                book.deliver(records(&batch), journal.committed);
            }
            Step::Flush => {
                journal.committed = journal.head();
                book.commit(journal.committed);
            }
            Step::Page { all } => {
                let Page { minutes, batch } = book.turn_page(all);
                assert!(minutes.iter().all(|m| m.is_final), "only final minutes are published");
                store.write(batch.unwrap());
                assert!(store.stored() <= journal.committed, "nothing is stored that is not durable");
                if all && !book.resumed {
                    assert_same(&store, &undisturbed(&journal, store.stored()));
                }
            }
            Step::PowerCut => {
                let start = journal.power_cut();
                assert_eq!(book.discard(), Some(start.first_offset));
                book.deliver(records(&start), journal.committed);
            }
            Step::Restart => {
                book = open(store.cursor.as_ref());
                catch_up(&mut book, &journal);
                for batch in journal.batches.iter().filter(|b| b.end_offset() > journal.committed) {
                    book.deliver(records(batch), journal.committed);
                }
            }
            Step::Look(true) => book.show(),
            Step::Look(false) => book.hide(),
        }
    }
    assert_same(&store, &undisturbed(&journal, journal.committed));
}

/// All but the cursor's way of saying it.
fn assert_same(store: &Store, other: &Store) {
    assert_eq!(store.stored(), other.stored());
    assert_eq!(store.trades, other.trades);
    assert_eq!(store.minutes, other.minutes);
    assert_eq!(store.days, other.days);
    let sorted = |store: &Store| {
        let mut gaps: Vec<String> = store.gaps.iter().map(|g| format!("{g:?}")).collect();
        gaps.sort();
        gaps
    };
    assert_eq!(sorted(store), sorted(other));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_what_its_cursor_says(steps in steps()) {
        run(steps);
    }

    /// The overlay is the committed fold and everything that waits, whenever somebody begins to look.
    #[test]
    fn what_is_shown_does_not_depend_on_when_one_began_to_look(steps in steps()) {
        let (mut early, mut late, mut journal) = (open(None), open(None), Journal::new());
        early.show();
        for step in steps {
            match step {
                Step::Frame { step_ms, trades } => {
                    journal.now += step_ms;
                    journal.elapsed_ms += step_ms as u64;
                    let trades = trades.into_iter().map(|(_, offset, price, volume)| Trade {
                        symbol: Symbol::new("A").unwrap(),
                        time_ms: journal.now + offset,
                        price: Decimal::new(price, 1).unwrap(),
                        volume: Decimal::new(volume, 2).unwrap(),
                        conditions: None,
                    });
                    let trades: Vec<Trade> = trades.collect();
                    let body = if trades.is_empty() { Body::Control(Control::Tick) } else { Body::Trades(trades) };
                    let batch = journal.append(body);
                    early.deliver(records(&batch), journal.committed);
                    late.deliver(records(&batch), journal.committed);
                }
                Step::Flush => {
                    journal.committed = journal.head();
                    early.commit(journal.committed);
                    late.commit(journal.committed);
                }
                Step::PowerCut => {
                    let start = journal.power_cut();
                    for book in [&mut early, &mut late] {
                        book.discard();
                        book.deliver(records(&start), journal.committed);
                    }
                }
                _ => {}
            }
        }
        late.show();
        let symbol = Symbol::new("A").unwrap();
        prop_assert_eq!(early.live(&symbol), late.live(&symbol));
    }
}
