//! Lines on their way: requests of up to a thousand, and where one is refused for what it holds, halves of it down to the
//! line. Pure but for the two closures it is given: what sends, and what takes a line that is refused.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::answer::Said;
use super::line::Lines;
use crate::{LeftOut, StoreError};

/// Lines of a request at most.
const LINES: usize = 1_000;
/// Bytes of a request at most; one line may be longer.
const BYTES: usize = 1 << 20;
/// Requests spent on finding refused lines within [`SPAN`]; beyond, what is refused is put aside whole.
const SEARCHES: usize = 20;
const SPAN: Duration = Duration::from_secs(60);

/// The requests spent on searching.
#[derive(Debug, Default)]
pub(super) struct Budget {
    spent: VecDeque<Instant>,
}

impl Budget {
    /// Takes two, for two halves, if they are there.
    fn take_two(&mut self, now: Instant) -> bool {
        while self.spent.front().is_some_and(|at| now.saturating_duration_since(*at) >= SPAN) {
            self.spent.pop_front();
        }
        if self.spent.len() + 2 > SEARCHES {
            return false;
        }
        self.spent.extend([now, now]);
        true
    }
}

/// Sends all lines. An error leaves open which were taken: they may be sent again.
pub(super) fn deliver(
    lines: &Lines,
    budget: &mut Budget,
    now: Instant,
    mut send: impl FnMut(&str) -> Result<Said, StoreError>,
    mut put_aside: impl FnMut(&str, &str),
) -> Result<LeftOut, StoreError> {
    let mut left_out = LeftOut::default();
    let mut waiting = requests(lines);
    waiting.reverse();
    while let Some(some) = waiting.pop() {
        match send(lines.text(some.clone()))? {
            Said::Taken => {}
            Said::Expired(count) => left_out.expired += count.min(some.len() as u64),
            Said::Wrong(_) if some.len() > 1 && budget.take_two(now) => {
                let half = some.start + some.len() / 2;
                waiting.extend([half..some.end, some.start..half]);
            }
            Said::Wrong(why) => {
                left_out.refused += some.len() as u64;
                put_aside(lines.text(some), &why);
            }
        }
    }
    Ok(left_out)
}

/// The lines of each request.
fn requests(lines: &Lines) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for line in 0..lines.len() {
        let length = lines.text(line..line + 1).len();
        if line > start && (line - start == LINES || bytes + length > BYTES) {
            all.push(start..line);
            (start, bytes) = (line, 0);
        }
        bytes += length;
    }
    if start < lines.len() {
        all.push(start..lines.len());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::line::Value;
    use super::super::slot::Nanos;
    use super::*;

    fn lines(count: i64) -> Lines {
        let mut lines = Lines::default();
        for n in 0..count {
            lines.push("m", &[], &[("n", Some(Value::Integer(n)))], Nanos(n.into()));
        }
        lines
    }

    /// A server that refuses some lines, as InfluxDB does a request with a line it cannot read: whole.
    fn run(lines: &Lines, bad: &[i64], budget: &mut Budget, now: Instant) -> (LeftOut, Vec<String>, usize) {
        let (mut requests, mut aside) = (0, Vec::new());
        let send = |text: &str| {
            requests += 1;
            let is_bad = bad.iter().any(|n| text.lines().any(|line| line == format!("m n={n}i {n}")));
            Ok(if is_bad { Said::Wrong("400: no".into()) } else { Said::Taken })
        };
        let left_out = deliver(lines, budget, now, send, |text, why| {
            assert_eq!(why, "400: no");
            aside.extend(text.lines().map(str::to_owned));
        });
        (left_out.unwrap(), aside, requests)
    }

    #[test]
    fn requests_have_up_to_a_thousand_lines_and_a_mebibyte() {
        assert_eq!(requests(&lines(2_500)), [0..1000, 1000..2000, 2000..2500]);
        assert!(requests(&Lines::default()).is_empty());
        let long = "x".repeat(400_000);
        let mut few = Lines::default();
        for n in 0..5 {
            few.push("m", &[], &[("t", Some(Value::Text(&long)))], Nanos(n));
        }
        assert_eq!(requests(&few), [0..2, 2..4, 4..5]);
    }

    #[test]
    fn one_bad_line_of_a_thousand_is_found_within_the_budget() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        let (left_out, aside, requests) = run(&lines(1_000), &[617], &mut budget, now);
        assert_eq!(left_out, LeftOut { expired: 0, refused: 1 });
        assert_eq!(aside, ["m n=617i 617"]);
        assert!(requests <= 21, "{requests}");
        // What the minute has left does not do for another: all of it is put aside, and the stream goes on.
        let (left_out, aside, requests) = run(&lines(600), &[5], &mut budget, now + SPAN / 2);
        assert!((left_out.refused, aside.len()) == (600, 600) && requests == 1, "{left_out:?} {requests}");
        let (left_out, ..) = run(&lines(600), &[5], &mut budget, now + SPAN);
        assert_eq!(left_out.refused, 1);
    }

    #[test]
    fn an_error_ends_it_and_expired_lines_are_counted() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        let expired = deliver(&lines(10), &mut budget, now, |_| Ok(Said::Expired(4)), |_, _| {});
        assert_eq!(expired.unwrap(), LeftOut { expired: 4, refused: 0 });
        let mut requests = 0;
        let away = deliver(
            &lines(2_000),
            &mut budget,
            now,
            |_| {
                requests += 1;
                Err(StoreError::Away { url: String::new(), detail: String::new() })
            },
            |_, _| {},
        );
        assert!(away.is_err());
        assert_eq!(requests, 1);
    }
}
