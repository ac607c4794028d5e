//! What is done to whom and when: a pure function of the seed and the round's number.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::time::Duration;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The gateway with the journal.
    Gateway,
    /// The broker.
    Broker,
    /// One of the two aggregators.
    Aggregator(usize),
}

/// A way between two processes, each through a proxy of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// MQTT from the gateway to the broker.
    GatewayBus,
    /// MQTT from an aggregator to the broker.
    AggregatorBus(usize),
    /// HTTP from an aggregator to the journal.
    Journal(usize),
}

/// How a way is parted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parted {
    /// Connections stay, and not a byte passes in either direction until it is healed.
    Held,
    /// Connections are reset, and new ones are refused until it is healed.
    Cut,
}

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attack {
    /// SIGKILL; started again after `down`, and killed again so long after each of the `starts` that follow.
    Kill {
        /// Whom.
        part: Part,
        /// How long it is away.
        down: Duration,
        /// Kills while it starts, or shortly after.
        starts: Vec<Duration>,
    },
    /// SIGSTOP, and SIGCONT after a while.
    Stop {
        /// Whom.
        part: Part,
        /// For how long.
        lasts: Duration,
    },
    /// A partition.
    Part {
        /// Where.
        ways: Vec<Way>,
        /// How.
        parted: Parted,
        /// For how long.
        lasts: Duration,
    },
    /// The feed resets the gateway's connection.
    Feed,
}

impl Attack {
    /// What it is counted as.
    pub fn name(&self) -> &'static str {
        match self {
            Attack::Kill { part: Part::Gateway, .. } => "kill gateway",
            Attack::Kill { part: Part::Broker, .. } => "kill broker",
            Attack::Kill { part: Part::Aggregator(_), .. } => "kill aggregator",
            Attack::Stop { part: Part::Gateway, .. } => "stop gateway",
            Attack::Stop { part: Part::Broker, .. } => "stop broker",
            Attack::Stop { part: Part::Aggregator(_), .. } => "stop aggregator",
            Attack::Part { ways, .. } => match ways.as_slice() {
                [Way::GatewayBus] => "part gateway from broker",
                [Way::AggregatorBus(_)] => "part aggregator from broker",
                [Way::Journal(_)] => "part aggregator from journal",
                _ => "part several ways",
            },
            Attack::Feed => "reset feed",
        }
    }
}

/// How many attacks a round has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One.
    Single,
    /// Two at about the same time.
    Pair,
    /// All processes killed or stopped, and a way parted, at about the same time.
    All,
}

/// How fast trades come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Twenty frames a second.
    Trickle,
    /// Two hundred.
    Steady,
    /// Frames as fast as they are taken, up to a bound; then steady.
    Full,
}

/// A round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// How many attacks.
    pub kind: Kind,
    /// How fast trades come meanwhile.
    pub rate: Rate,
    /// When each attack begins, after the trades do.
    pub attacks: Vec<(Duration, Attack)>,
}

/// In a campaign every so many rounds somebody is stopped for a whole minute.
pub const MINUTE_EVERY: u64 = 250;
/// The longest stop of an ordinary round is below this.
const SHORT_MS: u64 = 700;
/// What a part waits for in every fiftieth round or so: longer than what keeps a connection alive.
const LONG_MS: std::ops::Range<u64> = 2_000..9_000;

/// The attacks of a round.
pub fn round(seed: u64, number: u64) -> Round {
    let mut rng = StdRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    if number % MINUTE_EVERY == MINUTE_EVERY - 1 {
        return minute(&mut rng, seed.wrapping_add(number / MINUTE_EVERY));
    }
    let kind = match rng.random_range(0..10) {
        0..6 => Kind::Single,
        6..9 => Kind::Pair,
        _ => Kind::All,
    };
    let rate = match rng.random_range(0..10) {
        0..2 => Rate::Trickle,
        2..5 => Rate::Steady,
        _ => Rate::Full,
    };
    let attacks: Vec<Attack> = match kind {
        Kind::Single => vec![attack(&mut rng)],
        Kind::Pair => vec![attack(&mut rng), attack(&mut rng)],
        Kind::All => all(&mut rng),
    };
    let attacks = attacks.into_iter().map(|attack| (ms(&mut rng, 20..400), attack)).collect();
    Round { kind, rate, attacks }
}

/// Nobody is spared by the minutes: each has its turn.
fn minute(rng: &mut StdRng, turn: u64) -> Round {
    let parts = [Part::Broker, Part::Gateway, Part::Aggregator(0), Part::Aggregator(1)];
    let stop = Attack::Stop { part: parts[(turn % 4) as usize], lasts: Duration::from_secs(60) };
    Round { kind: Kind::Single, rate: Rate::Full, attacks: vec![(ms(rng, 20..400), stop)] }
}

fn attack(rng: &mut StdRng) -> Attack {
    match rng.random_range(0..20) {
        0..3 => kill(rng, Part::Gateway),
        3..6 => kill(rng, Part::Broker),
        6..10 => {
            let aggregator = aggregator(rng);
            kill(rng, aggregator)
        }
        10 => stop(rng, Part::Gateway),
        11 => stop(rng, Part::Broker),
        12 => {
            let aggregator = aggregator(rng);
            stop(rng, aggregator)
        }
        13..19 => part(rng),
        _ => Attack::Feed,
    }
}

fn all(rng: &mut StdRng) -> Vec<Attack> {
    let parts = [Part::Gateway, Part::Broker, Part::Aggregator(0), Part::Aggregator(1)];
    let each = parts.map(|who| if rng.random_bool(0.7) { kill(rng, who) } else { stop(rng, who) });
    each.into_iter().chain([part(rng)]).collect()
}

fn aggregator(rng: &mut StdRng) -> Part {
    Part::Aggregator(rng.random_range(0..2))
}

fn kill(rng: &mut StdRng, part: Part) -> Attack {
    // An aggregator is killed again and again: somewhere between the first row of a transaction and its last.
    let most = if matches!(part, Part::Aggregator(_)) { 3 } else { 2 };
    let again = if rng.random_bool(0.4) { rng.random_range(1..=most) } else { 0 };
    let starts = (0..again).map(|_| ms(rng, 0..300)).collect();
    Attack::Kill { part, down: ms(rng, 0..250), starts }
}

fn stop(rng: &mut StdRng, part: Part) -> Attack {
    let lasts = if rng.random_bool(0.05) { ms(rng, LONG_MS) } else { ms(rng, 5..SHORT_MS) };
    Attack::Stop { part, lasts }
}

fn part(rng: &mut StdRng) -> Attack {
    let n = rng.random_range(0..2);
    let ways = match rng.random_range(0..6) {
        0 => vec![Way::GatewayBus],
        1 => vec![Way::AggregatorBus(n)],
        2 => vec![Way::Journal(n)],
        3 => vec![Way::AggregatorBus(n), Way::Journal(n)],
        4 => vec![Way::GatewayBus, Way::Journal(0), Way::Journal(1)],
        _ => vec![
            Way::GatewayBus,
            Way::AggregatorBus(0),
            Way::AggregatorBus(1),
            Way::Journal(0),
            Way::Journal(1),
        ],
    };
    let parted = if rng.random_bool(0.5) { Parted::Held } else { Parted::Cut };
    let lasts = if rng.random_bool(0.03) { ms(rng, LONG_MS) } else { ms(rng, 20..SHORT_MS) };
    Attack::Part { ways, parted, lasts }
}

fn ms(rng: &mut StdRng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_seed_says_everything_and_another_seed_something_else() {
        let rounds = |seed| (0..300).map(|n| round(seed, n)).collect::<Vec<_>>();
        assert_eq!(rounds(1), rounds(1));
        assert_ne!(rounds(1), rounds(2));
        // A round does not depend on those before it: one can be repeated alone.
        assert_eq!(rounds(1)[77], round(1, 77));
    }

    #[test]
    fn a_campaign_has_everything() {
        let mut names = BTreeMap::new();
        let mut kinds = [0; 3];
        for round in (0..2_000).map(|n| round(7, n)) {
            kinds[round.kind as usize] += 1;
            for (_, attack) in &round.attacks {
                *names.entry(attack.name()).or_insert(0) += 1;
            }
            if round.kind == Kind::All {
                assert_eq!(round.attacks.len(), 5);
            }
        }
        assert_eq!(names.len(), 11, "{names:?}");
        assert!(names.values().all(|count| *count >= 50), "{names:?}");
        assert!(kinds.iter().all(|count| *count > 100), "{kinds:?}");
    }

    #[test]
    fn minutes_come_in_turn_and_only_in_long_campaigns() {
        let whole = Duration::from_secs(60);
        let minute = |n: u64| {
            let attacks = round(3, n).attacks;
            attacks.iter().any(|(_, a)| matches!(a, Attack::Stop { lasts, .. } if *lasts == whole))
        };
        assert_eq!((0..100).filter(|n| minute(*n)).count(), 0);
        assert_eq!((0..1_000).filter(|n| minute(*n)).count(), 4);
    }
}
