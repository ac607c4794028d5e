//! What a connected client says, and what is done about it.

use crate::auth::Rights;
use crate::codec::{self, Connect, Filter, Packet, Publish, RetainHandling};
use crate::end::End;
use crate::hub::Id;
use crate::listener::Door;
use crate::metrics::Listener;
use crate::outbox::Outbox;
use crate::router::Incoming;
use crate::topic;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::time::Duration;
use tickberry_service::mqtt::MAX_PAYLOAD;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::ReadHalf;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

/// Read and write in steps of about this size.
pub(crate) const STEP: usize = 16 << 10;

/// What a connected client is and may do.
pub(crate) struct Session<'a> {
    pub(crate) door: &'a Arc<Door>,
    pub(crate) id: Id,
    pub(crate) connect: Connect,
    pub(crate) rights: Rights,
    pub(crate) outbox: Arc<Outbox>,
}

impl Session<'_> {
    pub(crate) async fn read(&self, mut reader: ReadHalf<'_>, mut buffer: BytesMut) -> End {
        let patience = Duration::from_millis(u64::from(self.connect.keep_alive) * 1_500);
        let mut heard = Instant::now();
        loop {
            match self.packets(&mut buffer).await {
                Ok(true) => heard = Instant::now(),
                Ok(false) => {}
                Err(end) => return end,
            }
            buffer.reserve(if buffer.is_empty() { 1 << 10 } else { STEP });
            let read = reader.read_buf(&mut buffer);
            let read = match patience {
                Duration::ZERO => Ok(read.await),
                patience => timeout_at(heard + patience, read).await,
            };
            match read {
                Ok(Ok(count)) if count > 0 => {}
                Ok(_) => return End::Lost,
                Err(_) => return End::KeepAlive,
            }
        }
    }

    /// Handles all complete packets; tells whether there were any. Publishes go on as one batch, unless something
    /// else comes between.
    async fn packets(&self, buffer: &mut BytesMut) -> Result<bool, End> {
        let (mut batch, mut acknowledgements, mut any) = (Vec::new(), Vec::new(), false);
        let mut end = None;
        while end.is_none() {
            let frame = match codec::next_frame(buffer, self.door.bounds.max_packet) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return Err(End::Malformed(error)),
            };
            any = true;
            end = match codec::decode(frame, self.connect.version) {
                Ok(Packet::Publish(publish)) => match self.check(&publish) {
                    Ok(()) => {
                        batch.push(Incoming::new(&publish.topic, &publish.payload, publish.retain));
                        acknowledgements.extend((publish.qos == 1).then_some(publish.id));
                        None
                    }
                    Err(why) => Some(End::Forbidden(why)),
                },
                Ok(packet) => self.handle(packet).err(),
                Err(error) => Some(End::Malformed(error)),
            };
        }
        if !batch.is_empty() && !self.ingest(batch).await {
            return Err(End::Router);
        }
        for id in acknowledgements {
            self.answer(codec::publish_ack(id))?;
        }
        end.map_or(Ok(any), Err)
    }

    fn check(&self, publish: &Publish) -> Result<(), &'static str> {
        if self.rights.publish.is_empty() {
            return Err("PUBLISH: this listener is for reading only");
        }
        if !topic::is_publishable(&publish.topic) {
            return Err("PUBLISH to a topic that is not printable ASCII below tickberry/v1/");
        }
        if !std::str::from_utf8(&publish.topic).is_ok_and(|topic| self.rights.may_publish(topic)) {
            return Err("PUBLISH to a topic that is not its own");
        }
        if publish.payload.len() > MAX_PAYLOAD {
            return Err("PUBLISH of more than 64 KiB");
        }
        if publish.qos == 2 {
            return Err("PUBLISH with QoS 2; use QoS 0");
        }
        Ok(())
    }

    fn handle(&self, packet: Packet) -> Result<(), End> {
        let version = self.connect.version;
        match packet {
            Packet::Subscribe { id, filters } => {
                let granted: Vec<bool> = filters.iter().map(|filter| self.subscribe(filter)).collect();
                self.answer(codec::suback(version, id, &granted))
            }
            Packet::Unsubscribe { id, filters } => {
                let mut hub = self.door.hub();
                let existed: Vec<bool> =
                    filters.iter().map(|filter| hub.unsubscribe(self.id, filter)).collect();
                drop(hub);
                self.answer(codec::unsuback(version, id, &existed))
            }
            Packet::Ping => self.answer(codec::ping_response()),
            Packet::Disconnect { will } => Err(End::Goodbye { will }),
            Packet::Unexpected(what) => {
                debug!(what, "an acknowledgement of something that was never sent; ignored");
                Ok(())
            }
            Packet::Publish(_) => Ok(()),
        }
    }

    fn subscribe(&self, filter: &Filter) -> bool {
        if !topic::is_filter(&filter.path) || !self.rights.may_subscribe(&filter.path) {
            return false;
        }
        let listener = self.door.name;
        // One lock for both: no message falls between what is retained and what comes next.
        let mut hub = self.door.hub();
        let Some(new) = hub.subscribe(self.id, &filter.path, self.door.bounds.subscriptions) else {
            return false;
        };
        let wanted = match filter.retained {
            RetainHandling::Always => true,
            RetainHandling::IfNew => new,
            RetainHandling::Never => false,
        };
        let (queued, dropped) = if wanted { hub.send_retained(self.id, &filter.path) } else { (0, 0) };
        drop(hub);
        self.door.metrics.delivered.get_or_create(&Listener { listener }).inc_by(queued);
        self.door.metrics.drop_messages(listener, "queue", dropped);
        true
    }

    fn answer(&self, packet: Bytes) -> Result<(), End> {
        if self.outbox.answer(packet) { Ok(()) } else { Err(End::Stalled) }
    }

    /// Hands messages to the router; `false` if it is gone.
    pub(crate) async fn ingest(&self, batch: Vec<Incoming>) -> bool {
        let metrics = &self.door.metrics;
        metrics.received.inc_by(batch.len() as u64);
        metrics.received_bytes.inc_by(batch.iter().map(|m| m.payload_len() as u64).sum());
        match self.door.ingress.publish(batch).await {
            Ok(dropped) => {
                metrics.drop_messages(self.door.name, "topics", dropped);
                true
            }
            Err(_) => false,
        }
    }

    pub(crate) fn log(&self, end: &End) {
        let (listener, client) = (self.door.name, &self.connect.client_id);
        match end {
            End::Malformed(_) | End::Forbidden(_) | End::Stalled | End::KeepAlive
                if listener == "services" =>
            {
                warn!(listener, client, "connection closed: {end}");
            }
            End::Forbidden(_) | End::Stalled => info!(listener, client, "connection closed: {end}"),
            _ => debug!(listener, client, "connection ended: {end}"),
        }
    }
}
