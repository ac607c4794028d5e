//! A few of InfluxDB's paths, over plain HTTP/1.1 with connections that stay.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use influxdb_line_protocol::{FieldValue, parse_lines};
use serde_json::{Value, json};

/// What the server is told to be, and what it has seen.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) version: String,
    pub(crate) started: String,
    /// The clock it shows; now, unless set.
    pub(crate) date: Option<String>,
    /// Seconds, or 0 for ever.
    pub(crate) buckets: BTreeMap<String, i64>,
    pub(crate) token: String,
    /// Answers to the next writes; 204 when there is none.
    pub(crate) answers: VecDeque<(u16, String)>,
    /// Refuses each request that holds this text, with 400.
    pub(crate) refuses: Option<String>,
    /// Writes seen: bucket and lines.
    pub(crate) writes: Vec<(String, String)>,
    /// Fields of the cursor's point.
    pub(crate) cursor: BTreeMap<String, Value>,
    /// Fields of the base's point.
    pub(crate) base: BTreeMap<String, Value>,
    /// Witnesses: the process, by bucket and time.
    pub(crate) witnesses: BTreeMap<(String, i64), String>,
    /// The answer to other questions.
    pub(crate) answer: Option<Value>,
    /// Questions seen.
    pub(crate) questions: Vec<String>,
}

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    world: Arc<Mutex<World>>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let world = World {
            version: "v2.9.1".into(),
            started: "2026-11-29T03:17:40.264475115Z".into(),
            buckets: BTreeMap::from([("trades".into(), 7 * 86_400), ("minutes".into(), 0)]),
            token: "secret-token".into(),
            ..World::default()
        };
        let world = Arc::new(Mutex::new(world));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = world.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(&socket, &shared));
            }
        });
        Self { address, world }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

/// Until the other end closes.
fn serve(socket: &TcpStream, world: &Mutex<World>) -> Option<()> {
    let mut reader = BufReader::new(socket);
    loop {
        let (mut first, mut length, mut token) = (String::new(), 0, String::new());
        reader.read_line(&mut first).ok().filter(|n| *n > 0)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
            match line.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().ok()?
                }
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => token = value.into(),
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body = String::from_utf8(body).ok()?;
        let target = first.split(' ').nth(1)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut world = world.lock().unwrap();
        let (status, text) = world.answer_to(path, &form(query), &body, &token);
        let date = world.date.clone();
        drop(world);
        let date = date.unwrap_or_else(|| {
            jiff::fmt::rfc2822::DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&jiff::Timestamp::now())
                .unwrap()
        });
        let head =
            format!("HTTP/1.1 {status} Said\r\nDate: {date}\r\nContent-Length: {}\r\n\r\n", text.len());
        let mut out = socket;
        out.write_all((head + &text).as_bytes()).ok()?;
    }
}

fn form(text: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let (mut out, bytes) = (Vec::new(), text.as_bytes());
        let mut i = 0;
        while i < bytes.len() {
            match bytes[i] {
                b'%' => {
                    out.push(u8::from_str_radix(&text[i + 1..i + 3], 16).unwrap());
                    i += 2;
                }
                b'+' => out.push(b' '),
                byte => out.push(byte),
            }
            i += 1;
        }
        String::from_utf8(out).unwrap()
    };
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (decoded(k), decoded(v))).collect()
}

impl World {
    fn answer_to(
        &mut self,
        path: &str,
        query: &BTreeMap<String, String>,
        body: &str,
        token: &str,
    ) -> (u16, String) {
        match path {
            "/health" => (200, json!({ "status": "pass", "version": self.version }).to_string()),
            "/ready" => (200, json!({ "status": "ready", "started": self.started }).to_string()),
            _ if token != format!("Token {}", self.token) => {
                (401, json!({ "code": "unauthorized", "message": "unauthorized access" }).to_string())
            }
            "/api/v2/buckets" => match self.buckets.get(&query["name"]) {
                Some(seconds) => {
                    let rules = [json!({ "type": "expire", "everySeconds": seconds })];
                    let bucket = json!({ "id": "1", "name": query["name"], "retentionRules": rules });
                    (200, json!({ "buckets": [bucket] }).to_string())
                }
                None => {
                    (404, json!({ "message": format!("bucket {:?} not found", query["name"]) }).to_string())
                }
            },
            "/api/v2/write" => self.write(&query["bucket"], body),
            "/query" => {
                let form = form(body);
                self.question(&form["db"], form["q"].clone())
            }
            _ => (404, "404 page not found".into()),
        }
    }

    fn write(&mut self, bucket: &str, body: &str) -> (u16, String) {
        self.writes.push((bucket.into(), body.into()));
        if let Some(answer) = self.answers.pop_front() {
            return answer;
        }
        if self.refuses.as_ref().is_some_and(|text| body.contains(text)) {
            return (400, json!({ "code": "invalid", "message": "unable to parse" }).to_string());
        }
        for line in parse_lines(body).map(Result::unwrap) {
            let measurement = line.series.measurement.as_str();
            for (name, value) in line.field_set.iter().filter(|_| measurement.starts_with("tickberry_")) {
                let value = match value {
                    FieldValue::I64(i) => json!(i),
                    FieldValue::String(s) => json!(s.as_str()),
                    other => panic!("{other:?}"),
                };
                match measurement {
                    "tickberry_cursor" => drop(self.cursor.insert(name.as_str().into(), value)),
                    "tickberry_base" => drop(self.base.insert(name.as_str().into(), value)),
                    _ => {
                        let at = (bucket.to_owned(), line.timestamp.unwrap());
                        self.witnesses.insert(at, value.as_str().unwrap().into());
                    }
                }
            }
        }
        (204, String::new())
    }

    fn question(&mut self, bucket: &str, question: String) -> (u16, String) {
        const CURSOR: [&str; 8] =
            ["epoch", "stored", "rebuild_from", "floor_ms", "state", "writer", "reached_epoch", "reached"];
        const BASE: [&str; 8] = [
            "epoch",
            "stored",
            "rebuild_from",
            "floor_ms",
            "state",
            "process",
            "trade_nanos",
            "minute_nanos",
        ];
        const REACH: [&str; 3] = ["writer", "reached_epoch", "reached"];
        let at = json!(7_258_118_400_000_000_000_i64);
        let row = |fields: &BTreeMap<String, Value>, head: &[Value], names: &[&str]| {
            let values = names.iter().map(|name| fields.get(*name).cloned().unwrap_or(Value::Null));
            let values: Vec<Value> = head.iter().cloned().chain(values).collect();
            if fields.is_empty() { json!({}) } else { json!({ "series": [{ "values": [values] }] }) }
        };
        let of_source = [at.clone(), json!("finnhub")];
        let result = if question.contains("SELECT \"writer\", \"reached_epoch\"") {
            row(&self.cursor, &[at], &REACH)
        } else if question.contains("tickberry_cursor") {
            row(&self.cursor, &of_source, &CURSOR)
        } else if question.contains("tickberry_base") {
            row(&self.base, &of_source, &BASE)
        } else if let Some((_, time)) = question.split_once("tickberry_witness\" WHERE time = ") {
            let at = time.split(' ').next().unwrap().parse().unwrap();
            match self.witnesses.get(&(bucket.to_owned(), at)) {
                Some(process) => json!({ "series": [{ "values": [[at, "finnhub", process]] }] }),
                None => json!({}),
            }
        } else {
            self.answer.clone().unwrap_or(json!({}))
        };
        self.questions.push(question);
        (200, json!({ "results": [result] }).to_string())
    }
}
