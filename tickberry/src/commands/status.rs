//! `tickberry status`: one screen about a running tickberry.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use tickberry_service::exit::{Code, Failure};
use tickberry_wire::json::FeedState;

use crate::cli::Remote;
use crate::config::File;

/// `/api/v1/status`, as far as a screen needs it.
#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) feeds: Vec<Feed>,
    pub(crate) streams: Vec<Stream>,
    /// Whether the console hears the broker: `up` or `down`.
    #[serde(default)]
    pub(crate) bus: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Feed {
    pub(crate) source: String,
    pub(crate) simulated: bool,
    pub(crate) state: FeedState,
    pub(crate) since_ms: i64,
    #[serde(default)]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) durable: Option<bool>,
    /// Whether the gateway's own word is heard.
    #[serde(default)]
    pub(crate) online: Option<bool>,
    /// Where its journal is.
    #[serde(default)]
    pub(crate) journal: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Stream {
    pub(crate) source: String,
    pub(crate) epoch: u64,
    pub(crate) head: u64,
    pub(crate) committed: u64,
    pub(crate) consumed: u64,
    pub(crate) stored: u64,
    pub(crate) store: String,
    #[serde(default)]
    pub(crate) lost: Option<u64>,
    #[serde(default)]
    pub(crate) doubled: Option<u64>,
    #[serde(default)]
    pub(crate) message: Option<String>,
}

/// Records the store may be behind the journal before that counts as degraded: some seconds of a busy market.
const BEHIND: u64 = 10_000;

/// Asks a running tickberry.
pub(crate) async fn ask(at: SocketAddr) -> Result<Status, Failure> {
    let unreachable = |why: String| {
        Failure::new(
            Code::Unavailable,
            format!(
                "no tickberry at http://{at} ({why}); start `tickberry up`, or give its address with --http"
            ),
        )
    };
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build();
    let client = client.map_err(|error| Failure::new(Code::Failure, error))?;
    let answer = client.get(format!("http://{at}/api/v1/status")).send().await;
    let answer = answer.map_err(|error| unreachable(crate::commands::root_cause(&error)))?;
    if !answer.status().is_success() {
        return Err(unreachable(format!("it answers {}", answer.status())));
    }
    let text = answer.bytes().await.map_err(|error| unreachable(crate::commands::root_cause(&error)))?;
    serde_json::from_slice(&text)
        .map_err(|error| unreachable(format!("its answer is not understood: {error}")))
}

pub(crate) async fn run(remote: Remote, file: &File) -> Result<ExitCode, Failure> {
    let status = ask(remote.http.unwrap_or(file.http.console)).await?;
    let (screen, healthy) = screen(&status);
    super::print(screen.as_bytes())?;
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(Code::Failure as u8) })
}

/// The screen, and whether all is well.
fn screen(status: &Status) -> (String, bool) {
    let mut out = String::new();
    let mut healthy = !status.feeds.is_empty() && !status.streams.is_empty();
    if !healthy {
        out.push_str("no feed or no store reports yet\n");
    }
    if status.bus.as_deref() == Some("down") {
        healthy = false;
        out.push_str("broker  cannot be heard; what follows is what was last known\n");
    }
    for feed in &status.feeds {
        healthy &= matches!(feed.state, FeedState::Live | FeedState::Quiet) && feed.durable != Some(false);
        let kind = if feed.simulated { ", simulated" } else { "" };
        let since = jiff::Timestamp::from_millisecond(feed.since_ms)
            .map_or_else(|_| "?".to_owned(), |time| format!("{time:.0}"));
        let state = if feed.online == Some(false) && feed.state == FeedState::Stalled {
            "not known; its gateway cannot be heard"
        } else {
            words(feed.state)
        };
        out += &format!("feed    {}{kind}: {state} since {since}\n", feed.source);
        if feed.durable == Some(false) {
            out += "        journal not durable: it is in memory, because the disk cannot be written\n";
        }
        out.extend(feed.message.iter().map(|message| format!("        {message}\n")));
    }
    for stream in &status.streams {
        let behind = stream.head.saturating_sub(stream.stored);
        healthy &= behind <= BEHIND && stream.message.is_none();
        out += &format!(
            "journal {}: epoch {}, head {}, committed {}\n",
            stream.source, stream.epoch, stream.head, stream.committed
        );
        out += &format!(
            "store   {}: consumed {}, stored {} ({behind} behind)",
            stream.store, stream.consumed, stream.stored
        );
        out.extend(stream.lost.map(|lost| format!(", lost {lost}")));
        out.extend(stream.doubled.map(|doubled| format!(", doubled {doubled}")));
        out.push('\n');
        out.extend(stream.message.iter().map(|message| format!("        {message}\n")));
    }
    out += if healthy { "healthy\n" } else { "degraded\n" };
    (out, healthy)
}

fn words(state: FeedState) -> &'static str {
    match state {
        FeedState::Connecting => "connecting",
        FeedState::Subscribing => "subscribed, nothing heard yet",
        FeedState::Live => "live",
        FeedState::Quiet => "quiet; the feed is alive, but sends no trades",
        FeedState::Stalled => "stalled; connected, but nothing arrives",
        FeedState::BackingOff => "waiting before the next attempt",
        FeedState::Refused => "refused; the feed does not accept the token",
        FeedState::Surplus => "surplus; another connection uses the same token",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str, stored: u64) -> Status {
        serde_json::from_str(&format!(
            r#"{{"feeds":[{{"source":"finnhub","simulated":false,"state":"{state}","since_ms":0}}],
               "streams":[{{"source":"finnhub","epoch":1,"head":20000,"committed":20000,"consumed":20000,"stored":{stored},"store":"sqlite"}}]}}"#
        ))
        .unwrap()
    }

    #[test]
    fn what_cannot_be_heard_is_not_blamed_on_the_feed() {
        let mut status = status("stalled", 20_000);
        status.bus = Some("down".to_owned());
        status.feeds[0].online = Some(false);
        let (screen, healthy) = screen(&status);
        assert!(
            !healthy && screen.contains("broker  cannot be heard") && !screen.contains("stalled"),
            "{screen}"
        );
    }

    #[test]
    fn health_follows_feed_and_store() {
        for (state, stored, healthy) in
            [("live", 20_000, true), ("quiet", 19_990, true), ("refused", 20_000, false), ("live", 0, false)]
        {
            let (screen, found) = screen(&status(state, stored));
            assert_eq!(found, healthy, "{screen}");
        }
        assert!(!screen(&Status { feeds: vec![], streams: vec![], bus: None }).1);
    }
}
