//! The feed refuses or falls silent: a state that is told, never an end.

use crate::feed::Feed;
use anyhow::{Context, ensure};
use std::time::Duration;
use tickberry_simulator::Trouble;
use tickberry_tests::harness::{SOURCE, TOKEN, TempHome, Up, UpOptions, eventually, turn};

#[tokio::test]
async fn a_refused_token_is_a_state_and_is_never_told() {
    let _turn = turn().await;
    let home = TempHome::new("refused");
    let feed = Feed::refusing().await;
    let mut up = Up::start(&home, &UpOptions::new(&home, feed.address())).await.unwrap();
    let Up { process, http, .. } = &mut up;
    eventually(Duration::from_secs(20), "the state is refused", async || {
        process.must_live()?;
        let state = http.feed_state(SOURCE).await?;
        ensure!(state == "refused", "it is {state}");
        Ok(())
    })
    .await
    .unwrap();
    let status = up.http.text("/api/v1/status").await.unwrap();
    let metrics = up.http.text("/metrics").await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    up.process.must_live().unwrap();
    let handshakes = feed.control().counts().refused;
    assert!(handshakes <= 2, "{handshakes} handshakes in a few seconds: it hammers");
    up.stop().await.unwrap();
    for text in [up.process.log(), status, metrics] {
        assert!(!text.contains(TOKEN), "the token is told");
    }
    assert!(up.process.log().contains("401"), "the log says what was answered");
}

/// Trouble on a streaming feed: it comes back by itself on a second connection, and what was missed is a gap of
/// this reason.
async fn gap(name: &str, reason: &str, trouble: Trouble) {
    let home = TempHome::new(name);
    let feed = Feed::generated(10.0).await;
    let mut options = UpOptions::new(&home, feed.address());
    let patience = ("TICKBERRY_GATEWAY__STALL_AFTER".to_owned(), "2s".to_owned());
    options.environment.push(patience);
    let mut up = Up::start(&home, &options).await.unwrap();
    let Up { process, http, .. } = &mut up;
    // Longer than a second: whoever is thrown out at once takes it for a second user of its key.
    eventually(Duration::from_secs(30), "it streams", async || {
        let now = http.stream(SOURCE).await?;
        ensure!(now.stored > 1_500, "{now:?}");
        Ok(())
    })
    .await
    .unwrap();
    feed.control().trouble(trouble);
    eventually(Duration::from_secs(30), "it is back", async || {
        process.must_live()?;
        ensure!(feed.connections() == 2, "{} connections", feed.connections());
        ensure!(http.feed_state(SOURCE).await? == "live");
        Ok(())
    })
    .await
    .unwrap();
    let database = up.database().unwrap();
    let (start, end) = eventually(Duration::from_secs(20), "the gap is stored", async || {
        let gaps = database.gaps()?;
        let gap = gaps.iter().find(|g| g.3 == reason);
        let (_, start, end, _) = gap.with_context(|| format!("{gaps:?}"))?;
        Ok((*start, *end))
    })
    .await
    .unwrap();
    assert!(start < end && end - start < 30_000, "from {start} to {end}");
    let minute = start / 60_000 * 60_000;
    let rows = database.minute_rows().unwrap();
    let cut: Vec<_> = rows.iter().filter(|m| m.start_ms == minute).collect();
    assert!(!cut.is_empty() && cut.iter().all(|m| m.coverage < 1.0), "{cut:?}");
    up.stop().await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_is_a_gap_with_a_reason() {
    let _turn = turn().await;
    gap("disconnect", "disconnect", Trouble::Reset).await;
}

#[tokio::test]
async fn a_silent_stall_is_noticed_and_is_a_gap() {
    let _turn = turn().await;
    gap("stall", "stall", Trouble::Stall { lasts: None }).await;
}
