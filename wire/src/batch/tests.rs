use proptest::prelude::*;

use super::*;
use crate::{Batch, Body, Conditions, Control, Decimal, Epoch, EpochStart, Gap, GapReason, Symbol, Trade};

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

fn symbol(text: &str) -> Symbol {
    Symbol::new(text).unwrap()
}

fn trade(name: &str, time_ms: i64, price: &str, volume: &str, conditions: Option<&[&str]>) -> Trade {
    Trade {
        symbol: symbol(name),
        time_ms,
        price: decimal(price),
        volume: decimal(volume),
        conditions: conditions.map(|codes| Conditions::new(codes.iter().copied()).unwrap()),
    }
}

fn batch(body: Body) -> Batch {
    let epoch = Epoch::new(1_723_161_200, 0xabcde);
    Batch {
        epoch,
        first_offset: 1000,
        committed: 970,
        elapsed_ms: 54_087,
        anchor_ms: Some(epoch.origin_ms()),
        body,
    }
}

fn frame() -> Batch {
    batch(Body::Trades(vec![
        trade("BINANCE:BTCUSDT", 1_723_161_255_342, "61837.63", "0.02", None),
        trade("BINANCE:BTCUSDT", 1_723_161_255_617, "61837.63", "0.00009", None),
        trade("BINANCE:ETHUSDT", 1_723_161_255_611, "2683.8", "0.0345", None),
        trade("AAPL", 1_723_161_255_000, "213.1", "100", Some(&["1", "12"])),
        trade("AAPL", 1_723_161_255_001, "213", "5", Some(&[])),
    ]))
}

fn encoded(batch: &Batch) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(batch, &mut bytes).unwrap();
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The contract's golden bytes: a change here is a new version of the wire.
#[test]
fn golden_bytes() {
    let gap = Gap { from_ms: 1, to_ms: 2, reason: GapReason::Stall, symbols: vec![symbol("A")] };
    let start = EpochStart { previous: Some((Epoch::new(7, 9), 998)), simulated: true };
    let mut found = String::new();
    for (name, body) in [
        ("commit", Body::Commit),
        ("epoch_start", Body::Control(Control::EpochStart(start))),
        ("gap", Body::Control(Control::Gap(gap))),
        ("tick", Body::Control(Control::Tick)),
        ("lost", Body::Lost { count: 300, reason: GapReason::Quarantine }),
        ("trades", frame().body),
    ] {
        let batch = batch(body);
        let bytes = encoded(&batch);
        assert_eq!(decode(&bytes).as_ref(), Ok(&batch), "{name}");
        found += &format!("{name} {}\n", hex(&bytes));
    }
    assert_eq!(found, include_str!("golden.txt"));
}

#[test]
fn every_truncation_and_extension_is_an_error() {
    let bytes = encoded(&frame());
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "{end} bytes of {}", bytes.len());
        assert!(peek(&bytes[..end]).is_err(), "{end} bytes of {}", bytes.len());
    }
    let mut long = bytes;
    long.push(0);
    assert!(decode(&long).is_err());
}

#[test]
fn every_flipped_bit_is_an_error() {
    let bytes = encoded(&frame());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = decode(&flipped).unwrap_err();
        if bit < 8 {
            assert_eq!(error, DecodeError::UnknownVersion(flipped[0]));
        }
    }
}

#[test]
fn limits_are_errors_that_say_so() {
    let mut out = vec![1, 2, 3];
    assert!(matches!(
        encode(&batch(Body::Trades(vec![])), &mut out),
        Err(EncodeError::Count { found: 0, .. })
    ));
    let many = vec![trade("A", 0, "1", "1", None); MAX_TRADES + 1];
    assert!(matches!(
        encode(&batch(Body::Trades(many)), &mut out),
        Err(EncodeError::Count { found: 4097, .. })
    ));
    let wide =
        (0..1024).map(|i| trade(&format!("{i:64}"), i << 40, "123456789012345678", "0.5", None)).collect();
    assert!(matches!(encode(&batch(Body::Trades(wide)), &mut out), Err(EncodeError::TooLarge(_))));
    let ahead = Batch { committed: 1001, ..batch(Body::Commit) };
    assert!(matches!(encode(&ahead, &mut out), Err(EncodeError::Header(_))));
    assert_eq!(out, [1, 2, 3]);
    assert_eq!(decode(&[]), Err(DecodeError::Short("version")));
    assert_eq!(decode(&[9, 9]), Err(DecodeError::UnknownVersion(9)));
    assert_eq!(decode(&vec![1; MAX_PAYLOAD + 1]), Err(DecodeError::TooLarge(MAX_PAYLOAD + 1)));
}

#[test]
fn reused_columns_equal_fresh_ones() {
    let mut columns = Columns::default();
    for batch in [frame(), batch(Body::Control(Control::Tick)), batch(Body::Commit), frame()] {
        let body = decode_columns(&encoded(&batch), &mut columns).unwrap();
        assert_eq!(columns.head().count, batch.len());
        match (&batch.body, body) {
            (Body::Trades(trades), None) => {
                assert_eq!(columns.rows().len(), trades.len());
                for (row, trade) in columns.rows().iter().zip(trades) {
                    assert_eq!((columns.price(row), columns.volume(row)), (trade.price, trade.volume));
                    assert_eq!(columns.groups()[usize::from(row.group)].symbol, trade.symbol);
                    assert_eq!(columns.conditions(row), trade.conditions.as_ref());
                }
                assert_eq!(Columns::from_batch(&batch).unwrap().rows(), columns.rows());
            }
            (expected, Some(body)) => assert_eq!(&body, expected),
            (expected, None) => panic!("{expected:?} was read as trades"),
        }
    }
}

fn any_decimal() -> impl Strategy<Value = Decimal> {
    let mantissa = prop_oneof![
        -1000i64..1000,
        0i64..100_000_000,
        -(Decimal::MANTISSA_LIMIT - 1)..Decimal::MANTISSA_LIMIT,
    ];
    (mantissa, prop_oneof![0u8..9, 0..=Decimal::MAX_SCALE]).prop_map(|(m, s)| Decimal::new(m, s).unwrap())
}

fn any_symbol() -> impl Strategy<Value = Symbol> {
    prop_oneof!["BINANCE:[A-Z]{3,8}", "[A-Z]{1,5}", "\\PC{1,15}", "[A-Z0-9:._-]{1,64}"]
        .prop_filter_map("too long", |text| Symbol::new(&text).ok())
}

fn any_conditions() -> impl Strategy<Value = Option<Conditions>> {
    proptest::option::of(proptest::collection::vec("[0-9]{1,3}", 0..4))
        .prop_map(|codes| codes.map(|codes| Conditions::new(codes.iter().map(String::as_str)).unwrap()))
}

fn any_trades() -> impl Strategy<Value = Vec<Trade>> {
    let time = prop_oneof![1_723_161_255_000i64..1_723_161_256_000, any::<i64>()];
    let one = (any::<prop::sample::Index>(), time, any_decimal(), any_decimal(), any_conditions());
    (proptest::collection::vec(any_symbol(), 1..4), proptest::collection::vec(one, 1..40)).prop_map(
        |(symbols, trades)| {
            trades
                .into_iter()
                .map(|(at, time_ms, price, volume, conditions)| Trade {
                    symbol: at.get(&symbols).clone(),
                    time_ms,
                    price,
                    volume,
                    conditions,
                })
                .collect()
        },
    )
}

fn any_batch() -> impl Strategy<Value = Batch> {
    (
        0u64..1 << 56,
        any::<u32>(),
        any::<u16>(),
        any::<u32>(),
        proptest::option::of(any::<i64>()),
        any_trades(),
    )
        .prop_map(|(epoch, committed, lag, elapsed, anchor_ms, trades)| Batch {
            epoch: Epoch::from_raw(epoch).unwrap(),
            first_offset: u64::from(committed) + u64::from(lag),
            committed: u64::from(committed),
            elapsed_ms: u64::from(elapsed),
            anchor_ms,
            body: Body::Trades(trades),
        })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(batch in any_batch()) {
        let bytes = encoded(&batch);
        let head = peek(&bytes).unwrap();
        prop_assert_eq!(head.end_offset(), batch.end_offset());
        prop_assert_eq!(decode(&bytes), Ok(batch));
    }

    #[test]
    fn any_bytes_decode_or_are_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), repair in any::<bool>()) {
        // With the checksum repaired the readers behind it see the bytes too.
        if repair && bytes.len() > CHECKSUM {
            bytes[0] = VERSION;
            repair_checksum(&mut bytes);
        }
        if let Ok(batch) = decode(&bytes) {
            prop_assert_eq!(decode(&encoded(&batch)), Ok(batch));
        }
        drop(peek(&bytes));
    }

    #[test]
    fn damaged_batches_decode_or_are_an_error(batch in any_batch(), at in any::<prop::sample::Index>(), xor in 1u8..) {
        let mut bytes = encoded(&batch);
        let end = bytes.len() - CHECKSUM;
        bytes[at.index(end - 1) + 1] ^= xor;
        repair_checksum(&mut bytes);
        if let Ok(other) = decode(&bytes) {
            let lost = matches!(other.body, Body::Lost { .. });
            prop_assert!(lost || other.len() <= MAX_TRADES as u64);
        }
    }
}
