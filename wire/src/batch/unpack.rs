//! The bit columns of a batch to rows.

use super::DecodeError;
use super::bits::{BitReader, Column, MEANT, Widths, unzigzag};
use super::bytes::Cursor;
use super::columns::{Columns, Group, Precision, Row};
use super::encode::index_bits;
use crate::Decimal;

/// Trades whose selectors are taken with one load.
const AT_ONCE: usize = MEANT as usize / 3;

/// Where the parts of the columns stand.
struct Places<'a> {
    bits: BitReader<'a>,
    selectors: BitReader<'a>,
    /// The bit that the numbers end before.
    end: u32,
    widths: Widths,
}

impl<'a> Places<'a> {
    #[inline(always)]
    fn of(count: usize, cursor: Cursor<'a>) -> Result<Self, DecodeError> {
        let end = cursor.end();
        let start = end.checked_sub(Widths::bytes_with(count)).filter(|start| *start >= cursor.at as usize);
        let widths = cursor.bytes.get(end - 4..).and_then(<[u8]>::first_chunk);
        let (Some(start), Some(widths)) = (start, widths) else { return Err(DecodeError::Short("columns")) };
        Ok(Self {
            bits: BitReader::new(cursor.bytes, cursor.at),
            selectors: BitReader::new(cursor.bytes, start as u32),
            end: 8 * start as u32,
            widths: Widths::of(*widths),
        })
    }
}

/// Reads the bit columns of so many trades, which are the rest of the batch.
#[inline(always)]
pub(super) fn unpack(
    count: usize,
    first_time: i64,
    cursor: Cursor<'_>,
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    let places = Places::of(count, cursor)?;
    // Each field of the rows that are there already is written over.
    if columns.rows.len() != count {
        columns.rows.resize(count, Row::default());
    }
    match columns.groups.as_slice() {
        [group] if columns.conditions.is_empty() && is_plain(group, &places.widths) => {
            let group = Plain::of(group);
            let last_time = read_plain(first_time, &group, places, &mut columns.rows)?;
            columns.in_order = first_time <= last_time;
            Ok(())
        }
        _ => read_mixed(count, first_time, cursor, columns),
    }
}

/// What the rows of a usual batch have in common.
struct Plain {
    first_price: i64,
    /// Scales and all else but the numbers.
    form: Row,
}

impl Plain {
    #[inline(always)]
    fn of(group: &Group) -> Self {
        let Group { price_scale, volume_scale, last_price, .. } = *group;
        Self { first_price: last_price, form: Row { price_scale, volume_scale, ..Row::default() } }
    }
}

/// Whether a batch of one symbol and no conditions is a usual one. Then its rows need no look, only to be read: each of
/// them is one load; volumes have no sign; times do not go back, and not so far ahead that they could come round; and no
/// price can leave a decimal's limits, which are above 2^59.
#[inline(always)]
fn is_plain(group: &Group, widths: &Widths) -> bool {
    !(group.has_own_scales() || widths.times_signed || widths.volumes_signed)
        && widths.most() <= MEANT
        && widths.time <= 48
        && widths.price <= 45
        && group.last_price.unsigned_abs() < 1 << 59
}

/// Reads the rows of a usual batch; gives the last time.
#[inline(always)]
fn read_plain(
    first_time: i64,
    group: &Plain,
    places: Places<'_>,
    rows: &mut [Row],
) -> Result<i64, DecodeError> {
    let Places { mut bits, mut selectors, end, widths } = places;
    let [times, prices] = [widths.time, widths.price].map(|width| Column::new([0, width]));
    let volumes = Column::new(widths.volume);
    let (mut time_ms, mut price) = (first_time, group.first_price);
    for some in rows.chunks_mut(AT_ONCE) {
        let mut selector = selectors.word();
        selectors.at += 3 * AT_ONCE as u32;
        for row in some {
            let mut word = bits.word();
            let volume = volumes.take(selector >> 2, &mut word, &mut bits.at) as i64;
            price += unzigzag(prices.take(selector >> 1, &mut word, &mut bits.at));
            time_ms = time_ms.wrapping_add(times.take(selector, &mut word, &mut bits.at) as i64);
            selector >>= 3;
            *row = Row { time_ms, price, volume, ..group.form };
        }
    }
    finish(&bits, end)?;
    Ok(time_ms)
}

/// Reads rows of any kind.
#[inline(never)]
fn read_mixed(
    count: usize,
    first_time: i64,
    cursor: Cursor<'_>,
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    let Places { mut bits, mut selectors, end, widths } = Places::of(count, cursor)?;
    columns.in_order = false;
    read_extras(&mut bits, columns)?;
    let Columns { groups, rows, .. } = columns;
    let signed = |value: u64, signed: bool| if signed { unzigzag(value) } else { value as i64 };
    let mut time_ms = first_time;
    let [times, prices] = [widths.time, widths.price].map(|width| Column::new([0, width]));
    let volumes = Column::new(widths.volume);
    let is_narrow = widths.most() <= MEANT;
    for row in rows.iter_mut() {
        let selector = selectors.take(3);
        let [volume, change, time] = if is_narrow {
            let mut word = bits.word();
            let volume = volumes.take(selector >> 2, &mut word, &mut bits.at);
            let change = prices.take(selector >> 1, &mut word, &mut bits.at);
            [volume, change, times.take(selector, &mut word, &mut bits.at)]
        } else {
            [volumes.width(selector >> 2), prices.width(selector >> 1), times.width(selector)]
                .map(|width| bits.take_long(width))
        };
        time_ms = time_ms.wrapping_add(signed(time, widths.times_signed));
        let group = groups.get_mut(usize::from(row.group)).ok_or(DecodeError::Corrupt("symbol index"))?;
        group.last_price = group.last_price.wrapping_add(unzigzag(change));
        (row.time_ms, row.price) = (time_ms, group.last_price);
        row.volume = signed(volume, widths.volumes_signed);
        let limit = Decimal::MANTISSA_LIMIT.unsigned_abs();
        if row.price.unsigned_abs().max(row.volume.unsigned_abs()) >= limit {
            return Err(DecodeError::Corrupt("a number is out of range"));
        }
    }
    finish(&bits, end)
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

/// Checks that the numbers end where the selectors begin, with nothing but zeros up to the next byte between them.
#[inline(always)]
fn finish(bits: &BitReader<'_>, end: u32) -> Result<(), DecodeError> {
    let between = end.checked_sub(bits.at).ok_or(DecodeError::Short("columns"))?;
    if between >= 8 {
        return Err(DecodeError::Long(between as usize / 8));
    }
    if bits.word() & ((1 << between) - 1) != 0 {
        return Err(DecodeError::Corrupt("bits between the columns"));
    }
    Ok(())
}
