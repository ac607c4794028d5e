//! Playing a recording: which frame comes next, and when. Knows the time only as an argument.

use std::sync::Arc;

use crate::config::{Config, OnReconnect, Speed};
use crate::feed::Next;
use crate::frame;
use crate::trade::{Scheduled, Trade};

/// The stream of one key through a recording. It outlives the key's connections.
#[derive(Debug)]
pub struct Replay {
    schedule: Arc<[Scheduled]>,
    speed: Speed,
    limit: usize,
    flush_ms: i64,
    shift: bool,
    /// Laps left after this one; `None`: no end.
    laps_left: Option<u32>,
    laps: u32,
    /// Added to the trade times of this lap, so that laps follow each other.
    lap_shift_ms: i64,
    on_reconnect: OnReconnect,
    position: usize,
    /// Wall time of the beginning of this lap, once it has begun.
    started_ms: Option<i64>,
    /// Wall time at which a stream that pauses was left.
    left_ms: Option<i64>,
}

impl Replay {
    /// A stream at the beginning of `schedule`, which is ordered by release time and not empty.
    pub fn new(schedule: Arc<[Scheduled]>, config: &Config) -> Replay {
        let recorded = &config.recorded;
        Replay {
            schedule,
            speed: recorded.speed,
            limit: config.frame_trades,
            flush_ms: i64::try_from(config.flush_after.as_millis()).unwrap_or(i64::MAX),
            shift: recorded.shift_to_now,
            laps_left: recorded.laps.checked_sub(1),
            laps: recorded.laps,
            lap_shift_ms: 0,
            on_reconnect: recorded.on_reconnect,
            position: 0,
            started_ms: None,
            left_ms: None,
        }
    }

    /// The symbols of the recording.
    pub fn symbols(&self) -> Vec<Arc<str>> {
        let mut symbols: Vec<_> = self.schedule.iter().map(|s| s.trade.symbol.clone()).collect();
        symbols.sort_unstable();
        symbols.dedup();
        symbols
    }

    /// The key's connection is gone.
    pub fn leave(&mut self, now_ms: i64) {
        self.left_ms = Some(now_ms);
    }

    /// The key is there again. Returns how many trades it missed.
    pub fn resume(&mut self, now_ms: i64) -> u64 {
        let Some(left_ms) = self.left_ms.take() else { return 0 };
        match (self.on_reconnect, self.speed) {
            (OnReconnect::Restart, _) => {
                (self.position, self.started_ms, self.lap_shift_ms) = (0, None, 0);
                self.laps_left = self.laps.checked_sub(1);
                0
            }
            (OnReconnect::Pause, _) => {
                self.started_ms = self.started_ms.map(|started| started + (now_ms - left_ms));
                0
            }
            (OnReconnect::Continue, Speed::Max) => 0,
            (OnReconnect::Continue, Speed::Times(times)) => {
                let mut missed = 0;
                loop {
                    let stream_ms = self.stream_ms(now_ms, times);
                    let to = self.schedule.partition_point(|s| s.release_ms <= stream_ms).max(self.position);
                    missed += (to - self.position) as u64;
                    self.position = to;
                    if to < self.schedule.len() || !self.next_lap(now_ms) {
                        return missed;
                    }
                }
            }
        }
    }

    /// What to send or to wait for. `wanted`: is this symbol subscribed to?
    pub fn next(&mut self, now_ms: i64, wanted: impl Fn(&str) -> bool) -> Next {
        // A lap without a wanted trade ends at once; two of them in a row mean that nothing is wanted at all.
        for _ in 0..2 {
            let started_ms = *self.started_ms.get_or_insert(now_ms);
            let flush_ms = (self.speed != Speed::Max).then_some(self.flush_ms);
            let rest = &self.schedule[self.position..];
            let Some(plan) = frame::plan(rest.iter(), &wanted, self.limit, flush_ms) else {
                self.position = self.schedule.len();
                if self.next_lap(now_ms) {
                    continue;
                }
                return Next::End;
            };
            if let Speed::Times(times) = self.speed {
                let due_ms = started_ms + ((plan.due_ms - self.first_ms()) as f64 / times).ceil() as i64;
                if due_ms > now_ms {
                    return Next::Wait(due_ms);
                }
            }
            let trades: Vec<Trade> =
                plan.take.iter().map(|&i| self.played(&rest[i].trade, started_ms)).collect();
            self.position += plan.consumed;
            return Next::Frame(trades);
        }
        Next::Wait(now_ms + 100)
    }

    fn first_ms(&self) -> i64 {
        self.schedule.first().map_or(0, |s| s.release_ms)
    }

    fn last_ms(&self) -> i64 {
        self.schedule.last().map_or(0, |s| s.release_ms)
    }

    fn stream_ms(&self, now_ms: i64, times: f64) -> i64 {
        let Some(started_ms) = self.started_ms else { return i64::MIN };
        self.first_ms() + ((now_ms - started_ms) as f64 * times).floor() as i64
    }

    /// Begins the next lap, one second of stream time behind this one; false: there is none.
    fn next_lap(&mut self, now_ms: i64) -> bool {
        let length_ms = self.last_ms() - self.first_ms() + 1000;
        match &mut self.laps_left {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        self.position = 0;
        self.lap_shift_ms += length_ms;
        self.started_ms = match self.speed {
            Speed::Times(times) => {
                self.started_ms.map(|started| started + ((length_ms as f64 / times) as i64).max(1))
            }
            Speed::Max => Some(now_ms),
        };
        true
    }

    fn played(&self, trade: &Trade, started_ms: i64) -> Trade {
        let mut trade = trade.clone();
        trade.time_ms = match (self.shift, self.speed) {
            (false, _) => trade.time_ms + self.lap_shift_ms,
            (true, Speed::Times(times)) => {
                started_ms + ((trade.time_ms - self.first_ms()) as f64 / times) as i64
            }
            (true, Speed::Max) => started_ms - (self.last_ms() - trade.time_ms),
        };
        trade
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Recorded;
    use crate::trade::Conditions;

    /// A trade of `A` each 100 ms of trade time, from 1,000,000 on; every fifth is of `B`.
    fn replay(trades: i64, change: impl FnOnce(&mut Recorded)) -> Replay {
        let one = |n: i64| {
            let symbol = if n % 5 == 4 { "B" } else { "A" }.into();
            let time_ms = 1_000_000 + n * 100;
            let trade = Trade {
                symbol,
                time_ms,
                price: "1".into(),
                volume: "1".into(),
                conditions: Conditions::Null,
            };
            Scheduled { release_ms: time_ms, trade }
        };
        let mut recorded = Recorded::default();
        change(&mut recorded);
        Replay::new(
            (0..trades).map(one).collect(),
            &Config { recorded, frame_trades: 4, ..Config::default() },
        )
    }

    /// (when, trade times) of the frames until the given time or the end.
    fn play(replay: &mut Replay, mut now_ms: i64, until_ms: i64) -> Vec<(i64, Vec<i64>)> {
        let mut frames = Vec::new();
        loop {
            match replay.next(now_ms, |_| true) {
                Next::Frame(trades) => frames.push((now_ms, trades.iter().map(|t| t.time_ms).collect())),
                Next::Wait(at_ms) if at_ms < until_ms => now_ms = at_ms,
                Next::Wait(_) | Next::End => return frames,
            }
            assert!(frames.len() < 10_000);
        }
    }

    fn times(frames: &[(i64, Vec<i64>)]) -> Vec<i64> {
        frames.iter().flat_map(|frame| &frame.1).map(|time| time - 1_000_000).collect()
    }

    #[test]
    fn speeds() {
        let real = play(&mut replay(6, |_| ()), 50, i64::MAX);
        let first = vec![1_000_000, 1_000_100, 1_000_200, 1_000_300];
        let second = vec![1_000_400, 1_000_500];
        assert_eq!(
            real,
            [(350, first.clone()), (1050, second.clone())],
            "full at 300 ms, flushed at the full second"
        );
        let tenfold = play(&mut replay(6, |r| r.speed = Speed::Times(10.0)), 50, i64::MAX);
        assert_eq!(tenfold, [(80, first.clone()), (150, second.clone())], "the same frames sooner");
        let max = play(&mut replay(6, |r| r.speed = Speed::Max), 50, i64::MAX);
        assert_eq!(max, [(50, first), (50, second)]);
    }

    #[test]
    fn unwanted_symbols_are_passed_over() {
        let mut replay = replay(10, |r| r.speed = Speed::Max);
        let Next::Frame(trades) = replay.next(0, |symbol| symbol == "B") else { panic!("no frame") };
        assert_eq!(trades.iter().map(|t| t.time_ms - 1_000_000).collect::<Vec<_>>(), [400, 900]);
        assert_eq!(replay.next(0, |symbol| symbol == "B"), Next::End);
    }

    #[test]
    fn times_can_be_shifted_to_now() {
        let shifted = |speed| {
            let frames =
                play(&mut replay(6, |r| (r.speed, r.shift_to_now) = (speed, true)), 5_000_000, i64::MAX);
            frames.into_iter().flat_map(|frame| frame.1).map(|time| time - 5_000_000).collect::<Vec<_>>()
        };
        assert_eq!(shifted(Speed::Times(1.0)), [0, 100, 200, 300, 400, 500]);
        assert_eq!(shifted(Speed::Times(10.0)), [0, 10, 20, 30, 40, 50]);
        assert_eq!(shifted(Speed::Max), [-500, -400, -300, -200, -100, 0]);
    }

    #[test]
    fn laps_follow_each_other() {
        for speed in [Speed::Times(1.0), Speed::Max] {
            let frames = play(&mut replay(3, |r| (r.speed, r.laps) = (speed, 3)), 0, i64::MAX);
            assert_eq!(times(&frames), [0, 100, 200, 1200, 1300, 1400, 2400, 2500, 2600]);
        }
        let endless = play(&mut replay(3, |r| r.laps = 0), 0, 1_000_000);
        assert!(endless.len() > 800, "{}", endless.len());
    }

    #[test]
    fn who_comes_back_has_missed_what_was_played() {
        let mut replay = replay(60, |_| ());
        let mut seen = times(&play(&mut replay, 0, 2000));
        replay.leave(2000);
        let missed = replay.resume(3950);
        let rest = times(&play(&mut replay, 3950, i64::MAX));
        assert_eq!(rest[0], 4000);
        seen.extend(rest);
        assert_eq!(missed as usize + seen.len(), 60);
    }

    #[test]
    fn a_stream_may_wait() {
        let mut replay = replay(60, |r| r.on_reconnect = OnReconnect::Pause);
        let mut seen = play(&mut replay, 0, 2000);
        replay.leave(2000);
        assert_eq!(replay.resume(9000), 0);
        seen.extend(play(&mut replay, 9000, i64::MAX));
        assert_eq!(times(&seen), (0..60).map(|n| n * 100).collect::<Vec<_>>());
        assert_eq!(seen.last().map(|frame| frame.0), Some(6000 + 7000));
    }

    #[test]
    fn a_stream_may_begin_again() {
        let mut replay = replay(60, |r| r.on_reconnect = OnReconnect::Restart);
        play(&mut replay, 0, 2000);
        replay.leave(2000);
        assert_eq!(replay.resume(9000), 0);
        assert_eq!(times(&play(&mut replay, 9000, i64::MAX)).len(), 60);
    }

    #[test]
    fn a_long_absence_ends_the_stream() {
        let mut replay = replay(60, |r| r.laps = 2);
        play(&mut replay, 0, 2000);
        replay.leave(2000);
        assert!(replay.resume(1_000_000) > 90);
        assert_eq!(replay.next(1_000_000, |_| true), Next::End);
    }
}
