//! A range of any length, read in pages: an export of a week holds as much memory as one of an hour.
//!
//! Rows are read slice of time by slice of time, because that is what the store finds without looking at
//! the rest. The slices grow where there is little and shrink where a page does not hold one. Rows of one
//! millisecond (hundreds share one) are never split between pages, so none is missed or given twice.

use tickberry_store::{Query, StoreError};

use super::record::Record;

/// Rows of a page; about 1 MB as text.
const PAGE: usize = 4096;
/// Where slices begin: an hour.
const SLICE_MS: i64 = 3_600_000;

/// Where an export is.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    /// Which rows; its times and limit are set page by page.
    wanted: Query,
    end_ms: i64,
    slice_ms: i64,
}

impl Pages {
    /// Begins an export of `[from_ms, to_ms)`. `first_ms` is where most of the symbol's rows begin, if known.
    pub(crate) fn new(wanted: Query, first_ms: Option<i64>) -> Pages {
        let end_ms = wanted.to_ms;
        // What is older than that is little, and one slice.
        let reach = first_ms.map_or(SLICE_MS, |first| first.saturating_sub(wanted.from_ms));
        Pages { wanted: Query { newest: false, ..wanted }, end_ms, slice_ms: reach.max(SLICE_MS) }
    }

    /// The next page; `None` at the end.
    pub(crate) fn next<R: Record>(
        &mut self,
        get: impl Fn(&Query) -> Result<Vec<R>, StoreError>,
    ) -> Result<Option<Vec<R>>, StoreError> {
        while self.wanted.from_ms < self.end_ms {
            self.wanted.to_ms = self.wanted.from_ms.saturating_add(self.slice_ms).min(self.end_ms);
            self.wanted.limit = PAGE;
            let mut rows = get(&self.wanted)?;
            if rows.len() < PAGE {
                self.wanted.from_ms = self.wanted.to_ms;
                if rows.len() < PAGE / 4 {
                    self.slice_ms = self.slice_ms.saturating_mul(4);
                }
            } else {
                self.slice_ms = (self.slice_ms / 4).max(1);
                let last = rows[PAGE - 1].time_ms();
                let whole = rows.partition_point(|row| row.time_ms() < last);
                rows.truncate(whole);
                self.wanted.from_ms = last;
                if whole == 0 {
                    // A page full of one millisecond: all of it at once.
                    let (to_ms, limit) = (last.saturating_add(1), usize::MAX);
                    rows = get(&Query { to_ms, limit, ..self.wanted.clone() })?;
                    self.wanted.from_ms = to_ms;
                }
            }
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::record::Cell;
    use std::cell::Cell as Counter;

    #[derive(Clone, Debug, PartialEq)]
    struct Row(i64, usize);

    impl Record for Row {
        const COLUMNS: &'static [&'static str] = &["time_ms"];
        fn cells(&self) -> Vec<Cell<'_>> {
            vec![Cell::Whole(self.0)]
        }
        fn time_ms(&self) -> i64 {
            self.0
        }
    }

    fn rows(times: impl IntoIterator<Item = i64>) -> Vec<Row> {
        times.into_iter().enumerate().map(|(at, time)| Row(time, at)).collect()
    }

    /// All pages of a range, and how many reads they took.
    fn export(all: &[Row], from_ms: i64, to_ms: i64, first_ms: Option<i64>) -> (Vec<Row>, usize) {
        let wanted = Query { from_ms, to_ms, ..Query::symbol("A", 0) };
        let reads = Counter::new(0);
        let get = |query: &Query| {
            reads.set(reads.get() + 1);
            let inside = all.iter().filter(|row| (query.from_ms..query.to_ms).contains(&row.0));
            Ok(inside.take(query.limit).cloned().collect::<Vec<_>>())
        };
        let (mut pages, mut out) = (Pages::new(wanted, first_ms), Vec::new());
        while let Some(page) = pages.next(get).expect("reads") {
            assert!(!page.is_empty());
            out.extend(page);
        }
        (out, reads.get())
    }

    #[test]
    fn every_row_once_whatever_the_shape() {
        const T: i64 = 1_800_000_000_000;
        let shapes = [
            ("nothing", rows([])),
            ("one", rows([T])),
            ("a page exactly", rows((0..4096).map(|at| T + at))),
            ("steady", rows((0..50_000).map(|at| T + at * 30))),
            ("one millisecond", rows((0..9_000).map(|_| T))),
            ("bursts", rows((0..40_000).map(|at| T + at / 5_000 * 5_000))),
            ("months apart", rows((0..40).map(|at| T + at * 2_600_000_000))),
            ("absurd times", rows([i64::MIN, -5, 0, T, T + 1, i64::MAX - 1])),
        ];
        for (name, all) in shapes {
            for first in [None, all.first().map(|row| row.0), Some(T)] {
                let (got, reads) = export(&all, i64::MIN, i64::MAX, first);
                assert_eq!(got, all, "{name}");
                assert!(reads < 120, "{name}: {reads} reads");
            }
            let inside: Vec<_> =
                all.iter().filter(|row| (T + 7..T + 90_000).contains(&row.0)).cloned().collect();
            assert_eq!(export(&all, T + 7, T + 90_000, Some(T)).0, inside, "{name}");
        }
    }
}
