//! What can go wrong with a broker as a whole. What goes wrong with one connection ends that connection, counted.

use std::io;
use std::net::SocketAddr;

/// Why a broker could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener's address is not to be had.
    #[error("cannot listen for {who} on {address}: {source}{}", remedy(.source))]
    Bind {
        /// "taps" or "services".
        who: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A limit that the router could not work with.
    #[error("limits.{name} = {value} is too small: at least {least}")]
    Limit {
        /// The key in the configuration.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The smallest value that works.
        least: usize,
    },
    /// rumqttd's router thread is gone; nothing flows any more, so the process had better end.
    #[error("the MQTT router has died; restart the broker (and report the log lines before this one)")]
    RouterDied,
}

impl Error {
    /// Whether another program holds the address.
    pub fn is_address_in_use(&self) -> bool {
        matches!(self, Error::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; stop the program that has it, or choose another address",
        io::ErrorKind::AddrNotAvailable => "; choose an address of this machine",
        io::ErrorKind::PermissionDenied => "; choose a port above 1023",
        _ => "",
    }
}
