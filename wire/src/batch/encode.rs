//! Batch to bytes.

use super::bits::{BitWriter, Widths, bit_len, zigzag};
use super::bytes::byte_len;
use super::checksum::checksum;
use super::columns::{Columns, Group, Precision, Row};
use super::header::{self, put, put_bytes};
use super::{EncodeError, Head, MAX_GROUPS, MAX_PAYLOAD, MAX_TRADES, symbol_text};
use crate::{Batch, Body, Conditions, Decimal, Trade};

/// Appends the batch's bytes to `out`; on an error `out` is as it was.
///
/// # Errors
/// When the batch has no trade, too many, or becomes larger than [`MAX_PAYLOAD`]: several smaller batches do.
pub fn encode(batch: &Batch, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let result = encode_from(batch, start, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn encode_from(batch: &Batch, start: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let head = Head::of(batch);
    match &batch.body {
        Body::Commit => header::write(&head, header::COMMIT, out)?,
        Body::Control(control) => {
            header::write(&head, header::CONTROL, out)?;
            put(control, out);
        }
        Body::Lost { count, reason } => {
            header::write(&head, header::LOST, out)?;
            put(&(count, reason), out);
        }
        Body::Trades(trades) => write_trades(&head, &columns_of(trades)?, out)?,
    }
    let check = checksum(&out[start..]);
    out.extend_from_slice(&check);
    let size = out.len() - start;
    if size > MAX_PAYLOAD { Err(EncodeError::TooLarge(size)) } else { Ok(()) }
}

/// Trades as columns, grouped by symbol, each group at one scale where that is exact.
pub(super) fn columns_of(trades: &[Trade]) -> Result<Columns, EncodeError> {
    let mut columns = Columns::default();
    if trades.is_empty() || trades.len() > MAX_TRADES {
        return Err(EncodeError::Count { what: "trades", found: trades.len(), max: MAX_TRADES });
    }
    columns.rows.reserve(trades.len());
    let mut group = 0;
    for trade in trades {
        if columns.groups.get(group).is_none_or(|group| group.symbol != trade.symbol) {
            group = find_or_add(&mut columns.groups, trade)?;
        }
        let conditions = condition_index(&mut columns.conditions, trade);
        columns.rows.push(Row {
            time_ms: trade.time_ms,
            price: trade.price.mantissa(),
            volume: trade.volume.mantissa(),
            group: group as u16,
            conditions,
            price_scale: trade.price.scale(),
            volume_scale: trade.volume.scale(),
        });
    }
    let Columns { groups, rows, .. } = &mut columns;
    for (index, group) in (0u16..).zip(groups) {
        let rows = || {
            trades.iter().zip(rows.iter()).filter(move |(_, row)| row.group == index).map(|(trade, _)| trade)
        };
        (group.price_precision, group.price_scale) = precision_of(rows().map(|trade| trade.price));
        (group.volume_precision, group.volume_scale) = precision_of(rows().map(|trade| trade.volume));
    }
    for row in &mut columns.rows {
        let group = &columns.groups[usize::from(row.group)];
        if group.price_precision == Precision::Minimal {
            rescale(&mut row.price, &mut row.price_scale, group.price_scale);
        }
        if group.volume_precision == Precision::Minimal {
            rescale(&mut row.volume, &mut row.volume_scale, group.volume_scale);
        }
    }
    columns.in_order = columns.rows.is_sorted_by_key(|row| row.time_ms);
    for row in columns.rows.iter().rev() {
        columns.groups[usize::from(row.group)].last_price = row.price;
    }
    Ok(columns)
}

fn find_or_add(groups: &mut Vec<Group>, trade: &Trade) -> Result<usize, EncodeError> {
    if let Some(known) = groups.iter().position(|group| group.symbol == trade.symbol) {
        return Ok(known);
    }
    if groups.len() == MAX_GROUPS {
        return Err(EncodeError::Count { what: "symbols", found: MAX_GROUPS + 1, max: MAX_GROUPS });
    }
    groups.push(Group::new(trade.symbol.clone(), &[]));
    Ok(groups.len() - 1)
}

fn condition_index(lists: &mut Vec<Conditions>, trade: &Trade) -> u16 {
    let Some(conditions) = &trade.conditions else { return 0 };
    let known = lists.iter().rposition(|known| known == conditions);
    let index = known.unwrap_or_else(|| {
        lists.push(conditions.clone());
        lists.len() - 1
    });
    index as u16 + 1
}

/// The cheapest precision that gives every digit back.
fn precision_of(numbers: impl Iterator<Item = Decimal> + Clone) -> (Precision, u8) {
    let most = numbers.clone().map(Decimal::scale).max().unwrap_or(0);
    let minimal = numbers.clone().all(|number| number.normalized() == number);
    let fits = |number: Decimal| {
        let limit = i128::from(Decimal::MANTISSA_LIMIT);
        number.mantissa_at(most).is_some_and(|mantissa| -limit < mantissa && mantissa < limit)
    };
    if minimal && numbers.clone().all(fits) {
        (Precision::Minimal, most)
    } else if numbers.clone().all(|number| number.scale() == most) {
        (Precision::Fixed, most)
    } else {
        (Precision::PerTrade, most)
    }
}

/// [`precision_of`] saw to it that the result fits.
fn rescale(mantissa: &mut i64, scale: &mut u8, to: u8) {
    while *scale < to {
        *mantissa *= 10;
        *scale += 1;
    }
}

fn write_trades(head: &Head, columns: &Columns, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let Columns { groups, rows, conditions, .. } = columns;
    let short = groups.iter().all(|group| {
        group.price_precision == Precision::Minimal
            && group.volume_precision == Precision::Minimal
            && group.price_scale < 16
            && group.volume_scale < 16
    });
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = header::TRADES
        | flag(groups.len() > 1, header::MANY_SYMBOLS)
        | flag(!conditions.is_empty(), header::CONDITIONS)
        | flag(short, header::SHORT_SCALES);
    header::write(head, flags, out)?;
    let price_bytes = groups.iter().map(|group| byte_len(zigzag(group.last_price))).max().unwrap_or(1);
    let first_time = rows[0].time_ms.wrapping_sub(head.time_base());
    let near = i16::try_from(first_time);
    let shape = (rows.len() - 1) | (price_bytes - 1) << 12 | usize::from(near.is_err()) << 15;
    put_bytes(shape as u64, 2, out);
    put_bytes(first_time as u64, if near.is_ok() { 2 } else { 8 }, out);
    if groups.len() > 1 {
        put_bytes(groups.len() as u64 - 1, 2, out);
    }
    for group in groups {
        symbol_text::write(&group.symbol, out);
        if short {
            out.push(group.price_scale << 4 | group.volume_scale);
        } else {
            out.push((group.price_precision as u8) << 5 | group.price_scale);
            out.push((group.volume_precision as u8) << 5 | group.volume_scale);
        }
        put_bytes(zigzag(group.last_price), price_bytes, out);
    }
    if !conditions.is_empty() {
        put_bytes(conditions.len() as u64 - 1, 2, out);
        conditions.iter().for_each(|conditions| put(conditions, out));
    }
    write_columns(columns, out);
    Ok(())
}

fn write_columns(columns: &Columns, out: &mut Vec<u8>) {
    let Columns { groups, rows, .. } = columns;
    let mut last_prices: Vec<i64> = groups.iter().map(|group| group.last_price).collect();
    let mut last_time = rows[0].time_ms;
    let times_signed = !columns.in_order;
    let volumes_signed = rows.iter().any(|row| row.volume < 0);
    let signed = |value: i64, signed: bool| if signed { zigzag(value) } else { value as u64 };
    // Differences first: the widths are chosen from them.
    let numbers: Vec<[u64; 3]> = rows
        .iter()
        .map(|row| {
            let last_price = &mut last_prices[usize::from(row.group)];
            let time = signed(row.time_ms.wrapping_sub(last_time), times_signed);
            let price = zigzag(row.price - *last_price);
            (last_time, *last_price) = (row.time_ms, row.price);
            [time, price, signed(row.volume, volumes_signed)]
        })
        .collect();
    let widest = |column: usize| numbers.iter().map(|number| bit_len(number[column])).max().unwrap_or(0);
    let time = if widest(0) == 63 { 64 } else { widest(0) };
    let volume = volume_widths(numbers.iter().map(|number| number[2]));
    let widths = Widths { times_signed, volumes_signed, time, price: widest(1), volume };

    let mut bits = BitWriter::new(out);
    write_extras(columns, &mut bits);
    let selectors = |[time, price, volume]: [u64; 3]| {
        [time != 0, price != 0, bit_len(volume) > widths.volume[0]].map(u64::from)
    };
    for number in &numbers {
        let [time, price, wide] = selectors(*number);
        bits.put(number[2], widths.volume[wide as usize]);
        bits.put(number[1], price as u32 * widths.price);
        bits.put(number[0], time as u32 * widths.time);
    }
    bits.pad();
    for number in &numbers {
        let [time, price, wide] = selectors(*number);
        bits.put(time | price << 1 | wide << 2, 3);
    }
    widths.put(&mut bits);
    bits.pad();
}

/// The width of the widest volume, and before it the one for the others that takes the fewest bits in all.
fn volume_widths(volumes: impl Iterator<Item = u64>) -> [u32; 2] {
    let mut by_length = [0u32; 65];
    volumes.for_each(|volume| by_length[bit_len(volume) as usize] += 1);
    let all: u32 = by_length.iter().sum();
    let widest =
        (0..).zip(by_length).filter(|(_, count)| *count > 0).map(|(length, _)| length).max().unwrap_or(0);
    let (mut best, mut common, mut least) = (widest, 0, all * widest);
    for width in 0..widest {
        common += by_length[width as usize];
        let bits = common * width + (all - common) * widest;
        if bits < least {
            (best, least) = (width, bits);
        }
    }
    [best, widest]
}

/// What the usual batch has none of: symbols, scales and conditions of each trade.
fn write_extras(columns: &Columns, bits: &mut BitWriter<'_>) {
    let Columns { groups, rows, conditions, .. } = columns;
    if columns.is_plain() {
        return;
    }
    let (group_bits, condition_bits) = (index_bits(groups.len()), index_bits(conditions.len() + 1));
    let (mut last_group, mut last_conditions) = (0, 0);
    for row in rows {
        if groups.len() > 1 {
            put_index(bits, row.group, &mut last_group, group_bits);
        }
        let group = &groups[usize::from(row.group)];
        if group.price_precision == Precision::PerTrade {
            bits.put(u64::from(row.price_scale), 5);
        }
        if group.volume_precision == Precision::PerTrade {
            bits.put(u64::from(row.volume_scale), 5);
        }
        if !conditions.is_empty() {
            put_index(bits, row.conditions, &mut last_conditions, condition_bits);
        }
    }
}

fn put_index(bits: &mut BitWriter<'_>, index: u16, last: &mut u16, width: u32) {
    bits.put(u64::from(index != *last), 1);
    if index != *last {
        bits.put(u64::from(index), width);
        *last = index;
    }
}

/// Bits that tell `count` things apart.
pub(super) const fn index_bits(count: usize) -> u32 {
    usize::BITS - (count - 1).leading_zeros()
}
