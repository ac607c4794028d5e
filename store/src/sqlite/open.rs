//! Opening the file: made when missing, refused when newer, foreign or damaged.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::schema::{APPLICATION_ID, TABLES, USER_VERSION};
use crate::{Retention, StoreError};

/// Where the file is and how much it may hold.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    /// The file; made when missing, its directory is not.
    pub path: PathBuf,
    /// How much is kept.
    pub retention: Retention,
    /// Bound of the write-ahead log: it grows while another program keeps a read transaction open. Beyond this
    /// the writer answers "busy" until the log can be emptied.
    pub wal_bytes: u64,
}

impl SqliteConfig {
    /// The defaults, for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), retention: Retention::default(), wal_bytes: 256 << 20 }
    }
}

/// A writer of a file.
pub struct SqliteWriter {
    pub(super) connection: Connection,
    pub(super) config: SqliteConfig,
    /// Per source, the (epoch, block) whose row in `_trade_blocks` is still owed. Forgotten when a write fails.
    pub(super) open_block: HashMap<Arc<str>, (i64, i64)>,
    /// Per source, the (epoch, stored) of the cursor this writer last read or wrote. Forgotten when a write fails.
    pub(super) known: HashMap<Arc<str>, (i64, i64)>,
}

/// Reads a file that a writer may be writing. Connections are opened when needed and a few are kept.
pub struct SqliteReader {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// Idle connections kept by a reader: each costs up to its page cache.
const IDLE_READERS: usize = 2;
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Others are waited for so many times, each time up to [`BUSY_TIMEOUT`].
const WAITS: usize = 10;
/// Page cache of a connection, in KiB (SQLite wants it negative): small, for the memory of a Pi.
const CACHE_KIB: i64 = -1024;

impl SqliteWriter {
    /// Opens the file, or makes it.
    pub fn open(config: SqliteConfig) -> Result<Self, StoreError> {
        Self::open_or_make(config).map_err(cannot_make)
    }

    fn open_or_make(config: SqliteConfig) -> Result<Self, StoreError> {
        let path = config.path.clone();
        let connection = open_writable(&path).map_err(|e| sqlite_error(&path, &e))?;
        match identity(&connection).map_err(|e| sqlite_error(&path, &e))? {
            Identity::Empty => create(&connection).map_err(|e| sqlite_error(&path, &e))?,
            Identity::Is { version, application } => check(&path, version, application)?,
        }
        tune(&connection).map_err(|e| sqlite_error(&path, &e))?;
        Ok(Self { connection, config, open_block: HashMap::new(), known: HashMap::new() })
    }
}

impl SqliteReader {
    /// A reader of a file that need not be there yet: until it is, reading is an error.
    pub fn later(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), idle: Mutex::new(Vec::new()) }
    }

    /// A reader of the file. It is looked at now, so that a wrong path is an error now.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let reader = Self::later(path);
        reader.with(|_| Ok(()))?;
        Ok(reader)
    }

    /// Runs `read` in one read transaction: all its statements see the same commit.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = self.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_readable(&self.path)?,
        };
        let result = connection.transaction().and_then(|t| read(&t));
        let value = result.map_err(|e| sqlite_error(&self.path, &e))?;
        let mut idle = self.lock();
        if idle.len() < IDLE_READERS {
            idle.push(connection);
        }
        Ok(value)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // A panic elsewhere cannot leave a half-done list behind: pop and push are all that happens here.
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

enum Identity {
    Empty,
    Is { version: i64, application: i64 },
}

fn open_writable(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

fn open_readable(path: &Path) -> Result<Connection, StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let open = || -> rusqlite::Result<(Connection, Identity)> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        let identity = identity(&connection)?;
        Ok((connection, identity))
    };
    let (connection, identity) = open().map_err(|e| sqlite_error(path, &e))?;
    match identity {
        Identity::Empty => {
            Err(StoreError::Denied { path: path.into(), detail: "the store is not made yet".into() })
        }
        Identity::Is { version, application } => check(path, version, application).map(|()| connection),
    }
}

fn identity(connection: &Connection) -> rusqlite::Result<Identity> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    let version = connection.pragma_query_value(None, "user_version", |r| r.get(0))?;
    let application = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
    // Tables and version come in one transaction, so a file without both is one whose making was cut short.
    Ok(if tables == 0 && version == 0 { Identity::Empty } else { Identity::Is { version, application } })
}

fn check(path: &Path, version: i64, application: i64) -> Result<(), StoreError> {
    if application != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.into(), found: application });
    }
    if version > USER_VERSION {
        return Err(StoreError::Newer { path: path.into(), found: version, known: USER_VERSION });
    }
    Ok(())
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    // Both must come before the first table, and outside a transaction.
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    write_ahead(connection)?;
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    // Another process may have made them meanwhile: both looked, and one had to wait for the other.
    if let Identity::Empty = identity(&transaction)? {
        transaction.execute_batch(&format!(
            "{TABLES}PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {USER_VERSION};"
        ))?;
    }
    transaction.commit()
}

/// Turns the write-ahead log on. SQLite does not wait for a lock here, so two processes that do it at once would
/// refuse each other; a transaction does wait.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    for _ in 0..WAITS {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                connection.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
            }
            result => return result,
        }
    }
    connection.pragma_update(None, "journal_mode", "WAL")
}

/// Bytes of a page. A commit writes each page it touches whole, so the page is the unit of wear: at 33 trades/s
/// and a commit a second, pages of 4096 bytes cost 1500 bytes a trade, of 1024 bytes about 600 (`tests/wear.rs`).
/// 512 would cost about 450, but a row with a long symbol would no longer fit its page.
const PAGE_SIZE: i64 = 1024;
/// Pages in the log before it is copied into the file, which is when SQLite flushes: about every four minutes at
/// 33 trades/s.
const CHECKPOINT_PAGES: i64 = 4000;

fn tune(connection: &Connection) -> rusqlite::Result<()> {
    write_ahead(connection)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Sorts SQLite's error codes by what can be done about them.
pub(super) fn sqlite_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    let path = path.to_path_buf();
    let detail = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { path },
        Some(ErrorCode::SystemIoFailure) => StoreError::Io { path, detail },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            StoreError::Busy { path, detail }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt { path, detail },
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            StoreError::Denied { path, detail }
        }
        _ => StoreError::Internal { path, detail },
    }
}

/// SQLite does not say why it cannot make a file. No space or no inode is a state; a wrong path is not.
fn cannot_make(error: StoreError) -> StoreError {
    const EIO: i32 = 5;
    let StoreError::Denied { path, detail } = error else { return error };
    let mut beside = path.clone().into_os_string();
    beside.push("-probe");
    let open = |path: &Path| OpenOptions::new().write(true).create(true).truncate(false).open(path);
    match open(Path::new(&beside)).and_then(|_| std::fs::remove_file(&beside)) {
        Err(e) if matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            StoreError::Full { path }
        }
        Err(e) if e.raw_os_error() == Some(EIO) => StoreError::Io { path, detail },
        _ => StoreError::Denied { path, detail },
    }
}
