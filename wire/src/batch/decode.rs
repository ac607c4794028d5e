//! Bytes to batch. Every length is checked against its bound before anything is allocated for it.

use super::bits::{BitReader, Column, MEANT, Widths, unzigzag};
use super::bytes::{BYTES, Cursor, word};
use super::checksum::checksum;
use super::columns::{Columns, Group, Precision, Row};
use super::encode::index_bits;
use super::header::{self, take};
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
    let (mut head, flags) = header::read(&mut cursor)?;
    head.count = match header::kind_of(flags) {
        header::COMMIT => 0,
        header::CONTROL => 1,
        header::TRADES => Shape::read(&mut cursor)?.count as u64,
        _ => take(&mut cursor, "count")?,
    };
    in_bounds(&head)?;
    Ok(head)
}

fn decode_body(bytes: &[u8], columns: &mut Columns) -> Result<Option<Body>, DecodeError> {
    let mut cursor = checked(bytes)?;
    let (mut head, flags) = header::read(&mut cursor)?;
    let body = if header::kind_of(flags) == header::TRADES {
        read_trades(&mut head, flags, cursor, columns)?;
        None
    } else {
        Some(read_other(&mut head, flags, cursor, columns)?)
    };
    in_bounds(&head)?;
    columns.head = head;
    Ok(body)
}

/// A body that is not trades.
#[inline(never)]
fn read_other(
    head: &mut Head,
    flags: u8,
    mut cursor: Cursor<'_>,
    columns: &mut Columns,
) -> Result<Body, DecodeError> {
    columns.rows.clear();
    columns.groups.clear();
    columns.conditions.clear();
    let body = match header::kind_of(flags) {
        header::COMMIT => Body::Commit,
        header::CONTROL => {
            head.count = 1;
            Body::Control(take(&mut cursor, "control record")?)
        }
        _ => {
            let (count, reason) = take(&mut cursor, "lost range")?;
            head.count = count;
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
    Ok(Cursor { rest: &bytes[1..] })
}

fn in_bounds(head: &Head) -> Result<(), DecodeError> {
    head.first_offset.checked_add(head.count).map(drop).ok_or(DecodeError::Corrupt("offsets beyond 64 bits"))
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
    head: &mut Head,
    flags: u8,
    mut cursor: Cursor<'_>,
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    let Shape { count, price_bytes, first_time } = Shape::read(&mut cursor)?;
    head.count = count as u64;
    let form = GroupForm { short: flags & header::SHORT_SCALES != 0, price_bytes };
    let groups = &mut columns.groups;
    if flags & (header::MANY_SYMBOLS | header::CONDITIONS) == 0 {
        groups.truncate(1);
        columns.conditions.clear();
        read_group(&mut cursor, 0, &form, groups)?;
    } else {
        read_groups(&mut cursor, (flags, count), &form, columns)?;
    }
    read_columns(count, head.time_base().wrapping_add(first_time), cursor, columns)
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
    let (text, first) = (cursor.rest, word(cursor.rest));
    let length = symbol_text::coded_len(first as u8);
    cursor.skip(length);
    let (prices, volumes) = if form.short {
        let scales = cursor.take(1) as u8;
        ((Precision::Minimal, scales >> 4), (Precision::Minimal, scales & 15))
    } else {
        (precision(cursor.take(1) as u8)?, precision(cursor.take(1) as u8)?)
    };
    let last_price = unzigzag(cursor.take(form.price_bytes));
    cursor.check("symbols")?;
    let is_same = |group: &&mut Group| {
        group.coded.len() == length
            && match BYTES.get(length) {
                Some(mask) => group.coded_word == first & mask,
                None => group.coded == text[..length],
            }
    };
    let group = match groups.get_mut(index).filter(is_same) {
        Some(group) => group,
        None => replace_group(&text[..length], index, groups)?,
    };
    (group.price_precision, group.price_scale) = prices;
    (group.volume_precision, group.volume_scale) = volumes;
    group.last_price = last_price;
    Ok(())
}

/// Another symbol than the last batch had there.
#[cold]
#[inline(never)]
fn replace_group<'a>(
    coded: &[u8],
    index: usize,
    groups: &'a mut Vec<Group>,
) -> Result<&'a mut Group, DecodeError> {
    let symbol = symbol_text::read(coded)?;
    groups.truncate(index);
    groups.push(Group::new(symbol, coded));
    Ok(&mut groups[index])
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

/// Reads the bit columns, which are the rest of the batch.
#[inline(always)]
fn read_columns(
    count: usize,
    first_time: i64,
    cursor: Cursor<'_>,
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    const SHORT: DecodeError = DecodeError::Short("columns");
    let content = cursor.content();
    let start = content.len().checked_sub(Widths::bytes_with(count)).ok_or(SHORT)?;
    let widths = Widths::of(*content.last_chunk().ok_or(SHORT)?);
    // Each field of the rows that are there already is written over.
    if columns.rows.len() != count {
        columns.rows.resize(count, Row::default());
    }
    let numbers = Numbers {
        bits: BitReader::new(cursor.rest),
        selectors: BitReader::new(&cursor.rest[start..]),
        end: 8 * start,
    };
    let signed = widths.times_signed || widths.volumes_signed;
    // The usual batch has one symbol, whose last price stays in a register.
    if columns.is_plain() && !signed && widths.most() <= MEANT {
        read_rows::<true>(first_time, numbers, &widths, columns)
    } else {
        read_mixed_rows(first_time, numbers, &widths, columns)
    }
}

#[inline(never)]
fn read_mixed_rows(
    first_time: i64,
    mut numbers: Numbers<'_>,
    widths: &Widths,
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    read_extras(&mut numbers.bits, columns)?;
    read_rows::<false>(first_time, numbers, widths, columns)
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

/// Where the numbers stand, and what selects their widths.
struct Numbers<'a> {
    bits: BitReader<'a>,
    selectors: BitReader<'a>,
    /// The bit that the numbers end before.
    end: usize,
}

/// Trades whose selectors are taken with one load.
const AT_ONCE: usize = MEANT as usize / 3;

#[inline(always)]
fn read_rows<const PLAIN: bool>(
    first_time: i64,
    numbers: Numbers<'_>,
    widths: &Widths,
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    let Columns { groups, rows, .. } = columns;
    let Some(&Group { price_scale, volume_scale, last_price: mut price, .. }) = groups.first() else {
        return Err(DecodeError::Corrupt("symbol index"));
    };
    let Numbers { mut bits, mut selectors, end } = numbers;
    let [times, prices] = [widths.time, widths.price].map(|width| Column::new([0, width]));
    let volumes = Column::new(widths.volume);
    let is_short = PLAIN || widths.most() <= MEANT;
    let mut time_ms = first_time;
    let mut seen = 0;
    for some in rows.chunks_mut(AT_ONCE) {
        let mut selector = selectors.word() as usize;
        selectors.at += 3 * AT_ONCE;
        for row in some {
            let [time, change, volume] = if is_short {
                let mut word = bits.word();
                let volume = volumes.take(selector >> 2, &mut word, &mut bits.at);
                let change = prices.take(selector >> 1, &mut word, &mut bits.at);
                [times.take(selector, &mut word, &mut bits.at), change, volume]
            } else {
                let volume = volumes.take_long(selector >> 2, &mut bits);
                let change = prices.take_long(selector >> 1, &mut bits);
                [times.take_long(selector, &mut bits), change, volume]
            };
            selector >>= 3;
            let signed = |value: u64, signed: bool| if signed { unzigzag(value) } else { value as i64 };
            time_ms = time_ms.wrapping_add(signed(time, !PLAIN && widths.times_signed));
            let volume = signed(volume, !PLAIN && widths.volumes_signed);
            if PLAIN {
                price = price.wrapping_add(unzigzag(change));
            } else if let Some(group) = groups.get_mut(usize::from(row.group)) {
                price = group.last_price.wrapping_add(unzigzag(change));
                group.last_price = price;
            }
            seen |= price | volume;
            (row.time_ms, row.price, row.volume) = (time_ms, price, volume);
            if PLAIN {
                (row.group, row.conditions) = (0, 0);
                (row.price_scale, row.volume_scale) = (price_scale, volume_scale);
            }
        }
    }
    // All bits seen together tell it for nearly all batches, at half the price of a maximum.
    let limit = Decimal::MANTISSA_LIMIT;
    let in_range = |row: &Row| row.price.unsigned_abs().max(row.volume.unsigned_abs()) < limit.unsigned_abs();
    if !(0..limit).contains(&seen) && !rows.iter().all(in_range) {
        return Err(DecodeError::Corrupt("a number is out of range"));
    }
    // Differences of 48 bits at most cannot come round within a batch without it showing at the end.
    columns.in_order = !widths.times_signed && widths.time <= 48 && first_time <= time_ms;
    finish(&bits, end)
}

/// Checks that the numbers end where the widths begin, with nothing but zeros up to the next byte between them.
#[inline(always)]
fn finish(bits: &BitReader<'_>, end: usize) -> Result<(), DecodeError> {
    let between = end.checked_sub(bits.at).ok_or(DecodeError::Short("columns"))?;
    if between >= 8 {
        return Err(DecodeError::Long(between / 8));
    }
    if bits.word() & ((1 << between) - 1) != 0 {
        return Err(DecodeError::Corrupt("bits between the columns"));
    }
    Ok(())
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
