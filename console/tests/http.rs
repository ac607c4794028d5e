//! The console over a real SQLite file and real sockets: what a browser, curl or a script gets.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tickberry_console::{Config, Console, Event, MIN_STEP, Minute, Price};
use tickberry_store::sqlite::{SqliteConfig, SqliteReader, SqliteWriter};
use tickberry_store::{Cursor, GapRow, MinuteRow, StoreWriter, TradeRow, WriteBatch};
use tickberry_wire::Decimal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

struct Server {
    console: Console,
    address: std::net::SocketAddr,
    file: tempfile::TempDir,
}

fn minute(symbol: &str, start_ms: i64, close: f64) -> MinuteRow {
    MinuteRow {
        source: "finnhub".into(),
        symbol: symbol.into(),
        start_ms,
        open: 55107.0,
        high: 55107.56,
        low: 0.00005,
        close,
        volume: 0.1 + 0.2,
        trade_count: 3,
        vwap: 1.0 / 3.0,
        avg_price: 2.5,
        coverage: 0.64,
        revision: 1,
        final_: 1,
    }
}

fn trade(journal_offset: u64, time_ms: i64, conditions: Option<&str>) -> TradeRow {
    TradeRow {
        source: "finnhub".into(),
        epoch: 9,
        journal_offset,
        symbol: "A".into(),
        time_ms,
        price: 1.5,
        volume: 2.0,
        conditions: conditions.map(Into::into),
        received_ms: None,
    }
}

async fn server(config: &Config) -> Server {
    let file = tempfile::tempdir().expect("a directory");
    let path = file.path().join("tickberry.sqlite3");
    let mut writer = SqliteWriter::open(SqliteConfig::new(&path)).expect("opens");
    let (source, state) = ("finnhub".into(), Vec::new());
    let mut batch =
        WriteBatch::new(Cursor { source, epoch: 9, stored: 3, rebuild_from: 0, floor_ms: 0, state });
    batch.minutes = (0..5).map(|at| minute("A", at * 60_000, 1.0)).collect();
    batch.minutes.push(minute("B,C", 0, 2.0));
    batch.trades =
        vec![trade(0, 1_000, None), trade(1, 1_000, Some(r#"["1","12"]"#)), trade(2, 2_000, Some("[]"))];
    let (source, symbol) = ("finnhub".into(), "*".into());
    batch.gaps.push(GapRow { source, symbol, start_ms: 5, end_ms: 70_000, reason: "stall".into() });
    writer.write(&batch).expect("writes");
    let console = Console::new(config, Arc::new(SqliteReader::open(&path).expect("opens")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("is bound");
    let routes = console.routes();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Server { console, address, file }
}

/// An answer: status line and headers in one text, and the body.
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn code(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }
    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

impl Server {
    async fn send(&self, path: &str, headers: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.expect("connects");
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.expect("sends");
        socket
    }

    async fn get_with(&self, path: &str, headers: &str) -> Answer {
        let mut bytes = Vec::new();
        self.send(path, headers).await.read_to_end(&mut bytes).await.expect("answers");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let mut body = bytes.split_off(end + 4);
        if head.contains("transfer-encoding: chunked") {
            body = unchunked(&body);
        }
        Answer { head, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.get_with(path, "").await
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let line = body.iter().position(|&byte| byte == b'\r').expect("a chunk");
        let size =
            std::str::from_utf8(&body[..line]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let size = size.expect("a size");
        if size == 0 {
            return out;
        }
        out.extend(&body[line + 2..line + 2 + size]);
        body = &body[line + 4 + size..];
    }
}

/// The events of a stream, each with its name and data.
struct Events(BufReader<TcpStream>);

impl Events {
    async fn next(&mut self) -> Option<(String, serde_json::Value, String)> {
        let (mut name, mut data, mut id) = (String::new(), None, String::new());
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(Duration::from_secs(20), self.0.read_line(&mut line));
            if read.await.expect("an event within 20 s").expect("reads") == 0 {
                return None;
            }
            let line = line.trim_end();
            if let Some(text) = line.strip_prefix("event: ") {
                name = text.into();
            } else if let Some(text) = line.strip_prefix("id: ") {
                id = text.into();
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = Some(serde_json::from_str(text).expect("JSON"));
            } else if line.is_empty()
                && let Some(data) = data.take()
            {
                return Some((name, data, id));
            }
        }
    }
}

#[tokio::test]
async fn minutes_as_json_and_csv_with_every_digit() {
    let server = server(&Config::default()).await;
    let answer = server.get("/api/v1/minutes?symbol=A&from=60000&to=1970-01-01T00:02:00Z").await;
    assert_eq!(
        answer.text(),
        "[\n{\"source\":\"finnhub\",\"symbol\":\"A\",\"start_ms\":60000,\"open\":55107,\"high\":55107.56,\
         \"low\":0.00005,\"close\":1,\"volume\":0.30000000000000004,\"trade_count\":3,\
         \"vwap\":0.3333333333333333,\"avg_price\":2.5,\"coverage\":0.64,\"revision\":1,\"final\":1}]\n"
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let answer = server.get("/api/v1/minutes?symbol=B,C&format=csv").await;
    assert_eq!(
        answer.text(),
        "source,symbol,start_ms,open,high,low,close,volume,trade_count,vwap,avg_price,coverage,revision,final\r\n\
         finnhub,\"B,C\",0,55107,55107.56,0.00005,2,0.30000000000000004,3,0.3333333333333333,2.5,0.64,1,1\r\n"
    );
    assert_eq!(server.get("/api/v1/minutes?symbol=A&source=other").await.text(), "[]\n");
}

#[tokio::test]
async fn a_limit_keeps_the_newest_unless_a_start_is_given_and_says_so() {
    let server = server(&Config::default()).await;
    for (query, starts, truncated) in [
        ("", &[0, 60_000, 120_000, 180_000, 240_000][..], "false"),
        ("&limit=2", &[180_000, 240_000], "true"),
        ("&limit=2&to=180000", &[60_000, 120_000], "true"),
        ("&limit=2&from=0", &[0, 60_000], "true"),
        ("&limit=2&from=0&to=120000", &[0, 60_000], "false"),
        ("&from=60001&to=60001", &[], "false"),
    ] {
        let answer = server.get(&format!("/api/v1/minutes?symbol=A{query}")).await;
        let rows = answer.json();
        let got: Vec<_> = rows.as_array().expect("rows").iter().map(|row| row["start_ms"].clone()).collect();
        assert_eq!(got, starts, "{query}");
        assert_eq!(answer.header("tickberry-truncated"), Some(truncated), "{query}");
    }
}

#[tokio::test]
async fn trades_and_gaps() {
    let server = server(&Config::default()).await;
    let rows = server.get("/api/v1/trades?symbol=A").await.json();
    assert_eq!(rows.as_array().map(Vec::len), Some(3));
    assert_eq!(rows[1]["conditions"], serde_json::json!(["1", "12"]));
    assert_eq!(rows[0]["conditions"], serde_json::Value::Null);
    let csv = server.get("/api/v1/trades?symbol=A&format=csv&from=1000&to=1001").await;
    assert_eq!(
        csv.text(),
        "source,epoch,journal_offset,symbol,time_ms,price,volume,conditions,received_ms\r\n\
         finnhub,9,0,A,1000,1.5,2,,\r\n\
         finnhub,9,1,A,1000,1.5,2,\"[\"\"1\"\",\"\"12\"\"]\",\r\n"
    );
    let gaps = server.get("/api/v1/gaps?symbol=A&format=csv").await;
    assert_eq!(gaps.text(), "source,symbol,start_ms,end_ms,reason\r\nfinnhub,*,5,70000,stall\r\n");
}

/// Eleven thousand trades, 700 of them in one millisecond: all are there, once, in order, as JSON and CSV.
#[tokio::test]
async fn without_a_limit_everything_is_streamed() {
    let server = server(&Config::default()).await;
    let mut writer = SqliteWriter::open(SqliteConfig::new(server.file.path().join("tickberry.sqlite3")));
    let writer = writer.as_mut().expect("opens");
    let (source, state) = ("finnhub".into(), Vec::new());
    let cursor = Cursor { source, epoch: 9, stored: 11_003, rebuild_from: 0, floor_ms: 0, state };
    let mut batch = WriteBatch::new(cursor);
    let at =
        |offset: u64| 1_800_000_000_000 + if (4000..4700).contains(&offset) { 4000 } else { offset } as i64;
    batch.trades = (3..11_003).map(|offset| trade(offset, at(offset), None)).collect();
    writer.write(&batch).expect("writes");
    let rows = server.get("/api/v1/trades?symbol=A").await.json();
    let offsets: Vec<_> =
        rows.as_array().expect("rows").iter().map(|row| row["journal_offset"].as_u64()).collect();
    assert_eq!(offsets, (0..11_003).map(Some).collect::<Vec<_>>());
    let path = "/api/v1/trades?symbol=A&format=csv&from=1800000000000";
    let answer = server.get_with(path, "accept-encoding: identity\r\n").await;
    assert_eq!(answer.text().lines().count(), 11_001);
    assert_eq!(answer.header("tickberry-truncated"), Some("false"));
    let gzip = server.get_with(path, "accept-encoding: gzip\r\n").await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&gzip.body[..]).read_to_string(&mut text).expect("whole");
    assert_eq!(text, answer.text());
    assert_eq!(server.get("/api/v1/trades?symbol=nobody&format=csv").await.text().lines().count(), 1);
}

#[tokio::test]
async fn a_bad_parameter_is_named_with_its_value_and_what_is_allowed() {
    let server = server(&Config::default()).await;
    let answer = server.get("/api/v1/minutes?symbol=A&limit=many").await;
    assert_eq!(answer.code(), "400");
    assert_eq!(
        answer.json(),
        serde_json::json!({
            "error": "parameter `limit` is `many`; allowed: a whole number from 1 to 50000",
            "parameter": "limit", "value": "many", "allowed": "a whole number from 1 to 50000"
        })
    );
    assert_eq!(server.get("/api/v1/trades").await.code(), "400");
    assert_eq!(server.get("/api/v1/events?symbl=A").await.code(), "400");
}

#[tokio::test]
async fn the_page_and_its_files() {
    let server = server(&Config::default()).await;
    let page = server.get("/").await;
    assert_eq!(page.code(), "200");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let etag = page.header("etag").expect("an ETag");
    let again = server.get_with("/", &format!("if-none-match: {}\r\n", etag.replace("w/", "W/"))).await;
    assert_eq!((again.code(), again.body.len()), ("304", 0));
    let script = server.get_with("/assets/uPlot.iife.min.js", "accept-encoding: gzip\r\n").await;
    assert_eq!(script.header("content-encoding"), Some("gzip"));
    assert!(script.body.starts_with(&[0x1f, 0x8b]) && script.body.len() < 25_000, "{}", script.body.len());
}

fn prices(text: &str, time_ms: i64) -> Event {
    let price = Decimal::parse(text).expect("a number");
    let price = Price { symbol: "A".into(), time_ms, price, update: false };
    Event::Prices { source: "finnhub".into(), received_ms: None, prices: vec![price] }
}

#[tokio::test]
async fn a_viewer_gets_everything_then_what_changed_four_times_a_second_and_goes_on_after_a_break() {
    let server = server(&Config::default()).await;
    server.console.apply(Event::BusUp);
    server.console.apply(prices("1.50", 1_000));
    let minute = Minute { start_ms: 0, close: 1.5, last: true, ..Minute::default() };
    let (source, symbol) = ("finnhub".into(), "A".into());
    server.console.apply(Event::Minute { source, symbol, minute });
    let mut events = Events(BufReader::new(server.send("/api/v1/events?symbol=A", "").await));
    let (name, data, _) = events.next().await.expect("a snapshot");
    assert_eq!(name, "snapshot");
    assert_eq!(data["selected"]["points"], serde_json::json!([[1_000, "1.50"]]));
    assert_eq!(data["selected"]["minutes"][0]["close"], "1.5");
    assert_eq!(data["symbols"][0]["last_price"], "1.50");

    // A flood of changes for a second and a half.
    let flood = server.console.clone();
    let flooding = tokio::spawn(async move {
        for at in 0..150 {
            flood.apply(prices("2.5", 2_000 + at));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        flood.apply(prices("3.0", 9_000));
    });
    let began = Instant::now();
    let (mut steps, mut last, mut resume) = (0, serde_json::Value::Null, String::new());
    while last != "3.0" {
        let (name, data, id) = events.next().await.expect("an update");
        assert_eq!(name, "update");
        last = data["symbols"][0]["last_price"].clone();
        (steps, resume) = (steps + 1, id);
    }
    let most = began.elapsed().as_millis() / MIN_STEP.as_millis() + 1;
    assert!(steps >= 3 && u128::try_from(steps).is_ok_and(|steps| steps <= most), "{steps} of {most}");
    flooding.await.expect("ends");

    // A second viewer who has all of this, but for what comes now.
    server.console.apply(prices("4.00", 10_000));
    let header = format!("last-event-id: {resume}\r\n");
    let mut events = Events(BufReader::new(server.send("/api/v1/events?symbol=A", &header).await));
    let (name, data, _) = events.next().await.expect("the rest");
    assert_eq!(
        (name.as_str(), &data["selected"]["points"]),
        ("update", &serde_json::json!([[10_000, "4.00"]]))
    );
    let foreign = "last-event-id: 1-1\r\n";
    let mut events = Events(BufReader::new(server.send("/api/v1/events", foreign).await));
    assert_eq!(events.next().await.expect("everything").0, "snapshot");
}

#[tokio::test]
async fn viewers_are_bounded_and_end_with_the_console() {
    let server = server(&Config { max_viewers: 1 }).await;
    let mut first = Events(BufReader::new(server.send("/api/v1/events", "").await));
    first.next().await.expect("a snapshot");
    let refused = server.get("/api/v1/events").await;
    assert_eq!((refused.code(), refused.header("retry-after")), ("503", Some("10")));
    assert!(refused.text().contains("max_viewers"), "{}", refused.text());
    server.console.stop();
    while first.next().await.is_some() {}
}
