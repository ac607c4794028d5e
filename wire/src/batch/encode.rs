//! Batch to bytes.

use super::bits::{BitWriter, Code, golomb_len, zigzag};
use super::columns::{Columns, Group, Precision, Row};
use super::header::{self, put};
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
    let check = super::checksum(&out[start..]);
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
    put(&(rows.len() as u32 - 1), out);
    if groups.len() > 1 {
        put(&(groups.len() as u32 - 1), out);
    }
    for group in groups {
        symbol_text::write(&group.symbol, out);
        if short {
            out.push(group.price_scale << 4 | group.volume_scale);
        } else {
            out.push((group.price_precision as u8) << 5 | group.price_scale);
            out.push((group.volume_precision as u8) << 5 | group.volume_scale);
        }
        put(&group.last_price, out);
    }
    put(&rows[0].time_ms.wrapping_sub(head.time_base()), out);
    if !conditions.is_empty() {
        put(&(conditions.len() as u32 - 1), out);
        conditions.iter().for_each(|conditions| put(conditions, out));
    }
    write_columns(columns, out);
    Ok(())
}

fn write_columns(columns: &Columns, out: &mut Vec<u8>) {
    let Columns { groups, rows, .. } = columns;
    let mut last_prices: Vec<i64> = groups.iter().map(|group| group.last_price).collect();
    let mut last_time = rows[0].time_ms;
    // Differences first: the Golomb orders are chosen from them.
    let deltas: Vec<(u64, u64)> = rows
        .iter()
        .map(|row| {
            let last_price = &mut last_prices[usize::from(row.group)];
            let delta = (zigzag(row.time_ms.wrapping_sub(last_time)), zigzag(row.price - *last_price));
            (last_time, *last_price) = (row.time_ms, row.price);
            delta
        })
        .collect();
    let signed = rows.iter().any(|row| row.volume < 0);
    let volume = |row: &Row| if signed { zigzag(row.volume) } else { row.volume as u64 };
    let time_order = best_order(deltas.iter().filter(|delta| delta.0 != 0).map(|delta| delta.0 - 1));
    let price_order = best_order(deltas.iter().filter(|delta| delta.1 != 0).map(|delta| delta.1 - 1));
    let volume_order = best_order(rows.iter().map(volume));

    let mut bits = BitWriter::new(out);
    bits.put(u64::from(u32::from(signed) | volume_order << 1 | price_order << 6 | time_order << 11), 16);
    write_extras(columns, &mut bits);
    let code = |(row, (time, price)): (&Row, &(u64, u64))| {
        let price = Code::of_delta(*price, price_order);
        [Code::of_delta(*time, time_order), price, Code::of(volume(row), volume_order)]
    };
    let codes: Vec<[Code; 3]> = rows.iter().zip(&deltas).map(code).collect();
    codes.as_flattened().iter().for_each(|code| bits.put_class(code.class));
    bits.pad_before(codes.as_flattened().iter().map(|code| code.count).sum());
    // Read from the end backward.
    codes.as_flattened().iter().rev().for_each(|code| bits.put_value(*code));
    bits.finish();
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

/// The Golomb order that takes the fewest bits. The best lies near the mean's length, so only that is searched.
fn best_order(values: impl Iterator<Item = u64> + Clone) -> u32 {
    let (sum, count) =
        values.clone().fold((0u128, 0u32), |(sum, count), value| (sum + u128::from(value), count + 1));
    if count == 0 {
        return 0;
    }
    let length = 128 - (sum / u128::from(count)).leading_zeros();
    let candidates = length.saturating_sub(4).min(31)..=length.min(31);
    let bits = |order: u32| values.clone().map(|value| u64::from(golomb_len(value, order))).sum::<u64>();
    candidates.min_by_key(|order| bits(*order)).unwrap_or(0)
}
