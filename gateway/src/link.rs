//! The connection while it is made, used and made again: one value that can be waited on.

use std::future::pending;

use bytes::Bytes;
use tickberry_wire::Symbol;
use tokio_util::task::AbortOnDropHandle;

use crate::finnhub::{Connector, Handshake, Socket};

/// What a connection is doing. Dropping it ends it.
pub(crate) enum Link {
    /// There is none.
    Down,
    /// It is being made.
    Connecting(AbortOnDropHandle<Result<Socket, Handshake>>),
    /// It stands and waits for its first command.
    Made(Box<Socket>),
    /// Subscriptions are on their way.
    Subscribing(AbortOnDropHandle<Result<Socket, String>>),
    /// Frames come.
    Up(Box<Socket>),
}

/// What happened to it.
pub(crate) enum LinkEvent {
    Connected,
    Failed(Handshake),
    Frame(Bytes),
    Closed(String),
}

impl Link {
    /// Begins to connect.
    pub(crate) fn connect(connector: &Connector) -> Self {
        let connector = connector.clone();
        Self::Connecting(AbortOnDropHandle::new(tokio::spawn(async move { connector.connect().await })))
    }

    /// Sends subscriptions, in a task of its own so that nothing waits for it.
    pub(crate) fn subscribe(&mut self, symbols: Vec<Symbol>) {
        match std::mem::replace(self, Self::Down) {
            Self::Made(mut socket) | Self::Up(mut socket) => {
                *self = Self::Subscribing(AbortOnDropHandle::new(tokio::spawn(async move {
                    socket.subscribe(&symbols).await.map(|()| *socket)
                })));
            }
            other => *self = other,
        }
    }

    /// The next event; waits for ever while there is no connection. Cancel-safe.
    pub(crate) async fn next(&mut self) -> LinkEvent {
        loop {
            match self {
                Self::Down | Self::Made(_) => pending().await,
                Self::Connecting(task) => {
                    let made = task.await.unwrap_or_else(|error| Err(Handshake::Failed(error.to_string())));
                    return match made {
                        Ok(socket) => {
                            *self = Self::Made(Box::new(socket));
                            LinkEvent::Connected
                        }
                        Err(failure) => {
                            *self = Self::Down;
                            LinkEvent::Failed(failure)
                        }
                    };
                }
                Self::Subscribing(task) => match task.await.unwrap_or_else(|error| Err(error.to_string())) {
                    Ok(socket) => *self = Self::Up(Box::new(socket)),
                    Err(why) => return self.ended(why),
                },
                Self::Up(socket) => {
                    return match socket.next().await {
                        Ok(frame) => LinkEvent::Frame(frame),
                        Err(why) => self.ended(why),
                    };
                }
            }
        }
    }

    /// Ends it politely.
    pub(crate) async fn close(self) {
        if let Self::Made(socket) | Self::Up(socket) = self {
            socket.close().await;
        }
    }

    fn ended(&mut self, why: String) -> LinkEvent {
        *self = Self::Down;
        LinkEvent::Closed(why)
    }
}
