//! What the view is told, in its own words: the shapes of the bus end in `bus.rs`.

use tickberry_wire::Decimal;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The bus can be heard.
    BusUp,
    /// The bus cannot be heard: whatever is shown is what was last known.
    BusDown,
    /// A gateway's status.
    Gateway(GatewayReport),
    /// A gateway of this node has gone (its last will, or a clean end).
    GatewayGone {
        /// Which one.
        node: String,
    },
    /// An aggregator's status.
    Aggregator(AggregatorReport),
    /// An aggregator of this node has gone (its last will, or a clean end).
    AggregatorGone {
        /// Which one.
        node: String,
    },
    /// The newest of one symbol.
    Live(LiveReport),
    /// A minute that became final or was revised.
    Minute {
        /// Its source.
        source: String,
        /// Its symbol.
        symbol: String,
        /// The minute.
        minute: Minute,
    },
    /// How far a source's journal goes, from the frame of a batch.
    Progress {
        /// The source.
        source: String,
        /// Its epoch.
        epoch: u64,
        /// The next offset to be given.
        head: u64,
        /// The next offset not yet durable.
        committed: u64,
    },
    /// A new life of a gateway began: times may start over (a recorded session does).
    EpochStart {
        /// The source.
        source: String,
    },
    /// Trades and price updates of one batch, in their order.
    Prices {
        /// The source.
        source: String,
        /// When they were received, if that clock was set.
        received_ms: Option<i64>,
        /// What they say.
        prices: Vec<Price>,
    },
    /// A stretch of time the feed was not heard.
    Gap(Gap),
    /// What the store has of a symbol.
    Known {
        /// The source.
        source: String,
        /// The symbol.
        symbol: String,
        /// Its newest trades, oldest first.
        prices: Vec<Price>,
    },
}

/// One price of one symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The symbol.
    pub symbol: String,
    /// Event time.
    pub time_ms: i64,
    /// The price, digit for digit.
    pub price: Decimal,
    /// A price update (volume 0) rather than a trade.
    pub update: bool,
}

/// What a gateway says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GatewayReport {
    /// The process that says it.
    pub node: String,
    /// Its source.
    pub source: String,
    /// Whether the trades are made up.
    pub simulated: bool,
    /// `live`, `quiet`, `stalled` …
    pub state: String,
    /// Since when it is so.
    pub since_ms: i64,
    /// When the feed last sent anything at all.
    pub last_frame_ms: Option<i64>,
    /// Time of the newest trade.
    pub last_trade_ms: Option<i64>,
    /// The epoch it writes.
    pub epoch: u64,
    /// The next offset to be given.
    pub head: u64,
    /// The next offset not yet durable.
    pub committed: u64,
    /// Whether `committed` means "on disk"; false while the journal is in memory.
    pub durable: bool,
    /// Bytes written to disk since midnight UTC, if it says so.
    pub disk_bytes_today: Option<u64>,
    /// Where its journal can be read.
    pub journal: String,
    /// What somebody should know or do, in words.
    pub message: Option<String>,
    /// Its symbols, as configured.
    pub symbols: Vec<SymbolReport>,
}

/// What a gateway says of one symbol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SymbolReport {
    /// The symbol.
    pub symbol: String,
    /// `trading`, `quiet`, `price_updates` or `never_heard`.
    pub state: String,
    /// Time of its newest trade.
    pub last_trade_ms: Option<i64>,
}

/// What an aggregator says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AggregatorReport {
    /// The process that says it.
    pub node: String,
    /// The source it follows.
    pub source: String,
    /// The epoch of what it consumed last.
    pub epoch: u64,
    /// The next offset it needs.
    pub consumed: u64,
    /// The offset below which the store holds everything.
    pub stored: u64,
    /// `sqlite` or `influxdb`.
    pub store: String,
    /// Records that no journal could give any more, if it says so.
    pub lost: Option<u64>,
    /// Trades given to the store again, if it says so.
    pub doubled: Option<u64>,
    /// What somebody should know or do, in words.
    pub message: Option<String>,
}

/// The newest of one symbol, as an aggregator says it.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveReport {
    /// The source.
    pub source: String,
    /// The symbol.
    pub symbol: String,
    /// The newest price and whether it was an update only.
    pub last: Option<(i64, Decimal, bool)>,
    /// The open minute so far.
    pub minute: Option<Minute>,
}

/// One minute's numbers: doubles, as every store has them, so that page and store agree as text.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[allow(missing_docs, reason = "the names are the columns of docs' table, said once there")]
pub struct Minute {
    pub start_ms: i64,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
    pub trade_count: u64,
    pub vwap: f64,
    pub avg_price: f64,
    pub coverage: f64,
    pub revision: u64,
    pub last: bool,
}

/// A stretch of time the feed was not heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The source.
    pub source: String,
    /// One symbol, or `*`.
    pub symbol: String,
    /// From the last that was heard before.
    pub start_ms: i64,
    /// To the first that was heard after.
    pub end_ms: i64,
    /// Why, in one word.
    pub reason: String,
}
