//! What a server says of itself: its release, its process, its clock, and how long its buckets keep what they hold.

use std::time::Instant;

use serde::Deserialize;

use super::answer::{Answer, message, trouble};
use super::config::InfluxConfig;
use super::link::{Ask, Link};
use crate::StoreError;

/// The oldest release that does: before it compactions could stop on small machines.
pub const LEAST_VERSION: [u64; 3] = [2, 9, 1];

/// One life of a server's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// When it was started, as it says; to the nanosecond.
    pub(super) started: String,
}

/// The server's clock, as heard last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    date_ms: i64,
    heard: Instant,
}

impl Clock {
    /// What it shows now.
    pub(super) fn now_ms(&self) -> i64 {
        let since = i64::try_from(self.heard.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.date_ms.saturating_add(since)
    }
}

/// Asks for the release; an error unless it does.
pub(super) fn check_version(link: &Link) -> Result<String, StoreError> {
    let answer = link.ask("/health", &Ask::Get(&[]))?;
    let said: Option<Health> = serde_json::from_str(&answer.text).ok();
    let Some(Health { version: Some(version), .. }) = said else {
        if answer.status >= 500 {
            return Err(trouble(link.url(), "", answer.status, &answer.text));
        }
        let found = format!("no InfluxDB 2: /health answers {} {:?}", answer.status, message(&answer.text));
        return Err(old(link, found));
    };
    match numbers(&version) {
        Some(found) if found[0] == LEAST_VERSION[0] && found >= LEAST_VERSION => Ok(version),
        _ => Err(old(link, version)),
    }
}

fn old(link: &Link, found: String) -> StoreError {
    let needed = LEAST_VERSION.map(|n| n.to_string()).join(".");
    StoreError::Old { url: link.url().into(), found, needed }
}

#[derive(Deserialize)]
struct Health {
    version: Option<String>,
}

/// `v2.9.1` or `2.9.1-something`.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let core = version.trim_start_matches('v').split(['-', '+']).next()?;
    let mut parts = core.split('.').map(|part| part.parse().ok());
    let found = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(found)
}

/// Asks which process it is, and what its clock shows.
pub(super) fn process(link: &Link) -> Result<(Process, Clock), StoreError> {
    let answer = link.ask("/ready", &Ask::Get(&[]))?;
    of_ready(link, &answer)
}

fn of_ready(link: &Link, answer: &Answer) -> Result<(Process, Clock), StoreError> {
    #[derive(Deserialize)]
    struct Ready {
        started: String,
    }
    let heard = Instant::now();
    match (serde_json::from_str(&answer.text), answer.date_ms) {
        (Ok(Ready { started }), Some(date_ms)) if answer.status == 200 => {
            Ok((Process { started }, Clock { date_ms, heard }))
        }
        _ => Err(trouble(link.url(), "", answer.status.max(500), &answer.text)),
    }
}

/// How long a bucket keeps what it holds, in ms; `None`: for ever.
pub(super) fn retention(link: &Link, bucket: &str) -> Result<Option<i64>, StoreError> {
    let answer = link.ask("/api/v2/buckets", &Ask::Get(&[("org", link.org()), ("name", bucket)]))?;
    match answer.status {
        200 => {}
        // The organisation, or the bucket in it.
        400 => return Err(trouble(link.url(), bucket, 404, &answer.text)),
        status => return Err(trouble(link.url(), bucket, status, &answer.text)),
    }
    let all: Buckets =
        serde_json::from_str(&answer.text).map_err(|e| link.away(format!("/api/v2/buckets: {e}")))?;
    let found = all.buckets.into_iter().find(|one| one.name == bucket);
    let hidden = r#"{"message":"it is not there, or the token may not read it"}"#;
    let found = found.ok_or_else(|| trouble(link.url(), bucket, 404, hidden))?;
    Ok(found.seconds().map(|seconds| seconds.saturating_mul(1000)))
}

/// The answer to a question for buckets.
#[derive(Deserialize)]
pub(super) struct Buckets {
    #[serde(default)]
    pub(super) buckets: Vec<Bucket>,
}

/// A bucket.
#[derive(Deserialize)]
pub(super) struct Bucket {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(rename = "retentionRules", default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "everySeconds")]
    seconds: i64,
}

impl Bucket {
    /// How long it keeps what it holds; `None`: for ever.
    pub(super) fn seconds(&self) -> Option<i64> {
        self.rules.iter().map(|rule| rule.seconds).find(|seconds| *seconds > 0)
    }
}

/// Looks whether the configured server would do; says its release.
pub fn look(config: &InfluxConfig) -> Result<String, StoreError> {
    let link = Link::open(config)?;
    let version = check_version(&link)?;
    for bucket in [&config.bucket, &config.minutes_bucket] {
        retention(&link, bucket)?;
        // A write of nothing changes nothing, and is refused to a token that may only read.
        link.write(bucket, "")?;
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, found) in [
            ("v2.9.1", Some([2, 9, 1])),
            ("2.10.0-rc1", Some([2, 10, 0])),
            ("1.8.10", Some([1, 8, 10])),
            ("dev", None),
            ("2.9", None),
            ("2.9.1.1", None),
        ] {
            assert_eq!(numbers(text), found, "{text}");
        }
        assert!([2, 10, 0] >= LEAST_VERSION && [2, 9, 0] < LEAST_VERSION && [2, 8, 9] < LEAST_VERSION);
    }
}
