//! A loopback host of one's own for each test, so that no two ever meet on a port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

static NEXT: AtomicU8 = AtomicU8::new(1);
static NEXT_PORT: AtomicU64 = AtomicU64::new(0);

/// One address out of 127.0.0.0/8: the process id says which net, a counter which host in it.
#[derive(Debug, Clone, Copy)]
pub struct Host(Ipv4Addr);

impl Host {
    /// The one loopback host that a virtual machine reaches; only for ports that are looked for.
    pub const LOCAL: Host = Host(Ipv4Addr::LOCALHOST);

    /// The next address of this process; never 127.0.0.x, where the defaults live.
    pub fn unique() -> Host {
        let pid = std::process::id();
        let host = NEXT.fetch_add(1, Ordering::Relaxed);
        Host(Ipv4Addr::new(127, 1 + (pid >> 8) as u8 % 250, pid as u8, host.max(1)))
    }

    /// A fixed port on this host.
    pub fn at(self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.0), port)
    }

    /// A port on this host that nobody listens on at the moment. It lies below those that the system gives to whoever asks for any:
    /// one of those may be taken, on all addresses at once, before the program under test has it.
    pub fn free(self) -> SocketAddr {
        let first = u64::from(std::process::id()) * 97;
        let port = || 10_000 + ((first + NEXT_PORT.fetch_add(1, Ordering::Relaxed)) % 20_000) as u16;
        let free = (0..20_000).map(|_| self.at(port())).find(|address| TcpListener::bind(address).is_ok());
        free.expect("a loopback host has free ports")
    }
}
