//! `tickberry tap`: what goes over the broker, line by line.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tickberry_service::exit::{Code, Failure};
use tickberry_service::mqtt::{self, BusConfig, Event};
use tickberry_service::{Shutdown, shutdown};
use tickberry_store::columns;
use tickberry_wire::topic::{self, Topic};

use crate::cli::{Format, Stream, Tap};
use crate::config::File;

/// How long the broker has to answer before it counts as not there.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(options: Tap, file: &File) -> Result<ExitCode, Failure> {
    let broker = options.mqtt.unwrap_or(file.broker.taps);
    let ended = Shutdown::new();
    shutdown::on_signals(ended.clone()).map_err(|error| Failure::new(Code::Io, error))?;
    let kind = match options.stream {
        Stream::Trades => "trades",
        Stream::Minutes => "minutes",
        Stream::Live => "live",
    };
    let bus = BusConfig { address: broker.to_string(), username: None, password: None };
    let client_id = format!("tap-{}", std::process::id());
    let (_publisher, mut events) = mqtt::connect(bus, &client_id, None, vec![topic::all(kind)]);
    let mut lines = Lines::new(&options);
    let mut connected = false;
    loop {
        let patience = async {
            if connected { std::future::pending().await } else { tokio::time::sleep(PATIENCE).await }
        };
        let event = tokio::select! {
            event = events.recv() => event,
            () = patience => return Err(unreachable(broker, "no answer")),
            () = ended.cancelled() => return Ok(ExitCode::SUCCESS),
        };
        match event {
            Some(Event::Up) => connected = true,
            Some(Event::Down(why)) if !connected => return Err(unreachable(broker, &why)),
            Some(Event::Down(why)) => eprintln!("tickberry: the broker is gone ({why}); waiting for it"),
            Some(Event::Message { topic, payload }) => match lines.print(&topic, &payload) {
                Ok(true) => {}
                Ok(false) => return Ok(ExitCode::SUCCESS),
                // Whoever read the lines has seen enough: `tickberry tap | head`.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                Err(error) => return Err(Failure::new(Code::Io, format!("cannot write: {error}"))),
            },
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

fn unreachable(at: SocketAddr, why: &str) -> Failure {
    if why.starts_with(mqtt::REFUSED) {
        let text = format!("{why} at {at}; taps have an address of their own, give it with --mqtt");
        return Failure::new(Code::NoPermission, text);
    }
    Failure::new(
        Code::Unavailable,
        format!("no broker at {at} ({why}); start `tickberry up`, or give its address with --mqtt"),
    )
}

/// Prints messages as lines.
struct Lines<'a> {
    options: &'a Tap,
    left: Option<u64>,
    columns: Option<Vec<String>>,
}

impl<'a> Lines<'a> {
    fn new(options: &'a Tap) -> Self {
        Self { options, left: options.count, columns: None }
    }

    /// `false` when enough was printed.
    fn print(&mut self, topic: &str, payload: &[u8]) -> std::io::Result<bool> {
        if self.left == Some(0) {
            return Ok(false);
        }
        let Some(Topic::Trades(_, symbol) | Topic::Minutes(_, symbol) | Topic::Live(_, symbol)) =
            Topic::parse(topic)
        else {
            return Ok(true);
        };
        let wanted = self.options.symbol.is_empty()
            || self.options.symbol.iter().any(|wanted| wanted == symbol.as_str());
        let Some(fields) = fields(payload).filter(|_| wanted) else { return Ok(true) };
        let mut out = std::io::stdout().lock();
        match self.options.format {
            Format::Json => out.write_all(payload).and_then(|()| out.write_all(b"\n"))?,
            Format::Csv => {
                let fields = within(fields);
                if self.columns.is_none() {
                    let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
                    writeln!(out, "{}", names.join(","))?;
                    self.columns = Some(names);
                }
                let value = |column: &String| {
                    let field = fields.iter().find(|(name, _)| name == column);
                    field.map(|(_, value)| csv(value)).unwrap_or_default()
                };
                let values: Vec<String> = self.columns.iter().flatten().map(value).collect();
                writeln!(out, "{}", values.join(","))?;
            }
            Format::Line => {
                let text: Vec<String> = fields
                    .iter()
                    .filter(|(_, value)| value != "null")
                    .map(|(name, value)| line(name, value))
                    .collect();
                writeln!(out, "{}", text.join(" "))?;
            }
        }
        out.flush()?;
        self.left = self.left.map(|left| left - 1);
        Ok(self.left != Some(0))
    }
}

/// Fields with the columns of a minute that is not there yet: a table has the same columns from its first line on.
fn within(fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let expand = |(name, value): (String, String)| {
        if name == "minute" && value == "null" {
            columns::MINUTES.map(|column| (format!("minute.{column}"), value.clone())).to_vec()
        } else {
            vec![(name, value)]
        }
    };
    fields.into_iter().flat_map(expand).collect()
}

/// An object's members in their order, values as their JSON text; members of an inner object are joined to it.
fn fields(payload: &[u8]) -> Option<Vec<(String, String)>> {
    let mut out = Vec::new();
    flatten("", std::str::from_utf8(payload).ok()?, &mut out)?;
    Some(out)
}

fn flatten(prefix: &str, text: &str, out: &mut Vec<(String, String)>) -> Option<()> {
    let members: Members = serde_json::from_str(text).ok()?;
    for (name, value) in members.0 {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        if value.get().starts_with('{') {
            flatten(&name, value.get(), out)?;
        } else {
            out.push((name, value.get().to_owned()));
        }
    }
    Some(())
}

/// A JSON object with its order and its digits.
struct Members(Vec<(String, Box<serde_json::value::RawValue>)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn unquoted(value: &str) -> String {
    serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned())
}

fn line(name: &str, value: &str) -> String {
    match name {
        "kind" | "symbol" => unquoted(value),
        name if name.ends_with("_ms") => {
            value.parse().ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).map_or_else(
                || format!("{name}={value}"),
                |time| format!("{}={time:.3}", name.trim_end_matches("_ms")),
            )
        }
        _ => format!("{name}={}", unquoted(value)),
    }
}

fn csv(value: &str) -> String {
    let text = if value == "null" { String::new() } else { unquoted(value) };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_digits_are_kept() {
        let fields =
            fields(br#"{"kind":"trade","price":61837.630,"inner":{"b":1,"a":null},"conditions":["1","8"]}"#)
                .unwrap();
        let text: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", csv(value))).collect();
        assert_eq!(
            text,
            ["kind=trade", "price=61837.630", "inner.b=1", "inner.a=", r#"conditions="[""1"",""8""]""#]
        );
        assert_eq!(line("time_ms", "1723161255342"), "time=2024-08-08T23:54:15.342Z");
        assert!(super::fields(b"[1]").is_none());
    }

    #[test]
    fn a_minute_has_its_columns_before_it_is_there() {
        let minute: tickberry_wire::json::MinuteJson = serde_json::from_str(
            r#"{"source":"s","symbol":"A","start_ms":60000,"open":1,"high":2,"low":1,"close":2,"volume":3.5,"trade_count":2,"vwap":1.5,"avg_price":1.5,"coverage":1,"revision":0,"final":1}"#,
        )
        .unwrap();
        let with = serde_json::json!({"symbol": "A", "minute": minute}).to_string();
        let names = |text: &str| {
            within(fields(text.as_bytes()).unwrap()).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        let mut expected = names(&with);
        let mut found = names(r#"{"symbol":"A","minute":null}"#);
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }
}
