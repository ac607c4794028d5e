//! Bytes to batch. Every length is checked against its bound before anything is allocated for it.

use super::bits::unzigzag;
use super::bytes::Cursor;
use super::checksum::checksum;
use super::columns::{Columns, Group, Precision, Row};
use super::header::{self, take};
use super::unpack::unpack;
use super::{CHECKSUM, DecodeError, Head, MAX_GROUPS, MAX_PAYLOAD, symbol_text};
use crate::{Batch, Body, Conditions, Decimal, Trade};

/// Reads one batch that fills `bytes`.
///
/// # Errors
/// Says whether the version is unknown, or the bytes are short, too long or corrupt.
pub fn decode(bytes: &[u8]) -> Result<Batch, DecodeError> {
    let mut columns = Columns::default();
    let body = decode_body(bytes, &mut columns)?;
    let Head { epoch, first_offset, committed, elapsed_ms, anchor_ms, .. } = columns.head;
    let body =
        body.unwrap_or_else(|| Body::Trades(columns.rows.iter().map(|row| trade(&columns, row)).collect()));
    Ok(Batch { epoch, first_offset, committed, elapsed_ms, anchor_ms, body })
}

/// Reads one batch that fills `bytes` into reused buffers. Returns the body if it is not trades; with trades the
/// buffers hold them.
///
/// # Errors
/// As [`decode`]; the buffers then hold nothing of use.
pub fn decode_columns(bytes: &[u8], columns: &mut Columns) -> Result<Option<Body>, DecodeError> {
    decode_body(bytes, columns)
}

/// Reads what a batch is about. Checks the checksum, but not the columns.
///
/// # Errors
/// As [`decode`].
pub fn peek(bytes: &[u8]) -> Result<Head, DecodeError> {
    let mut cursor = checked(bytes)?;
    let (head, flags) = header::read(&mut cursor)?;
    let count = match header::kind_of(flags) {
        header::COMMIT => 0,
        header::CONTROL => 1,
        header::TRADES => Shape::read(&mut cursor)?.count as u64,
        _ => take(&mut cursor, "count")?,
    };
    in_bounds(Head { count, ..head })
}

fn decode_body(bytes: &[u8], columns: &mut Columns) -> Result<Option<Body>, DecodeError> {
    let mut cursor = checked(bytes)?;
    let (head, flags) = header::read(&mut cursor)?;
    if header::kind_of(flags) == header::TRADES {
        let count = read_trades(&head, flags, cursor, columns)?;
        columns.head = in_bounds(Head { count, ..head })?;
        return Ok(None);
    }
    let body = read_other(flags, cursor)?;
    let count = match &body {
        Body::Lost { count, .. } => *count,
        Body::Control(_) => 1,
        _ => 0,
    };
    columns.rows.clear();
    columns.groups.clear();
    columns.conditions.clear();
    columns.head = in_bounds(Head { count, ..head })?;
    Ok(Some(body))
}

/// A body that is not trades.
#[inline(never)]
fn read_other(flags: u8, mut cursor: Cursor<'_>) -> Result<Body, DecodeError> {
    let body = match header::kind_of(flags) {
        header::COMMIT => Body::Commit,
        header::CONTROL => Body::Control(take(&mut cursor, "control record")?),
        _ => {
            let (count, reason) = take(&mut cursor, "lost range")?;
            Body::Lost { count, reason }
        }
    };
    let left = cursor.content().len();
    if left > 0 { Err(DecodeError::Long(left)) } else { Ok(body) }
}

/// The place behind the version. An unknown version comes before the checksum: its layout may differ.
#[inline(always)]
fn checked(bytes: &[u8]) -> Result<Cursor<'_>, DecodeError> {
    if bytes.len() > MAX_PAYLOAD {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    match bytes.first() {
        None => return Err(DecodeError::Short("version")),
        Some(&super::VERSION) => {}
        Some(version) => return Err(DecodeError::UnknownVersion(*version)),
    }
    let (content, check) = bytes.split_last_chunk::<CHECKSUM>().ok_or(DecodeError::Short("checksum"))?;
    if checksum(content) != *check {
        return Err(DecodeError::Corrupt("checksum, or the bytes are not complete"));
    }
    Ok(Cursor { bytes, at: 1 })
}

#[inline(always)]
fn in_bounds(head: Head) -> Result<Head, DecodeError> {
    match head.first_offset.checked_add(head.count) {
        Some(_) => Ok(head),
        None => Err(DecodeError::Corrupt("offsets beyond 64 bits")),
    }
}

/// What the body of trades begins with.
struct Shape {
    count: usize,
    /// Bytes of each group's first price.
    price_bytes: usize,
    /// From [`Head::time_base`] on.
    first_time: i64,
}

impl Shape {
    #[inline(always)]
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let shape = cursor.take(2) as usize;
        let near = shape >> 15 == 0;
        let first_time = if near { i64::from(cursor.take(2) as i16) } else { cursor.take(8) as i64 };
        cursor.check("count")?;
        // 12 bits: never more than MAX_TRADES.
        Ok(Self { count: (shape & 0xfff) + 1, price_bytes: (shape >> 12 & 7) + 1, first_time })
    }
}

#[inline(always)]
fn read_trades(
    head: &Head,
    flags: u8,
    mut cursor: Cursor<'_>,
    columns: &mut Columns,
) -> Result<u64, DecodeError> {
    let Shape { count, price_bytes, first_time } = Shape::read(&mut cursor)?;
    let form = GroupForm { short: flags & header::SHORT_SCALES != 0, price_bytes };
    let groups = &mut columns.groups;
    if flags & (header::MANY_SYMBOLS | header::CONDITIONS) == 0 {
        if groups.len() > 1 || !columns.conditions.is_empty() {
            groups.truncate(1);
            columns.conditions.clear();
        }
        read_group(&mut cursor, 0, &form, groups)?;
    } else {
        read_groups(&mut cursor, (flags, count), &form, columns)?;
    }
    unpack(count, head.time_base().wrapping_add(first_time), cursor, columns)?;
    Ok(count as u64)
}

/// Several symbols, or conditions.
#[inline(never)]
fn read_groups(
    cursor: &mut Cursor<'_>,
    (flags, count): (u8, usize),
    form: &GroupForm,
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    let mut groups = 1;
    if flags & header::MANY_SYMBOLS != 0 {
        groups = read_count(cursor, "number of symbols", MAX_GROUPS.min(count))?;
    }
    columns.groups.truncate(groups);
    for index in 0..groups {
        read_group(cursor, index, form, &mut columns.groups)?;
    }
    columns.conditions.clear();
    if flags & header::CONDITIONS != 0 {
        for _ in 0..read_count(cursor, "number of condition lists", count)? {
            let codes: Vec<&str> = take(cursor, "conditions")?;
            let list =
                Conditions::new(codes).ok_or(DecodeError::Corrupt("too many or too long conditions"))?;
            columns.conditions.push(list);
        }
    }
    Ok(())
}

/// A count that is written less one.
fn read_count(cursor: &mut Cursor<'_>, what: &'static str, max: usize) -> Result<usize, DecodeError> {
    let count = cursor.take(2) as usize + 1;
    cursor.check(what)?;
    if count > max { Err(DecodeError::Corrupt(what)) } else { Ok(count) }
}

/// How all groups of a batch are written.
struct GroupForm {
    /// Both scales are in one byte.
    short: bool,
    /// Bytes of the first price.
    price_bytes: usize,
}

/// Reads group `index` over the one the last batch left there: mostly the symbol is the same and nothing is allocated.
#[inline(always)]
fn read_group(
    cursor: &mut Cursor<'_>,
    index: usize,
    form: &GroupForm,
    groups: &mut Vec<Group>,
) -> Result<(), DecodeError> {
    let (start, first) = (cursor.at as usize, cursor.word());
    let length = symbol_text::coded_len(first as u8);
    cursor.at += length as u32;
    let (prices, volumes) = if form.short {
        let scales = cursor.take(1) as u8;
        ((Precision::Minimal, scales >> 4), (Precision::Minimal, scales & 15))
    } else {
        (precision(cursor.take(1) as u8)?, precision(cursor.take(1) as u8)?)
    };
    let last_price = unzigzag(cursor.take(form.price_bytes));
    cursor.check("symbols")?;
    let bytes = cursor.bytes;
    if !groups.get(index).is_some_and(|group| group.is_coded_as(first, length, &bytes[start..])) {
        replace_group(&bytes[start..start + length], index, groups)?;
    }
    let group = &mut groups[index];
    (group.price_precision, group.price_scale) = prices;
    (group.volume_precision, group.volume_scale) = volumes;
    group.last_price = last_price;
    Ok(())
}

/// Another symbol than the last batch had there.
#[cold]
#[inline(never)]
fn replace_group(coded: &[u8], index: usize, groups: &mut Vec<Group>) -> Result<(), DecodeError> {
    let symbol = symbol_text::read(coded)?;
    groups.truncate(index);
    groups.push(Group::new(symbol, coded));
    Ok(())
}

fn precision(byte: u8) -> Result<(Precision, u8), DecodeError> {
    let precision = match byte >> 5 {
        0 => Precision::Minimal,
        1 => Precision::Fixed,
        2 => Precision::PerTrade,
        _ => return Err(DecodeError::Corrupt("precision")),
    };
    let scale = byte & 31;
    if scale > Decimal::MAX_SCALE { Err(DecodeError::Corrupt("scale")) } else { Ok((precision, scale)) }
}

fn trade(columns: &Columns, row: &Row) -> Trade {
    Trade {
        symbol: columns.groups[usize::from(row.group)].symbol.clone(),
        time_ms: row.time_ms,
        price: columns.price(row),
        volume: columns.volume(row),
        conditions: columns.conditions(row).cloned(),
    }
}
