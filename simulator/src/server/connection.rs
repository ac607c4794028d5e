//! One connection from handshake to end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Speed;
use crate::control::{Command, Hub, Place};
use crate::feed::{Feed, lock};
use crate::generated::Market;
use crate::handshake;
use crate::json::PING;
use crate::script::Trouble;
use crate::session::{Heard, Output, Session};

/// How a connection ends.
enum End {
    /// The client is gone, or shutdown says so: nothing more to say.
    Gone,
    Close(u16),
    Hangup,
    Reset,
}

type Message_ = Option<Result<Message, WsError>>;

pub(super) async fn serve(
    mut stream: TcpStream,
    hub: Arc<Hub>,
    clock: Arc<Clock>,
    shutdown: CancellationToken,
) {
    drop(stream.set_nodelay(true));
    let shaken = tokio::select! {
        shaken = shake(&mut stream, &hub, &clock) => shaken,
        () = shutdown.cancelled() => return,
    };
    let Some(request) = shaken else { return };
    let place = hub.enter(&request.token);
    let id = place.id;
    if !handshake::accept(&mut stream, &request).await {
        return hub.leave(id, 0);
    }
    tracing::info!(connection = id, "client connected");
    let feed = match &hub.schedule {
        Some(schedule) => Feed::Recorded(hub.stream(&request.token, schedule)),
        None => Feed::Generated(Box::new(Market::new(&hub.config))),
    };
    let session = Session::new(hub.config.clone(), hub.script.clone(), feed, clock.now_ms());
    let config = WebSocketConfig::default().max_message_size(Some(65536)).read_buffer_size(4096);
    let ws = WebSocketStream::from_partially_read(stream, request.rest, Role::Server, Some(config)).await;
    let mut server = Server { ws, session, hub, clock, place, shutdown };
    let end = server.stream().await;
    server.finish(end).await;
    tracing::info!(connection = id, "connection over");
}

/// The handshake up to its answer, if that is 101; troubles and refusals are made here.
async fn shake(stream: &mut TcpStream, hub: &Hub, clock: &Clock) -> Option<handshake::Request> {
    let request = handshake::read(stream).await?;
    let trouble = lock(&hub.script).due(clock.now_ms(), true);
    if let Some(Trouble::Hang(time)) = trouble {
        tracing::info!(?time, "script: the handshake hangs");
        let mut early = [0; 1];
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            // The client is tired of it. (Nothing may come before the answer.)
            _ = stream.read(&mut early) => return None,
        }
    }
    let refusal = match trouble {
        Some(Trouble::Refuse(status)) => Some(status),
        _ => hub.refusal(&request.token),
    };
    let Some(status) = refusal else { return Some(request) };
    tracing::info!(status, "handshake refused");
    hub.count(|counts| counts.refused += 1);
    handshake::refuse(stream, status).await;
    None
}

struct Server {
    ws: WebSocketStream<TcpStream>,
    session: Session,
    hub: Arc<Hub>,
    clock: Arc<Clock>,
    place: Place,
    shutdown: CancellationToken,
}

impl Server {
    /// Serves until the connection ends one way or another.
    async fn stream(&mut self) -> End {
        loop {
            // Also while there is always something to send, the client is heard.
            while let Some(message) = self.ws.next().now_or_never() {
                if let Err(end) = self.hear(message).await {
                    return end;
                }
            }
            while let Ok(command) = self.place.commands.try_recv() {
                if let Err(end) = self.obey(command).await {
                    return end;
                }
            }
            let output = self.session.next(self.clock.now_ms());
            self.note();
            let done = match output {
                Output::Wait(until_ms) => self.wait(until_ms).await,
                Output::Trades { text, trades, copy } => self.send(Message::text(text)).await.inspect(|()| {
                    self.hub.count(|counts| {
                        counts.frames += 1;
                        counts.trades += trades as u64;
                        counts.copies += if copy { trades as u64 } else { 0 };
                    });
                }),
                Output::Ping => self
                    .send(Message::text(PING))
                    .await
                    .inspect(|()| self.hub.count(|counts| counts.pings += 1)),
                Output::Strange(text) => self.strange(Message::text(text)).await,
                Output::Binary(bytes) => self.strange(Message::binary(bytes)).await,
                Output::Stall(lasts) => self.stall(lasts).await,
                Output::Close(code) => Err(End::Close(code)),
                Output::Hangup => Err(End::Hangup),
                Output::Reset => Err(End::Reset),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn wait(&mut self, until_ms: i64) -> Result<(), End> {
        let left_ms = u64::try_from(until_ms.saturating_sub(self.clock.now_ms())).unwrap_or(0);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(left_ms.min(3_600_000))) => Ok(()),
            message = self.ws.next() => self.hear(message).await,
            Some(command) = self.place.commands.recv() => self.obey(command).await,
            () = self.place.replaced.cancelled() => Err(End::Close(1008)),
            () = self.place.drop.cancelled() => Err(End::Reset),
            () = self.shutdown.cancelled() => Err(End::Close(1001)),
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Inject(text) => self.strange(Message::text(text)).await,
            Command::Wake => Ok(()),
        }
    }

    async fn hear(&mut self, message: Message_) -> Result<(), End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            // The library answers pings by itself, with the next frame or here.
            Some(Ok(Message::Ping(_))) => return self.ws.flush().await.map_err(|_| End::Gone),
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => return Ok(()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(End::Gone),
            Some(Ok(Message::Binary(_))) => Default::default(),
        };
        let before = self.session.subscriptions() as u64;
        let heard = self.session.hear(text.as_str(), self.clock.now_ms());
        let after = self.session.subscriptions() as u64;
        self.hub.count(|counts| {
            counts.subscriptions = counts.subscriptions + after - before;
            counts.over_limit += u64::from(matches!(heard, Heard::Refused(_)));
            counts.not_understood += u64::from(heard == Heard::NotUnderstood);
        });
        match heard {
            Heard::Refused(answer) => self.send(Message::text(answer)).await,
            Heard::Understood | Heard::NotUnderstood => Ok(()),
        }
    }

    async fn strange(&mut self, message: Message) -> Result<(), End> {
        self.send(message).await?;
        self.hub.count(|counts| counts.strange += 1);
        Ok(())
    }

    /// Sends one frame; a client that doesn't read is waited for, as nothing is queued here.
    async fn send(&mut self, message: Message) -> Result<(), End> {
        let patience = match self.hub.config.recorded.speed {
            Speed::Max if self.hub.schedule.is_some() => Duration::MAX,
            _ => self.hub.config.write_timeout,
        };
        tokio::select! {
            sent = self.ws.send(message) => sent.map_err(|_| End::Gone),
            () = tokio::time::sleep(patience) => Err(End::Reset),
            () = self.place.replaced.cancelled() => Err(End::Reset),
            () = self.place.drop.cancelled() => Err(End::Reset),
            () = self.shutdown.cancelled() => Err(End::Gone),
        }
    }

    /// Silence: no frame goes out, not even the answer to a ping, because nothing is read as frames any more.
    async fn stall(&mut self, lasts: Option<Duration>) -> Result<(), End> {
        tracing::info!(connection = self.place.id, ?lasts, "script: silent stall");
        tokio::select! {
            () = tokio::time::sleep(lasts.unwrap_or(Duration::MAX)) => Ok(()),
            () = left(self.ws.get_ref()) => Err(End::Gone),
            () = self.place.drop.cancelled() => Err(End::Reset),
            () = self.place.replaced.cancelled() => Err(End::Reset),
            () = self.shutdown.cancelled() => Err(End::Gone),
        }
    }

    /// Carries what the session found out into the counts.
    fn note(&mut self) {
        let missed = std::mem::take(&mut self.session.missed);
        let ended = std::mem::take(&mut self.session.just_ended);
        if missed > 0 || ended {
            self.hub.count(|counts| {
                counts.missed += missed;
                counts.ended += u64::from(ended);
            });
        }
    }

    async fn finish(mut self, end: End) {
        // First of all the place is free: the client may be back before this connection is quite closed.
        self.session.leave(self.clock.now_ms());
        self.hub.leave(self.place.id, self.session.subscriptions());
        match end {
            End::Close(code) => {
                let frame = CloseFrame { code: code.into(), reason: "".into() };
                // Either the client answers or it doesn't.
                let closing = async {
                    drop(self.ws.close(Some(frame)).await);
                    while self.ws.next().await.is_some_and(|message| message.is_ok()) {}
                };
                drop(tokio::time::timeout(Duration::from_millis(500), closing).await);
            }
            End::Reset => drop(self.ws.get_ref().set_zero_linger()),
            // What is left to send is the answer to the client's close frame, if anything.
            End::Gone => drop(tokio::time::timeout(Duration::from_millis(100), self.ws.flush()).await),
            End::Hangup => {}
        }
    }
}

/// Ends when the client has closed its side, without reading what it sent before.
async fn left(stream: &TcpStream) {
    while stream.ready(Interest::READABLE).await.is_ok_and(|ready| !ready.is_read_closed()) {
        // Unread bytes keep the stream ready: look again now and then.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
