//! A machine with its disks, switched on and cut off again and again.

use super::disk::{Card, Disk};
use super::guest::Guest;
use super::lab::Lab;
use super::plan::Moment;
use super::watch::Watch;
use crate::chaos::feeder::Feeder;
use crate::chaos::plan::Rate;
use crate::harness::{Journal, SOURCE, Tap, TempHome, eventually};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout_at};

/// How often what is said is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// The journal is read every so many looks.
const LOOKS: u32 = 25;
/// A frame that was not committed within this time was sent to nobody.
const MARKER: Duration = Duration::from_secs(5);
/// What is on its way when the power goes is soon here.
const ON_ITS_WAY: Duration = Duration::from_millis(30);

/// A cut whose outcome is to be verified.
#[derive(Debug)]
pub struct Cut {
    /// Which moment was chosen.
    pub moment: Moment,
    /// When that was.
    pub at: Instant,
    /// What was said until then.
    pub watch: Watch,
}

/// A machine, on or off.
#[derive(Debug)]
pub struct Machine {
    lab: Lab,
    /// The folder of its images and logs.
    pub home: TempHome,
    /// What feeds it.
    pub feeder: Feeder,
    disks: Vec<Disk>,
    /// The folder of the store, as the machine shows it.
    pub store: &'static str,
    settings: Vec<(&'static str, String)>,
    /// What runs, if it is on.
    pub guest: Option<Guest>,
    /// How often it was switched on.
    pub boots: u32,
}

impl Machine {
    /// A machine with empty disks, one or two; on the second one lies the store.
    pub async fn new(lab: &Lab, home: TempHome, feeder: Feeder, disks: usize) -> Result<Machine> {
        let mut settings = vec![
            // The host's loopback as the machine sees it.
            ("GATEWAY__FINNHUB_URL", format!("ws://10.0.2.2:{}", feeder.address().port())),
            // Windows leave the kept time within a few cuts.
            ("AGGREGATOR__KEPT", "5m".to_owned()),
        ];
        let mut all = vec![Disk::new(lab, &home, "disk").await?];
        if disks > 1 {
            all.push(Disk::new(lab, &home, "store").await?);
            settings.push(("AGGREGATOR__STORE__PATH", "/store/tickberry.sqlite3".to_owned()));
        }
        let store = if disks > 1 { "store" } else { "data" };
        Ok(Machine { lab: lab.clone(), home, feeder, disks: all, store, settings, guest: None, boots: 0 })
    }

    /// Switches it on; the first disk is such a card, all others are honest.
    pub async fn on(&mut self, card: Card) -> Result<&mut Guest> {
        for (n, disk) in self.disks.iter_mut().enumerate() {
            disk.on(if n == 0 { card } else { Card::Honest }).await?;
        }
        self.boots += 1;
        let guest = Guest::boot(&self.lab, &self.home, &self.disks, &self.settings, self.boots)?;
        Ok(self.guest.insert(guest))
    }

    /// What runs.
    pub fn guest(&mut self) -> Result<&mut Guest> {
        self.guest.as_mut().context("the machine is off")
    }

    /// Lets trades come until the moment, and cuts the power; `from` is the journal's end as far as it is known.
    pub async fn cut_at(&mut self, moment: Moment, rate: Rate, from: u64) -> Result<Cut> {
        let mut watch = Watch::from(from);
        watch.sent(self.feeder.count());
        let tap = match moment {
            Moment::Start(after) => {
                self.guest()?.up().await?;
                self.feeder.play(rate);
                let end = Instant::now() + after;
                while Instant::now() < end {
                    watch.sent(self.feeder.count());
                    sleep(LOOK.min(end.saturating_duration_since(Instant::now()))).await;
                }
                None
            }
            Moment::Stream(after) | Moment::Flush(after, _) => {
                let tap = Tap::on(self.guest()?.mqtt, "tickberry/v1/batches/#").await?;
                self.feeder.play(rate);
                self.look(&mut watch, &tap, from, after).await?;
                if let Moment::Flush(_, after) = moment {
                    self.next_flush(&mut watch, &tap).await?;
                    sleep(after).await;
                }
                Some(tap)
            }
        };
        self.guest()?.must_be_well(None)?;
        let guest = self.guest.take().context("the machine is off")?;
        let at = Instant::now();
        guest.cut(&mut self.disks).await?;
        watch.sent(self.feeder.count());
        self.feeder.pause();
        if let Some(tap) = tap {
            sleep(ON_ITS_WAY).await;
            watch.hear(tap.take())?;
        }
        Ok(Cut { moment, at, watch })
    }

    /// Watches until some of what comes is committed, and so long after that.
    async fn look(&mut self, watch: &mut Watch, tap: &Tap, from: u64, after: Duration) -> Result<()> {
        let patience = tokio::time::Instant::now() + Duration::from_secs(30);
        let mut end = None;
        for look in 1.. {
            watch.sent(self.feeder.count());
            watch.hear(tap.take())?;
            let guest = self.guest()?;
            if end.is_none() && !watch.promised().is_empty() {
                end = Some(tokio::time::Instant::now() + after);
            }
            let until = end.unwrap_or(patience);
            if tokio::time::Instant::now() >= until {
                ensure!(end.is_some(), "nothing was committed within 30 s");
                break;
            }
            if look % LOOKS == 0 {
                guest.must_be_well(None)?;
                // Unless the moment comes first.
                if let Ok(read) = timeout_at(until, Journal::read(&guest.http, SOURCE, from)).await {
                    watch.read(read?)?;
                }
            }
            // The moment is the end of a sleep, not the next look.
            tokio::time::sleep_until(until.min(tokio::time::Instant::now() + LOOK)).await;
        }
        Ok(())
    }

    async fn next_flush(&mut self, watch: &mut Watch, tap: &Tap) -> Result<()> {
        let before = watch.committed;
        let deadline = Instant::now() + Duration::from_secs(20);
        while watch.committed == before {
            ensure!(Instant::now() < deadline, "no flush was reported within 20 s");
            sleep(Duration::from_millis(1)).await;
            watch.sent(self.feeder.count());
            watch.hear(tap.take())?;
        }
        Ok(())
    }

    /// Waits until the journal holds a frame that is sent now, and everything before it.
    pub async fn settled(&mut self) -> Result<()> {
        self.feeder.pause();
        let feeder = &self.feeder;
        let guest = self.guest.as_mut().context("the machine is off")?;
        let mut marker: Option<(usize, Instant)> = None;
        eventually(Duration::from_secs(40), "the journal holds the last frame", async || {
            guest.must_be_well(None)?;
            // A frame may have been sent to nobody; then another one is.
            if marker.is_none_or(|(_, at)| at.elapsed() > MARKER) {
                marker = feeder.one().map(|frame| (frame, Instant::now()));
            }
            let (frame, _) = marker.context("no room for a frame")?;
            let sent = feeder.sent(frame).into_iter().next().context("a frame was sent")?.frame.trades;
            let journal = Journal::read(&guest.http, SOURCE, 0).await?;
            ensure!(journal.trades.values().any(|trade| *trade == sent[0]), "frame {frame} is not there");
            Ok(())
        })
        .await
    }

    /// Ends it, whatever it does.
    pub async fn off(&mut self) -> Result<()> {
        match self.guest.take() {
            Some(guest) => guest.cut(&mut self.disks).await,
            None => Ok(()),
        }
    }
}
