//! Any mix of batches comes back byte for byte; damage is no panic.

use proptest::prelude::*;
use tickberry_wire::{Batch, Body, Conditions, Control, Decimal, Epoch, Symbol, Trade, encode};

use super::super::format::FrameHead;
use super::*;

const EPOCH: Epoch = Epoch::new(1_700_000_000, 7);

fn bytes_of(batch: &Batch) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(batch, &mut bytes).unwrap();
    bytes
}

fn decimal(mantissa: i64, scale: u8) -> Decimal {
    Decimal::new(mantissa, scale).unwrap()
}

/// Numbers as feeds write them, and any others.
fn number() -> impl Strategy<Value = Decimal> {
    let limit = Decimal::MANTISSA_LIMIT - 1;
    prop_oneof![
        8 => (0i64..10_000_000, 0u8..6).prop_map(|(m, s)| decimal(m, s).normalized()),
        2 => (0i64..100_000).prop_map(|m| decimal(m, 2)),
        1 => (-limit..limit, 0u8..=Decimal::MAX_SCALE).prop_map(|(m, s)| decimal(m, s)),
    ]
}

fn conditions() -> impl Strategy<Value = Option<Conditions>> {
    prop_oneof![
        3 => Just(None),
        1 => prop::collection::vec("[0-9]{0,3}", 0..4)
            .prop_map(|codes| Conditions::new(codes.iter().map(String::as_str))),
    ]
}

fn trade() -> impl Strategy<Value = Trade> {
    let time = prop_oneof![9 => 1_700_000_000_000i64..1_700_000_100_000, 1 => any::<i64>()];
    (0usize..4, time, number(), number(), conditions()).prop_map(
        |(symbol, time_ms, price, volume, conditions)| {
            let symbol =
                Symbol::new(["AAPL", "BINANCE:BTCUSDT", "BINANCE:ETHUSDT", "\u{fc}"][symbol]).unwrap();
            Trade { symbol, time_ms, price, volume, conditions }
        },
    )
}

/// What a batch may be, before its offset is known.
#[derive(Clone, Debug)]
enum Made {
    Trades(Vec<Trade>),
    Control,
    OtherEpoch(Trade),
    Garbage(u32, Vec<u8>),
}

fn made() -> impl Strategy<Value = (Made, u64, u64, Option<i64>)> {
    let what = prop_oneof![
        8 => prop::collection::vec(trade(), 1..20).prop_map(Made::Trades),
        1 => Just(Made::Control),
        1 => trade().prop_map(Made::OtherEpoch),
        1 => (1u32..9, prop::collection::vec(any::<u8>(), 0..50)).prop_map(|(n, b)| Made::Garbage(n, b)),
    ];
    let elapsed = prop_oneof![9 => 0u64..1_000_000, 1 => any::<u64>()];
    let anchor = prop_oneof![
        5 => Just(Some(1_700_000_000_000)),
        1 => Just(None),
        1 => any::<i64>().prop_map(Some),
    ];
    (what, elapsed, 0u64..100, anchor)
}

/// The batches with their counts, one behind the other from `first`.
fn entries(first: u64, made: &[(Made, u64, u64, Option<i64>)]) -> Vec<(u32, Vec<u8>)> {
    let mut next = first;
    let mut out = Vec::new();
    for (what, elapsed_ms, lag, anchor_ms) in made {
        let batch = |epoch, body| Batch {
            epoch,
            first_offset: next,
            committed: next.saturating_sub(*lag),
            elapsed_ms: *elapsed_ms,
            anchor_ms: *anchor_ms,
            body,
        };
        let (count, bytes) = match what {
            Made::Trades(trades) => {
                (trades.len() as u32, bytes_of(&batch(EPOCH, Body::Trades(trades.clone()))))
            }
            Made::Control => (1, bytes_of(&batch(EPOCH, Body::Control(Control::Tick)))),
            Made::OtherEpoch(trade) => {
                (1, bytes_of(&batch(Epoch::new(1, 1), Body::Trades(vec![trade.clone()]))))
            }
            Made::Garbage(count, bytes) => (*count, bytes.clone()),
        };
        next += u64::from(count);
        out.push((count, bytes));
    }
    out
}

fn packed(first: u64, batches: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<Entry<'_>> = batches.iter().map(|(count, bytes)| (*count, bytes.as_slice())).collect();
    pack(EPOCH.get(), first, &entries).unwrap()
}

/// How many bytes of batches are in it as they were.
fn kept(packed: &[u8]) -> u64 {
    let columns = zstd::bulk::decompress(packed, MAX_UNPACKED).unwrap();
    let mut lengths = column::Cursor { at: 0, end: columns.len() };
    lengths.take(&columns).unwrap();
    lengths.take(&columns).unwrap()
}

fn unpacked(block: &mut Block, first: u64, bytes: &[u8]) -> Vec<(FrameHead, Vec<u8>)> {
    block.unpack(EPOCH.get(), first, bytes);
    std::iter::from_fn(|| block.advance(first).map(|head| (head, block.payload().to_vec()))).collect()
}

proptest! {
    #[test]
    fn any_mix_of_batches_comes_back_byte_for_byte(
        first in 100u64..1 << 60,
        made in prop::collection::vec(made(), 1..40),
        before in prop::collection::vec(made(), 1..10),
        skip in any::<prop::sample::Index>(),
    ) {
        let mut block = Block::default();
        // What another block has left in the buffers changes nothing.
        unpacked(&mut block, 100, &packed(100, &entries(100, &before)));
        let batches = entries(first, &made);
        let bytes = packed(first, &batches);
        let others = made.iter().zip(&batches).filter(|(made, _)| !matches!(made.0, Made::Trades(_)));
        prop_assert_eq!(kept(&bytes), others.map(|(_, (_, bytes))| bytes.len() as u64).sum::<u64>());
        let read = unpacked(&mut block, first, &bytes);
        prop_assert_eq!(read.len(), batches.len());
        let mut next = first;
        for ((head, payload), (count, bytes)) in read.iter().zip(&batches) {
            prop_assert_eq!((head.first, head.count, head.len as usize), (next, *count, bytes.len()));
            prop_assert_eq!(payload, bytes);
            next = head.end();
        }
        // From any offset the same, without what lies before it.
        let from = first + skip.index((next - first) as usize) as u64;
        block.unpack(EPOCH.get(), first, &bytes);
        let rest: Vec<_> =
            std::iter::from_fn(|| block.advance(from).map(|head| (head, block.payload().to_vec()))).collect();
        let wanted: Vec<_> = read.into_iter().filter(|(head, _)| head.end() > from).collect();
        prop_assert_eq!(rest, wanted);
    }

    #[test]
    fn what_is_no_block_ends_and_does_not_panic(
        made in prop::collection::vec(made(), 1..10),
        at in any::<prop::sample::Index>(),
        mask in 1u8..,
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = packed(100, &entries(100, &made));
        let columns = zstd::bulk::decompress(&bytes, MAX_UNPACKED).unwrap();
        // Behind both walls, the checksum and zstd's own: what only a fault of ours could bring there.
        let mut damaged = columns.clone();
        damaged[at.index(columns.len())] ^= mask;
        for bytes in [damaged.as_slice(), &columns[..cut.index(columns.len())]] {
            let read = unpacked(&mut Block::default(), 100, &zstd::bulk::compress(bytes, LEVEL).unwrap());
            prop_assert!(read.len() <= columns.len());
        }
        prop_assert_eq!(unpacked(&mut Block::default(), 100, &bytes[..cut.index(bytes.len())]), []);
    }
}

#[test]
fn trades_go_into_columns_and_only_those_that_do_not_fit_stay_as_they_are() {
    let trade = |n: i64| Trade {
        symbol: Symbol::new("BINANCE:BTCUSDT").unwrap(),
        time_ms: 1_700_000_000_000 + n,
        price: decimal(6_000_000 + n, 2).normalized(),
        volume: decimal(n + 1, 5).normalized(),
        conditions: None,
    };
    let mut made: Vec<_> = (0..100)
        .map(|n| {
            let trades = (0..10).map(|i| trade(n * 10 + i)).collect();
            (Made::Trades(trades), n as u64 * 300, 20, Some(1_700_000_000_000))
        })
        .collect();
    made.insert(50, (Made::Garbage(3, b"of another release".to_vec()), 0, 0, None));
    let batches = entries(1000, &made);
    let bytes = packed(1000, &batches);
    let read: Vec<Vec<u8>> =
        unpacked(&mut Block::default(), 1000, &bytes).into_iter().map(|(_, payload)| payload).collect();
    assert!(read.iter().eq(batches.iter().map(|(_, bytes)| bytes)));
    let raw: usize = batches.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes.len() * 3 < raw, "{} bytes of {raw}", bytes.len());
}

#[test]
fn the_largest_batches_fit_a_frame() {
    // Numbers that nothing can be made of, in batches as large as there are.
    let mut seed = 1u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 4) as i64 % Decimal::MANTISSA_LIMIT
    };
    let mut trade = |_| Trade {
        symbol: Symbol::new("X").unwrap(),
        time_ms: random(),
        price: decimal(random(), 3),
        volume: decimal(random(), 3),
        conditions: None,
    };
    let small: Vec<Trade> = (0..500).map(&mut trade).collect();
    // As many as a payload holds.
    let mut large: Vec<Trade> = (0..3000).map(&mut trade).collect();
    let fits = |trades: &[Trade]| {
        let body = Body::Trades(trades.to_vec());
        let batch =
            Batch { epoch: EPOCH, first_offset: 600, committed: 600, elapsed_ms: 1, anchor_ms: None, body };
        encode(&batch, &mut Vec::new()).is_ok()
    };
    while !fits(&large) {
        large.truncate(large.len() - 10);
    }
    let batches = entries(100, &[(Made::Trades(small), 0, 0, None), (Made::Trades(large), 1, 0, None)]);
    assert!(batches[0].1.len() < BYTES && batches[1].1.len() > MAX_PAYLOAD - 8000);
    let bytes = packed(100, &batches);
    assert!(bytes.len() <= MAX_FRAME_PAYLOAD);
    assert_eq!(unpacked(&mut Block::default(), 100, &bytes).len(), 2);
}
