//! One connection, without the connection: what a client says and the time go in, what to send comes out.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde::Deserialize;

use crate::config::{AtEnd, Config};
use crate::feed::{Feed, Next, lock};
use crate::json::{Style, TOO_MANY, members, object, trade_frame};
use crate::script::{Script, Trouble};
use crate::trade::{Conditions, Trade};

/// What the connection is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// Send a trade frame.
    Trades {
        text: String,
        trades: usize,
        copy: bool,
    },
    /// Send a ping frame.
    Ping,
    /// Send a strange frame.
    Strange(String),
    Binary(Vec<u8>),
    Close(u16),
    Hangup,
    Reset,
    Stall(Option<Duration>),
    /// Wait until this time, a message or a command.
    Wait(i64),
}

/// What became of a client's message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Understood,
    Refused(&'static str),
    NotUnderstood,
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "type")]
    kind: String,
    symbol: String,
}

#[derive(Debug)]
pub(crate) struct Session {
    config: Arc<Config>,
    script: Arc<Mutex<Script>>,
    feed: Feed,
    /// What the recorded feed could send; see [`Feed::symbols`].
    awaited: Vec<Arc<str>>,
    subscribed: BTreeSet<Arc<str>>,
    last_request_ms: i64,
    begun: bool,
    ended: bool,
    /// For the counts; taken by whoever counts.
    pub(crate) just_ended: bool,
    pub(crate) missed: u64,
    next_ping_ms: i64,
    /// The last trade frame and how many trades it has.
    last_text: Option<(String, usize)>,
    last_trade: Option<Trade>,
    /// Copies of the last trade frame still to be sent.
    duplicates: u32,
    rng: Xoshiro256PlusPlus,
}

impl Session {
    pub(crate) fn new(config: Arc<Config>, script: Arc<Mutex<Script>>, feed: Feed, now_ms: i64) -> Session {
        let rng = Xoshiro256PlusPlus::seed_from_u64(config.seed);
        let awaited = feed.symbols();
        let next_ping_ms = now_ms + millis(config.ping_every);
        Session {
            config,
            script,
            feed,
            awaited,
            subscribed: BTreeSet::new(),
            last_request_ms: now_ms,
            begun: false,
            ended: false,
            just_ended: false,
            missed: 0,
            next_ping_ms,
            last_text: None,
            last_trade: None,
            duplicates: 0,
            rng,
        }
    }

    /// A text frame came from the client.
    pub(crate) fn hear(&mut self, text: &str, now_ms: i64) -> Heard {
        let Ok(Request { kind, symbol }) = serde_json::from_str::<Request>(text) else {
            return Heard::NotUnderstood;
        };
        let symbol: Arc<str> = symbol.into();
        self.last_request_ms = now_ms;
        match kind.as_str() {
            "subscribe" if self.subscribed.contains(&symbol) => {}
            "subscribe" if self.subscribed.len() >= self.config.max_symbols => {
                return Heard::Refused(TOO_MANY);
            }
            "subscribe" => {
                if !self.config.silent.iter().any(|silent| **silent == *symbol) {
                    self.feed.subscribe(&symbol, now_ms);
                }
                self.subscribed.insert(symbol);
            }
            "unsubscribe" => {
                self.subscribed.remove(&symbol);
                self.feed.unsubscribe(&symbol);
            }
            _ => return Heard::NotUnderstood,
        }
        Heard::Understood
    }

    pub(crate) fn subscriptions(&self) -> usize {
        self.subscribed.len()
    }

    /// The connection is over.
    pub(crate) fn leave(&mut self, now_ms: i64) {
        if self.begun {
            self.feed.leave(now_ms);
        }
    }

    /// What to do now.
    pub(crate) fn next(&mut self, now_ms: i64) -> Output {
        if now_ms >= self.next_ping_ms {
            self.next_ping_ms = now_ms + millis(self.config.ping_every);
            return Output::Ping;
        }
        let mut wake_ms = self.next_ping_ms;
        if self.subscribed.is_empty() {
            return Output::Wait(wake_ms);
        }
        let (due, script_wake_ms) = {
            let mut script = lock(&self.script);
            (script.due(now_ms, false), script.wake_ms())
        };
        if let Some(trouble) = due {
            return self.make(trouble, now_ms);
        }
        wake_ms = wake_ms.min(script_wake_ms.unwrap_or(i64::MAX)).max(now_ms + 1);
        if let (true, Some((text, trades))) = (self.duplicates > 0, self.last_text.clone()) {
            self.duplicates -= 1;
            lock(&self.script).sent(trades);
            return Output::Trades { text, trades, copy: true };
        }
        if let Some(settled_ms) = self.begin(now_ms) {
            return Output::Wait(wake_ms.min(settled_ms));
        }
        if self.ended {
            return Output::Wait(wake_ms);
        }
        let (subscribed, silent) = (&self.subscribed, &self.config.silent);
        let wanted = |symbol: &str| subscribed.contains(symbol) && !silent.iter().any(|s| s == symbol);
        match self.feed.next(now_ms, wanted) {
            Next::Frame(trades) => {
                let text = trade_frame(&trades, self.config.style, &mut self.rng);
                lock(&self.script).sent(trades.len());
                self.last_text = Some((text.clone(), trades.len()));
                if self.config.repeat_frames > 0 && self.rng.random_bool(self.config.repeat_probability) {
                    self.duplicates += self.config.repeat_frames;
                }
                let count = trades.len();
                self.last_trade = trades.into_iter().next_back();
                Output::Trades { text, trades: count, copy: false }
            }
            Next::Wait(until_ms) => Output::Wait(wake_ms.min(until_ms)),
            Next::End => {
                (self.ended, self.just_ended) = (true, true);
                match self.config.recorded.at_end {
                    AtEnd::Stay => Output::Wait(wake_ms),
                    AtEnd::Close => Output::Close(1000),
                }
            }
        }
    }

    /// Begins the feed if it is time to; otherwise says when to look again.
    fn begin(&mut self, now_ms: i64) -> Option<i64> {
        if self.begun {
            return None;
        }
        let there = self.awaited.iter().filter(|symbol| self.subscribed.contains(*symbol)).count();
        let settled_ms = self.last_request_ms + millis(self.config.recorded.settle);
        if there == 0 && !self.awaited.is_empty() {
            return Some(i64::MAX);
        }
        if there < self.awaited.len() && now_ms < settled_ms {
            return Some(settled_ms);
        }
        self.begun = true;
        self.missed = self.feed.begin(now_ms);
        None
    }

    fn make(&mut self, trouble: Trouble, now_ms: i64) -> Output {
        let strange = |text: &str| Output::Strange(text.to_owned());
        match trouble {
            // The script keeps these for the handshake.
            Trouble::Refuse(_) | Trouble::Hang(_) => Output::Wait(now_ms + 1),
            Trouble::Garbage => strange("%!garbage\u{1F480} {]}\0"),
            Trouble::Truncated => {
                let text = self.odd('c', "null", now_ms);
                strange(&text[..text.len() * 2 / 3])
            }
            Trouble::Binary => Output::Binary((0..=255).collect()),
            Trouble::UnknownType => strange(r#"{"data":[],"type":"news"}"#),
            Trouble::Error(message) => {
                Output::Strange(format!(r#"{{"msg":{},"type":"error"}}"#, serde_json::Value::from(message)))
            }
            Trouble::Huge(bytes) => {
                let (head, tail) = (r#"{"data":[],"filler":""#, r#"","type":"trade"}"#);
                Output::Strange(format!(
                    "{head}{}{tail}",
                    "x".repeat(bytes.saturating_sub(head.len() + tail.len()))
                ))
            }
            Trouble::Frame(text) => Output::Strange(text),
            Trouble::Odd { member, text } => Output::Strange(self.odd(member, &text, now_ms)),
            Trouble::Duplicate(times) => {
                self.duplicates += times;
                Output::Wait(now_ms + 1)
            }
            Trouble::Stall { lasts } => Output::Stall(lasts),
            Trouble::Close(code) => Output::Close(code),
            Trouble::Hangup => Output::Hangup,
            Trouble::Reset => Output::Reset,
        }
    }

    /// A frame with one trade, like the last one but for one member.
    fn odd(&mut self, member: char, text: &str, now_ms: i64) -> String {
        let symbol = self.subscribed.first().cloned().unwrap_or_else(|| "BINANCE:BTCUSDT".into());
        let trade = self.last_trade.clone().unwrap_or(Trade {
            symbol,
            time_ms: now_ms,
            price: "61837.63".into(),
            volume: "0.02".into(),
            conditions: Conditions::Null,
        });
        let name = format!("\"{member}\":");
        let mut members = members(&trade, Style::default());
        if !members.iter().any(|m| m.starts_with(&name)) {
            members.insert(0, name.clone());
        }
        members.retain(|m| !(text.is_empty() && m.starts_with(&name)));
        for m in members.iter_mut().filter(|m| m.starts_with(&name)) {
            *m = format!("{name}{text}");
        }
        let mut data = String::new();
        object(&mut data, &mut members, Style::default(), &mut self.rng);
        format!(r#"{{"data":[{data}],"type":"trade"}}"#)
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Recorded, Speed};
    use crate::generated::Market;
    use crate::recorded::Replay;
    use crate::script::{After, Step};
    use crate::trade::Scheduled;

    /// 2026-11-21 16:00 UTC, a Saturday.
    const SATURDAY: i64 = 1_795_276_800_000;
    const BTC: &str = "BINANCE:BTCUSDT";

    fn session(config: Config, feed: impl FnOnce(&Config) -> Feed) -> Session {
        let script = Arc::new(Mutex::new(Script::new(config.script.clone())));
        let feed = feed(&config);
        Session::new(Arc::new(config), script, feed, SATURDAY)
    }

    fn generated(config: Config) -> Session {
        session(config, |config| Feed::Generated(Box::new(Market::new(config))))
    }

    /// Four trades each of A and B, a second apart, as fast as they are read.
    fn recorded(config: Config) -> Session {
        let schedule: Arc<[Scheduled]> = (0..8)
            .map(|n| {
                let symbol = if n % 2 == 0 { "A" } else { "B" }.into();
                let time_ms = n * 1000;
                let (price, volume) = ("1".into(), "1".into());
                let trade = Trade { symbol, time_ms, price, volume, conditions: Conditions::Null };
                Scheduled { release_ms: time_ms, trade }
            })
            .collect();
        let recorded = Recorded { speed: Speed::Max, ..config.recorded };
        session(Config { recorded, frame_trades: 2, ..config }, |config| {
            Feed::Recorded(Arc::new(Mutex::new(Replay::new(schedule, config))))
        })
    }

    fn hear(session: &mut Session, kind: &str, symbol: &str, now_ms: i64) -> Heard {
        session.hear(&format!(r#"{{"symbol":"{symbol}","type":"{kind}"}}"#), now_ms)
    }

    /// Everything but waits until the given time.
    fn run(session: &mut Session, mut now_ms: i64, until_ms: i64) -> Vec<Output> {
        let mut outputs = Vec::new();
        while now_ms < until_ms {
            match session.next(now_ms) {
                Output::Wait(at_ms) => {
                    assert!(at_ms > now_ms, "a wait for the past would spin");
                    now_ms = at_ms;
                }
                output => outputs.push(output),
            }
            assert!(outputs.len() < 10_000);
        }
        outputs
    }

    fn trades(outputs: &[Output]) -> usize {
        outputs
            .iter()
            .map(|output| if let Output::Trades { trades, .. } = output { *trades } else { 0 })
            .sum()
    }

    #[test]
    fn without_subscriptions_there_are_pings_only() {
        for mut session in [generated(Config::default()), recorded(Config::default())] {
            assert_eq!(
                run(&mut session, SATURDAY, SATURDAY + 180_001),
                [Output::Ping, Output::Ping, Output::Ping]
            );
        }
    }

    #[test]
    fn closed_markets_unknown_and_silent_symbols_are_silent() {
        let mut session = generated(Config { silent: vec![BTC.to_owned()], ..Config::default() });
        for symbol in ["AAPL", "no such symbol", BTC] {
            assert_eq!(hear(&mut session, "subscribe", symbol, SATURDAY), Heard::Understood);
        }
        assert_eq!(run(&mut session, SATURDAY, SATURDAY + 120_001), [Output::Ping, Output::Ping]);
        hear(&mut session, "subscribe", "BINANCE:ETHUSDT", SATURDAY + 130_000);
        assert!(trades(&run(&mut session, SATURDAY + 130_000, SATURDAY + 140_000)) > 20);
    }

    #[test]
    fn fifty_symbols_and_no_more() {
        let mut session = generated(Config::default());
        for n in 0..50 {
            assert_eq!(hear(&mut session, "subscribe", &format!("X{n}"), SATURDAY), Heard::Understood);
        }
        assert_eq!(hear(&mut session, "subscribe", "X50", SATURDAY), Heard::Refused(TOO_MANY));
        assert_eq!(hear(&mut session, "subscribe", "X7", SATURDAY), Heard::Understood, "again is no more");
        assert_eq!(hear(&mut session, "unsubscribe", "X7", SATURDAY), Heard::Understood);
        assert_eq!(hear(&mut session, "subscribe", "X50", SATURDAY), Heard::Understood);
        assert_eq!(session.subscriptions(), 50);
        for nonsense in ["", "{}", "[]", r#"{"type":"buy","symbol":"X"}"#, r#"{"type":"subscribe"}"#] {
            assert_eq!(session.hear(nonsense, SATURDAY), Heard::NotUnderstood, "{nonsense}");
        }
    }

    #[test]
    fn a_recording_begins_when_all_its_symbols_are_subscribed_to() {
        let mut session = recorded(Config::default());
        hear(&mut session, "subscribe", "A", SATURDAY);
        assert_eq!(trades(&run(&mut session, SATURDAY, SATURDAY + 400)), 0);
        hear(&mut session, "subscribe", "B", SATURDAY + 400);
        assert_eq!(trades(&run(&mut session, SATURDAY + 400, SATURDAY + 401)), 8);
    }

    #[test]
    fn or_when_no_more_subscriptions_come() {
        let mut session = recorded(Config::default());
        hear(&mut session, "subscribe", "B", SATURDAY);
        assert_eq!(trades(&run(&mut session, SATURDAY, SATURDAY + 499)), 0);
        assert_eq!(trades(&run(&mut session, SATURDAY + 499, SATURDAY + 502)), 4);
        assert!(session.ended);
    }

    #[test]
    fn it_may_close_at_the_end() {
        let recorded_config = Recorded { at_end: AtEnd::Close, ..Recorded::default() };
        let mut session = recorded(Config { recorded: recorded_config, ..Config::default() });
        for symbol in ["A", "B"] {
            hear(&mut session, "subscribe", symbol, SATURDAY);
        }
        for _ in 0..4 {
            assert!(matches!(session.next(SATURDAY), Output::Trades { trades: 2, copy: false, .. }));
        }
        assert_eq!(session.next(SATURDAY), Output::Close(1000));
    }

    #[test]
    fn frames_are_repeated_whole() {
        let mut session = recorded(Config { repeat_frames: 2, repeat_probability: 1.0, ..Config::default() });
        for symbol in ["A", "B"] {
            hear(&mut session, "subscribe", symbol, SATURDAY);
        }
        let outputs = run(&mut session, SATURDAY, SATURDAY + 1);
        assert_eq!(trades(&outputs), 24);
        let part = |output: &Output| match output {
            Output::Trades { text, copy, .. } => (text.clone(), *copy),
            other => panic!("{other:?}"),
        };
        for three in outputs.chunks(3) {
            let (first, second, third) = (part(&three[0]), part(&three[1]), part(&three[2]));
            assert!(first.0 == second.0 && second.0 == third.0);
            assert_eq!((first.1, second.1, third.1), (false, true, true));
        }
    }

    #[test]
    fn troubles_come_at_their_time() {
        let steps = vec![
            Step { after: After::Trades(4), trouble: Trouble::Binary },
            Step { after: After::Time(Duration::from_secs(7)), trouble: Trouble::Reset },
        ];
        let mut session = recorded(Config { script: steps, ..Config::default() });
        for symbol in ["A", "B"] {
            hear(&mut session, "subscribe", symbol, SATURDAY);
        }
        let outputs = run(&mut session, SATURDAY, SATURDAY + 7000);
        let binary = outputs.iter().position(|output| matches!(output, Output::Binary(_)));
        assert_eq!((binary, outputs.len()), (Some(2), 5), "after two frames of two: {outputs:?}");
        assert_eq!(session.next(SATURDAY + 7000), Output::Reset);
    }

    #[test]
    fn every_named_trouble_makes_a_frame() {
        for (name, trouble) in Trouble::frames() {
            let mut session = generated(Config {
                script: vec![Step { after: After::Nothing, trouble }],
                ..Config::default()
            });
            hear(&mut session, "subscribe", BTC, SATURDAY);
            let outputs = run(&mut session, SATURDAY, SATURDAY + 10_000);
            let strange = outputs.iter().any(|output| {
                matches!(output, Output::Strange(_) | Output::Binary(_) | Output::Trades { copy: true, .. })
            });
            assert!(strange, "{name}");
        }
    }
}
