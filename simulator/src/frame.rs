//! When is a frame sent, and with which trades? The vendor's rule as observed: at N trades; and each second
//! whatever is there.

use crate::trade::Scheduled;

/// The next frame of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Indices of its trades.
    pub(crate) take: Vec<usize>,
    /// Index of the first entry that is not over with it.
    pub(crate) consumed: usize,
    /// When it is sent, on the schedule's clock.
    pub(crate) due_ms: i64,
}

/// Plans the next frame: `limit` wanted trades, or those before the next multiple of `flush_ms` (`None`: no such
/// time limit, everything is due at once). `None` if no wanted trade is left.
pub(crate) fn plan<'a>(
    schedule: impl Iterator<Item = &'a Scheduled>,
    mut wanted: impl FnMut(&str) -> bool,
    limit: usize,
    flush_ms: Option<i64>,
) -> Option<Plan> {
    let mut plan = Plan { take: Vec::new(), consumed: 0, due_ms: i64::MAX };
    for (index, scheduled) in schedule.enumerate() {
        if !plan.take.is_empty() && scheduled.release_ms >= plan.due_ms {
            break;
        }
        plan.consumed = index + 1;
        if !wanted(&scheduled.trade.symbol) {
            continue;
        }
        if let (true, Some(flush_ms)) = (plan.take.is_empty(), flush_ms) {
            let flush_ms = flush_ms.max(1);
            plan.due_ms = (scheduled.release_ms.div_euclid(flush_ms) + 1).saturating_mul(flush_ms);
        }
        plan.take.push(index);
        if plan.take.len() == limit {
            plan.due_ms = scheduled.release_ms;
            break;
        }
    }
    if flush_ms.is_none() {
        plan.due_ms = i64::MIN;
    }
    (!plan.take.is_empty()).then_some(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trade::{Conditions, Trade};

    fn schedule(entries: &[(i64, &str)]) -> Vec<Scheduled> {
        let one = |&(release_ms, symbol): &(i64, &str)| Scheduled {
            release_ms,
            trade: Trade {
                symbol: symbol.into(),
                time_ms: release_ms,
                price: "1".into(),
                volume: "1".into(),
                conditions: Conditions::Null,
            },
        };
        entries.iter().map(one).collect()
    }

    #[test]
    fn full_or_at_the_full_second() {
        let schedule = schedule(&[(0, "a"), (10, "b"), (900, "a"), (1000, "a"), (1001, "a")]);
        let plan = |limit, flush, wanted: &str| plan(schedule.iter(), |s| wanted.contains(s), limit, flush);
        let planned = |take: &[usize], consumed, due_ms| Some(Plan { take: take.to_vec(), consumed, due_ms });
        assert_eq!(plan(2, Some(1000), "ab"), planned(&[0, 1], 2, 10));
        assert_eq!(plan(9, Some(1000), "ab"), planned(&[0, 1, 2], 3, 1000));
        assert_eq!(plan(9, Some(0), "ab"), planned(&[0], 1, 1), "each millisecond");
        assert_eq!(plan(9, Some(1000), "b"), planned(&[1], 3, 1000));
        assert_eq!(plan(3, Some(1000), "a"), planned(&[0, 2], 3, 1000));
        assert_eq!(plan(9, None, "ab"), planned(&[0, 1, 2, 3, 4], 5, i64::MIN));
        assert_eq!(plan(9, Some(1000), "c"), None);
    }
}
