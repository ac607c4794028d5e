//! What happens in a world, as data made from its seed: so that it can be shortened and run again.

use tickberry_gateway::journal::model::Fault;

use crate::random::Random;

/// What is the same for a whole world.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything comes from it.
    pub seed: u64,
    /// Aggregators on the one store.
    pub aggregators: usize,
    /// How long final windows can change.
    pub kept_ms: u32,
    /// Segments in the ring.
    pub segments: u64,
    /// Symbols in the feed.
    pub symbols: u64,
    /// Bits may flip.
    pub rot: bool,
    /// The disk may refuse.
    pub disk_faults: bool,
    /// The wall clock at the first boot.
    pub wall_ms: i64,
    /// Time between two transactions.
    pub commit_ms: u64,
    /// How long the store may lose what it has acknowledged.
    pub settle_ms: u64,
}

/// One thing that happens. `salt` decides its details, so that leaving another event out does not change them.
#[derive(Clone, Debug)]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// How exactly.
    pub salt: u64,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The feed sends a frame.
    Frame,
    /// The feed sends its last frame again.
    Repeat,
    /// A frame of many trades.
    LargeFrame,
    /// Time passes.
    Pass(u64),
    /// The connection to the feed breaks, or is back.
    Feed(bool),
    /// kill -9 of the gateway; the machine lives.
    KillGateway,
    /// The power of the gateway's host goes after so many disk operations.
    CutGateway(u64),
    /// kill -9 of an aggregator.
    KillAggregator(usize),
    /// The power of the store's host goes: aggregators die and so many commits are forgotten.
    CutStore(u64),
    /// The store's process dies and is started: what has not settled may be gone. Aggregators live on.
    RestartStore,
    /// A backup of the store is put back.
    RestoreStore,
    /// Gateway, store's host and broker lose their power at once.
    CutAll(u64),
    /// The broker starts anew and has forgotten everything.
    RestartBroker,
    /// An aggregator's connection to the broker.
    Line(usize, bool),
    /// So many of a hundred messages are lost and doubled, and each is late by up to so many ms.
    Weather(u64, u64, u64),
    /// The journal can be reached over HTTP, or not.
    Reach(bool),
    /// The fetch of an aggregator breaks.
    BreakFetch(usize),
    /// Something is wrong with the gateway's disk, or nothing any more.
    Disk(Fault),
    /// A bit flips in a segment.
    Flip,
    /// The gateway's wall clock is stepped.
    StepClock(i64),
    /// The gateway's next boots have an unset clock, or a good one again.
    Clock1970(bool),
    /// So many of a hundred writes fail, half of them after they were applied.
    Store(u64),
}

/// The whole schedule of a seed.
pub fn generate(seed: u64) -> (Settings, Vec<Event>) {
    let mut random = Random::new(seed ^ 0x7469_636b);
    let mut settings = Settings {
        seed,
        aggregators: if random.percent(25) { 2 } else { 1 },
        kept_ms: [60_000, 180_000, 600_000, 3_600_000][random.below(4) as usize],
        segments: if random.percent(12) { 4 } else { 400 },
        symbols: random.within(1, 4),
        rot: random.percent(15),
        disk_faults: random.percent(30),
        wall_ms: 1_795_000_000_000 + random.below(86_400_000).cast_signed(),
        commit_ms: [1000, 1000, 300, 10_000][random.below(4) as usize],
        settle_ms: 0,
    };
    // Several writers of one store need transactions (docs/decisions/0009).
    if settings.aggregators == 1 && random.percent(40) {
        settings.settle_ms = random.within(200, 3_000);
    }
    let length = random.within(60, 260);
    let crashes = random.within(5, 35);
    let events = (0..length).map(|_| event(&settings, crashes, &mut random)).collect();
    (settings, events)
}

fn event(settings: &Settings, crashes: u64, random: &mut Random) -> Event {
    let kind = match random.below(100) {
        n if n < crashes => crash(settings, random),
        n if n < crashes + 15 => trouble(settings, random),
        n if n < crashes + 35 => Kind::Pass(pause(random)),
        _ if random.percent(4) => Kind::Repeat,
        _ if random.percent(3) => Kind::LargeFrame,
        _ => Kind::Frame,
    };
    Event { kind, salt: random.draw() }
}

fn pause(random: &mut Random) -> u64 {
    match random.below(20) {
        0 => random.within(60_000, 4_000_000),
        1..=3 => random.within(5_000, 90_000),
        4..=10 => random.within(900, 3_000),
        _ => random.within(1, 900),
    }
}

fn crash(settings: &Settings, random: &mut Random) -> Kind {
    let one = random.below(settings.aggregators as u64) as usize;
    match random.below(20) {
        0..=3 => Kind::KillGateway,
        4..=9 => {
            Kind::CutGateway(if random.percent(60) { random.within(1, 8) } else { random.within(1, 60) })
        }
        10..=15 => Kind::KillAggregator(one),
        16 => Kind::CutStore(random.below(6)),
        17 if settings.settle_ms > 0 => Kind::RestartStore,
        17 => Kind::CutStore(random.below(6)),
        18 => Kind::CutAll(random.below(4)),
        _ => Kind::RestartBroker,
    }
}

fn trouble(settings: &Settings, random: &mut Random) -> Kind {
    let one = random.below(settings.aggregators as u64) as usize;
    match random.below(24) {
        0..=1 => Kind::Weather(random.below(40), random.below(30), [0, 50, 3_000][random.below(3) as usize]),
        2 => Kind::Weather(0, 0, 0),
        3..=4 => Kind::Line(one, false),
        5..=7 => Kind::Line(one, true),
        8 => Kind::Reach(false),
        9..=10 => Kind::Reach(true),
        11..=12 => Kind::BreakFetch(one),
        13 => Kind::Store(random.within(10, 100)),
        14..=15 => Kind::Store(0),
        16 => Kind::StepClock([-3_600_000, 3_600_000, 700, -700][random.below(4) as usize]),
        17 => Kind::Clock1970(random.percent(50)),
        18 => Kind::Feed(false),
        19 => Kind::Feed(true),
        20 if random.percent(20) => Kind::RestoreStore,
        21 | 22 if settings.disk_faults => Kind::Disk(
            [Fault::None, Fault::None, Fault::Full, Fault::ReadOnly, Fault::SyncFails, Fault::WriteFails]
                [random.below(6) as usize],
        ),
        23 if settings.rot => Kind::Flip,
        _ => Kind::Pass(random.within(1, 2_000)),
    }
}
