//! The way to the server: `influxdb2` for writes, the HTTP client it is built on for the rest. Both are asynchronous and
//! the store's traits block, so they run on a small runtime of their own, wherever they are called from.

use std::time::Duration;

use influxdb2::RequestError;
use influxdb2::api::write::TimestampPrecision;
use reqwest_011 as reqwest;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::Runtime;

use super::answer::{Answer, Said, of_write};
use super::config::{InfluxConfig, address};
use crate::StoreError;

/// How long a write, or a question about the server, may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long a read may take.
pub(super) const READING: Duration = Duration::from_secs(30);

/// Connections to one server, with one token.
pub(super) struct Link {
    /// Taken when dropped: it must not be waited for in an asynchronous caller.
    runtime: Option<Runtime>,
    writer: influxdb2::Client,
    http: reqwest::Client,
    base: reqwest::Url,
    /// As it was given, for messages.
    url: String,
    org: String,
    token: SecretString,
}

/// What to ask for.
pub(super) enum Ask<'a> {
    Get(&'a [(&'a str, &'a str)]),
    /// With how long it may take.
    Form(&'a [(&'a str, &'a str)], Duration),
    Post(&'a serde_json::Value),
    Patch(&'a serde_json::Value),
    Delete,
}

impl Link {
    pub(super) fn open(config: &InfluxConfig) -> Result<Self, StoreError> {
        let token = (config.token)().map_err(|detail| StoreError::Refused {
            url: config.url.clone(),
            detail,
            remedy: "give one as INFLUXDB_TOKEN_FILE; `tickberry setup influxdb` makes one".into(),
        })?;
        Self::new(&config.url, &config.org, token)
    }

    pub(super) fn new(url: &str, org: &str, token: SecretString) -> Result<Self, StoreError> {
        let base = address(url)?;
        let away = |detail: String| StoreError::Away { url: url.to_owned(), detail };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("influxdb")
            .enable_all()
            .build()
            .map_err(|error| away(format!("no thread for it: {error}")))?;
        let client = || {
            reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(PATIENCE)
                .timeout(PATIENCE)
        };
        // `build` starts nothing, but a client belongs to the runtime it is made in.
        let _inside = runtime.enter();
        let http = client().build().map_err(|error| away(root(&error)))?;
        let token_text = token.expose_secret().to_owned();
        let writer = influxdb2::ClientBuilder::with_builder(client(), base.as_str(), org, token_text)
            .build()
            .map_err(|error| away(root(&error)))?;
        drop(_inside);
        let (url, org) = (url.to_owned(), org.to_owned());
        Ok(Self { runtime: Some(runtime), writer, http, base, url, org, token })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn org(&self) -> &str {
        &self.org
    }

    pub(super) fn away(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Away { url: self.url.clone(), detail: detail.into() }
    }

    /// Writes lines.
    pub(super) fn write(&self, bucket: &str, lines: &str) -> Result<Said, StoreError> {
        let (client, org, to) = (self.writer.clone(), self.org.clone(), bucket.to_owned());
        let body = lines.as_bytes().to_vec();
        let sent = self.run(async move {
            let precision = TimestampPrecision::Nanoseconds;
            client.write_line_protocol_with_precision(&org, &to, body, precision).await
        })?;
        match sent {
            Ok(()) => Ok(Said::Taken),
            Err(RequestError::Http { status, text }) => of_write(&self.url, bucket, status.as_u16(), &text),
            Err(error) => Err(self.away(root(&error))),
        }
    }

    /// Anything else. Every answer is one, whatever its status.
    pub(super) fn ask(&self, path: &str, ask: &Ask<'_>) -> Result<Answer, StoreError> {
        let mut url = self.base.clone();
        url.set_path(path);
        let request = match ask {
            Ask::Get(query) => self.http.get(url).query(query),
            Ask::Form(form, patience) => self.http.post(url).form(form).timeout(*patience),
            Ask::Post(json) => self.http.post(url).body(json.to_string()),
            Ask::Patch(json) => self.http.patch(url).body(json.to_string()),
            Ask::Delete => self.http.delete(url),
        };
        let request = match ask {
            Ask::Post(_) | Ask::Patch(_) => request.header(reqwest::header::CONTENT_TYPE, "application/json"),
            _ => request,
        };
        let token = self.token.expose_secret();
        let request = if token.is_empty() {
            request
        } else {
            request.header("Authorization", format!("Token {token}"))
        };
        let answer = self.run(async move {
            let response = request.send().await?;
            let status = response.status().as_u16();
            let date = response.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
            let date_ms = date.and_then(date_ms);
            Ok::<_, reqwest::Error>(Answer { status, text: response.text().await?, date_ms })
        })?;
        answer.map_err(|error| self.away(root(&error)))
    }

    /// Waits for it here, in whatever thread that is.
    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, answer) = std::sync::mpsc::sync_channel(1);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move { done.send(work.await).ok() });
        }
        answer.recv().map_err(|_| self.away("its thread ended"))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// `Sun, 29 Nov 2026 02:46:16 GMT`.
fn date_ms(text: &str) -> Option<i64> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(time.as_millisecond())
}

/// The innermost reason: what a person can act on.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_date_is_read() {
        assert_eq!(date_ms("Sun, 29 Nov 2026 02:46:16 GMT"), Some(1_795_920_376_000));
        assert_eq!(date_ms("tomorrow"), None);
    }
}
