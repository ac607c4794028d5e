//! The journal over HTTP, through a real socket.

use std::sync::Arc;

use tickberry_gateway::journal::Journal;
use tickberry_gateway::journal::model::ModelDisk;
use tickberry_gateway::serve::{CONTENT_TYPE, routes};
use tickberry_wire::{Batch, Body, GapReason, Source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Written, open};

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

struct Server {
    address: std::net::SocketAddr,
}

impl Server {
    async fn start(journal: &Journal) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = routes(Source::new("finnhub").unwrap(), journal.reader());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address }
    }

    async fn connect(&self, path: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    async fn get(&self, path: &str) -> Answer {
        let mut all = Vec::new();
        self.connect(path).await.read_to_end(&mut all).await.unwrap();
        let end = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(all[..end].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = &all[end + 4..];
        let body = if head.contains("transfer-encoding: chunked") { unchunk(body) } else { body.to_vec() };
        Answer { status, head, body }
    }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = bytes.windows(2).position(|w| w == b"\r\n") {
        let len = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        out.extend_from_slice(&bytes[end + 2..end + 2 + len]);
        bytes = &bytes[end + 2 + len + 2..];
    }
    out
}

fn batches(mut body: &[u8]) -> Vec<Batch> {
    let mut out = Vec::new();
    while let Some((len, rest)) = body.split_first_chunk::<4>() {
        let len = u32::from_le_bytes(*len) as usize;
        out.push(tickberry_wire::decode(&rest[..len]).unwrap());
        body = &rest[len..];
    }
    assert!(body.is_empty());
    out
}

fn filled(disk: &ModelDisk, segments: u64) -> Journal {
    let (mut journal, opened) = open(Arc::new(disk.clone()), 1);
    let mut written = Written::default();
    written.opened(&opened);
    while journal.stats().segments < segments {
        written.append(&mut journal, 200).unwrap();
    }
    journal.flush().unwrap();
    written.append(&mut journal, 10).unwrap();
    journal
}

#[tokio::test]
async fn from_any_offset_to_committed() {
    let journal = filled(&ModelDisk::new(1), 3);
    let server = Server::start(&journal).await;
    let state = journal.state();
    for from in [0, 1, 2, 200, 201, state.committed / 2, state.committed - 1, state.committed, state.head] {
        let answer = server.get(&format!("/api/v1/journal/finnhub?from={from}")).await;
        assert_eq!(answer.status, 200, "{from}");
        assert!(answer.head.contains(&format!("content-type: {CONTENT_TYPE}")));
        assert!(answer.head.contains(&format!("tickberry-committed: {}\r\n", state.committed)));
        assert!(answer.head.contains(&format!("tickberry-epoch: {}\r\n", state.epoch)));
        let batches = batches(&answer.body);
        if from >= state.committed {
            assert!(batches.is_empty());
            continue;
        }
        assert!((batches[0].first_offset..batches[0].end_offset()).contains(&from));
        assert!(batches.windows(2).all(|pair| pair[0].end_offset() == pair[1].first_offset));
        assert_eq!(batches.last().unwrap().end_offset(), state.committed);
    }
    let answer = server.get("/api/v1/journal/finnhub?from=1&to=250").await;
    let ends: Vec<u64> = batches(&answer.body).iter().map(Batch::end_offset).collect();
    assert_eq!(ends, [201, 401]);
}

#[tokio::test]
async fn errors_say_what_and_where() {
    let journal = filled(&ModelDisk::new(1), 9);
    let server = Server::start(&journal).await;
    let state = journal.state();
    let json = |answer: &Answer| serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap();

    let gone = server.get("/api/v1/journal/finnhub?from=0").await;
    assert_eq!((gone.status, json(&gone)["first"].as_u64()), (410, Some(state.first)));
    assert_eq!((json(&gone)["from"].as_u64(), json(&gone)["reason"].as_str()), (Some(0), Some("lost_range")));
    let ahead = server.get(&format!("/api/v1/journal/finnhub?from={}", state.head + 1)).await;
    assert_eq!((ahead.status, json(&ahead)["head"].as_u64()), (416, Some(state.head)));
    for (path, status) in [
        ("x?from=0", 404),
        ("finnhub?from=x", 400),
        ("finnhub?from=-1", 400),
        ("finnhub?form=1", 400),
        ("finnhub?format=xml", 400),
    ] {
        let answer = server.get(&format!("/api/v1/journal/{path}")).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(json(&answer)["error"].is_string());
    }
}

#[tokio::test]
async fn a_person_with_curl_reads_lines() {
    let journal = filled(&ModelDisk::new(1), 2);
    let server = Server::start(&journal).await;
    let answer = server.get("/api/v1/journal/finnhub?to=2&format=json").await;
    assert!(answer.head.contains("content-type: application/x-ndjson"));
    let text = String::from_utf8(answer.body).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 201);
    assert_eq!(
        (lines[0]["kind"].as_str(), lines[0]["simulated"].as_bool()),
        (Some("epoch_start"), Some(true))
    );
    assert_eq!(lines[0]["epoch"].as_u64(), Some(journal.state().epoch.get()));
    for (offset, line) in lines.iter().enumerate() {
        assert_eq!(line["journal_offset"].as_u64(), Some(offset as u64));
    }
    assert!(text.contains(r#""price":0.15,"#), "{}", text.lines().nth(2).unwrap());
}

#[tokio::test]
async fn rot_is_a_lost_batch() {
    let disk = ModelDisk::new(1);
    let journal = filled(&disk, 2);
    disk.flip("segment-0000000000", 9000, 0xff);
    let server = Server::start(&journal).await;
    let batches = batches(&server.get("/api/v1/journal/finnhub?from=0").await.body);
    let lost: Vec<_> = batches.iter().filter(|b| matches!(b.body, Body::Lost { .. })).collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].body, Body::Lost { count: 200, reason: GapReason::Quarantine });
    assert!(batches.windows(2).all(|pair| pair[0].end_offset() == pair[1].first_offset));
}

#[tokio::test]
async fn many_read_at_once_while_one_is_stuck_and_one_writes() {
    let mut journal = filled(&ModelDisk::new(1), 5);
    let server = Arc::new(Server::start(&journal).await);
    let committed = journal.state().committed;
    // Asks and never reads.
    let _stuck = server.connect("/api/v1/journal/finnhub").await;
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.get("/api/v1/journal/finnhub").await })
        })
        .collect();
    let mut written = Written::default();
    for _ in 0..50 {
        written.append(&mut journal, 10).unwrap();
        tokio::task::yield_now().await;
    }
    for reader in readers {
        let answer = reader.await.unwrap();
        assert_eq!(batches(&answer.body).last().unwrap().end_offset(), committed);
    }
}

#[tokio::test]
async fn readers_are_bounded() {
    let journal = filled(&ModelDisk::new(1), 2);
    let server = Server::start(&journal).await;
    let mut stuck = Vec::new();
    for _ in 0..40 {
        stuck.push(server.connect("/api/v1/journal/finnhub").await);
    }
    drop(stuck);
    // However it went for them, the next reader is served or told to come back.
    let answer = server.get("/api/v1/journal/finnhub").await;
    assert!(answer.status == 200 || answer.status == 503);
}
