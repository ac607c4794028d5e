//! Gateway, broker and two aggregators as processes of their own, each way between them through a cable.

use super::cable::Cable;
use super::feeder::Feeder;
use super::machine::Machine;
use super::plan::{Part, Parted, Way};
use crate::generate::START_MS;
use crate::harness::{Database, Host, SOURCE, TOKEN, Tap, TempHome, eventually};
use anyhow::{Context, Result, bail};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;

/// What services say to the broker.
const PASSWORD: &str = "a-shared-secret-of-the-tests";
/// Shorter delays than the defaults: a round waits for them.
const GATEWAY: &str = r#"flush = "150ms"
backoff_first = "50ms"
backoff_max = "400ms"
surplus_after = "50ms"
"#;
/// A transaction whenever there is something to write; windows that leave the kept time within a few rounds.
const AGGREGATOR: &str = r#"[aggregator]
commit_interval = "50ms"
kept = "5m"
"#;

/// Where the two aggregators write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stores {
    /// Each into a file of its own: both must be the same byte for byte.
    Two,
    /// Both into one file.
    One,
}

/// The parts and the ways between them.
#[derive(Debug)]
pub struct Shelf {
    /// Their folder.
    pub home: TempHome,
    /// The trades.
    pub feeder: Feeder,
    /// Hears all batches, at the broker itself.
    pub tap: Tap,
    /// Where the aggregators write.
    pub stores: Stores,
    machines: BTreeMap<Part, Mutex<Machine>>,
    cables: BTreeMap<Way, Cable>,
}

/// All processes.
pub const PARTS: [Part; 4] = [Part::Broker, Part::Gateway, Part::Aggregator(0), Part::Aggregator(1)];

impl Shelf {
    /// Starts everything in a new folder.
    pub async fn start(name: &str, seed: u64, stores: Stores) -> Result<Shelf> {
        let home = TempHome::new(name);
        let host = Host::unique();
        let mut rng = StdRng::seed_from_u64(seed);
        // Midnight is somewhere among the rounds of a home.
        let start_ms = START_MS - rng.random_range(0..600_000);
        let feeder = Feeder::start(host, rng.random(), start_ms).await?;
        // Each on a host of its own: a port that is chosen and not bound yet could be given to a cable meanwhile.
        let free = || Host::unique().free();
        let (services, taps, journal) = (free(), free(), free());
        let mut cables = BTreeMap::new();
        let ways = [
            (Way::GatewayBus, services),
            (Way::AggregatorBus(0), services),
            (Way::AggregatorBus(1), services),
            (Way::Journal(0), journal),
            (Way::Journal(1), journal),
        ];
        for (way, target) in ways {
            cables.insert(way, Cable::start(host.at(0), target).await?);
        }
        let password = ("BUS_PASSWORD", PASSWORD.to_owned());
        let mut machines = BTreeMap::new();
        let settings = format!("[broker]\nservices = \"{services}\"\ntaps = \"{taps}\"\n");
        let broker = Machine::new(&home, "broker", "broker", free(), &settings, vec![password.clone()])?;
        machines.insert(Part::Broker, Mutex::new(broker));
        let settings = format!(
            "[bus]\naddress = \"{}\"\n[gateway]\nfinnhub_url = \"ws://{}\"\nmirror = {}\n{GATEWAY}",
            cables[&Way::GatewayBus].address(),
            feeder.address(),
            rng.random_bool(0.5),
        );
        let environment = vec![password.clone(), ("FINNHUB_TOKEN", TOKEN.to_owned())];
        let gateway = Machine::new(&home, "gateway", "gateway", journal, &settings, environment)?;
        machines.insert(Part::Gateway, Mutex::new(gateway));
        for n in 0..2 {
            let mut settings = format!(
                "[bus]\naddress = \"{}\"\n{AGGREGATOR}sources = [{{ name = \"{SOURCE}\", journal = \"http://{}/api/v1/journal/{SOURCE}\" }}]\n",
                cables[&Way::AggregatorBus(n)].address(),
                cables[&Way::Journal(n)].address(),
            );
            if stores == Stores::One {
                let path = home.join("tickberry.sqlite3");
                settings += &format!("[aggregator.store]\npath = \"{}\"\n", path.display());
            }
            let name = format!("aggregator-{n}");
            let aggregator =
                Machine::new(&home, "aggregator", &name, free(), &settings, vec![password.clone()])?;
            machines.insert(Part::Aggregator(n), Mutex::new(aggregator));
        }
        let tap = Tap::start(taps, "tickberry/v1/batches/#");
        let shelf = Shelf { home, feeder, tap, stores, machines, cables };
        shelf.all_run().await?;
        Ok(shelf)
    }

    /// A process.
    pub fn machine(&self, part: Part) -> &Mutex<Machine> {
        &self.machines[&part]
    }

    /// Parts some ways.
    pub fn part(&self, ways: &[Way], how: Parted) {
        ways.iter().for_each(|way| self.cables[way].part(how));
    }

    /// Lets everything pass on some ways.
    pub fn heal(&self, ways: &[Way]) {
        ways.iter().for_each(|way| self.cables[way].heal());
    }

    /// Heals all ways, lets every process go on, and starts those that are away.
    pub async fn all_run(&self) -> Result<()> {
        self.cables.values().for_each(Cable::heal);
        for machine in self.machines.values() {
            let mut machine = machine.lock().await;
            machine.start(&self.home)?;
            machine.signal(Signal::CONT)?;
        }
        Ok(())
    }

    /// An error if a process has ended by itself.
    pub async fn all_live(&self) -> Result<()> {
        for machine in self.machines.values() {
            machine.lock().await.must_live()?;
        }
        Ok(())
    }

    /// An aggregator's file.
    pub async fn database(&self, n: usize) -> Result<Database> {
        Database::open(&self.folder(n).await).with_context(|| format!("the store of aggregator {n}"))
    }

    /// Where an aggregator's file is.
    async fn folder(&self, n: usize) -> PathBuf {
        match self.stores {
            Stores::Two => self.machine(Part::Aggregator(n)).lock().await.folder.clone(),
            Stores::One => self.home.path().to_owned(),
        }
    }

    /// Stops an aggregator, but not within a transaction: with SQLite's lock it would stop everybody who writes the file.
    pub async fn stop_outside_a_transaction(&self, n: usize) -> Result<()> {
        let file = self.folder(n).await.join("tickberry.sqlite3");
        let machine = self.machine(Part::Aggregator(n));
        eventually(Duration::from_secs(20), "it is stopped and holds no lock", async || {
            machine.lock().await.signal(Signal::STOP)?;
            if Database::can_be_written(&file)? {
                return Ok(());
            }
            machine.lock().await.signal(Signal::CONT)?;
            bail!("it is writing")
        })
        .await
    }
}
