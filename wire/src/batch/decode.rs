//! Bytes to batch. Every length is checked against its bound before anything is allocated for it.

use super::bits::{BitReader, Orders, unzigzag};
use super::columns::{Columns, Group, Precision, Row};
use super::encode::index_bits;
use super::header::{self, take, varint};
use super::{CHECKSUM, DecodeError, Head, MAX_GROUPS, MAX_PAYLOAD, MAX_TRADES, symbol_text};
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
    let (mut head, flags, rest) = header::read(checked(bytes)?)?;
    head.count = match header::kind_of(flags) {
        header::COMMIT => 0,
        header::CONTROL => 1,
        header::TRADES => varint(rest, "count")?.0.saturating_add(1),
        _ => varint(rest, "count")?.0,
    };
    in_bounds(&head)?;
    Ok(head)
}

fn decode_body(bytes: &[u8], columns: &mut Columns) -> Result<Option<Body>, DecodeError> {
    let (mut head, flags, rest) = header::read(checked(bytes)?)?;
    let (body, rest) = match header::kind_of(flags) {
        header::COMMIT => (Some(Body::Commit), rest),
        header::CONTROL => {
            let (control, rest) = take(rest, "control record")?;
            head.count = 1;
            (Some(Body::Control(control)), rest)
        }
        header::LOST => {
            let ((count, reason), rest) = take(rest, "lost range")?;
            head.count = count;
            (Some(Body::Lost { count, reason }), rest)
        }
        _ => {
            read_trades(&head, flags, (bytes, rest), columns)?;
            head.count = columns.rows.len() as u64;
            (None, &[][..])
        }
    };
    if !rest.is_empty() {
        return Err(DecodeError::Long(rest.len()));
    }
    if body.is_some() {
        columns.rows.clear();
        columns.groups.clear();
        columns.conditions.clear();
    }
    in_bounds(&head)?;
    columns.head = head;
    Ok(body)
}

/// The bytes before the checksum. An unknown version comes first: its layout may differ.
fn checked(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    if bytes.len() > MAX_PAYLOAD {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    match bytes.first() {
        None => return Err(DecodeError::Short("version")),
        Some(&super::VERSION) => {}
        Some(version) => return Err(DecodeError::UnknownVersion(*version)),
    }
    let (content, check) = bytes.split_last_chunk::<2>().ok_or(DecodeError::Short("checksum"))?;
    if super::checksum(content) != *check {
        return Err(DecodeError::Corrupt("checksum, or the bytes are not complete"));
    }
    Ok(content)
}

fn in_bounds(head: &Head) -> Result<(), DecodeError> {
    head.first_offset.checked_add(head.count).map(drop).ok_or(DecodeError::Corrupt("offsets beyond 64 bits"))
}

fn read_trades(
    head: &Head,
    flags: u8,
    (bytes, rest): (&[u8], &[u8]),
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    let (count, mut rest) = read_count(rest, "count", MAX_TRADES)?;
    let mut groups = 1;
    if flags & header::MANY_SYMBOLS != 0 {
        (groups, rest) = read_count(rest, "number of symbols", MAX_GROUPS.min(count))?;
    }
    columns.groups.truncate(groups);
    for index in 0..groups {
        rest = read_group(rest, index, flags & header::SHORT_SCALES != 0, &mut columns.groups)?;
    }
    let (first_time, mut rest) = varint(rest, "first time")?;
    let first_time = head.time_base().wrapping_add(unzigzag(first_time));
    columns.conditions.clear();
    if flags & header::CONDITIONS != 0 {
        let lists;
        (lists, rest) = read_count(rest, "number of condition lists", count)?;
        for _ in 0..lists {
            let codes: Vec<&str>;
            (codes, rest) = take(rest, "conditions")?;
            let conditions =
                Conditions::new(codes).ok_or(DecodeError::Corrupt("too many or too long conditions"))?;
            columns.conditions.push(conditions);
        }
    }
    let end = bytes.len() - CHECKSUM;
    read_columns(count, first_time, (bytes, end - rest.len(), end), columns)
}

/// A count that is written less one.
fn read_count<'a>(rest: &'a [u8], what: &'static str, max: usize) -> Result<(usize, &'a [u8]), DecodeError> {
    let (less_one, rest) = varint(rest, what)?;
    let count = usize::try_from(less_one).ok().filter(|less_one| *less_one < max);
    count.map(|less_one| (less_one + 1, rest)).ok_or(DecodeError::Corrupt(what))
}

/// Reads group `index` over the one the last batch left there: mostly the symbol is the same and nothing is allocated.
fn read_group<'a>(
    rest: &'a [u8],
    index: usize,
    short: bool,
    groups: &mut Vec<Group>,
) -> Result<&'a [u8], DecodeError> {
    let (coded, rest) = symbol_text::split(rest)?;
    let (prices, volumes, rest) = match (short, rest) {
        (true, [scales, rest @ ..]) => {
            ((Precision::Minimal, scales >> 4), (Precision::Minimal, scales & 15), rest)
        }
        (false, [prices, volumes, rest @ ..]) => (precision(*prices)?, precision(*volumes)?, rest),
        _ => return Err(DecodeError::Short("scales")),
    };
    let (last_price, rest) = varint(rest, "first price")?;
    let last_price = unzigzag(last_price);
    if groups.get(index).is_none_or(|group| group.coded != coded) {
        let symbol = symbol_text::read(coded)?;
        groups.truncate(index);
        groups.push(Group::new(symbol, coded));
    }
    let group = &mut groups[index];
    (group.price_precision, group.price_scale) = prices;
    (group.volume_precision, group.volume_scale) = volumes;
    group.last_price = last_price;
    Ok(rest)
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

/// Reads the bit columns that stand in the batch from `start` to `end`.
fn read_columns(
    count: usize,
    first_time: i64,
    (bytes, start, end): (&[u8], usize, usize),
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    // Each field of the rows that are there already is written over.
    columns.rows.resize(count, Row::default());
    let mut bits = BitReader::new(bytes, start, end);
    let parameters = bits.take(16) as u32;
    let orders = Orders { time: parameters >> 11, price: parameters >> 6 & 31, volume: parameters >> 1 & 31 };
    let signed = parameters & 1 != 0;
    // The usual batch has one symbol, whose last price stays in a register.
    if columns.is_plain() && !signed {
        read_rows::<true>(first_time, bits, orders, false, columns)
    } else {
        read_extras(&mut bits, columns)?;
        read_rows::<false>(first_time, bits, orders, signed, columns)
    }
}

/// Symbols, scales and conditions of each trade.
fn read_extras(bits: &mut BitReader<'_>, columns: &mut Columns) -> Result<(), DecodeError> {
    let Columns { groups, rows, conditions, .. } = columns;
    let (group_bits, condition_bits) = (index_bits(groups.len()), index_bits(conditions.len() + 1));
    let (mut group, mut condition) = (0, 0);
    for row in rows {
        if groups.len() > 1 {
            bits.take_index(&mut group, group_bits);
        }
        let of = groups.get(usize::from(group)).ok_or(DecodeError::Corrupt("symbol index"))?;
        let mut scale =
            |precision, scale| if precision == Precision::PerTrade { bits.take(5) as u8 } else { scale };
        row.group = group;
        row.price_scale = scale(of.price_precision, of.price_scale);
        row.volume_scale = scale(of.volume_precision, of.volume_scale);
        if row.price_scale.max(row.volume_scale) > Decimal::MAX_SCALE {
            return Err(DecodeError::Corrupt("scale"));
        }
        if !conditions.is_empty() {
            bits.take_index(&mut condition, condition_bits);
            if usize::from(condition) > conditions.len() {
                return Err(DecodeError::Corrupt("condition index"));
            }
        }
        row.conditions = condition;
    }
    Ok(())
}

#[inline(always)]
fn read_rows<const PLAIN: bool>(
    first_time: i64,
    mut bits: BitReader<'_>,
    orders: Orders,
    signed: bool,
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    let Columns { groups, rows, .. } = columns;
    let Some(&Group { price_scale, volume_scale, last_price: mut price, .. }) = groups.first() else {
        return Err(DecodeError::Corrupt("symbol index"));
    };
    let mut time_ms = first_time;
    let mut seen = 0;
    for row in &mut *rows {
        let [time, change, volume] = bits.take_trade(orders)?;
        time_ms = time_ms.wrapping_add(unzigzag(time));
        if PLAIN {
            price = price.wrapping_add(unzigzag(change));
        } else if let Some(group) = groups.get_mut(usize::from(row.group)) {
            price = group.last_price.wrapping_add(unzigzag(change));
            group.last_price = price;
        }
        let volume = if signed { unzigzag(volume) } else { volume as i64 };
        seen |= price | volume;
        (row.time_ms, row.price, row.volume) = (time_ms, price, volume);
        if PLAIN {
            (row.group, row.conditions) = (0, 0);
            (row.price_scale, row.volume_scale) = (price_scale, volume_scale);
        }
    }
    // All bits seen together tell it for nearly all batches, at half the price of a maximum.
    let limit = Decimal::MANTISSA_LIMIT;
    let in_range = |row: &Row| row.price.unsigned_abs().max(row.volume.unsigned_abs()) < limit.unsigned_abs();
    if !(0..limit).contains(&seen) && !rows.iter().all(in_range) {
        return Err(DecodeError::Corrupt("a number is out of range"));
    }
    bits.finish()
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
