//! When a symbol's live message may go: at once if its last one is old enough, else as soon as it is.
//! Pure: time is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tickberry_wire::Symbol;

/// At most one live message a symbol in this time.
const PACE: Duration = Duration::from_secs(1);

/// Which symbols have news, and when each was told last.
#[derive(Default)]
pub(crate) struct Pace {
    symbols: BTreeMap<Symbol, Entry>,
}

#[derive(Default)]
struct Entry {
    told: Option<Instant>,
    news: bool,
}

impl Pace {
    /// A symbol has news.
    pub(crate) fn note(&mut self, symbol: Symbol) {
        self.symbols.entry(symbol).or_default().news = true;
    }

    /// The symbols to tell now; from here on they count as told.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Symbol> {
        let due = self.symbols.iter_mut().filter(|(_, e)| e.news && e.at() <= Some(now));
        due.map(|(symbol, entry)| {
            *entry = Entry { told: Some(now), news: false };
            symbol.clone()
        })
        .collect()
    }

    /// When the next symbol is due, if one has news.
    pub(crate) fn next(&self) -> Option<Instant> {
        let waiting = self.symbols.values().filter(|e| e.news);
        waiting.filter_map(Entry::at).min()
    }
}

impl Entry {
    /// From when on it may be told; `None` is at once.
    fn at(&self) -> Option<Instant> {
        self.told.map(|told| told + PACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_news_go_at_once_the_next_wait() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let ms = |ms| start + Duration::from_millis(ms);
        let (a, b) = (Symbol::new("A").unwrap(), Symbol::new("B").unwrap());
        pace.note(a.clone());
        assert_eq!(pace.due(ms(0)), std::slice::from_ref(&a));
        pace.note(a.clone());
        pace.note(b.clone());
        assert_eq!(pace.due(ms(300)), std::slice::from_ref(&b));
        assert_eq!(pace.next(), Some(ms(1000)));
        assert_eq!(pace.due(ms(999)), []);
        assert_eq!(pace.due(ms(1000)), std::slice::from_ref(&a));
        assert_eq!((pace.next(), pace.due(ms(9000))), (None, vec![]));
    }
}
