//! The page over made-up events: `cargo run -p tickberry-console --example demo -- 127.0.0.1:8099 [live|closed|trouble]`.
//! For working on the page, and for its screenshots.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tickberry_console::{
    AggregatorReport, Config, Console, Event, Gap, GatewayReport, LiveReport, Minute, Price, SymbolReport,
};
use tickberry_store::{Cursor, DayRow, GapRow, MinuteRow, Query, Series, StoreError, StoreReader, TradeRow};
use tickberry_wire::Decimal;

const MINUTE: i64 = 60_000;
const HISTORY: i64 = 400;

/// The minutes and gaps of the past, in memory.
#[derive(Default)]
struct Past {
    minutes: Mutex<Vec<MinuteRow>>,
    gaps: Vec<GapRow>,
}

impl StoreReader for Past {
    fn minutes(&self, query: &Query) -> Result<Vec<MinuteRow>, StoreError> {
        let fits = |row: &&MinuteRow| query.symbol.as_deref().is_none_or(|symbol| symbol == &*row.symbol);
        let mut rows: Vec<_> =
            self.minutes.lock().expect("one writer").iter().filter(fits).cloned().collect();
        rows.sort_by_key(|row| row.start_ms);
        Ok(rows.split_off(rows.len().saturating_sub(query.limit)))
    }
    fn trades(&self, _: &Query) -> Result<Vec<TradeRow>, StoreError> {
        Ok(Vec::new())
    }
    fn days(&self, _: &Query) -> Result<Vec<DayRow>, StoreError> {
        Ok(Vec::new())
    }
    fn gaps(&self, _: &Query) -> Result<Vec<GapRow>, StoreError> {
        Ok(self.gaps.clone())
    }
    fn series(&self) -> Result<Vec<Series>, StoreError> {
        Ok(Vec::new())
    }
    fn cursors(&self) -> Result<Vec<Cursor>, StoreError> {
        Ok(Vec::new())
    }
}

/// One symbol's random walk.
struct Walk {
    symbol: &'static str,
    state: &'static str,
    price: i64,
    scale: u8,
    rate: u64,
    minute: Option<(Minute, f64, f64)>,
}

/// A small generator: the page needs motion, not statistics.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or_default()
}

/// The last Friday 16:00 in New York.
fn last_close(now: i64) -> i64 {
    // New York's rule in full, so that the demo needs no time zone database.
    let zone = jiff::tz::TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a valid rule");
    let now = jiff::Timestamp::from_millisecond(now).unwrap_or_default().to_zoned(zone);
    let friday = now.nth_weekday(-1, jiff::civil::Weekday::Friday).expect("there was one");
    let close = friday.with().time(jiff::civil::time(16, 0, 0, 0)).build().expect("a time of day");
    close.timestamp().as_millisecond()
}

impl Walk {
    /// One trade; gives the minute it closes, if it does.
    fn trade(&mut self, time_ms: i64, dice: &mut Dice) -> (Decimal, Option<Minute>) {
        let step = i64::try_from(dice.roll(401)).unwrap_or_default() - 200;
        self.price += self.price * step / 1_600_000;
        let volume = (dice.roll(90_000) * dice.roll(1_000) / 3_000 + 1) as f64 / 1e5;
        let decimal = Decimal::new(self.price, self.scale).expect("few digits");
        let price = decimal.to_f64();
        let start_ms = time_ms - time_ms.rem_euclid(MINUTE);
        let mut closed = None;
        if self.minute.is_some_and(|(minute, ..)| minute.start_ms != start_ms) {
            closed = self.minute.take().map(|(minute, ..)| Minute { last: true, ..minute });
        }
        let fresh =
            Minute { start_ms, open: price, high: price, low: price, coverage: 1.0, ..Minute::default() };
        let (minute, sum, turnover) = self.minute.get_or_insert((fresh, 0.0, 0.0));
        minute.high = minute.high.max(price);
        minute.low = minute.low.min(price);
        minute.close = price;
        minute.volume = ((minute.volume + volume) * 1e5).round() / 1e5;
        minute.trade_count += 1;
        *sum += price;
        *turnover += price * volume;
        minute.avg_price = *sum / minute.trade_count as f64;
        minute.vwap = *turnover / minute.volume;
        (decimal, closed)
    }
}

fn row(source: &str, symbol: &str, minute: &Minute) -> MinuteRow {
    MinuteRow {
        source: source.into(),
        symbol: symbol.into(),
        start_ms: minute.start_ms,
        open: minute.open,
        high: minute.high,
        low: minute.low,
        close: minute.close,
        volume: minute.volume,
        trade_count: i64::try_from(minute.trade_count).unwrap_or_default(),
        vwap: minute.vwap,
        avg_price: minute.avg_price,
        coverage: minute.coverage,
        revision: i64::try_from(minute.revision).unwrap_or_default(),
        final_: i64::from(minute.last),
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8099".into());
    let mode = arguments.next().unwrap_or_else(|| "live".into());
    let source = if mode == "simulated" { "simulated" } else { "finnhub" };
    let walk = |symbol, state, price, scale, rate| Walk { symbol, state, price, scale, rate, minute: None };
    let mut walks = vec![
        walk("BINANCE:BTCUSDT", "trading", 9_184_211, 2, 9),
        walk("BINANCE:ETHUSDT", "trading", 301_877, 2, 5),
        walk("AAPL", if mode == "closed" { "quiet" } else { "trading" }, 27_155, 2, 2),
        walk("OANDA:EUR_USD", "price_updates", 115_912, 5, 1),
        walk("MSTF", "never_heard", 0, 2, 0),
    ];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let now = now_ms();
    let start = now - now.rem_euclid(MINUTE) - HISTORY * MINUTE;
    let gap = Gap {
        source: source.into(),
        symbol: "*".into(),
        start_ms: now - now.rem_euclid(MINUTE) - 7 * MINUTE + 38_400,
        end_ms: now - now.rem_euclid(MINUTE) - 5 * MINUTE + 15_000,
        reason: "disconnect".into(),
    };
    let mut minutes = Vec::new();
    for walk in walks.iter_mut().filter(|walk| walk.state == "trading" || walk.state == "quiet") {
        // AAPL's Friday, seen from later.
        let away = if walk.state == "quiet" { start + HISTORY * MINUTE - last_close(now) } else { 0 };
        for minute in 0..HISTORY {
            let at = start + minute * MINUTE - away;
            let most = walk.rate * 16;
            let count = 1 + dice.roll(most) + if dice.roll(20) == 0 { most * 2 } else { 0 };
            for trade in 0..count {
                let time = at + i64::try_from(trade * 59_000 / count).unwrap_or_default();
                if away == 0 && time >= gap.start_ms && time < gap.end_ms {
                    continue;
                }
                if let (_, Some(mut closed)) = walk.trade(time, &mut dice) {
                    let missing =
                        (gap.end_ms.min(closed.start_ms + MINUTE) - gap.start_ms.max(closed.start_ms)).max(0);
                    closed.coverage = 1.0 - missing as f64 / MINUTE as f64;
                    closed.revision = u64::from(dice.roll(23) == 0);
                    minutes.push(row(source, walk.symbol, &closed));
                }
            }
        }
    }
    let gaps = vec![GapRow {
        source: source.into(),
        symbol: "*".into(),
        start_ms: gap.start_ms,
        end_ms: gap.end_ms,
        reason: gap.reason.clone(),
    }];
    let past = Arc::new(Past { minutes: Mutex::new(minutes), gaps });
    let console = Arc::new(Console::new(&Config::default(), past.clone()));
    console.apply(Event::BusUp);
    let feeding = console.clone();
    tokio::spawn(async move { feed(&feeding, &past, walks, dice, source, &mode, now).await });
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, console.routes()).await
}

/// Trades, statuses and minutes, for ever.
async fn feed(
    console: &Console,
    past: &Past,
    mut walks: Vec<Walk>,
    mut dice: Dice,
    source: &str,
    mode: &str,
    began: i64,
) {
    let epoch = 1;
    let mut head = 1_204_881;
    let mut stored = head;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    for turn in 0_u64.. {
        tick.tick().await;
        let now = now_ms();
        let mut prices = Vec::new();
        if mode != "trouble" {
            for walk in &mut walks {
                if (walk.state == "price_updates" && dice.roll(9) == 0)
                    || (walk.state == "trading" && dice.roll(36) < walk.rate)
                {
                    let (price, closed) = walk.trade(now, &mut dice);
                    let update = walk.state == "price_updates";
                    prices.push(Price { symbol: walk.symbol.into(), time_ms: now, price, update });
                    let (source, symbol) = (source.to_owned(), walk.symbol.to_owned());
                    let open = walk.minute.map(|(minute, ..)| minute).filter(|_| !update);
                    if let Some(minute) = closed.filter(|_| !update) {
                        past.minutes.lock().expect("one writer").push(row(&source, &symbol, &minute));
                        console.apply(Event::Minute {
                            source: source.clone(),
                            symbol: symbol.clone(),
                            minute,
                        });
                    }
                    console.apply(Event::Live(LiveReport { source, symbol, last: None, minute: open }));
                }
            }
        }
        head += prices.len() as u64;
        console.apply(Event::Prices { source: source.into(), received_ms: Some(now), prices });
        console.apply(Event::Progress { source: source.into(), epoch, head, committed: head });
        if turn % 10 == 0 {
            stored = head.max(stored);
            let trouble = mode == "trouble";
            console.apply(Event::Gateway(GatewayReport {
                journal: String::new(),
                node: "demo".into(),
                source: source.into(),
                simulated: mode == "simulated",
                state: if trouble { "stalled".into() } else { "live".into() },
                since_ms: began,
                last_frame_ms: Some(if trouble { began } else { now }),
                last_trade_ms: Some(if trouble { began } else { now }),
                epoch,
                head,
                committed: head,
                durable: !trouble,
                disk_bytes_today: Some(18_734_592 + head),
                message: trouble.then(|| "nothing was heard for 150 s, not even a ping, though the connection stood; connecting anew".into()),
                symbols: walks
                    .iter()
                    .map(|walk| SymbolReport {
                        symbol: walk.symbol.into(),
                        state: walk.state.into(),
                        last_trade_ms: match walk.state {
                            "trading" => Some(now),
                            "quiet" => Some(last_close(now) - 900),
                            _ => None,
                        },
                    })
                    .collect(),
            }));
            console.apply(Event::Aggregator(AggregatorReport {
                node: "demo".into(),
                source: source.into(),
                epoch,
                consumed: head,
                stored,
                store: "sqlite".into(),
                lost: Some(0),
                doubled: Some(0),
                message: None,
            }));
        }
    }
}
