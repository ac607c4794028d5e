//! Bytes to batch. Every length is checked against its bound before anything is allocated for it.

use super::bits::{BitReader, unzigzag};
use super::columns::{Columns, Group, Precision, Row};
use super::encode::index_bits;
use super::header::{self, take, varint};
use super::{DecodeError, Head, MAX_GROUPS, MAX_PAYLOAD, MAX_TRADES, symbol_text};
use crate::{Batch, Body, Conditions, Decimal, Symbol, Trade};

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
    columns.rows.clear();
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
            read_trades(&head, flags, rest, columns)?;
            head.count = columns.rows.len() as u64;
            (None, &[][..])
        }
    };
    if !rest.is_empty() {
        return Err(DecodeError::Long(rest.len()));
    }
    if body.is_some() {
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

fn read_trades(head: &Head, flags: u8, rest: &[u8], columns: &mut Columns) -> Result<(), DecodeError> {
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
    read_columns(count, first_time, rest, columns)
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
    let mut text = [0; Symbol::MAX_LEN];
    let (length, rest) = symbol_text::read(rest, &mut text)?;
    let text = text.get(..length).ok_or(DecodeError::Corrupt("symbol"))?;
    let (prices, volumes, rest) = match (short, rest) {
        (true, [scales, rest @ ..]) => {
            ((Precision::Minimal, scales >> 4), (Precision::Minimal, scales & 15), rest)
        }
        (false, [prices, volumes, rest @ ..]) => (precision(*prices)?, precision(*volumes)?, rest),
        _ => return Err(DecodeError::Short("scales")),
    };
    let (last_price, rest) = varint(rest, "first price")?;
    let last_price = unzigzag(last_price);
    if groups.get(index).is_none_or(|group| group.symbol.as_str().as_bytes() != text) {
        let text = std::str::from_utf8(text).map_err(|_| DecodeError::Corrupt("symbol is not UTF-8"))?;
        let symbol = Symbol::new(text).map_err(|_| DecodeError::Corrupt("symbol"))?;
        groups.truncate(index);
        groups.push(Group {
            symbol,
            price_precision: Precision::Minimal,
            volume_precision: Precision::Minimal,
            price_scale: 0,
            volume_scale: 0,
            last_price: 0,
        });
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

fn read_columns(
    count: usize,
    first_time: i64,
    rest: &[u8],
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    let per_trade = |group: &Group| {
        group.price_precision == Precision::PerTrade || group.volume_precision == Precision::PerTrade
    };
    columns.rows.resize(count, Row::default());
    // The usual batch has one symbol and no conditions; without the columns it lacks, the rest stays in registers.
    if columns.groups.len() == 1 && columns.conditions.is_empty() && !columns.groups.iter().any(per_trade) {
        read_rows::<true>(first_time, rest, columns)
    } else {
        read_rows::<false>(first_time, rest, columns)
    }
}

#[inline(always)]
fn read_rows<const SIMPLE: bool>(
    first_time: i64,
    rest: &[u8],
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    let Columns { groups, rows, conditions, padded, .. } = columns;
    let mut bits = BitReader::new(rest, padded);
    let parameters = bits.take(16) as u32;
    let (time_order, price_order) = (parameters >> 11 & 31, parameters >> 6 & 31);
    let (volume_order, signed) = (parameters >> 1 & 31, parameters & 1 != 0);
    let (group_bits, condition_bits) = (index_bits(groups.len()), index_bits(conditions.len() + 1));
    let first = groups.first().ok_or(DecodeError::Corrupt("symbol index"))?;
    let (mut price, mut price_scale, mut volume_scale) =
        (first.last_price, first.price_scale, first.volume_scale);
    let (mut time_ms, mut group, mut condition) = (first_time, 0u16, 0u16);
    let mut largest = 0u64;
    let mut in_range = price_scale.max(volume_scale) <= Decimal::MAX_SCALE;
    for row in rows {
        if !SIMPLE {
            if groups.len() > 1 && bits.take_flag() {
                group = bits.take(group_bits) as u16;
            }
            let of = groups.get(usize::from(group)).ok_or(DecodeError::Corrupt("symbol index"))?;
            (price, price_scale, volume_scale) = (of.last_price, of.price_scale, of.volume_scale);
            if of.price_precision == Precision::PerTrade {
                price_scale = bits.take(5) as u8;
            }
            if of.volume_precision == Precision::PerTrade {
                volume_scale = bits.take(5) as u8;
            }
            in_range &= price_scale.max(volume_scale) <= Decimal::MAX_SCALE;
        }
        time_ms = time_ms.wrapping_add(bits.take_delta(time_order)?);
        price = price.wrapping_add(bits.take_delta(price_order)?);
        let volume = bits.take_golomb(volume_order)?;
        let volume = if signed { unzigzag(volume) } else { volume as i64 };
        largest = largest.max(price.unsigned_abs()).max(volume.unsigned_abs());
        if !SIMPLE {
            groups[usize::from(group)].last_price = price;
            if !conditions.is_empty() && bits.take_flag() {
                condition = bits.take(condition_bits) as u16;
                in_range &= usize::from(condition) <= conditions.len();
            }
        }
        *row = Row { time_ms, price, volume, group, conditions: condition, price_scale, volume_scale };
    }
    if !in_range || largest >= Decimal::MANTISSA_LIMIT.unsigned_abs() {
        return Err(DecodeError::Corrupt("a number is out of range"));
    }
    bits.finish(rest.len())
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
