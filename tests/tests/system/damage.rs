//! A flipped byte in a segment: the neighbours survive, and the loss is a gap with a reason.

use crate::feed::{Feed, Play};
use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tickberry_tests::generate;
use tickberry_tests::harness::{Journal, SOURCE, TempHome, Up, UpOptions, turn};
use tickberry_tests::oracle::{minutes, same};

const FLIPS: usize = 8;

/// All files of the journal with the places of the bytes that are not 0: what was written.
fn segments(folder: &Path) -> Result<Vec<(PathBuf, Vec<usize>)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(segments(&path)?);
        } else if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("segment-")) {
            let bytes = std::fs::read(&path)?;
            let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
            found.push((path, written));
        }
    }
    found.sort();
    Ok(found)
}

fn flip(path: &Path, at: usize, bit: u8) -> Result<()> {
    let mut bytes = std::fs::read(path)?;
    bytes[at] ^= 1 << bit;
    Ok(std::fs::write(path, bytes)?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_flipped_byte_costs_its_batch_and_nothing_else() {
    let _turn = turn().await;
    let home = TempHome::new("damage");
    let sent = generate::trades(21, generate::START_MS, 3_000);
    let files = Feed::files(&home, &sent);
    let feed = Feed::recorded(files, &Play { frame: 10, shuffle: Duration::ZERO, copies: 0 }).await;
    let mut options = UpOptions::new(&home, feed.address());
    let mut up = Up::start(&home, &options).await.unwrap();
    up.all_stored(sent.len() as u64 + 1, Duration::from_secs(60)).await.unwrap();
    let whole = Journal::read(&up.http, SOURCE, 0).await.unwrap();
    up.stop().await.unwrap();
    drop(feed);
    let sound = options.data_dir.clone();
    let mut rng = StdRng::seed_from_u64(5);
    let mut losses = 0;
    for round in 0..FLIPS {
        options.data_dir = home.join(&format!("flipped-{round}"));
        copy(&sound, &options.data_dir).unwrap();
        let segments = segments(&options.data_dir).unwrap();
        assert!(!segments.is_empty(), "no segment files in {}", options.data_dir.display());
        let (path, written) = &segments[rng.random_range(0..segments.len())];
        let (at, bit) = (written[rng.random_range(0..written.len())], rng.random_range(0..8));
        flip(path, at, bit).unwrap();
        let what = format!("round {round}: bit {bit} of byte {at} in {}", path.display());
        losses += survives(&home, &options, &whole).await.with_context(|| what.clone()).unwrap();
    }
    assert!(losses > 0, "{FLIPS} flips and none hit a trade: the test does not bite");
}

/// Starts on a damaged journal; gives the number of trades that were lost.
async fn survives(home: &TempHome, options: &UpOptions, whole: &Journal) -> Result<usize> {
    let mut up = Up::start(home, options).await?;
    // The start itself is a record: what the journal has now is more than what it had.
    let stream = up.all_stored(whole.end + 1, Duration::from_secs(20)).await?;
    let journal = Journal::read(&up.http, SOURCE, 0).await?;
    ensure!(journal.end >= whole.end, "{} records are left of {}", journal.end, whole.end);
    let missing: Vec<_> = whole.trades.keys().filter(|id| !journal.trades.contains_key(*id)).collect();
    let lost =
        |offset: u64| journal.lost.iter().any(|(first, count)| (*first..first + count).contains(&offset));
    for (epoch, offset) in &missing {
        ensure!(
            lost(*offset as u64),
            "({epoch}, {offset}) is missing and nobody says so: {:?}",
            journal.lost
        );
    }
    for (id, trade) in &journal.trades {
        ensure!(whole.trades.get(id) == Some(trade), "{id:?} reads as {trade:?}: damage read as data");
    }
    ensure!(missing.len() < 300, "one flipped bit cost {} trades: {:?}", missing.len(), journal.lost);
    let database = up.database()?;
    if !missing.is_empty() {
        let gaps = database.gaps()?;
        ensure!(gaps.iter().any(|g| g.3 == "quarantine"), "no gap tells of it: {gaps:?}");
        let counted = up.http.metric("tickberry_gateway_journal_damaged_records_total").await?;
        ensure!(counted >= Some(1.0), "not counted: {counted:?}");
    }
    // What the store had, it still has: a rotten journal never takes anything out of it.
    same(&minutes(&whole.exact()?), &database.minutes()?).map_err(anyhow::Error::msg)?;
    ensure!(stream.stored > whole.end, "{stream:?}");
    up.stop().await?;
    Ok(missing.len())
}
