//! A round's attacks as single steps in the order of time.

use super::plan::{Attack, Part, Parted, Round, Way};
use std::time::Duration;

/// Something that is done in a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// SIGKILL.
    Kill(Part),
    /// It is started, unless it runs.
    Start(Part),
    /// SIGSTOP.
    Stop(Part),
    /// SIGCONT.
    Continue(Part),
    /// Ways are parted.
    Part(Vec<Way>, Parted),
    /// They are healed.
    Heal(Vec<Way>),
    /// The feed resets its connection.
    Reset,
}

impl Round {
    /// When each step is due, from the beginning of the round on.
    pub fn steps(&self) -> Vec<(Duration, Step)> {
        let mut steps: Vec<(Duration, Step)> =
            self.attacks.iter().flat_map(|(at, attack)| of(attack, *at)).collect();
        // Stable: what one attack does at one time stays in its order.
        steps.sort_by_key(|(at, _)| *at);
        steps
    }
}

fn of(attack: &Attack, at: Duration) -> Vec<(Duration, Step)> {
    match attack {
        Attack::Kill { part, down, starts } => {
            let mut steps = vec![(at, Step::Kill(*part))];
            let mut at = at + *down;
            for alive in starts {
                steps.push((at, Step::Start(*part)));
                at += *alive;
                steps.push((at, Step::Kill(*part)));
            }
            steps.push((at, Step::Start(*part)));
            steps
        }
        Attack::Stop { part, lasts } => {
            vec![(at, Step::Stop(*part)), (at + *lasts, Step::Continue(*part))]
        }
        Attack::Part { ways, parted, lasts } => {
            vec![(at, Step::Part(ways.clone(), *parted)), (at + *lasts, Step::Heal(ways.clone()))]
        }
        Attack::Feed => vec![(at, Step::Reset)],
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Kind, Rate};
    use super::*;

    #[test]
    fn two_attacks_are_woven_into_one_another() {
        let ms = Duration::from_millis;
        let kill = Attack::Kill { part: Part::Broker, down: ms(20), starts: vec![ms(30)] };
        let stop = Attack::Stop { part: Part::Gateway, lasts: ms(5) };
        let attacks = vec![(ms(10), kill), (ms(35), stop)];
        let steps = Round { kind: Kind::Pair, rate: Rate::Full, attacks }.steps();
        let want = [
            (10, Step::Kill(Part::Broker)),
            (30, Step::Start(Part::Broker)),
            (35, Step::Stop(Part::Gateway)),
            (40, Step::Continue(Part::Gateway)),
            (60, Step::Kill(Part::Broker)),
            (60, Step::Start(Part::Broker)),
        ];
        assert_eq!(steps, want.map(|(at, step)| (ms(at), step)));
    }
}
