//! What the journal made of what was sent, and what the stores must therefore hold.

use super::feeder::Sent;
use super::market::frame_of;
use crate::harness::Journal;
use crate::oracle::{self, Trade, Windows, minutes, nearest};
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};

const MINUTE_MS: i64 = 60_000;

/// A trade of the journal, and how its row must look.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The gateway's life that counted it, and its number.
    pub id: (i64, i64),
    /// What was sent.
    pub sent: oracle::Sent,
    /// The doubles nearest to its price and volume.
    pub reals: (f64, f64),
}

/// The journal of a home, read once, and everything that follows from it.
#[derive(Debug, Default)]
pub struct Ledger {
    /// All that was sent, as far as it was told.
    pub frames: Vec<Sent>,
    /// Next offset to be read.
    pub end: u64,
    /// All trades in the order of their offsets.
    pub entries: Vec<Entry>,
    /// The expected minutes.
    pub minutes: Windows,
    /// The expected days, as of [`Ledger::reckon_days`].
    pub days: Windows,
    /// Frames that are not in the journal, by number.
    pub missed: BTreeSet<usize>,
    /// The frame behind the last one in the journal.
    pub next_frame: usize,
    /// The trades of each minute.
    members: BTreeMap<(String, i64), Vec<Trade>>,
}

impl Ledger {
    /// An empty one for what was sent.
    pub fn of(frames: Vec<Sent>) -> Ledger {
        Ledger { frames, ..Ledger::default() }
    }

    /// Adds what the journal holds behind what was read. Frames are there whole, once, and in the order of sending.
    pub fn take(&mut self, journal: &Journal) -> Result<()> {
        ensure!(journal.lost.is_empty(), "records of the journal are lost: {:?}", journal.lost);
        let mut trades: Vec<(&(i64, i64), &oracle::Sent)> = journal.trades.iter().collect();
        trades.sort_by_key(|((_, offset), _)| *offset);
        let mut rest = trades.as_slice();
        let mut touched = BTreeSet::new();
        while let Some(((_, first), trade)) = rest.first() {
            let number = frame_of(&trade.volume)
                .with_context(|| format!("offset {first}: no frame begins with {trade:?}"))?;
            ensure!(
                number >= self.next_frame,
                "offset {first}: frame {number} comes again, or behind frame {}",
                self.next_frame.wrapping_sub(1)
            );
            let frame = self.frames.get(number).with_context(|| format!("frame {number} was never sent"))?;
            let expected = &frame.frame.trades;
            ensure!(rest.len() >= expected.len(), "offset {first}: frame {number} is cut short");
            let (these, others) = rest.split_at(expected.len());
            for (((_, offset), have), want) in these.iter().zip(expected) {
                ensure!(*have == want, "offset {offset}, frame {number}: {have:?}; sent was {want:?}");
            }
            self.missed.extend(self.next_frame..number);
            self.next_frame = number + 1;
            for (id, sent) in these {
                touched.extend(self.keep(**id, sent)?);
            }
            rest = others;
        }
        self.end = journal.end;
        let trades: Vec<Trade> =
            touched.iter().filter_map(|key| self.members.get(key)).flatten().cloned().collect();
        self.minutes.extend(minutes(&trades));
        Ok(())
    }

    /// Gives the minute that it changes.
    fn keep(&mut self, id: (i64, i64), sent: &oracle::Sent) -> Result<Option<(String, i64)>> {
        let trade = Trade::new(sent, id.0, id.1).map_err(anyhow::Error::msg)?;
        let reals = (nearest(&trade.price), nearest(&trade.volume));
        self.entries.push(Entry { id, sent: sent.clone(), reals });
        let key = (trade.symbol.clone(), trade.time_ms.div_euclid(MINUTE_MS) * MINUTE_MS);
        self.members.entry(key.clone()).or_default().push(trade);
        Ok(Some(key))
    }

    /// The expected days follow from all trades, so they are reckoned once all are there.
    pub fn reckon_days(&mut self) {
        let trades: Vec<Trade> = self.members.values().flatten().cloned().collect();
        self.days = oracle::days(&trades);
    }

    /// The trade of an offset.
    pub fn at(&self, offset: i64) -> Option<&Entry> {
        self.entries.binary_search_by_key(&offset, |entry| entry.id.1).ok().map(|at| &self.entries[at])
    }

    /// Of each connection of the feed everything was received up to some frame, and nothing behind it: what is missing
    /// was on its way when the connection ended.
    pub fn nothing_received_is_missing(&self) -> Result<()> {
        let mut torn = BTreeMap::new();
        for (number, sent) in self.frames[..self.next_frame].iter().enumerate() {
            let Some(connection) = sent.connection else { continue };
            if self.missed.contains(&number) {
                torn.entry(connection).or_insert(number);
            } else if let Some(first) = torn.get(&connection) {
                anyhow::bail!(
                    "frame {first} is not in the journal, but frame {number}, sent behind it on connection {connection}, is"
                );
            }
        }
        Ok(())
    }

    /// What was missed lies in gaps of the feed, given as (symbol, from, to, reason).
    pub fn missed_are_told(&self, gaps: &[(String, i64, i64, String)]) -> Result<()> {
        let mut all: Vec<(i64, i64)> = gaps.iter().filter(|g| g.0 == "*").map(|g| (g.1, g.2)).collect();
        all.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for (from, to) in all {
            match joined.last_mut().filter(|last| from <= last.1) {
                Some(last) => last.1 = last.1.max(to),
                None => joined.push((from, to)),
            }
        }
        for number in &self.missed {
            // Before the first frame of all there is nothing to tell a gap from.
            if self.frames[..*number].iter().enumerate().all(|(n, _)| self.missed.contains(&n)) {
                continue;
            }
            let time = self.frames[*number].frame.time_ms;
            let at = joined.partition_point(|(from, _)| *from <= time);
            let told = at.checked_sub(1).is_some_and(|at| joined[at].1 >= time);
            ensure!(told, "frame {number} of {time} was missed and no gap tells of it; gaps: {gaps:?}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::market::Market;
    use super::*;

    fn sent(count: usize) -> Vec<Sent> {
        let mut market = Market::new(1, 1_723_161_255_342);
        (0..count).map(|_| Sent { frame: market.frame(), connection: Some(1) }).collect()
    }

    /// A journal of these frames.
    fn journal(frames: &[Sent], which: &[usize]) -> Journal {
        let mut journal = Journal::default();
        for trade in which.iter().flat_map(|n| &frames[*n].frame.trades) {
            journal.trades.insert((7, journal.end as i64), trade.clone());
            journal.end += 1;
        }
        journal
    }

    fn ledger(frames: &[Sent], which: &[usize]) -> Result<Ledger> {
        let mut ledger = Ledger { frames: frames.to_vec(), ..Ledger::default() };
        ledger.take(&journal(frames, which))?;
        Ok(ledger)
    }

    #[test]
    fn what_is_missing_twice_or_out_of_order_is_seen() {
        let frames = sent(6);
        let whole = ledger(&frames, &[0, 1, 2, 3]).unwrap();
        whole.nothing_received_is_missing().unwrap();
        assert_eq!(whole.entries.len(), frames[..4].iter().map(|f| f.frame.trades.len()).sum::<usize>());
        assert!(ledger(&frames, &[0, 1, 1]).unwrap_err().to_string().contains("comes again"));
        assert!(ledger(&frames, &[0, 2, 1]).is_err());
        let torn = ledger(&frames, &[0, 2]).unwrap();
        assert_eq!(torn.missed, BTreeSet::from([1]));
        assert!(torn.nothing_received_is_missing().is_err());
        let mut reconnected = frames.clone();
        reconnected[2].connection = Some(2);
        ledger(&reconnected, &[0, 2]).unwrap().nothing_received_is_missing().unwrap();
    }

    #[test]
    fn a_changed_or_half_a_frame_is_seen() {
        let frames = sent(3);
        let mut changed = journal(&frames, &[0, 1]);
        changed.trades.entry((7, 1)).and_modify(|t| t.time_ms += 1);
        let fresh = || Ledger { frames: frames.clone(), ..Ledger::default() };
        assert!(fresh().take(&changed).is_err());
        let mut half = journal(&frames, &[0, 1]);
        half.trades.pop_last();
        assert!(fresh().take(&half).unwrap_err().to_string().contains("cut short"));
    }

    #[test]
    fn what_was_missed_must_be_told() {
        let frames = sent(5);
        let torn = ledger(&frames, &[0, 3]).unwrap();
        let time = |n: usize| frames[n].frame.time_ms;
        let gap = |from, to| ("*".to_owned(), from, to, "start".to_owned());
        torn.missed_are_told(&[gap(time(0), time(3))]).unwrap();
        torn.missed_are_told(&[gap(time(0), time(1)), gap(time(1), time(3))]).unwrap();
        assert!(torn.missed_are_told(&[gap(time(0), time(1))]).is_err());
        assert!(torn.missed_are_told(&[]).is_err());
    }
}
