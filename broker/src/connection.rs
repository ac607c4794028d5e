//! One client, from its accepted socket to its end.

use crate::auth::{Refusal, Rights};
use crate::codec::{self, Connect, Version};
use crate::end::End;
use crate::handshake::{self, Failed};
use crate::hub::Id;
use crate::listener::{Door, Place};
use crate::metrics::Reason;
use crate::outbox::Outbox;
use crate::router::Incoming;
use crate::session::{STEP, Session};
use bytes::{Buf, BytesMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Serves one accepted connection to its end.
pub(crate) async fn serve(
    door: Arc<Door>,
    mut stream: TcpStream,
    peer: SocketAddr,
    id: Id,
    give_up: CancellationToken,
) {
    // Without it the last message of a burst waits up to 40 ms for a delayed acknowledgement.
    drop(stream.set_nodelay(true));
    let mut buffer = BytesMut::new();
    let entered = tokio::select! {
        () = door.shutdown.cancelled() => Err(Failed::Gone("shutdown")),
        () = give_up.cancelled() => Err(Failed::Gone("crowded_out")),
        entered = timeout(door.bounds.connect, enter(&door, &mut stream, &mut buffer, peer, id)) =>
            entered.unwrap_or(Err(Failed::Gone("too_slow"))),
    };
    door.end_handshake(id);
    match entered {
        Ok((connect, rights, place)) => connected(&door, stream, buffer, id, connect, rights, place).await,
        Err(failed) => {
            door.refused(failed.reason());
            match (&failed, &door.authenticator) {
                (Failed::Refused(refusal), Some(_)) => {
                    warn!(%peer, "a service was refused ({refusal:?}): check its user name, password and client id");
                }
                _ => debug!(listener = door.name, %peer, "no connection: {failed}"),
            }
        }
    }
}

async fn enter(
    door: &Arc<Door>,
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    peer: SocketAddr,
    id: Id,
) -> Result<(Connect, Rights, Place), Failed> {
    let connect = match handshake::read_connect(stream, buffer, door.bounds.max_packet).await {
        Err(Failed::Refused(refusal)) => {
            handshake::refuse(stream, Version::V311, refusal).await;
            return Err(Failed::Refused(refusal));
        }
        other => other?,
    };
    let version = connect.version;
    let admitted = match handshake::admit(door, &connect, peer) {
        Ok(rights) => {
            // Taps are nobody in particular: two of the same id do not throw each other out.
            let name = if door.authenticator.is_some() { connect.client_id.clone() } else { id.to_string() };
            door.enter(name, id).await.map(|place| (rights, place)).ok_or(Refusal::Unavailable)
        }
        Err(refusal) => Err(refusal),
    };
    match admitted {
        Ok((rights, place)) => {
            let assigned = connect.client_id.is_empty().then(|| format!("{}-{id}", door.name));
            let answer = codec::connack(version, Ok(()), door.bounds.max_packet, assigned.as_deref());
            stream.write_all(&answer).await.map_err(|_| Failed::Gone("io"))?;
            Ok((connect, rights, place))
        }
        Err(refusal) => {
            handshake::refuse(stream, version, refusal).await;
            Err(Failed::Refused(refusal))
        }
    }
}

async fn connected(
    door: &Arc<Door>,
    mut stream: TcpStream,
    buffer: BytesMut,
    id: Id,
    mut connect: Connect,
    rights: Rights,
    place: Place,
) {
    let bounds = &door.bounds;
    let will = connect.will.take();
    let outbox = Arc::new(Outbox::new(bounds.queue_messages, bounds.queue_bytes, connect.max_packet));
    door.hub().add(id, outbox.clone());
    let version = connect.version;
    let session = Session { door, id, connect, rights, outbox: outbox.clone() };
    let mid_packet = AtomicBool::new(false);
    let (reader, writer) = stream.split();
    let end = tokio::select! {
        () = place.leave.cancelled() => if door.shutdown.is_cancelled() { End::Shutdown } else { End::TakenOver },
        end = session.read(reader, buffer) => end,
        end = write(writer, &outbox, version, bounds.stall, &mid_packet) => end,
    };
    door.hub().remove(id);
    if let Some(packet) = end.code().and_then(|code| codec::disconnect(version, code))
        && !mid_packet.load(Ordering::Relaxed)
    {
        drop(stream.try_write(&packet));
    }
    session.log(&end);
    door.metrics.disconnected.get_or_create(&Reason { listener: door.name, reason: end.reason() }).inc();
    if let Some(will) = will.filter(|_| !end.is_silent() && door.authenticator.is_some()) {
        session.ingest(vec![Incoming::new(&will.topic, &will.payload, will.retain)]).await;
    }
    // Only now is the place free: who takes over finds the will already published.
    drop(place);
}

/// Writes what waits, as it comes.
async fn write(
    mut writer: WriteHalf<'_>,
    outbox: &Outbox,
    version: Version,
    stall: Duration,
    mid_packet: &AtomicBool,
) -> End {
    let (mut answers, mut messages) = (Vec::new(), Vec::new());
    loop {
        // Taken anew each time, so that a client at rest holds no buffer.
        let mut out = BytesMut::new();
        outbox.take(STEP, &mut answers, &mut messages).await;
        for answer in answers.drain(..) {
            out.extend_from_slice(&answer);
        }
        for message in messages.drain(..) {
            codec::publish(version, &message, &mut out);
        }
        mid_packet.store(true, Ordering::Relaxed);
        while out.has_remaining() {
            match timeout(stall, writer.write_buf(&mut out)).await {
                Ok(Ok(written)) if written > 0 => {}
                Ok(_) => return End::Lost,
                Err(_) => return End::Stalled,
            }
        }
        mid_packet.store(false, Ordering::Relaxed);
    }
}
