//! Every way the real one misbehaves, and when: a list of steps that are taken in order, each once, over all
//! connections.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact as friendly;
use serde::{Deserialize, Serialize};

/// One trouble and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Counted from the step before (from the first subscription for the first step).
    #[serde(default)]
    pub after: After,
    /// What happens: on the connection that is served just then; a trouble of the handshake, to the next connection.
    pub trouble: Trouble,
}

/// How long a step waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// Not at all.
    #[default]
    Nothing,
    /// For so many trade frames, copies included.
    Frames(u64),
    /// For at least so many trades, copies included.
    Trades(u64),
    /// For this long.
    Time(#[serde(with = "friendly::required")] Duration),
}

/// Something that has gone wrong with the real one, or could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Handshake: this HTTP status instead of 101 (401 wrong key, 429, 200, 524 …).
    Refuse(u16),
    /// Handshake: the answer 101 comes only after this time.
    Hang(#[serde(with = "friendly::required")] Duration),
    /// A text frame that is no JSON.
    Garbage,
    /// A trade frame that ends in the middle.
    Truncated,
    /// A binary frame.
    Binary,
    /// `{"data":[],"type":"news"}`
    UnknownType,
    /// An error frame with this text.
    Error(String),
    /// A text frame of this many bytes.
    Huge(usize),
    /// A text frame, word for word.
    Frame(String),
    /// A frame with one trade in which one member (`c`, `p`, `s`, `t` or `v`) has this text; empty: it is left out.
    Odd {
        /// Which member.
        member: char,
        /// The JSON that stands for its value, legal or not.
        text: String,
    },
    /// The last trade frame so many times more.
    Duplicate(u32),
    /// Nothing is sent, read or answered, not even pings, while TCP stays up; for this long, or until the client goes.
    Stall {
        /// How long; without it, for ever.
        #[serde(default, with = "friendly::optional")]
        lasts: Option<Duration>,
    },
    /// The connection is closed properly, with this code.
    Close(u16),
    /// TCP ends (FIN) without a close frame.
    Hangup,
    /// TCP is reset (RST).
    Reset,
}

impl Trouble {
    /// Does it happen before there is a WebSocket?
    pub fn is_handshake(&self) -> bool {
        matches!(self, Trouble::Refuse(_) | Trouble::Hang(_))
    }

    /// All troubles that are one strange frame on a connection that goes on, by name.
    pub fn frames() -> Vec<(&'static str, Trouble)> {
        let odd = |member, text: &str| Trouble::Odd { member, text: text.to_owned() };
        vec![
            ("garbage", Trouble::Garbage),
            ("truncated", Trouble::Truncated),
            ("binary", Trouble::Binary),
            ("unknown-type", Trouble::UnknownType),
            ("no-type", Trouble::Frame(r#"{"data":[]}"#.to_owned())),
            ("no-object", Trouble::Frame("[]".to_owned())),
            ("empty", Trouble::Frame(String::new())),
            ("deep", Trouble::Frame("[".repeat(100_000))),
            ("error", Trouble::Error("Subscribing to too many symbols".to_owned())),
            ("unknown-error", Trouble::Error("Something new".to_owned())),
            ("huge", Trouble::Huge(10_000_000)),
            ("duplicate", Trouble::Duplicate(1)),
            ("volume-exponent", odd('v', "5e-05")),
            ("price-exponent", odd('p', "6.18e4")),
            ("price-1e400", odd('p', "1e400")),
            ("price-nan", odd('p', "NaN")),
            ("price-19-digits", odd('p', "1234567890.123456789")),
            ("price-string", odd('p', "\"61837.63\"")),
            ("price-null", odd('p', "null")),
            ("price-negative", odd('p', "-37.63")),
            ("price-absent", odd('p', "")),
            ("volume-zero", odd('v', "0")),
            ("conditions-null", odd('c', "null")),
            ("conditions-absent", odd('c', "")),
            ("conditions-empty", odd('c', "[]")),
            ("conditions-list", odd('c', r#"["1","8","24","12"]"#)),
            ("conditions-number", odd('c', "7")),
            ("symbol-escaped", odd('s', r#""\u0042INANCE:BTCUSDT""#)),
            ("symbol-strange", odd('s', r#""A\"\\\/\n\ud83d\ude00+#/%""#)),
            ("symbol-empty", odd('s', r#""""#)),
            ("time-1970", odd('t', "0")),
            ("time-2300", odd('t', "10413792000000")),
            ("time-negative", odd('t', "-1")),
            ("time-fraction", odd('t', "1723161255342.5")),
            ("time-overflow", odd('t', "99999999999999999999")),
        ]
    }
}

/// The steps still to come.
#[derive(Debug, Default)]
pub(crate) struct Script {
    steps: VecDeque<Step>,
    frames: u64,
    trades: u64,
    since_ms: Option<i64>,
}

impl Script {
    pub(crate) fn new(steps: Vec<Step>) -> Script {
        Script { steps: steps.into(), ..Script::default() }
    }

    pub(crate) fn push(&mut self, step: Step) {
        if self.steps.is_empty() {
            // What happened before it was known doesn't count.
            (self.frames, self.trades, self.since_ms) = (0, 0, None);
        }
        self.steps.push_back(step);
    }

    /// A trade frame goes out.
    pub(crate) fn sent(&mut self, trades: usize) {
        self.frames += 1;
        self.trades += trades as u64;
    }

    /// The trouble to make now on a connection (`handshake`: on one that is only about to be one).
    pub(crate) fn due(&mut self, now_ms: i64, handshake: bool) -> Option<Trouble> {
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        let step = self.steps.front()?;
        let is_due = match step.after {
            After::Nothing => true,
            After::Frames(frames) => self.frames >= frames,
            After::Trades(trades) => self.trades >= trades,
            After::Time(time) => now_ms >= since_ms + millis(time),
        };
        if !is_due || step.trouble.is_handshake() != handshake {
            return None;
        }
        (self.frames, self.trades, self.since_ms) = (0, 0, Some(now_ms));
        self.steps.pop_front().map(|step| step.trouble)
    }

    /// When to ask again although nothing was sent.
    pub(crate) fn wake_ms(&self) -> Option<i64> {
        match self.steps.front()? {
            Step { after: After::Time(time), trouble } if !trouble.is_handshake() => {
                Some(self.since_ms? + millis(*time))
            }
            _ => None,
        }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(after: After, trouble: Trouble) -> Step {
        Step { after, trouble }
    }

    #[test]
    fn steps_are_taken_in_order_and_once() {
        let mut script = Script::new(vec![
            step(After::Frames(2), Trouble::Garbage),
            step(After::Trades(5), Trouble::Reset),
            step(After::Nothing, Trouble::Refuse(401)),
            step(After::Time(Duration::from_secs(1)), Trouble::Binary),
        ]);
        script.sent(1);
        assert_eq!(script.due(0, false), None);
        script.sent(1);
        assert_eq!(script.due(0, true), None);
        assert_eq!(script.due(0, false), Some(Trouble::Garbage));
        assert_eq!(script.due(0, false), None, "what was sent before the step before doesn't count");
        script.sent(5);
        assert_eq!(script.due(0, false), Some(Trouble::Reset));
        assert_eq!(script.due(0, false), None);
        assert_eq!(script.due(500, true), Some(Trouble::Refuse(401)));
        assert_eq!((script.wake_ms(), script.due(1499, false)), (Some(1500), None));
        assert_eq!(script.due(1500, false), Some(Trouble::Binary));
        assert_eq!((script.wake_ms(), script.due(9999, false)), (None, None));
        script.push(step(After::Nothing, Trouble::Hangup));
        assert_eq!(script.due(9999, false), Some(Trouble::Hangup));
    }

    #[test]
    fn steps_are_configuration() {
        let text = r#"[{"after":{"frames":3},"trouble":"garbage"},{"trouble":{"refuse":401}},
            {"after":{"time":"5s"},"trouble":{"stall":{}}},{"trouble":{"hang":"65s"}},{"trouble":{"odd":{"member":"p","text":"1e400"}}}]"#;
        let steps: Vec<Step> = serde_json::from_str(text).expect("understood");
        assert_eq!(steps[2], step(After::Time(Duration::from_secs(5)), Trouble::Stall { lasts: None }));
        assert_eq!(steps[3].trouble, Trouble::Hang(Duration::from_secs(65)));
        let names: std::collections::BTreeSet<_> =
            Trouble::frames().into_iter().map(|named| named.0).collect();
        assert_eq!(names.len(), Trouble::frames().len());
    }
}
