//! What a test holds in its hand: numbers of what happened, and levers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, SecondConnection};
use crate::feed::lock;
use crate::recorded::Replay;
use crate::script::{Script, Step, Trouble};
use crate::trade::Scheduled;

/// Injected frames that may wait for one connection.
const MAX_INJECTED: usize = 256;
/// Keys whose streams are remembered.
const MAX_KEYS: usize = 1024;

/// What has happened since the start. A frame counts when TCP has taken it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Handshakes answered with anything but 101.
    pub refused: u64,
    /// Handshakes answered with 101, ever.
    pub connections: u64,
    /// Connections now.
    pub open: u64,
    /// Subscriptions now, over all connections.
    pub subscriptions: u64,
    /// Trade frames sent, copies included.
    pub frames: u64,
    /// Trades in them.
    pub trades: u64,
    /// Those of these trades that were in copies of frames.
    pub copies: u64,
    /// Ping frames sent.
    pub pings: u64,
    /// Strange frames sent: troubles of the script and injected ones.
    pub strange: u64,
    /// Subscriptions over the limit, each answered with an error frame.
    pub over_limit: u64,
    /// Messages of clients that were not understood.
    pub not_understood: u64,
    /// Recorded trades played while their key was away.
    pub missed: u64,
    /// Recorded streams that came to their end.
    pub ended: u64,
}

/// A handle on a running simulator. Clones are the same handle.
#[derive(Debug, Clone)]
pub struct Control(pub(crate) Arc<Hub>);

impl Control {
    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        *self.0.counts.borrow()
    }

    /// Waits until `condition` holds; no sleeping, no missing of a short moment's counts that only grow.
    pub async fn until(&self, condition: impl FnMut(&Counts) -> bool) -> Counts {
        let mut condition = condition;
        let mut counts = self.0.counts.subscribe();
        // The sender lives in the hub, which this handle keeps alive.
        counts.wait_for(|counts| condition(counts)).await.map_or_else(|_| self.counts(), |counts| *counts)
    }

    /// Sends a text frame, whatever it says, to every connection; true if each has room for it.
    pub fn inject(&self, frame: &str) -> bool {
        let connections = lock(&self.0.connections);
        connections.values().all(|c| c.commands.try_send(Command::Inject(frame.to_owned())).is_ok())
    }

    /// Resets every connection (RST).
    pub fn drop_connections(&self) {
        lock(&self.0.connections).values().for_each(|connection| connection.drop.cancel());
    }

    /// Adds a trouble behind the steps still to come; with none to come it happens at once.
    pub fn trouble(&self, trouble: Trouble) {
        self.script(vec![Step { after: Default::default(), trouble }]);
    }

    /// Adds steps behind those still to come.
    pub fn script(&self, steps: Vec<Step>) {
        let mut script = lock(&self.0.script);
        steps.into_iter().for_each(|step| script.push(step));
        drop(script);
        // A full queue wakes its connection by itself.
        lock(&self.0.connections).values().for_each(|c| drop(c.commands.try_send(Command::Wake)));
    }

    /// Answers all further handshakes with this status (a revoked key: 401), until called with `None`.
    pub fn refuse(&self, status: Option<u16>) {
        *lock(&self.0.refuse) = status;
    }
}

#[derive(Debug)]
pub(crate) enum Command {
    Inject(String),
    Wake,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) key: String,
    pub(crate) commands: mpsc::Sender<Command>,
    /// Cancelled: reset it.
    pub(crate) drop: CancellationToken,
    /// Cancelled: close it, another one has its key.
    pub(crate) replaced: CancellationToken,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) config: Arc<Config>,
    pub(crate) counts: watch::Sender<Counts>,
    pub(crate) script: Arc<Mutex<Script>>,
    pub(crate) schedule: Option<Arc<[Scheduled]>>,
    refuse: Mutex<Option<u16>>,
    connections: Mutex<BTreeMap<u64, Connection>>,
    streams: Mutex<HashMap<String, Arc<Mutex<Replay>>>>,
}

/// A connection's place among the others.
pub(crate) struct Place {
    pub(crate) id: u64,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) drop: CancellationToken,
    pub(crate) replaced: CancellationToken,
}

impl Hub {
    pub(crate) fn new(config: Config, schedule: Option<Arc<[Scheduled]>>) -> Hub {
        Hub {
            script: Arc::new(Mutex::new(Script::new(config.script.clone()))),
            config: Arc::new(config),
            counts: watch::Sender::new(Counts::default()),
            schedule,
            refuse: Mutex::new(None),
            connections: Mutex::new(BTreeMap::new()),
            streams: Mutex::new(HashMap::new()),
        }
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    /// The status with which this key is turned away, if it is.
    pub(crate) fn refusal(&self, key: &str) -> Option<u16> {
        let known = match self.config.tokens.as_slice() {
            [] => true,
            tokens => tokens.iter().any(|token| token == key),
        };
        let in_use = || lock(&self.connections).values().any(|connection| connection.key == key);
        match *lock(&self.refuse) {
            Some(status) => Some(status),
            None if !known => Some(401),
            None if self.config.second_connection == SecondConnection::Refuse && in_use() => Some(429),
            None => None,
        }
    }

    /// Enters a connection; what the key's other connection suffers from that, it suffers here.
    pub(crate) fn enter(&self, key: &str) -> Place {
        let (sender, commands) = mpsc::channel(MAX_INJECTED);
        let place =
            |id| Place { id, commands, drop: CancellationToken::new(), replaced: CancellationToken::new() };
        let mut connections = lock(&self.connections);
        let place = place(
            connections
                .last_key_value()
                .map_or(1, |(id, _)| id + 1)
                .max(self.counts.borrow().connections + 1),
        );
        for other in connections.values().filter(|other| other.key == key) {
            other.replaced.cancel();
            if self.config.second_connection == SecondConnection::DropBoth {
                place.replaced.cancel();
            }
        }
        let (drop, replaced) = (place.drop.clone(), place.replaced.clone());
        connections.insert(place.id, Connection { key: key.to_owned(), commands: sender, drop, replaced });
        self.counts.send_modify(|counts| {
            counts.connections += 1;
            counts.open += 1;
        });
        place
    }

    pub(crate) fn leave(&self, id: u64, subscriptions: usize) {
        lock(&self.connections).remove(&id);
        self.counts.send_modify(|counts| {
            counts.open -= 1;
            counts.subscriptions -= subscriptions as u64;
        });
    }

    /// The key's stream through the recording, at its beginning if the key is new.
    pub(crate) fn stream(&self, key: &str, schedule: &Arc<[Scheduled]>) -> Arc<Mutex<Replay>> {
        let mut streams = lock(&self.streams);
        if streams.len() >= MAX_KEYS && !streams.contains_key(key) {
            streams.retain(|_, stream| Arc::strong_count(stream) > 1);
        }
        let begin = || Arc::new(Mutex::new(Replay::new(schedule.clone(), &self.config)));
        streams.entry(key.to_owned()).or_insert_with(begin).clone()
    }
}
