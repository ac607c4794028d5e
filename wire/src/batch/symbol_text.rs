//! A symbol's text, shorter: most are capital letters and digits behind an exchange's name.
//!
//! First byte: `0..=63` raw UTF-8 of that length + 1; `64..=127` packed, length + 1 in the low six bits;
//! `128..=255` packed behind a known exchange: three bits which, four bits length + 1. Packed text has 3 characters
//! of the alphabet in 2 bytes.

use super::DecodeError;
use crate::Symbol;

const ALPHABET: &[u8; 40] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._-";
const EXCHANGES: [&str; 8] =
    ["BINANCE:", "COINBASE:", "KRAKEN:", "OANDA:", "BITFINEX:", "KUCOIN:", "GEMINI:", "BYBIT:"];
const PACKED: u8 = 64;
const EXCHANGE: u8 = 128;

const CODES: [u8; 256] = {
    let mut codes = [u8::MAX; 256];
    let mut at = 0;
    while at < ALPHABET.len() {
        codes[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    codes
};

pub(super) fn write(symbol: &Symbol, out: &mut Vec<u8>) {
    let text = symbol.as_str();
    let packs = |text: &str| text.bytes().all(|byte| CODES[usize::from(byte)] != u8::MAX);
    let exchange = EXCHANGES
        .iter()
        .enumerate()
        .find_map(|(at, name)| Some((at as u8, text.strip_prefix(name)?)))
        .filter(|(_, rest)| (1..=16).contains(&rest.len()) && packs(rest));
    // A symbol has 1 to 64 bytes, so each length below fits its bits.
    if let Some((at, rest)) = exchange {
        out.push(EXCHANGE | at << 4 | (rest.len() - 1) as u8);
        pack(rest.as_bytes(), out);
    } else if packs(text) {
        out.push(PACKED | (text.len() - 1) as u8);
        pack(text.as_bytes(), out);
    } else {
        out.push((text.len() - 1) as u8);
        out.extend_from_slice(text.as_bytes());
    }
}

fn pack(text: &[u8], out: &mut Vec<u8>) {
    for three in text.chunks(3) {
        let value =
            three.iter().rev().fold(0u16, |value, byte| value * 40 + u16::from(CODES[usize::from(*byte)]));
        out.extend_from_slice(&value.to_le_bytes()[..packed_len(three.len())]);
    }
}

/// Bytes that so many packed characters take.
const fn packed_len(characters: usize) -> usize {
    characters / 3 * 2 + characters % 3
}

/// Bytes of a coded symbol by its first one.
const CODED: [u8; 256] = {
    let mut lengths = [0; 256];
    let mut first = 0;
    while first < lengths.len() {
        let behind = match first {
            0..64 => first + 1,
            64..128 => packed_len(first - 63),
            _ => packed_len((first & 0b1111) + 1),
        };
        lengths[first] = 1 + behind as u8;
        first += 1;
    }
    lengths
};

/// How many bytes a symbol takes that begins with this one. Equal bytes are equal symbols.
#[inline(always)]
pub(super) fn coded_len(first: u8) -> usize {
    usize::from(CODED[usize::from(first)])
}

/// Reads a symbol from the bytes it takes.
pub(super) fn read(coded: &[u8]) -> Result<Symbol, DecodeError> {
    let (first, packed) = coded.split_first().ok_or(DecodeError::Short("symbol"))?;
    let (prefix, length) = match *first {
        EXCHANGE.. => (EXCHANGES[usize::from(first >> 4 & 0b111)], usize::from(first & 0b1111) + 1),
        PACKED.. => ("", usize::from(first & 0b11_1111) + 1),
        _ => {
            let text = str::from_utf8(packed).map_err(|_| DecodeError::Corrupt("symbol is not UTF-8"))?;
            return Symbol::new(text).map_err(|_| DecodeError::Corrupt("symbol"));
        }
    };
    let mut text = prefix.as_bytes().to_vec();
    text.resize(prefix.len() + length, 0);
    unpack(packed, &mut text[prefix.len()..])?;
    let text = str::from_utf8(&text).map_err(|_| DecodeError::Corrupt("symbol is not UTF-8"))?;
    Symbol::new(text).map_err(|_| DecodeError::Corrupt("symbol"))
}

fn unpack(packed: &[u8], text: &mut [u8]) -> Result<(), DecodeError> {
    for (three, bytes) in text.chunks_mut(3).zip(packed.chunks(2)) {
        let mut value = bytes.iter().rev().fold(0u16, |value, byte| value << 8 | u16::from(*byte));
        for character in three {
            *character = ALPHABET[usize::from(value % 40)];
            value /= 40;
        }
        if value != 0 {
            return Err(DecodeError::Corrupt("symbol"));
        }
    }
    Ok(())
}
