//! The generated market as one connection sees it: a schedule filled a little ahead of the time it is asked at.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::profile::Profile;
use super::slice::{MAX_DELAY_MS, SLICE_MS, slice};
use crate::config::Config;
use crate::feed::Next;
use crate::frame;
use crate::trade::Scheduled;

/// A client that was not asked after for this long is not sent what it missed.
const MAX_LAG_MS: i64 = 30_000;

/// The market, for the symbols of one connection.
#[derive(Debug)]
pub struct Market {
    seed: u64,
    rate: f64,
    limit: usize,
    flush_ms: i64,
    profiles: BTreeMap<Arc<str>, Profile>,
    /// By release time. Bounded: never holds more than the next slices.
    schedule: VecDeque<Scheduled>,
    /// The schedule holds all releases before this time.
    filled_ms: i64,
}

impl Market {
    /// A market without subscriptions.
    pub fn new(config: &Config) -> Market {
        Market {
            seed: config.seed,
            rate: config.generated.rate,
            limit: config.frame_trades,
            flush_ms: i64::try_from(config.flush_after.as_millis()).unwrap_or(i64::MAX / 2),
            profiles: BTreeMap::new(),
            schedule: VecDeque::new(),
            filled_ms: 0,
        }
    }

    /// Trades of this symbol from now on, if there is such a symbol.
    pub fn subscribe(&mut self, symbol: &Arc<str>, now_ms: i64) {
        if self.profiles.contains_key(symbol) {
            return;
        }
        let Some(profile) = Profile::of(self.seed, symbol) else { return };
        if self.profiles.is_empty() {
            self.filled_ms = now_ms;
        }
        if now_ms < self.filled_ms {
            let mut both: Vec<Scheduled> = self.schedule.drain(..).collect();
            both.extend(released(&profile, now_ms, self.filled_ms, self.rate));
            both.sort_by_key(|s| s.release_ms);
            self.schedule = both.into();
        }
        self.profiles.insert(symbol.clone(), profile);
    }

    /// No more trades of this symbol, not even those about to be sent.
    pub fn unsubscribe(&mut self, symbol: &str) {
        self.profiles.remove(symbol);
        self.schedule.retain(|s| &*s.trade.symbol != symbol);
    }

    /// The frame that is due, or when to ask again.
    pub fn next(&mut self, now_ms: i64) -> Next {
        self.fill(now_ms);
        let Some(plan) = frame::plan(self.schedule.iter(), |_| true, self.limit, Some(self.flush_ms)) else {
            return Next::Wait(self.filled_ms - self.flush_ms);
        };
        if plan.due_ms > now_ms {
            // Trades not scheduled yet may fill the frame earlier than this plan knows.
            return Next::Wait(plan.due_ms.min(self.filled_ms - self.flush_ms));
        }
        Next::Frame(self.schedule.drain(..plan.consumed).map(|s| s.trade).collect())
    }

    /// Schedules what is released until well after `now_ms`: a frame must be planned to its end.
    fn fill(&mut self, now_ms: i64) {
        let stepped_back = self.filled_ms - now_ms > self.flush_ms + 2 * SLICE_MS;
        if stepped_back || now_ms - self.filled_ms > MAX_LAG_MS {
            self.schedule.clear();
            self.filled_ms = now_ms;
        }
        let ahead_ms = now_ms + self.flush_ms + 1;
        if self.filled_ms > ahead_ms {
            return;
        }
        let to_ms = ahead_ms + SLICE_MS;
        let mut more: Vec<Scheduled> = self
            .profiles
            .values()
            .flat_map(|profile| released(profile, self.filled_ms, to_ms, self.rate))
            .collect();
        more.sort_by_key(|s| s.release_ms);
        self.schedule.extend(more);
        self.filled_ms = to_ms;
    }
}

/// The symbol's trades with release times in `[from_ms, to_ms)`, by release time.
fn released(profile: &Profile, from_ms: i64, to_ms: i64, rate: f64) -> Vec<Scheduled> {
    let mut trades = Vec::new();
    for index in (from_ms - MAX_DELAY_MS).div_euclid(SLICE_MS)..=to_ms.div_euclid(SLICE_MS) {
        trades.extend(
            slice(profile, index, rate).into_iter().filter(|s| (from_ms..to_ms).contains(&s.release_ms)),
        );
    }
    trades.sort_by_key(|s| s.release_ms);
    trades
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_790_000_000_000;

    fn run(market: &mut Market, from_ms: i64, to_ms: i64) -> Vec<(i64, Vec<crate::Trade>)> {
        let (mut now, mut frames) = (from_ms, Vec::new());
        while now < to_ms {
            match market.next(now) {
                Next::Frame(trades) => frames.push((now, trades)),
                Next::Wait(until) => {
                    assert!(until > now, "a wait for the past would spin");
                    now = until;
                }
                Next::End => panic!("the market never ends"),
            }
        }
        frames
    }

    fn market(symbols: &[&str]) -> Market {
        let mut market = Market::new(&Config::default());
        symbols.iter().for_each(|symbol| market.subscribe(&Arc::from(*symbol), START));
        market
    }

    #[test]
    fn frames_are_full_or_wait_for_the_second() {
        let frames = run(&mut market(&["BINANCE:BTCUSDT", "BINANCE:ETHUSDT"]), START, START + 60_000);
        assert!(frames.len() > 100, "{} frames in a minute", frames.len());
        assert!(frames.iter().all(|(_, trades)| (1..=10).contains(&trades.len())));
        assert!(frames.iter().any(|(_, trades)| trades.len() == 10));
        let mixed = |trades: &[crate::Trade]| trades.iter().any(|t| t.symbol != trades[0].symbol);
        assert!(frames.iter().any(|(_, trades)| mixed(trades)));
        for (now, trades) in &frames {
            for trade in trades {
                assert!((0..=2100).contains(&(now - trade.time_ms)), "{} ms late", now - trade.time_ms);
            }
        }
        assert_eq!(frames, run(&mut market(&["BINANCE:ETHUSDT", "BINANCE:BTCUSDT"]), START, START + 60_000));
    }

    #[test]
    fn nothing_is_lost_or_doubled_where_slices_meet() {
        let symbol = "BINANCE:BTCUSDT".to_owned();
        let frames = run(&mut market(&[&symbol]), START, START + 100_000);
        let mut sent: Vec<_> = frames.into_iter().flat_map(|(_, trades)| trades).collect();
        let inner = START + 2000..START + 95_000;
        sent.retain(|t| inner.contains(&t.time_ms));
        sent.sort_by_key(|t| (t.time_ms, t.price.clone(), t.volume.clone()));
        let mut traded: Vec<_> = super::super::session(1, &[symbol], inner.start, inner.end, 1.0)
            .into_iter()
            .map(|s| s.trade)
            .collect();
        traded.sort_by_key(|t| (t.time_ms, t.price.clone(), t.volume.clone()));
        assert!(traded.len() > 1000);
        assert_eq!(sent, traded);
    }

    #[test]
    fn subscriptions_come_and_go() {
        let mut market = market(&["BINANCE:BTCUSDT"]);
        run(&mut market, START, START + 5000);
        market.subscribe(&"BINANCE:ETHUSDT".into(), START + 5000);
        market.subscribe(&"NO SUCH SYMBOL".into(), START + 5000);
        let both = run(&mut market, START + 5000, START + 15_000);
        let count = |symbol: &str, frames: &[(i64, Vec<crate::Trade>)]| {
            frames.iter().flat_map(|f| &f.1).filter(|t| &*t.symbol == symbol).count()
        };
        assert!(count("BINANCE:BTCUSDT", &both) > 0 && count("BINANCE:ETHUSDT", &both) > 0);
        market.unsubscribe("BINANCE:BTCUSDT");
        let one = run(&mut market, START + 15_000, START + 25_000);
        assert_eq!(count("BINANCE:BTCUSDT", &one), 0);
        assert!(count("BINANCE:ETHUSDT", &one) > 0);
    }

    #[test]
    fn after_a_pause_only_news_are_sent() {
        let mut market = market(&["BINANCE:BTCUSDT"]);
        run(&mut market, START, START + 5000);
        let later = START + 3_600_000;
        for (_, trades) in run(&mut market, later, later + 5000) {
            assert!(trades.iter().all(|t| t.time_ms > later - 2100));
        }
    }

    #[test]
    fn stocks_keep_new_york_hours() {
        let saturday = 1_795_276_800_000; // 2026-11-21 16:00 UTC
        let mut market = Market::new(&Config::default());
        market.subscribe(&"AAPL".into(), saturday);
        assert_eq!(run(&mut market, saturday, saturday + 600_000), []);
        let monday = saturday + 2 * 86_400_000;
        assert!(run(&mut market, monday, monday + 60_000).len() > 10);
    }
}
