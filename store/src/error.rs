//! What can go wrong with a store, sorted by what the caller can do about it.

use std::path::PathBuf;

/// What a caller does about an error; the exit codes and states are chosen from this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Written by a newer tickberry: refuse, touch nothing.
    Newer,
    /// Not ours, or damaged: refuse, touch nothing.
    Corrupt,
    /// The file or its directory cannot be used as configured (missing, not permitted, read-only).
    Denied,
    /// No space left: a state; retry.
    Full,
    /// The device failed: a state; retry.
    Io,
    /// Another program holds the file, or is ahead: a state; retry.
    Busy,
    /// The server does not answer, or is another one than before: a state; retry.
    Away,
    /// The server refuses token, bucket or release: a state that a person has to mend; retry.
    Refused,
    /// The configuration cannot be used.
    Config,
    /// A mistake of this program.
    Internal,
}

/// An error of a store: the thing, the value and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file carries a schema version this release does not know.
    #[error(
        "{}: schema version {found}, but this release knows up to {known}; start the newer tickberry again, \
         or move the file away and it is filled anew from the journal", path.display()
    )]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// The version it carries.
        found: i64,
        /// The newest version this release knows.
        known: i64,
    },
    /// The file is an SQLite database of some other program.
    #[error("{}: an SQLite file of another program (application id {found:#x}); choose another path", path.display())]
    Foreign {
        /// The store's file.
        path: PathBuf,
        /// The application id it carries.
        found: i64,
    },
    /// The file is damaged, or no database at all.
    #[error(
        "{}: not a database, or damaged ({detail}); move it (and its -wal and -shm) away: a new one is filled \
         from what the journal still holds", path.display()
    )]
    Corrupt {
        /// The store's file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// The file or its directory is missing, unreadable or unwritable.
    #[error("{}: cannot be opened or written ({detail}); check that it exists and who owns it", path.display())]
    Denied {
        /// The store's file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// The file system is full.
    #[error("{}: no space left on its file system; writing goes on when there is some", path.display())]
    Full {
        /// The store's file.
        path: PathBuf,
    },
    /// Reading or writing the device failed.
    #[error("{}: input/output error ({detail}); check the card or disk and the kernel's log", path.display())]
    Io {
        /// The store's file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// Another program holds a lock, or keeps a read transaction open.
    #[error("{}: held by another program ({detail}); close the one that keeps a transaction open", path.display())]
    Busy {
        /// The store's file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// The server does not answer, or says that it cannot now.
    #[error(
        "InfluxDB at {url} does not take or give data ({detail}); check that it runs there; it is tried again"
    )]
    Away {
        /// Its address.
        url: String,
        /// What happened.
        detail: String,
    },
    /// The server was started anew: what it had acknowledged last may be gone.
    #[error("InfluxDB at {url} was started anew at {started}; going back to the cursor it holds")]
    Restarted {
        /// Its address.
        url: String,
        /// When.
        started: String,
    },
    /// Another aggregator writes the same source, or the server's data were replaced.
    #[error("InfluxDB at {url}: {detail}; going back to the cursor it holds")]
    Behind {
        /// Its address.
        url: String,
        /// What was found.
        detail: String,
    },
    /// The server refuses, and a person has to mend it.
    #[error("InfluxDB at {url}: {detail}; {remedy}")]
    Refused {
        /// Its address.
        url: String,
        /// Which token or bucket, and the server's words.
        detail: String,
        /// What mends it.
        remedy: String,
    },
    /// The server is of a release that is known not to do.
    #[error("InfluxDB at {url} is {found}; {needed} or newer of InfluxDB 2 is needed, upgrade it")]
    Old {
        /// Its address.
        url: String,
        /// What it says of itself.
        found: String,
        /// The oldest release that does.
        needed: String,
    },
    /// An address that cannot be used.
    #[error("InfluxDB's address {url:?} cannot be used: {remedy}")]
    Address {
        /// What was given.
        url: String,
        /// What is allowed.
        remedy: String,
    },
    /// Anything else SQLite says: a mistake in this program.
    #[error("{}: {detail}", path.display())]
    Internal {
        /// The store's file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// A number that does not fit the column it is meant for.
    #[error("{what} {value} does not fit a 64-bit signed column")]
    Range {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
    },
}

impl StoreError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Newer { .. } => ErrorKind::Newer,
            Self::Foreign { .. } | Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Denied { .. } => ErrorKind::Denied,
            Self::Full { .. } => ErrorKind::Full,
            Self::Io { .. } => ErrorKind::Io,
            Self::Busy { .. } => ErrorKind::Busy,
            Self::Away { .. } | Self::Restarted { .. } => ErrorKind::Away,
            Self::Behind { .. } => ErrorKind::Busy,
            Self::Refused { .. } | Self::Old { .. } => ErrorKind::Refused,
            Self::Address { .. } => ErrorKind::Config,
            Self::Internal { .. } | Self::Range { .. } => ErrorKind::Internal,
        }
    }

    /// True where waiting may mend it; a running service shows a state and retries.
    pub fn is_transient(&self) -> bool {
        use ErrorKind::{Away, Busy, Denied, Full, Io, Refused};
        matches!(self.kind(), Full | Io | Busy | Denied | Away | Refused)
    }
}
