//! Frames of trades, each of which can be told from all others: what a frame of the journal was, is known.

use crate::generate::SYMBOLS;
use crate::oracle::Sent;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::fmt::Write;

/// Trades of a frame at most; the feed's own frames were seen up to 30.
const MOST: usize = 30;
/// Numbers a frame has for its trades.
const NUMBERS: u64 = 32;

/// One frame as it is sent.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its trades, in order.
    pub trades: Vec<Sent>,
    /// The newest of their times.
    pub time_ms: i64,
}

impl Frame {
    /// The feed's JSON.
    pub fn json(&self) -> String {
        let mut text = String::from(r#"{"data":["#);
        for (i, t) in self.trades.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let Sent { symbol, time_ms, price, volume } = t;
            let _infallible =
                write!(text, r#"{comma}{{"c":null,"p":{price},"s":"{symbol}","t":{time_ms},"v":{volume}}}"#);
        }
        text.push_str(r#"],"type":"trade"}"#);
        text
    }
}

/// Makes frames. Event time runs faster than the clock, so that minutes end, leave the kept time and days end as well;
/// never slower, or trades after a pause would all be late.
#[derive(Debug)]
pub struct Market {
    rng: StdRng,
    time_ms: i64,
    cents: [u64; 2],
    frames: u64,
}

impl Market {
    /// A market whose first trades are at `start_ms`.
    pub fn new(seed: u64, start_ms: i64) -> Market {
        let rng = StdRng::seed_from_u64(seed);
        Market { rng, time_ms: start_ms, cents: [6_183_763, 268_413], frames: 0 }
    }

    /// Time passes in silence.
    pub fn pass(&mut self, ms: i64) {
        self.time_ms += ms;
    }

    /// The next frame: bursts that share a millisecond, equal neighbours, price updates, some trades up to 5 s late.
    pub fn frame(&mut self) -> Frame {
        let rng = &mut self.rng;
        let count = if rng.random_bool(0.1) { rng.random_range(1..=MOST) } else { rng.random_range(3..15) };
        let mut trades: Vec<Sent> = Vec::with_capacity(count);
        for n in 0..count {
            self.time_ms += if rng.random_bool(0.4) { 0 } else { rng.random_range(1..40) };
            if let Some(twin) = trades.last().filter(|_| n > 1 && rng.random_bool(0.15)).cloned() {
                trades.push(twin);
                continue;
            }
            let which = usize::from(rng.random_bool(0.4));
            self.cents[which] = (self.cents[which] + rng.random_range(0..120)).saturating_sub(60).max(11);
            // No zero at the end: there is one way to write it.
            let cents = self.cents[which] - u64::from(self.cents[which].is_multiple_of(10));
            let number = (self.frames * NUMBERS + n as u64) * 10 + rng.random_range(1..10);
            let update = n > 0 && rng.random_bool(0.02);
            let volume =
                if update { "0".to_owned() } else { format!("{}.{:05}", number / 100_000, number % 100_000) };
            let late = if n > 0 && rng.random_bool(0.03) { rng.random_range(0..5_000) } else { 0 };
            trades.push(Sent {
                symbol: SYMBOLS[which].to_owned(),
                time_ms: self.time_ms - late,
                price: format!("{}.{:02}", cents / 100, cents % 100),
                volume,
            });
        }
        self.frames += 1;
        let time_ms = trades.iter().map(|t| t.time_ms).max().unwrap_or(self.time_ms);
        Frame { trades, time_ms }
    }
}

/// Which frame a trade was the first of, or any other with a volume.
pub fn frame_of(volume: &str) -> Option<usize> {
    let digits = volume.replace('.', "");
    let number: u64 = digits.parse().ok().filter(|number| *number > 0)?;
    Some((number / 10 / NUMBERS) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_known_by_its_first_trade_and_the_shape_is_that_of_the_feed() {
        let mut market = Market::new(5, 1_723_161_255_342);
        let frames: Vec<Frame> = (0..3_000).map(|_| market.frame()).collect();
        let (mut twins, mut late, mut updates, mut all) = (0, 0, 0, 0);
        for (n, frame) in frames.iter().enumerate() {
            assert_eq!(frame_of(&frame.trades[0].volume), Some(n));
            assert!(frame.trades.len() <= MOST);
            all += frame.trades.len();
            twins += frame.trades.windows(2).filter(|pair| pair[0] == pair[1]).count();
            late += frame.trades.windows(2).filter(|pair| pair[1].time_ms < pair[0].time_ms).count();
            updates += frame.trades.iter().filter(|t| t.volume == "0").count();
            for t in &frame.trades {
                assert!(t.volume == "0" || !t.volume.ends_with('0'), "{t:?}");
                assert!(!t.price.ends_with('0'), "{t:?}");
            }
        }
        assert!(
            twins * 20 > all && late * 100 > all && updates * 200 > all,
            "{twins} {late} {updates} of {all}"
        );
    }

    #[test]
    fn frames_are_json() {
        let frame = Market::new(6, 1_723_161_255_342).frame();
        let json: serde_json::Value = serde_json::from_str(&frame.json()).unwrap();
        assert_eq!(json["type"], "trade");
        assert_eq!(json["data"].as_array().unwrap().len(), frame.trades.len());
    }
}
