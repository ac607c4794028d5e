//! When US stocks trade.

use jiff::civil::{Time, Weekday, time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

const OPEN: Time = time(9, 30, 0, 0);
const CLOSE: Time = time(16, 0, 0, 0);

/// New York by its rule since 2007, so that no time zone database has to be installed.
fn new_york() -> TimeZone {
    TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap_or(TimeZone::UTC)
}

/// Is the regular session (9:30 to 16:00 New York, Monday to Friday, no holiday) open at this time?
pub fn new_york_open(time_ms: i64) -> bool {
    let Ok(timestamp) = Timestamp::from_millisecond(time_ms) else { return false };
    let local = timestamp.to_zoned(new_york());
    let weekend = matches!(local.weekday(), Weekday::Saturday | Weekday::Sunday);
    (OPEN..CLOSE).contains(&local.time()) && !weekend && !holiday(&local)
}

/// The exchange's full holidays, by rule. Good Friday (by the moon) is left out, as are days of mourning.
fn holiday(local: &Zoned) -> bool {
    let (month, day, weekday) = (local.month(), local.day(), local.weekday());
    // A fixed date on a Sunday is kept on Monday, one on a Saturday on Friday (but for New Year's Day).
    let fixed = |m: i8, d: i8| {
        month == m
            && (day == d
                || (weekday == Weekday::Monday && day == d + 1)
                || (weekday == Weekday::Friday && day == d - 1))
    };
    let nth_monday = |m: i8, n: i8| month == m && weekday == Weekday::Monday && (day - 1) / 7 == n - 1;
    fixed(1, 1)
        || nth_monday(1, 3)
        || nth_monday(2, 3)
        || (month == 5 && weekday == Weekday::Monday && day > 24)
        || fixed(6, 19)
        || fixed(7, 4)
        || nth_monday(9, 1)
        || (month == 11 && weekday == Weekday::Thursday && (day - 1) / 7 == 3)
        || fixed(12, 25)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(time: &str) -> bool {
        new_york_open(time.parse::<Timestamp>().expect("a time").as_millisecond())
    }

    #[test]
    fn the_regular_session() {
        assert!(!open("2026-11-23T14:29:59.999Z"), "Monday, winter time");
        assert!(open("2026-11-23T14:30:00Z"));
        assert!(open("2026-11-23T20:59:59.999Z"));
        assert!(!open("2026-11-23T21:00:00Z"));
        assert!(!open("2026-11-21T17:00:00Z"), "Saturday");
        assert!(!open("2026-11-22T17:00:00Z"), "Sunday");
        assert!(open("2026-07-01T13:30:00Z"), "summer time");
        assert!(!open("2026-07-01T20:00:00Z"));
        assert!(!open("2026-03-06T13:30:00Z"), "Friday before the change of time");
        assert!(open("2026-03-09T13:30:00Z"), "Monday after it");
    }

    #[test]
    fn holidays() {
        for closed in [
            "2026-11-26",
            "2026-12-25",
            "2026-01-01",
            "2026-07-03",
            "2027-07-05",
            "2026-05-25",
            "2026-09-07",
            "2026-01-19",
        ] {
            assert!(!open(&format!("{closed}T17:00:00Z")), "{closed}");
        }
        for normal in ["2026-11-27", "2026-11-19", "2026-12-24", "2026-05-18", "2026-07-02", "2026-09-14"] {
            assert!(open(&format!("{normal}T17:00:00Z")), "{normal}");
        }
    }
}
