//! The task that polls the connection.

use super::{Backoff, Event, Inbox, Outbox, REFUSED};
use rumqttc::{EventLoop, Outgoing, Packet, QoS, Request, SubscribeReasonCode};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// The task that polls the connection, whatever its two users do.
pub(super) struct Task {
    pub(super) link: EventLoop,
    pub(super) address: String,
    pub(super) subscriptions: Vec<String>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) backoff: Backoff,
    pub(super) stop: CancellationToken,
}

impl Task {
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            let polled = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                polled = self.link.poll() => polled,
            };
            let failure = match polled {
                Ok(rumqttc::Event::Outgoing(Outgoing::Disconnect)) => break,
                Ok(event) => self.handle(event),
                Err(rumqttc::ConnectionError::ConnectionRefused(code)) => {
                    Some(format!("{REFUSED} ({code:?})"))
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(reason) = failure {
                let delay = self.down(reason);
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(delay) => {}
                }
            }
        }
        self.outbox.disconnected();
        self.inbox.close();
    }

    /// What to do about one event of the connection; `Some(why)` gives the connection up.
    fn handle(&mut self, event: rumqttc::Event) -> Option<String> {
        match event {
            rumqttc::Event::Incoming(Packet::ConnAck(_)) => {
                self.backoff.connected(Instant::now());
                if self.subscriptions.is_empty() {
                    self.up();
                } else {
                    let filters = self.subscriptions.iter();
                    let filters = filters.map(|f| rumqttc::SubscribeFilter::new(f.clone(), QoS::AtMostOnce));
                    // Not through the client's channel: that one may be full of publishes.
                    self.link.pending.push_front(Request::Subscribe(rumqttc::Subscribe::new_many(filters)));
                }
            }
            rumqttc::Event::Incoming(Packet::SubAck(ack)) => {
                let refused = ack.return_codes.iter().position(|c| *c == SubscribeReasonCode::Failure);
                if let Some(index) = refused {
                    let filter = self.subscriptions.get(index).map_or("", String::as_str);
                    return Some(format!("the broker refused the subscription {filter:?}"));
                }
                self.up();
            }
            rumqttc::Event::Incoming(Packet::Publish(publish)) => {
                self.inbox.message(publish.topic, &publish.payload)
            }
            rumqttc::Event::Outgoing(Outgoing::Publish(_)) => self.outbox.sent_one(),
            _ => {}
        }
        None
    }

    fn up(&mut self) {
        self.outbox.connected();
        info!(address = self.address, "connected to the MQTT broker");
        self.inbox.state(Event::Up);
    }

    fn down(&mut self, reason: String) -> Duration {
        // What rumqttc keeps for a session that we do not have would only go out late and in the wrong order.
        self.link.clean();
        self.link.pending.clear();
        self.link.state.collision = None;
        let was_up = self.outbox.disconnected();
        let first = self.backoff.is_first();
        let delay = self.backoff.failed(Instant::now());
        if was_up || first {
            let address = &self.address;
            let remedy = if reason.starts_with(REFUSED) {
                "Is BUS_PASSWORD the one the broker was started with?"
            } else {
                "Is it running, and the address right?"
            };
            warn!("MQTT broker {address}: {reason}; trying again for ever. {remedy}");
        } else {
            debug!(address = self.address, reason, ?delay, "MQTT broker still away");
        }
        self.inbox.state(Event::Down(reason));
        delay
    }
}
