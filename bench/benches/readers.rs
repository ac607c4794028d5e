//! The live stream while others read the journal over HTTP from its beginning, as fast as they can.
//!
//! Live is what the gateway does with a frame: parsed, journaled (a flush a second), published, and heard by a subscriber
//! of the broker. Timed from the moment a frame was due, so that a frame which had to wait counts with its wait. Readers
//! fetch and decode as an aggregator does, again and again, on threads of their own as in a process of their own.
//! Everything shares this machine's cores: broker, gateway, subscriber, readers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tickberry_aggregator::frames::Frames;
use tickberry_bench::journals::{batch, messages, open, write};
use tickberry_bench::peers::frame_json;
use tickberry_broker::SharedSecret;
use tickberry_gateway::finnhub::{Message, Parser};
use tickberry_gateway::journal::{Config, DirDisk, Reader};
use tickberry_gateway::recorder::{Moment, Recorder, RecorderSettings};
use tickberry_gateway::serve;
use tickberry_service::Shutdown;
use tickberry_service::mqtt::{self, BusConfig, Event, Publisher};
use tickberry_wire::{Columns, Source, Trade, decode_columns, peek};
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;

/// Trades in the journal before anybody reads: some hours of them.
const HISTORY: u64 = 1_000_000;
/// How long each combination runs.
const RUN: Duration = Duration::from_secs(5);
const TOPIC: &str = "tickberry/v1/batches/bench";

/// A stream's pace.
#[derive(Clone, Copy)]
struct Pace {
    name: &'static str,
    per_message: usize,
    messages_a_second: u32,
}

const PACES: [Pace; 2] = [
    Pace { name: "33 trades/s, one a frame", per_message: 1, messages_a_second: 33 },
    Pace { name: "10,000 trades/s, ten a frame", per_message: 10, messages_a_second: 1_000 },
];

fn main() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let trades = fill(home.path());
    let (gateway, readers) = (runtime(), runtime());
    gateway.block_on(all(home.path(), &trades, readers.handle()));
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// A journal with a history; returns the trades to go on with.
fn fill(dir: &Path) -> Vec<Trade> {
    let messages = messages();
    let mut journal = open(dir, 1);
    write(&mut journal, &messages);
    while journal.state().head < HISTORY {
        for message in &messages {
            let bytes = batch(&journal, message);
            journal.append(&bytes).expect("it continues the journal");
        }
        journal.flush().expect("the disk takes it");
    }
    // What is committed and complete is sealed, one segment a flush.
    let sealed = |journal: &tickberry_gateway::journal::Journal| journal.stats().segments_sealed;
    for message in messages.iter().take(10) {
        let bytes = batch(&journal, message);
        journal.append(&bytes).expect("it continues the journal");
        journal.flush().expect("the disk takes it");
    }
    println!("{} trades, {} segments sealed", journal.state().head, sealed(&journal));
    messages.into_iter().flat_map(|(_, trades)| trades).collect()
}

async fn all(dir: &Path, trades: &[Trade], others: &Handle) {
    let bus = broker().await;
    let live = Arc::new(Live::open(dir, bus));
    let url = serve_journal(live.reader()).await;
    for pace in PACES {
        println!("\n{}", pace.name);
        let frames: Vec<String> = trades.chunks(pace.per_message).map(frame_json).collect();
        let mut alone = None;
        for readers in [0, 1, 4, 8] {
            let tasks = Readers::start(others, &url, readers);
            let outcome = run(&live, &frames, pace, tasks).await;
            outcome.print(readers, alone.get_or_insert(outcome.p99));
        }
    }
}

async fn broker() -> BusConfig {
    let secret = SharedSecret::generate();
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let config = tickberry_broker::Config { taps: any, services: any, ..Default::default() };
    let broker = tickberry_broker::build(config, Arc::new(secret.clone())).await.expect("a broker");
    let address = broker.service_address().to_string();
    tokio::spawn(async move { broker.run(Shutdown::new()).await.expect("the broker runs") });
    BusConfig {
        address,
        username: Some(secret.username().to_owned()),
        password: Some(secret.password().clone()),
    }
}

async fn serve_journal(reader: Reader) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let app = serve::routes(Source::new("bench").expect("a name"), reader);
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/api/v1/journal/bench?from=0")
}

/// The gateway's part: recorder and publisher, and when each batch was due.
struct Live {
    recorder: Mutex<Recorder>,
    publisher: Publisher,
    due: Mutex<HashMap<u64, Instant>>,
    waits: Arc<Mutex<Vec<(u64, Instant)>>>,
    started: Instant,
}

impl Live {
    fn open(dir: &Path, bus: BusConfig) -> Self {
        let started = Instant::now();
        let settings = RecorderSettings {
            journal: Config::default(),
            simulated: true,
            lateness_ms: 2_000,
            retry_disk_ms: 60_000,
        };
        let disk = Arc::new(DirDisk::open(dir).expect("it is there"));
        let (recorder, _) = Recorder::open(disk, settings, moment(started), 7).expect("it can be read");
        let (publisher, mut events) = mqtt::connect(bus, "bench", None, vec![TOPIC.to_owned()]);
        let waits = Arc::new(Mutex::new(Vec::new()));
        let heard = waits.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let Event::Message { payload, .. } = event {
                    let head = peek(&payload).expect("our own bytes");
                    // A commit has no record, and the offset of the frame after it.
                    if head.count > 0 {
                        heard.lock().expect("no panic").push((head.first_offset, Instant::now()));
                    }
                }
            }
        });
        Self { recorder: Mutex::new(recorder), publisher, due: Mutex::default(), waits, started }
    }

    fn reader(&self) -> Reader {
        self.recorder.lock().expect("no panic").reader()
    }

    /// A frame is received that was due then.
    fn frame(&self, parser: &mut Parser, frame: &str, due: Instant) {
        let mut recorder = self.recorder.lock().expect("no panic");
        let Message::Trades { trades, .. } = parser.parse(frame.as_bytes()) else { panic!("{frame}") };
        self.due.lock().expect("no panic").insert(recorder.state().head, due);
        recorder.trades(trades, moment(self.started));
        self.publish(&mut recorder);
    }

    fn publish(&self, recorder: &mut Recorder) {
        for output in recorder.take_outputs() {
            self.publisher.publish(TOPIC.to_owned(), output.payload, false);
        }
    }

    /// As the gateway does it: begun and ended here, and waiting for the disk elsewhere.
    fn begin_flush(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        let flush = self.recorder.lock().expect("no panic").begin_flush(moment(self.started))?;
        let live = self.clone();
        Some(tokio::task::spawn_blocking(move || {
            let outcome = flush.run();
            let mut recorder = live.recorder.lock().expect("no panic");
            recorder.end_flush(flush, outcome, moment(live.started));
            live.publish(&mut recorder);
        }))
    }
}

fn moment(started: Instant) -> Moment {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment { mono_ms: started.elapsed().as_millis() as u64, wall_ms: since_1970.as_millis() as i64 }
}

struct Outcome {
    frames: usize,
    /// Of them, heard by the subscriber.
    heard: usize,
    p50: f64,
    p99: f64,
    max: f64,
    /// Trades that the readers read and decoded, for each second.
    read: f64,
    /// CPU seconds for each second, of the whole process.
    cores: f64,
}

impl Outcome {
    fn print(&self, readers: usize, alone: &f64) {
        let Self { frames, heard, p50, p99, max, read, cores } = self;
        let per_core = if *read > 0.0 { read / cores / 1e6 } else { 0.0 };
        println!(
            "  {readers} readers: p50 {p50:>7.3} ms  p99 {p99:>8.3} ms ({:>6.1} x alone)  max {max:>8.3} ms  \
             {heard} of {frames} frames heard   {:>5.2} M trades/s read, {per_core:.2} M a core ({cores:.2} cores used)",
            p99 / alone,
            read / 1e6,
        );
    }
}

/// Those who read the journal.
struct Readers {
    tasks: Vec<JoinHandle<()>>,
    read: Arc<AtomicU64>,
    stop: Shutdown,
}

impl Readers {
    fn start(others: &Handle, url: &str, count: usize) -> Self {
        let (read, stop) = (Arc::new(AtomicU64::new(0)), Shutdown::new());
        let one = |_| others.spawn(fetch_again_and_again(url.to_owned(), read.clone(), stop.clone()));
        Self { tasks: (0..count).map(one).collect(), read, stop }
    }
}

async fn run(live: &Arc<Live>, frames: &[String], pace: Pace, readers: Readers) -> Outcome {
    let Readers { tasks, read, stop } = readers;
    // They have begun.
    tokio::time::sleep(Duration::from_millis(300)).await;
    live.waits.lock().expect("no panic").clear();
    let (began, cpu, before) = (Instant::now(), cpu_seconds(), read.load(Ordering::Relaxed));
    let mut parser = Parser::default();
    let every = Duration::from_secs(1) / pace.messages_a_second;
    let (mut next_flush, mut flushing) = (began, None::<JoinHandle<()>>);
    for (count, frame) in (0u32..).zip(frames.iter().cycle()) {
        let due = began + every * count;
        if due >= began + RUN {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        live.frame(&mut parser, frame, due);
        if Instant::now() >= next_flush && flushing.as_ref().is_none_or(JoinHandle::is_finished) {
            next_flush += Duration::from_secs(1);
            flushing = live.begin_flush();
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let cores = (cpu_seconds() - cpu) / seconds;
    let read = (read.load(Ordering::Relaxed) - before) as f64 / seconds;
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.cancel();
    for task in tasks {
        task.await.expect("no panic");
    }
    let due = std::mem::take(&mut *live.due.lock().expect("no panic"));
    let mut waits: Vec<f64> = live
        .waits
        .lock()
        .expect("no panic")
        .iter()
        .filter_map(|(offset, heard)| Some((*heard - *due.get(offset)?).as_secs_f64() * 1e3))
        .collect();
    waits.sort_by(f64::total_cmp);
    let at = |part: f64| waits.get(((waits.len() as f64 * part) as usize).min(waits.len() - 1)).copied();
    let at = |part| at(part).expect("some were heard");
    Outcome { frames: due.len(), heard: waits.len(), p50: at(0.5), p99: at(0.99), max: at(1.0), read, cores }
}

async fn fetch_again_and_again(url: String, read: Arc<AtomicU64>, stop: Shutdown) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut columns = Columns::default();
    while !stop.is_cancelled() {
        let mut response = client.get(&url).send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        let mut frames = Frames::default();
        while let Some(chunk) = response.chunk().await.expect("a whole answer") {
            frames.push(&chunk);
            let mut trades = 0;
            while let Some(frame) = frames.next_frame().expect("our own bytes") {
                decode_columns(&frame, &mut columns).expect("our own bytes");
                trades += columns.rows().len() as u64;
            }
            read.fetch_add(trades, Ordering::Relaxed);
            if stop.is_cancelled() {
                return;
            }
        }
    }
}

/// What this process has used, of all cores; the kernel counts in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_the_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind_the_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
