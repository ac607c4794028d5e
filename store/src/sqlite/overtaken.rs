//! Several processes may write one file, each at its own pace: whether a batch comes too late.

use rusqlite::{Connection, OptionalExtension};

use crate::{Cursor, Receipt, WriteBatch};

/// What became of a batch.
pub(super) enum Done {
    /// It is written; the block whose row is owed, and what is to be said.
    Written(Option<(i64, i64)>, Receipt),
    /// All its windows were there already, as they are further on; its trades are.
    There,
    /// Another writer is ahead, and whether in the same journal cannot be told here.
    Overtaken,
}

/// Where a batch meets the store.
pub(super) enum Place {
    /// The store is as this writer left it.
    Alone,
    /// Another writer has written, but is not ahead of the batch.
    Beside,
    /// Another writer is ahead: nothing is to be written, but for trades that it did not get.
    Behind(Done),
}

/// What tells one cursor of a source from another.
pub(super) fn key(cursor: &Cursor) -> (i64, i64) {
    (cursor.epoch as i64, cursor.stored as i64)
}

/// Whether a batch is behind what another writer has written, whose windows would be taken back by it.
///
/// Who writes the same journal writes the same windows, so those of a batch behind the cursor are there, and further on. Of its
/// trades one may be missing: bytes that rotted are a loss to who comes late, and were records before. That the
/// journal is the same is sure within an epoch only; else the caller has to begin again from the file's cursor. A
/// cursor that this writer itself put there may be taken back: it knows why (another journal, a backup).
pub(super) fn place(
    connection: &Connection,
    known: Option<(i64, i64)>,
    batch: &WriteBatch,
) -> rusqlite::Result<Place> {
    let there: Option<(i64, i64)> = connection
        .prepare_cached("SELECT epoch, stored FROM _cursor WHERE source = ?1")?
        .query_row([&batch.cursor.source], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some(there) = there.filter(|there| Some(*there) != known) else { return Ok(Place::Alone) };
    let (epoch, stored) = key(&batch.cursor);
    Ok(match there {
        (_, ahead) if ahead <= stored => Place::Beside,
        (same, _) if same == epoch || batch.rows() == 0 => Place::Behind(Done::There),
        _ => Place::Behind(Done::Overtaken),
    })
}
