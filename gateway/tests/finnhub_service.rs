//! The whole gateway between a real simulator and a real broker.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod rig;

use std::time::{Duration, Instant};

use rig::{Rig, TOKEN};
use tickberry_simulator::{SecondConnection, Step, Trouble};
use tickberry_wire::json::{FeedState, Presence, SymbolState};
use tickberry_wire::{Body, Control, GapReason};

fn simulator() -> tickberry_simulator::Config {
    let mut config = tickberry_simulator::Config { tokens: vec![TOKEN.to_owned()], ..Default::default() };
    config.generated.rate = 10.0;
    config.flush_after = Duration::from_millis(20);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trades_reach_journal_bus_and_json_topics() {
    let mut rig = Rig::start(simulator(), |_| {}).await;
    rig.until("live", |seen| seen.state() == Some(FeedState::Live)).await;
    rig.until("100 trades", |seen| seen.trades.len() >= 100).await;
    rig.until("committed", |seen| seen.committed >= 100).await;
    rig.until("both symbols trade", |seen| {
        seen.status.as_ref().is_some_and(|s| s.symbols.iter().all(|s| s.state == SymbolState::Trading))
    })
    .await;
    rig.settled().await;
    rig.simulator.refuse(Some(500));
    rig.simulator.drop_connections();
    rig.until("backing off", |seen| seen.state() == Some(FeedState::BackingOff)).await;
    rig.until("all is committed", |seen| {
        seen.status.as_ref().is_some_and(|s| s.committed == s.head && s.head == seen.committed)
    })
    .await;
    let sent = rig.simulator.counts().trades;
    let batches = rig.journal();
    let journaled: u64 =
        batches.iter().filter(|batch| matches!(batch.body, Body::Trades(_))).map(|batch| batch.len()).sum();
    assert!(journaled <= sent && journaled >= 100, "{journaled} of {sent}");
    assert!(batches.windows(2).all(|pair| pair[0].end_offset() == pair[1].first_offset));
    // What was heard on the bus is what the journal holds.
    let seen = rig.seen();
    for (offset, trade) in &seen.trades {
        let batch = batches.iter().find(|b| (b.first_offset..b.end_offset()).contains(offset)).unwrap();
        let Body::Trades(trades) = &batch.body else { panic!("{batch:?}") };
        assert_eq!(&trades[(offset - batch.first_offset) as usize], trade);
    }
    for (offset, json) in &seen.mirrored {
        let trade = &seen.trades.get(offset).unwrap();
        assert_eq!(
            (&json.symbol, json.time_ms, json.price, json.volume),
            (&trade.symbol, trade.time_ms, trade.price, trade.volume)
        );
    }
    assert!(seen.mirrored.len() as u64 * 10 >= journaled * 9, "{} of {journaled}", seen.mirrored.len());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_strange_frame_is_survived_on_the_same_connection() {
    let mut rig = Rig::start(simulator(), |_| {}).await;
    rig.until("live", |seen| seen.state() == Some(FeedState::Live)).await;
    let troubles = Trouble::frames();
    let count = troubles.len() as u64;
    rig.simulator.script(
        troubles.into_iter().map(|(_, trouble)| Step { after: Default::default(), trouble }).collect(),
    );
    rig.simulator.until(|counts| counts.strange >= count - 1).await;
    for (name, least) in [
        ("tickberry_gateway_frames_total{kind=\"garbage\"}", 6.0),
        ("tickberry_gateway_frames_total{kind=\"unknown\"}", 1.0),
        ("tickberry_gateway_frames_total{kind=\"error\"}", 2.0),
        ("tickberry_gateway_rejected_elements_total", 10.0),
        ("tickberry_gateway_suspected_copies_total", 1.0),
    ] {
        rig.counted(name, least).await;
    }
    let heard = rig.seen().trades.len();
    rig.until("it streams on", |seen| seen.trades.len() >= heard + 50).await;
    assert_eq!(rig.simulator.counts().connections, 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_a_state_and_ends_by_itself() {
    let mut rig = Rig::start(simulator(), |_| {}).await;
    rig.until("live", |seen| seen.state() == Some(FeedState::Live)).await;
    rig.settled().await;
    rig.simulator.refuse(Some(401));
    rig.simulator.drop_connections();
    rig.until("refused", |seen| seen.state() == Some(FeedState::Refused)).await;
    assert!(rig.seen().message().contains("401") && rig.seen().message().contains("valid one"));
    rig.simulator.refuse(None);
    rig.until("live again", |seen| seen.state() == Some(FeedState::Live)).await;
    rig.until("the gap is told", |seen| seen.gaps.iter().any(|gap| gap.reason == GapReason::Refused)).await;
    let gap = rig.seen().gaps.iter().find(|gap| gap.reason == GapReason::Refused).unwrap().clone();
    assert!(gap.from_ms > 1_500_000_000_000 && gap.from_ms < gap.to_ms, "{gap:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_feed_is_noticed_and_connected_anew() {
    let mut rig = Rig::start(simulator(), |config| config.stall_after = Duration::from_secs(1)).await;
    rig.until("live", |seen| seen.state() == Some(FeedState::Live)).await;
    rig.simulator.trouble(Trouble::Stall { lasts: None });
    rig.until("stalled", |seen| seen.states.contains(&FeedState::Stalled)).await;
    rig.until("live again", |seen| seen.state() == Some(FeedState::Live) && !seen.gaps.is_empty()).await;
    rig.until("the gap is told", |seen| seen.gaps.iter().any(|gap| gap.reason == GapReason::Stall)).await;
    let gap = rig.seen().gaps.iter().find(|gap| gap.reason == GapReason::Stall).unwrap().clone();
    assert!(gap.to_ms - gap.from_ms >= 900, "from the last frame, not from when it was noticed: {gap:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_on_the_key_is_said_in_words() {
    let mut rig = Rig::start(
        tickberry_simulator::Config { second_connection: SecondConnection::Refuse, ..simulator() },
        |config| config.surplus_after = Duration::from_millis(300),
    )
    .await;
    rig.until("live", |seen| seen.state() == Some(FeedState::Live)).await;
    rig.simulator.refuse(Some(429));
    rig.simulator.drop_connections();
    rig.until("surplus", |seen| seen.state() == Some(FeedState::Surplus)).await;
    assert!(rig.seen().message().contains("another process seems to use the same token"));
    rig.simulator.refuse(None);
    rig.until("live again", |seen| seen.state() == Some(FeedState::Live)).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_journals_flushes_and_says_goodbye_quickly() {
    let mut rig = Rig::start(simulator(), |config| {
        config.flush = Duration::from_secs(30);
        config.lateness = Duration::from_secs(31);
    })
    .await;
    rig.until("100 trades", |seen| seen.trades.len() >= 100).await;
    assert_eq!(rig.seen().committed, 1, "nothing but the epoch's start was flushed");
    let begun = Instant::now();
    rig.stop_gateway().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    rig.until("offline", |seen| seen.presence == Some(Presence::Offline)).await;
    let state = rig.reader.state();
    assert_eq!(state.committed, state.head);
    rig.until("the last commit is told", |seen| seen.committed == state.head).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_life_continues_the_journal_and_tells_the_gap() {
    let mut rig = Rig::start(simulator(), |_| {}).await;
    rig.until("100 trades", |seen| seen.trades.len() >= 100).await;
    rig.stop_gateway().await;
    let end = rig.reader.state().head;
    rig.start_gateway().await;
    rig.until("100 more", |seen| seen.trades.keys().filter(|offset| **offset > end).count() >= 100).await;
    let batches = rig.journal();
    assert!(batches.windows(2).all(|pair| pair[0].end_offset() == pair[1].first_offset));
    let starts: Vec<_> = batches
        .iter()
        .filter_map(|batch| match &batch.body {
            Body::Control(Control::EpochStart(start)) => {
                Some((batch.first_offset, start.previous.map(|(_, end)| end)))
            }
            _ => None,
        })
        .collect();
    assert_eq!(starts, [(0, None), (end, Some(end))]);
    // From the journal: the bus may have missed what was told before the new life was connected.
    let trades =
        batches.iter().filter(|batch| batch.end_offset() <= end).filter_map(|batch| match &batch.body {
            Body::Trades(trades) => Some(trades),
            _ => None,
        });
    let last_before = trades.flatten().map(|trade| trade.time_ms).max().unwrap();
    let mut gaps = batches.iter().filter(|batch| batch.first_offset >= end);
    let gap = gaps
        .find_map(|batch| match &batch.body {
            Body::Control(Control::Gap(gap)) if gap.reason == GapReason::Start => Some(gap),
            _ => None,
        })
        .expect("the second life tells its gap");
    // The feed's frames are out of order by up to a second: the first one heard may be older than the last before.
    assert!((gap.from_ms..=gap.to_ms).contains(&last_before), "{last_before}: {gap:?}");
    assert!(gap.from_ms >= last_before - 2_000, "{last_before}: {gap:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_broker_costs_nothing_but_the_bus() {
    let mut rig = Rig::start(simulator(), |_| {}).await;
    rig.until("live", |seen| seen.state() == Some(FeedState::Live)).await;
    rig.stop_broker().await;
    let head = rig.reader.state().head;
    rig.journal_until(|state| state.committed >= head + 100).await;
    assert_eq!(rig.simulator.counts().connections, 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn symbols_beyond_the_limit_are_said_in_words() {
    let mut rig = Rig::start(tickberry_simulator::Config { max_symbols: 1, ..simulator() }, |_| {}).await;
    rig.until("live", |seen| seen.state() == Some(FeedState::Live)).await;
    rig.until("told", |seen| seen.message().contains("fewer symbols than are configured")).await;
    let state = |rig: &mut Rig| rig.seen().status.clone().unwrap().symbols[1].state;
    assert_eq!(state(&mut rig), SymbolState::NeverHeard);
    rig.stop().await;
}
