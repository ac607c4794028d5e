//! The journal as JSON lines, for people: one object a record, in offset order.

use serde_json::{Value, json};
use tickberry_wire::json::TradeJson;
use tickberry_wire::{Batch, Body, Control, Source, decode};

use crate::journal::Item;

/// Appends an item's lines.
pub(super) fn write(source: &Source, item: &Item<'_>, out: &mut Vec<u8>) {
    match *item {
        Item::Lost { epoch, from, to, reason } => line(
            out,
            &json!({ "kind": "lost", "source": source, "epoch": epoch, "journal_offset": from, "count": to - from,
                     "reason": reason }),
        ),
        Item::Batch { first, payload, .. } => match decode(payload) {
            Ok(batch) => write_batch(source, &batch, out),
            // A newer release's, most likely; the bytes are served all the same in the binary form.
            Err(error) => line(
                out,
                &json!({ "kind": "unreadable", "source": source, "journal_offset": first, "error": error.to_string() }),
            ),
        },
    }
}

fn write_batch(source: &Source, batch: &Batch, out: &mut Vec<u8>) {
    for trade in TradeJson::of_batch(source, batch) {
        if serde_json::to_writer(&mut *out, &trade).is_ok() {
            out.push(b'\n');
        }
    }
    if let Body::Control(control) = &batch.body {
        let mut value = match control {
            Control::EpochStart(start) => json!({
                "kind": "epoch_start",
                "previous_epoch": start.previous.map(|(epoch, _)| epoch),
                "previous_end": start.previous.map(|(_, end)| end),
                "simulated": start.simulated,
            }),
            Control::Gap(gap) => json!({
                "kind": "gap", "from_ms": gap.from_ms, "to_ms": gap.to_ms, "reason": gap.reason,
                "symbols": gap.symbols,
            }),
            Control::Tick => json!({ "kind": "tick" }),
        };
        value["source"] = json!(source);
        value["epoch"] = json!(batch.epoch);
        value["journal_offset"] = json!(batch.first_offset);
        value["received_ms"] = json!(batch.received_ms());
        line(out, &value);
    }
}

fn line(out: &mut Vec<u8>, value: &Value) {
    out.extend_from_slice(value.to_string().as_bytes());
    out.push(b'\n');
}
