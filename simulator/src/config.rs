//! Everything that can be set. All fields have defaults: an empty file is a simulator that streams generated trades.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact as friendly;
use serde::{Deserialize, Serialize};

use crate::json::Style;
use crate::script::Step;

/// The simulator's configuration. Durations are written `"5s"`, `"50ms"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen, without TLS. Port 0: any free one; ask [`Simulator::address`](crate::Simulator::address).
    pub listen: SocketAddr,
    /// The keys that are let in; others get 401 at the handshake. Empty: every key but the empty one.
    pub tokens: Vec<String>,
    /// What happens when a key is used by a second connection at the same time.
    pub second_connection: SecondConnection,
    /// Subscriptions a connection may hold; one more is answered with the error frame.
    pub max_symbols: usize,
    /// Time between `{"type":"ping"}` frames.
    #[serde(with = "friendly::required")]
    pub ping_every: Duration,
    /// Trades at which a frame is sent. Finnhub: 10, seen up to 30.
    pub frame_trades: usize,
    /// A frame that is not full is sent at the next multiple of this time (Finnhub: each second or so). Ignored at
    /// `speed = "max"`.
    #[serde(with = "friendly::required")]
    pub flush_after: Duration,
    /// A client that doesn't read for this long is dropped. Ignored at `speed = "max"`, where it is simply waited for.
    #[serde(with = "friendly::required")]
    pub write_timeout: Duration,
    /// Everything random follows from this number.
    pub seed: u64,
    /// How many copies of a trade frame follow it where one is repeated. 0: none ever; the real one once sent all
    /// frames three times, and another day all trades twice.
    pub repeat_frames: u32,
    /// The share of trade frames that are repeated.
    pub repeat_probability: f64,
    /// How frames are spelled.
    pub style: Style,
    /// Symbols that may be subscribed to and are never heard of.
    pub silent: Vec<String>,
    /// The trades, where they are generated.
    pub generated: Generated,
    /// The trades, where they are recorded. Generated ones are sent only if nothing is named here.
    pub recorded: Recorded,
    /// What goes wrong, in order.
    pub script: Vec<Step>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tokens: Vec::new(),
            second_connection: SecondConnection::default(),
            max_symbols: 50,
            ping_every: Duration::from_secs(60),
            frame_trades: 10,
            flush_after: Duration::from_secs(1),
            write_timeout: Duration::from_secs(60),
            seed: 1,
            repeat_frames: 0,
            repeat_probability: 0.1,
            style: Style::default(),
            silent: Vec::new(),
            generated: Generated::default(),
            recorded: Recorded::default(),
            script: Vec::new(),
        }
    }
}

/// What a second connection with a key that is in use does. All three were reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondConnection {
    /// Both are dropped.
    #[default]
    DropBoth,
    /// The new one gets 429 at the handshake.
    Refuse,
    /// The old one is dropped.
    DropFirst,
}

/// Generated sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Generated {
    /// Activity, as a multiple of the measured one.
    pub rate: f64,
    /// The wall time to begin at, ms since 1970, instead of now: a Saturday, a New York morning, a DST night.
    pub pretend_ms: Option<i64>,
}

impl Default for Generated {
    fn default() -> Generated {
        Generated { rate: 1.0, pretend_ms: None }
    }
}

/// Recorded sessions, and how they are played.
///
/// A key has one stream. It begins when the key's first connection has settled: all symbols of the recording
/// are subscribed to, or one of them is and no message came for a while ([`settle`](Recorded::settle)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recorded {
    /// Files of recorded Binance trades (`*.csv.gz` or plain), merged by trade time.
    pub files: Vec<PathBuf>,
    /// A generated session played like a recorded one: for whoever has no recordings.
    pub session: Option<SessionSpec>,
    /// How long to wait for the subscriptions to the recording's other symbols.
    #[serde(with = "friendly::required")]
    pub settle: Duration,
    /// How fast.
    pub speed: Speed,
    /// Trades are delayed by up to this much at random, so that they come out of order, but no trade comes after
    /// one that is younger by more than this.
    #[serde(with = "friendly::required")]
    pub shuffle: Duration,
    /// Trade times moved so that the stream begins now (at `max`: ends now); times between trades are divided by the speed.
    pub shift_to_now: bool,
    /// How often the recording is played, each time with trade times moved on behind the time before. 0: for ever.
    pub laps: u32,
    /// What happens at the end.
    pub at_end: AtEnd,
    /// Where the stream goes on when its key connects again.
    pub on_reconnect: OnReconnect,
}

impl Default for Recorded {
    fn default() -> Recorded {
        Recorded {
            files: Vec::new(),
            session: None,
            settle: Duration::from_millis(500),
            speed: Speed::Times(1.0),
            shuffle: Duration::ZERO,
            shift_to_now: false,
            laps: 1,
            at_end: AtEnd::default(),
            on_reconnect: OnReconnect::default(),
        }
    }
}

/// A stretch of the generated market.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionSpec {
    /// Its symbols.
    pub symbols: Vec<String>,
    /// Its beginning, ms since 1970.
    pub from_ms: i64,
    /// Its length.
    #[serde(with = "friendly::required")]
    pub length: Duration,
}

/// After the last recorded trade.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtEnd {
    /// The connection stays, pings go on.
    #[default]
    Stay,
    /// The connection is closed.
    Close,
}

/// Where a recorded stream goes on for a client that comes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnReconnect {
    /// Where it is by now: what was played meanwhile is missed, as with the real one. At `max` nothing is played
    /// to nobody, so only what was on its way is missed.
    #[default]
    Continue,
    /// Where it stood: it waits while nobody listens. What was on its way is missed.
    Pause,
    /// At the beginning: every connection gets the whole recording.
    Restart,
}

/// How fast a recording is played: `"1"`, `"10"`, `"0.5"` times real speed, or `"max"`: as fast as the client reads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SpeedText", into = "String")]
pub enum Speed {
    /// A multiple of real speed, above 0.
    Times(f64),
    /// As fast as the client takes it. Frames are full but for the last one.
    Max,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SpeedText {
    Number(f64),
    Text(String),
}

impl TryFrom<SpeedText> for Speed {
    type Error = String;
    fn try_from(text: SpeedText) -> Result<Speed, String> {
        match text {
            SpeedText::Number(times) => times.to_string().parse(),
            SpeedText::Text(text) => text.parse(),
        }
    }
}

impl FromStr for Speed {
    type Err = String;
    fn from_str(text: &str) -> Result<Speed, String> {
        if text == "max" {
            return Ok(Speed::Max);
        }
        match text.parse::<f64>() {
            Ok(times) if times.is_finite() && times > 0.0 => Ok(Speed::Times(times)),
            _ => Err(format!("speed {text:?} is neither a positive number (1 is real speed) nor \"max\"")),
        }
    }
}

impl From<Speed> for String {
    fn from(speed: Speed) -> String {
        match speed {
            Speed::Times(times) => times.to_string(),
            Speed::Max => "max".to_owned(),
        }
    }
}

impl Config {
    /// The first setting that can't work, in words.
    pub(crate) fn fault(&self) -> Option<String> {
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let recorded = &self.recorded;
        Some(match () {
            () if self.frame_trades == 0 => {
                "frame_trades = 0: a frame needs room for at least 1 trade".to_owned()
            }
            () if self.ping_every.is_zero() => {
                "ping_every = \"0s\": pings need some time between them, e.g. \"60s\"".to_owned()
            }
            () if !(self.generated.rate.is_finite() && self.generated.rate > 0.0) => {
                format!(
                    "generated.rate = {}: set a positive number; 1 is the measured activity",
                    self.generated.rate
                )
            }
            () if !share(self.repeat_probability) => {
                format!("repeat_probability = {}: set a share between 0 and 1", self.repeat_probability)
            }
            () if !recorded.files.is_empty() && recorded.session.is_some() => {
                "recorded.files and recorded.session are both set: name files or a session".to_owned()
            }
            () => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_empty_file_and_come_back() {
        let empty: Config = serde_json::from_str("{}").expect("understood");
        assert_eq!(empty, Config::default());
        let text = serde_json::to_string(&empty).expect("written");
        assert!(text.contains(r#""ping_every":"60s""#) || text.contains(r#""ping_every":"1m""#), "{text}");
        assert_eq!(serde_json::from_str::<Config>(&text).expect("understood"), empty);
        for unknown in [r#"{"pong":1}"#, r#"{"recorded":{"sped":1}}"#, r#"{"style":{"x":1}}"#] {
            assert!(serde_json::from_str::<Config>(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn speeds_are_read() {
        for (text, speed) in [("1", Speed::Times(1.0)), ("0.5", Speed::Times(0.5)), ("max", Speed::Max)] {
            assert_eq!(text.parse(), Ok(speed));
            assert_eq!(String::from(speed), text);
        }
        assert_eq!(serde_json::from_str::<Speed>("10").expect("a number"), Speed::Times(10.0));
        for bad in ["0", "-1", "fast", "inf", "NaN", ""] {
            let error = bad.parse::<Speed>().expect_err(bad);
            assert!(error.contains(&format!("{bad:?}")), "{error}");
        }
    }

    #[test]
    fn faults_name_the_setting() {
        let faulty = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.fault().expect("a fault")
        };
        assert!(faulty(|c| c.frame_trades = 0).contains("frame_trades = 0"));
        assert!(faulty(|c| c.ping_every = Duration::ZERO).contains("ping_every"));
        assert!(faulty(|c| c.generated.rate = -1.0).contains("generated.rate = -1"));
        assert!(faulty(|c| c.repeat_probability = 1.5).contains("repeat_probability = 1.5"));
        assert_eq!(Config::default().fault(), None);
    }
}
