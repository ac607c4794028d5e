//! A way between two processes that can be parted and healed: bytes, both directions, any protocol.

use super::plan::Parted;
use anyhow::Result;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

type State = Option<Parted>;

/// A running proxy. Dropped, it ends with all its connections.
#[derive(Debug)]
pub struct Cable {
    address: SocketAddr,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Cable {
    /// Listens at `listen` and brings every connection to `target`.
    pub async fn start(listen: SocketAddr, target: SocketAddr) -> Result<Cable> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (state, seen) = watch::channel(None);
        let task = tokio::spawn(accept(listener, target, seen));
        Ok(Cable { address, state, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Parts the two sides.
    pub fn part(&self, how: Parted) {
        self.state.send_replace(Some(how));
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        self.state.send_replace(None);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: watch::Receiver<State>) {
    // Owned here, so that all connections end with the proxy.
    let mut pairs = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let state = state.clone();
        pairs.spawn(connection(client, target, state));
        while pairs.try_join_next().is_some() {}
    }
}

async fn connection(client: TcpStream, target: SocketAddr, state: watch::Receiver<State>) {
    let mut cut = state.clone();
    let mut opened = state.clone();
    tokio::select! {
        // A cut between two looks would be missed by whoever sleeps through it, so it is looked for all the time.
        _ = cut.wait_for(|now| *now == Some(Parted::Cut)) => {}
        () = async {
            if opened.wait_for(Option::is_none).await.is_err() {
                return;
            }
            let Ok(server) = TcpStream::connect(target).await else { return };
            if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
                return;
            }
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            // The end of one direction ends both.
            tokio::select! {
                () = direction(from_client, to_server, state.clone()) => {}
                () = direction(from_server, to_client, state) => {}
            }
        } => {}
    }
}

async fn direction(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        // What is held is not lost: TCP would send it again until it gets through.
        if state.wait_for(Option::is_none).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Host;
    use std::time::Duration;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(Host::unique().at(0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = socket.split();
                    tokio::io::copy(&mut from, &mut to).await.ok();
                });
            }
        });
        address
    }

    async fn says(socket: &mut TcpStream, byte: u8) -> bool {
        if socket.write_all(&[byte]).await.is_err() {
            return false;
        }
        let mut answer = [0];
        let read = tokio::time::timeout(Duration::from_millis(200), socket.read_exact(&mut answer)).await;
        matches!(read, Ok(Ok(_)) if answer == [byte])
    }

    #[tokio::test]
    async fn what_is_held_comes_later_and_what_is_cut_ends() {
        let cable = Cable::start(Host::unique().at(0), echo().await).await.unwrap();
        let mut socket = TcpStream::connect(cable.address()).await.unwrap();
        assert!(says(&mut socket, 1).await);
        cable.part(Parted::Held);
        assert!(!says(&mut socket, 2).await);
        let mut late = TcpStream::connect(cable.address()).await.unwrap();
        assert!(!says(&mut late, 3).await);
        cable.heal();
        let mut answer = [0];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [2]);
        late.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [3]);
        cable.part(Parted::Cut);
        assert!(!says(&mut socket, 4).await);
        let mut refused = TcpStream::connect(cable.address()).await.unwrap();
        assert!(!says(&mut refused, 5).await);
        cable.heal();
        assert!(!says(&mut socket, 6).await, "a connection that was cut stays so");
        let mut again = TcpStream::connect(cable.address()).await.unwrap();
        assert!(says(&mut again, 7).await);
    }
}
