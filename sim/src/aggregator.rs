//! An aggregator's process: the real consumer, its fetch, and the batch on its way to the store.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tickberry_aggregator::consumer::{Action, Consumer, Fetched, Told};
use tickberry_aggregator::frames::Frames;
use tickberry_aggregator::reader::JournalHead;
use tickberry_aggregator::records::Decoder;
use tickberry_aggregator::window::FoldConfig;
use tickberry_gateway::journal::{Batches, ReadError, Reader};
use tickberry_gateway::serve::body;
use tickberry_store::{Cursor, WriteBatch};
use tickberry_wire::Source;

use crate::network::{Line, Message};
use crate::random::Random;

/// A fetch under way.
pub struct Fetch {
    batches: Option<Batches>,
    first: Option<Fetched>,
    frames: Frames,
    decoder: Decoder,
    /// Bytes on their way.
    pipe: Bytes,
    /// Of which life of the gateway.
    pub life: u64,
    /// When it was asked for: the answer begins later, so that asking again and again takes time.
    pub asked_at: u64,
}

impl Fetch {
    /// Asks a journal.
    pub fn begin(reader: &Reader, from: u64, life: u64, asked_at: u64) -> Self {
        let state = reader.state();
        let (batches, first) = match reader.read(from, None) {
            Ok(batches) => {
                let head = JournalHead { epoch: state.epoch, committed: state.committed };
                (Some(batches), Fetched::Head(head))
            }
            Err(ReadError::Gone { first, .. }) => (None, Fetched::Gone(first)),
            Err(ReadError::Ahead { head, .. }) => (None, Fetched::Beyond(head)),
            Err(ReadError::Disk { .. }) => (None, Fetched::Failed("503".into())),
        };
        Self {
            batches,
            first: Some(first),
            frames: Frames::default(),
            decoder: Decoder::default(),
            pipe: Bytes::new(),
            life,
            asked_at,
        }
    }

    /// The next item; `None` when nothing has arrived. `alive`: the other end still sends.
    pub fn next(&mut self, alive: bool, random: &mut Random) -> Option<Fetched> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            match self.frames.next_frame() {
                Err(error) => return Some(Fetched::Failed(error)),
                Ok(Some(frame)) => {
                    return Some(
                        self.decoder
                            .decode(&frame)
                            .map_or_else(|e| Fetched::Failed(e.to_string()), Fetched::Batch),
                    );
                }
                Ok(None) => {}
            }
            if self.pipe.is_empty() {
                if !alive {
                    return Some(Fetched::Failed("the connection broke".into()));
                }
                let size = random.within(1, 6_000) as usize;
                match self.batches.as_mut().map(|batches| body::part(batches, size)) {
                    Some(Ok(part)) if part.is_empty() && self.frames.is_empty() => return Some(Fetched::End),
                    Some(Ok(part)) => self.pipe = part,
                    _ => return Some(Fetched::Failed("the connection broke".into())),
                }
            }
            let cut = random.within(1, self.pipe.len() as u64) as usize;
            self.frames.push(&self.pipe.split_to(cut));
        }
    }
}

/// A batch on its way to the store.
pub struct Writing {
    /// What.
    pub batch: Rc<WriteBatch>,
    /// When the store has it, or has not.
    pub applied_at: u64,
    /// When the answer comes.
    pub answered_at: u64,
    /// The store took it.
    pub applied: bool,
    /// What the answer says.
    pub ok: bool,
    /// It is done, and the answer is on its way.
    pub done: bool,
}

/// The process, or its host without it.
#[derive(Default)]
pub struct Aggregator {
    /// Lives from the store's cursor on.
    pub consumer: Option<Consumer>,
    /// The way from the broker.
    pub line: Line,
    /// For what comes over it.
    pub decoder: Decoder,
    /// What the process was told on it.
    pub told: Told,
    /// The fetch under way.
    pub fetch: Option<Fetch>,
    /// The batch under way.
    pub writing: Option<Writing>,
    /// When the process is started again.
    pub start_at: Option<u64>,
    /// When the store is asked for its cursor.
    pub ask_at: Option<u64>,
    /// When the next transaction is due.
    pub commit_at: u64,
    /// The cursor that its writer last read or wrote.
    pub known: Option<(u64, u64)>,
    /// Actions to do.
    pub actions: Vec<Action>,
}

impl Aggregator {
    /// The process dies.
    pub fn kill(&mut self) {
        let line = std::mem::take(&mut self.line);
        *self = Self { line, ..Self::default() };
        self.line.cut();
    }

    /// Whether there is a process.
    pub fn is_up(&self) -> bool {
        self.consumer.is_some() || self.ask_at.is_some()
    }

    /// The store answered: a life begins.
    pub fn begin(
        &mut self,
        config: FoldConfig,
        source: &Source,
        cursor: Option<Cursor>,
        settle: Duration,
        at: Instant,
    ) -> Result<(), String> {
        let (consumer, error) = Consumer::new(config, source, cursor, settle, self.told, at);
        self.consumer = Some(consumer);
        (self.fetch, self.writing, self.ask_at) = (None, None, None);
        self.actions.clear();
        error.map_or(Ok(()), |e| Err(format!("a cursor cannot be used: {e}")))
    }

    /// A message has arrived.
    pub fn hear(&mut self, message: &Message, at: Instant) {
        match message {
            Message::Batch(payload) => {
                let Some(consumer) = &mut self.consumer else { return };
                self.decoder.recycle(consumer.used());
                if let Ok(batch) = self.decoder.decode(payload) {
                    self.actions.extend(consumer.hear(batch, at));
                }
            }
            Message::Status(epoch, committed) => {
                self.tell(Told { epoch: Some(*epoch), committed: *committed, up: true }, at);
            }
        }
    }

    /// What is known of the gateway, or of the line, is another.
    pub fn tell(&mut self, told: Told, at: Instant) {
        if told == self.told {
            return;
        }
        self.told = told;
        if let Some(consumer) = &mut self.consumer {
            self.actions.extend(consumer.tell(told, at));
        }
    }

    /// The fetch brought something.
    pub fn read(&mut self, item: Fetched, at: Instant) {
        if !matches!(item, Fetched::Batch(_) | Fetched::Head(_)) {
            self.fetch = None;
        }
        if let Some(consumer) = &mut self.consumer {
            self.actions.extend(consumer.read(item, at));
        }
    }

    /// The store's answer.
    pub fn answered(&mut self, ok: bool, random: &mut Random, at: Instant) {
        self.writing = None;
        let Some(consumer) = &mut self.consumer else { return };
        if ok {
            consumer.written(at, &mut self.actions);
        } else {
            consumer.write_failed(Duration::from_millis(random.within(250, 3_000)), at);
        }
    }

    /// Everything below is in the store, as far as the process knows.
    pub fn stored(&self) -> Option<u64> {
        self.consumer.as_ref().map(Consumer::stored)
    }
}
