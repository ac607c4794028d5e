//! What happens to a packet: a pure, seeded decision.

use super::packet::topic;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::time::Duration;

/// What happens to one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Pass,
    /// It is thrown away.
    Lose,
    /// It goes on twice.
    Double,
    /// It goes on later, behind younger ones.
    Delay(Duration),
    /// The connection ends here.
    Cut,
}

/// Shares of the PUBLISH packets under a topic prefix; all other packets pass.
#[derive(Debug)]
pub struct Trouble {
    prefix: String,
    lose: f64,
    double: f64,
    delay: f64,
    longest: Duration,
    cut: f64,
    rng: StdRng,
}

impl Trouble {
    /// No trouble yet, for topics that begin with `prefix`.
    pub fn new(prefix: &str, seed: u64) -> Trouble {
        let rng = StdRng::seed_from_u64(seed);
        let (lose, double, delay, cut) = (0.0, 0.0, 0.0, 0.0);
        Trouble { prefix: prefix.to_owned(), lose, double, delay, longest: Duration::ZERO, cut, rng }
    }

    /// A share is lost.
    pub fn lose(self, share: f64) -> Trouble {
        Trouble { lose: share, ..self }
    }

    /// A share comes twice.
    pub fn double(self, share: f64) -> Trouble {
        Trouble { double: share, ..self }
    }

    /// A share comes up to `longest` later.
    pub fn delay(self, share: f64, longest: Duration) -> Trouble {
        Trouble { delay: share, longest, ..self }
    }

    /// At a share of the packets the connection is cut.
    pub fn cut(self, share: f64) -> Trouble {
        Trouble { cut: share, ..self }
    }

    /// The fate of a whole packet.
    pub fn fate(&mut self, packet: &[u8]) -> Fate {
        if !topic(packet).is_some_and(|topic| topic.starts_with(&self.prefix)) {
            return Fate::Pass;
        }
        let mut at = self.rng.random::<f64>();
        for (share, fate) in [(self.cut, Fate::Cut), (self.lose, Fate::Lose), (self.double, Fate::Double)] {
            if at < share {
                return fate;
            }
            at -= share;
        }
        if at < self.delay {
            return Fate::Delay(self.longest.mul_f64(self.rng.random()));
        }
        Fate::Pass
    }
}
