//! The feed: a simulator in this process that sends our frames, and the book of what was sent to whom.

use super::market::{Frame, Market};
use super::plan::Rate;
use crate::generate::SYMBOLS;
use crate::harness::Host;
use anyhow::Result;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tickberry_simulator::{Config, Control, SecondConnection, Simulator};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// So many frames of a round come at full rate, so many at a steady one; then there is only a trickle.
const FULL_FRAMES: usize = 300;
const STEADY_FRAMES: usize = 450;
/// A stopped gateway's connection must outlive a minute.
const PATIENCE: Duration = Duration::from_secs(300);

/// A frame in the book.
#[derive(Debug, Clone)]
pub struct Sent {
    /// What.
    pub frame: Frame,
    /// The connection it was given to, by number; `None` where there was none, or two.
    pub connection: Option<u64>,
}

#[derive(Debug)]
struct Book {
    market: Market,
    frames: Vec<Sent>,
    /// A frame that found no room.
    waiting: Option<Frame>,
    passed: Instant,
    rate: Option<Rate>,
    in_round: usize,
}

/// A running feed; dropped, it ends.
#[derive(Debug)]
pub struct Feeder {
    address: SocketAddr,
    control: Control,
    book: Arc<Mutex<Book>>,
    task: JoinHandle<()>,
    _running: DropGuard,
}

impl Feeder {
    /// A feed that says nothing yet; its first trades will be at `start_ms`.
    pub async fn start(host: Host, seed: u64, start_ms: i64) -> Result<Feeder> {
        // It has never heard of any trade of its own.
        let config = Config {
            listen: host.at(0),
            silent: SYMBOLS.map(str::to_owned).to_vec(),
            second_connection: SecondConnection::DropFirst,
            write_timeout: PATIENCE,
            ..Config::default()
        };
        let simulator = Simulator::build(config).await?;
        let (address, control) = (simulator.address(), simulator.control());
        let shutdown = CancellationToken::new();
        tokio::spawn(simulator.run(shutdown.clone()));
        let book = Arc::new(Mutex::new(Book {
            market: Market::new(seed, start_ms),
            frames: Vec::new(),
            waiting: None,
            passed: Instant::now(),
            rate: None,
            in_round: 0,
        }));
        let task = tokio::spawn(stream(control.clone(), book.clone()));
        Ok(Feeder { address, control, book, task, _running: shutdown.drop_guard() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on frames come at this rate.
    pub fn play(&self, rate: Rate) {
        let mut book = lock(&self.book);
        (book.rate, book.in_round) = (Some(rate), 0);
    }

    /// No more frames.
    pub fn pause(&self) {
        lock(&self.book).rate = None;
    }

    /// One frame more; gives its number if there was room for it.
    pub fn one(&self) -> Option<usize> {
        give(&self.control, &mut lock(&self.book))
    }

    /// Resets the gateway's connection.
    pub fn reset(&self) {
        self.control.drop_connections();
    }

    /// How many frames were sent.
    pub fn count(&self) -> usize {
        lock(&self.book).frames.len()
    }

    /// The frames from a number on.
    pub fn sent(&self, from: usize) -> Vec<Sent> {
        lock(&self.book).frames[from..].to_vec()
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn stream(control: Control, book: Arc<Mutex<Book>>) {
    loop {
        let pause = {
            let mut book = lock(&book);
            match pace(book.rate, book.in_round) {
                Some((frames, pause)) => {
                    for _ in 0..frames {
                        if give(&control, &mut book).is_none() {
                            break;
                        }
                        book.in_round += 1;
                    }
                    pause
                }
                None => Duration::from_millis(2),
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// So many frames, and a pause.
fn pace(rate: Option<Rate>, in_round: usize) -> Option<(usize, Duration)> {
    let ms = Duration::from_millis;
    Some(match rate? {
        Rate::Full if in_round < FULL_FRAMES => (3, ms(1)),
        Rate::Full | Rate::Steady if in_round < STEADY_FRAMES => (1, ms(5)),
        Rate::Trickle if in_round < STEADY_FRAMES => (1, ms(50)),
        _ => (1, ms(200)),
    })
}

fn give(control: &Control, book: &mut Book) -> Option<usize> {
    let now = Instant::now();
    let silent = now.duration_since(book.passed);
    book.market.pass(silent.as_millis() as i64);
    book.passed = now;
    let frame = book.waiting.take().unwrap_or_else(|| book.market.frame());
    let before = control.counts();
    if !control.inject(&frame.json()) {
        book.waiting = Some(frame);
        return None;
    }
    let after = control.counts();
    let alone = before.connections == after.connections && before.open == 1 && after.open == 1;
    book.frames.push(Sent { frame, connection: alone.then_some(after.connections) });
    Some(book.frames.len() - 1)
}
