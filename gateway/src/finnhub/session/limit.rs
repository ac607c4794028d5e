//! The plan's limit of subscriptions.
//!
//! Finnhub says "Subscribing to too many symbols" and not which. It serves subscriptions in the order they came, one
//! complaint for each it leaves out. So after a minute's patience the last ones that were never heard on this
//! connection, at most as many as there were complaints, are taken to be left out; whoever is heard is not.

use std::collections::BTreeSet;

use tickberry_wire::Symbol;

use super::Action;

/// How long a symbol may take to be heard before it is suspected.
const PATIENCE_MS: u64 = 60_000;
/// How often the gap is written on while it lasts.
const REPEAT_MS: u64 = 300_000;

/// What is known of the limit on this connection.
#[derive(Debug, Default)]
pub(super) struct Limit {
    complaints: usize,
    heard: BTreeSet<Symbol>,
    left_out: Vec<Symbol>,
    /// Up to when the gap of `left_out` is told.
    told_until: u64,
    /// When the next look is due.
    look_at: Option<u64>,
    message: Option<String>,
}

impl Limit {
    /// A new connection.
    pub(super) fn begin(&mut self, now: u64) {
        *self = Self { told_until: now, ..Self::default() };
    }

    pub(super) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    pub(super) fn deadline(&self) -> u64 {
        self.look_at.unwrap_or(u64::MAX)
    }

    pub(super) fn is_left_out(&self, symbol: &Symbol) -> bool {
        self.left_out.contains(symbol)
    }

    pub(super) fn complaint(&mut self, now: u64) {
        self.complaints += 1;
        self.look_at.get_or_insert(now + PATIENCE_MS);
        self.message = Some(format!(
            "Finnhub serves fewer symbols than are configured ({} too many): shorten the list of symbols or use a \
             larger plan",
            self.complaints
        ));
    }

    /// Trades of these symbols came.
    pub(super) fn heard<'a>(&mut self, symbols: impl Iterator<Item = &'a Symbol>, now: u64) -> Vec<Action> {
        let mut returned = false;
        for symbol in symbols {
            if !self.heard.contains(symbol) {
                self.heard.insert(symbol.clone());
                returned |= self.left_out.contains(symbol);
            }
        }
        if !returned {
            return Vec::new();
        }
        let actions = self.tell(now);
        self.left_out.retain(|symbol| !self.heard.contains(symbol));
        actions
    }

    pub(super) fn tick(&mut self, now: u64, subscribed: &[Symbol]) -> Vec<Action> {
        if self.look_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.look_at = Some(now + REPEAT_MS);
        let silent = subscribed.iter().rev().filter(|symbol| !self.heard.contains(*symbol));
        let left_out: Vec<Symbol> = silent.take(self.complaints).cloned().collect();
        if self.left_out.is_empty() && !left_out.is_empty() {
            let names: Vec<&str> = left_out.iter().rev().take(10).map(Symbol::as_str).collect();
            self.message = Some(format!(
                "the plan's limit leaves out {} of the {} configured symbols ({}{}): shorten the list or use a larger plan",
                left_out.len(),
                subscribed.len(),
                names.join(", "),
                if left_out.len() > names.len() { ", …" } else { "" },
            ));
        }
        self.left_out = left_out;
        self.tell(now)
    }

    /// The connection ends.
    pub(super) fn end(&mut self, now: u64) -> Vec<Action> {
        let actions = self.tell(now);
        self.begin(now);
        actions
    }

    fn tell(&mut self, now: u64) -> Vec<Action> {
        if self.left_out.is_empty() {
            return Vec::new();
        }
        let since = std::mem::replace(&mut self.told_until, now);
        vec![Action::LeftOut { symbols: self.left_out.clone(), since }]
    }
}
