//! The body of an answer: (length, u32 little endian; encoded batch), and so on.

use bytes::Bytes;
use tickberry_wire::{Batch, Body};

use crate::journal::{Batches, Item, ReadError};

/// The next part, of about so many bytes; empty at the end. Offsets that are lost come as a batch that says so.
///
/// # Errors
/// When the journal cannot be read on from here.
pub fn part(batches: &mut Batches, bytes: usize) -> Result<Bytes, ReadError> {
    let mut out = Vec::new();
    while out.len() < bytes {
        let Some(item) = batches.next_item()? else { break };
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        match item {
            Item::Batch { payload, .. } => out.extend_from_slice(payload),
            Item::Lost { epoch, from, to, reason } => {
                let batch = Batch {
                    epoch,
                    first_offset: from,
                    // The most that a batch may say; the answer's header says how far it really is.
                    committed: from,
                    elapsed_ms: 0,
                    anchor_ms: None,
                    body: Body::Lost { count: to - from, reason },
                };
                if let Err(error) = tickberry_wire::encode(&batch, &mut out) {
                    // The reader will notice that offsets are missing, and ask again.
                    tracing::error!(%error, from, to, "a lost range cannot be told");
                    out.truncate(start);
                    continue;
                }
            }
        }
        let len = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    }
    Ok(out.into())
}
