//! A feed, a disk that fails and a process that dies, against the promises: nothing published is missing after a
//! kill, nothing committed after a power cut, every trade once, and every time of deafness in a gap.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use tickberry_wire::{Batch, Body, Control, Symbol, decode};

use super::{Command, Core};
use crate::finnhub::{Endpoint, Handshake, SessionSettings};
use crate::journal::model::{Fault, ModelDisk};
use crate::journal::{Config, Disk, Item, Reader};
use crate::metrics::Metrics;
use crate::recorder::{Moment, Recorder, RecorderSettings};

const WALL: i64 = 1_790_000_000_000;

/// Event time is wall time, so gaps can be told exactly.
const fn event(mono_ms: u64) -> i64 {
    WALL + mono_ms as i64
}

const fn at(mono_ms: u64) -> Moment {
    Moment { mono_ms, wall_ms: event(mono_ms) }
}

struct World {
    disk: ModelDisk,
    core: Core,
    now: u64,
    connecting: bool,
    open: bool,
    /// Prices count up: each trade is told apart.
    next_price: u64,
    /// Published in this life, by first offset.
    published: BTreeMap<u64, Vec<u8>>,
    committed: u64,
    /// Received in this life and by journals that live: when, and whether it was a trade (its price).
    frames: Vec<(u64, Option<u64>)>,
    /// Times of deafness: from the last frame to the first behind it.
    deaf: Vec<(u64, u64)>,
    deaf_since: Option<u64>,
}

fn open(disk: &ModelDisk, now: u64) -> Core {
    let settings = RecorderSettings {
        journal: Config {
            ring_bytes: 64 * Config::MIN_SEGMENT_BYTES,
            segment_bytes: Config::MIN_SEGMENT_BYTES,
            ..Config::default()
        },
        simulated: false,
        lateness_ms: 2_000,
        retry_disk_ms: 60_000,
    };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (recorder, _) = Recorder::open(disk, settings, at(now), now).unwrap();
    let (metrics, _) = Metrics::new(recorder.reader());
    let symbols = vec![Symbol::new("A").unwrap()];
    let endpoint = Endpoint::new("wss://ws.finnhub.io", None).unwrap();
    Core::new(SessionSettings { symbols, ..SessionSettings::default() }, endpoint, recorder, metrics, at(now))
}

impl World {
    fn new() -> Self {
        let disk = ModelDisk::new(7);
        let core = open(&disk, 0);
        let (published, frames, deaf) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self {
            disk,
            core,
            now: 0,
            connecting: false,
            open: false,
            next_price: 1,
            published,
            committed: 0,
            frames,
            deaf,
            deaf_since: None,
        }
    }

    fn obey(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Connect => self.connecting = true,
                Command::Close => (self.open, self.connecting) = (false, false),
                Command::Subscribe(_) => {}
            }
        }
        for output in self.core.recorder().take_outputs() {
            let batch = decode(&output.payload).unwrap();
            self.committed = self.committed.max(batch.committed);
            if !batch.is_empty() {
                self.published.insert(batch.first_offset, output.payload.to_vec());
            }
        }
    }

    fn went_deaf(&mut self) {
        self.open = false;
        if self.deaf_since.is_none() {
            self.deaf_since = self.frames.last().map(|(time, _)| *time);
        }
    }

    fn frame(&mut self, trade: bool) {
        if !self.open {
            return;
        }
        let price = trade.then_some(self.next_price);
        let text = if trade {
            self.next_price += 1;
            let (price, time) = (self.next_price - 1, event(self.now));
            format!(r#"{{"data":[{{"c":null,"p":{price},"s":"A","t":{time},"v":1}}],"type":"trade"}}"#)
        } else {
            r#"{"type":"ping"}"#.to_owned()
        };
        let commands = self.core.frame(text.as_bytes(), at(self.now));
        self.obey(commands);
        if let Some(since) = self.deaf_since.take() {
            self.deaf.push((since, self.now));
        }
        self.frames.push((self.now, price));
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.now < end {
            self.now = (self.now + 1_000).min(end);
            let was_open = self.open;
            let commands = self.core.tick(at(self.now), 0.5);
            self.core.recorder().tick(at(self.now));
            self.obey(commands);
            if was_open && !self.open {
                self.went_deaf();
            }
        }
    }

    fn flush(&mut self) {
        if let Some(flush) = self.core.recorder().begin_flush(at(self.now)) {
            let outcome = flush.run();
            self.core.recorder().end_flush(flush, outcome, at(self.now));
        }
        self.obey(Vec::new());
    }

    /// The end of this life. What was in memory is gone, and above `committed` a power cut takes what it likes.
    fn die(&mut self, power: bool) {
        let durable = self.core.recorder().state().durable;
        if power {
            self.disk.power_on();
        } else {
            self.disk.kill_process();
        }
        self.disk.set_fault(Fault::None);
        self.now += 700;
        self.core = open(&self.disk, self.now);
        self.connecting = false;
        let kept = self.check(durable, power);
        // Frames whose trades are gone were not heard, as far as anybody can tell.
        let lost =
            self.frames.iter().position(|(_, price)| price.is_some_and(|price| !kept.contains(&price)));
        if let Some(lost) = lost {
            self.frames.truncate(lost);
            let last = self.frames.last().map_or(0, |(time, _)| *time);
            self.deaf.retain(|(from, _)| *from < last);
        }
        self.deaf_since = None;
        self.went_deaf();
        self.published.clear();
        // What a memory epoch called committed went with its memory.
        self.committed = 0;
        self.obey(Vec::new());
    }

    /// Compares the journal with what was published; returns the prices in it.
    fn check(&mut self, durable: bool, power: bool) -> Vec<u64> {
        let batches = journal(&self.core.recorder().reader());
        for pair in batches.windows(2) {
            assert_eq!(pair[0].0.end_offset(), pair[1].0.first_offset, "offsets are contiguous");
        }
        let by_offset: BTreeMap<u64, &Vec<u8>> =
            batches.iter().map(|(batch, bytes)| (batch.first_offset, bytes)).collect();
        for (first, bytes) in &self.published {
            let end = decode(bytes).unwrap().end_offset();
            if durable && (!power || end <= self.committed) {
                assert_eq!(by_offset.get(first), Some(&bytes), "published at {first}, power cut: {power}");
            }
        }
        let mut prices = Vec::new();
        for (batch, _) in &batches {
            if let Body::Trades(trades) = &batch.body {
                prices.extend(trades.iter().map(|trade| trade.price.mantissa() as u64));
            }
        }
        assert!(prices.windows(2).all(|pair| pair[0] < pair[1]), "each trade once, in order");
        prices
    }

    /// Every time of deafness is in gaps.
    fn check_gaps(&mut self) {
        let mut gaps: Vec<(i64, i64)> = journal(&self.core.recorder().reader())
            .iter()
            .filter_map(|(batch, _)| match &batch.body {
                Body::Control(Control::Gap(gap)) => Some((gap.from_ms, gap.to_ms)),
                _ => None,
            })
            .collect();
        gaps.sort_unstable();
        let first_trade = self.frames.iter().find(|(_, price)| price.is_some()).map(|(time, _)| *time);
        for (from, to) in &self.deaf {
            // Before the first trade there is no event time and nothing to cover.
            if first_trade.is_none_or(|first| *from < first) {
                continue;
            }
            let mut reached = event(*from);
            for (gap_from, gap_to) in &gaps {
                if *gap_from <= reached {
                    reached = reached.max(*gap_to);
                }
            }
            assert!(
                reached >= event(*to),
                "deaf from {from} to {to}, told until {}: {gaps:?}",
                reached - WALL
            );
        }
    }
}

/// Everything in the journal, with its bytes.
fn journal(reader: &Reader) -> Vec<(Batch, Vec<u8>)> {
    let mut reading = reader.read_uncommitted(reader.state().first, None).unwrap();
    let mut batches = Vec::new();
    while let Some(item) = reading.next_item().unwrap() {
        match item {
            Item::Batch { payload, .. } => batches.push((decode(payload).unwrap(), payload.to_vec())),
            Item::Lost { .. } => panic!("{item:?}"),
        }
    }
    batches
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Trade,
    Ping,
    Wait(u64),
    Connect,
    Refuse(u16),
    Close,
    Flush,
    Break,
    Mend,
    Kill,
    CutPower,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => Just(Op::Trade),
        3 => Just(Op::Ping),
        8 => prop_oneof![0u64..1_500, 0u64..90_000, 0u64..400_000].prop_map(Op::Wait),
        6 => Just(Op::Connect),
        1 => prop_oneof![Just(401u16), Just(429), Just(500)].prop_map(Op::Refuse),
        2 => Just(Op::Close),
        4 => Just(Op::Flush),
        1 => Just(Op::Break),
        1 => Just(Op::Mend),
        1 => Just(Op::Kill),
        1 => Just(Op::CutPower),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_promises_hold_whatever_happens(ops in prop::collection::vec(op(), 0..80)) {
        let mut world = World::new();
        world.wait(1);
        for op in ops {
            match op {
                Op::Trade => world.frame(true),
                Op::Ping => world.frame(false),
                Op::Wait(ms) => world.wait(ms),
                Op::Connect if world.connecting => {
                    (world.connecting, world.open) = (false, true);
                    let commands = world.core.connected(at(world.now));
                    world.obey(commands);
                }
                Op::Refuse(status) if world.connecting => {
                    world.connecting = false;
                    world.core.handshake_failed(&Handshake::Status(status), at(world.now), 0.5);
                }
                Op::Close if world.open => {
                    world.core.closed("bye", at(world.now), 0.5);
                    world.went_deaf();
                }
                Op::Flush => world.flush(),
                Op::Break => world.disk.set_fault(Fault::ReadOnly),
                Op::Mend => world.disk.set_fault(Fault::None),
                Op::Kill => world.die(false),
                Op::CutPower => world.die(true),
                Op::Connect | Op::Refuse(_) | Op::Close => {}
            }
        }
        // A start's gap is told with the first trade: let one come.
        while !world.open {
            world.wait(1_000);
            if world.connecting {
                (world.connecting, world.open) = (false, true);
                let commands = world.core.connected(at(world.now));
                world.obey(commands);
            }
        }
        world.frame(true);
        world.check_gaps();
    }
}
