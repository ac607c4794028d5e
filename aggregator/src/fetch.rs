//! The journal over HTTP: batches from an offset, as a stream that waits for its reader.

use std::time::Duration;

use serde::Deserialize;
use tickberry_wire::Epoch;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::consumer::Fetched;
use crate::frames::Frames;
use crate::reader::JournalHead;
use crate::records::Decoder;

/// Batches on their way from the connection to the fold: few, so that a slow store slows the transfer down.
const AHEAD: usize = 32;
/// Silence in the middle of an answer that counts as its end.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A fetch under way. Dropping it ends it.
pub(crate) struct Fetch {
    items: mpsc::Receiver<Fetched>,
    task: AbortHandle,
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fetch {
    /// The next item; [`Fetched::Failed`] if the task is gone without a last word.
    pub(crate) async fn next(&mut self) -> Fetched {
        self.items.recv().await.unwrap_or_else(|| Fetched::Failed("the fetch ended early".into()))
    }
}

/// Fetches journals. One a service: connections are kept and used again.
#[derive(Clone)]
pub(crate) struct Fetcher {
    client: reqwest::Client,
}

impl Fetcher {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        // A proxy from the environment has no business between two services of one shelf.
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build()?;
        Ok(Self { client })
    }

    /// Begins to fetch `url` from an offset.
    pub(crate) fn start(&self, url: &str, from: u64) -> Fetch {
        let (sender, items) = mpsc::channel(AHEAD);
        let (client, url) = (self.client.clone(), format!("{url}?from={from}"));
        let task = tokio::spawn(async move {
            let last = match run(&client, &url, &sender).await {
                Ok(last) => last,
                Err(error) => Fetched::Failed(error),
            };
            // A reader that is gone wants no last word.
            sender.send(last).await.ok();
        });
        Fetch { items, task: task.abort_handle() }
    }
}

/// The body of an answer that says why there are no batches.
#[derive(Deserialize)]
struct Refusal {
    first: Option<u64>,
    head: Option<u64>,
}

async fn run(client: &reqwest::Client, url: &str, items: &mpsc::Sender<Fetched>) -> Result<Fetched, String> {
    let mut response = client.get(url).send().await.map_err(|e| words(&e))?;
    let status = response.status().as_u16();
    if status != 200 {
        let body = response.bytes().await.unwrap_or_default();
        let refusal: Option<Refusal> = serde_json::from_slice(&body).ok();
        return match (status, refusal) {
            (410, Some(Refusal { first: Some(first), .. })) => Ok(Fetched::Gone(first)),
            (416, Some(Refusal { head: Some(head), .. })) => Ok(Fetched::Beyond(head)),
            _ => Err(format!("{url} answers {status}")),
        };
    }
    if let Some(head) = head(&response)
        && items.send(Fetched::Head(head)).await.is_err()
    {
        return Ok(Fetched::End);
    }
    let (mut frames, mut decoder) = (Frames::default(), Decoder::default());
    while let Some(chunk) = response.chunk().await.map_err(|e| words(&e))? {
        frames.push(&chunk);
        while let Some(frame) = frames.next_frame()? {
            let batch = decoder
                .decode(&frame)
                .map_err(|e| format!("{url} sent what this release cannot read: {e}"))?;
            if items.send(Fetched::Batch(batch)).await.is_err() {
                return Ok(Fetched::End);
            }
        }
    }
    if frames.is_empty() { Ok(Fetched::End) } else { Err(format!("{url} ended in the middle of a batch")) }
}

fn head(response: &reqwest::Response) -> Option<JournalHead> {
    let number = |name: &str| response.headers().get(name)?.to_str().ok()?.parse().ok();
    let epoch = number("tickberry-epoch").and_then(Epoch::from_raw)?;
    Some(JournalHead { epoch, committed: number("tickberry-committed")? })
}

/// An error and its causes in one line; reqwest's own says only the outermost.
fn words(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
