//! Where the server is and what may be done there.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::StoreError;

/// Says the token, each time a connection is made: a file that was mended is read again. The error says what is wrong.
pub type TokenSource = Arc<dyn Fn() -> Result<SecretString, String> + Send + Sync>;

/// A server, and the two buckets there.
#[derive(Clone)]
pub struct InfluxConfig {
    /// `http://host:port`. There is no TLS: loopback, a private network, or a tunnel.
    pub url: String,
    /// The organisation's name.
    pub org: String,
    /// The bucket of trades.
    pub bucket: String,
    /// The bucket of minutes, days, gaps and cursors; may be the same.
    pub minutes_bucket: String,
    /// Reads and writes both buckets (a reader: reads).
    pub token: TokenSource,
    /// How long the server may take to flush what it acknowledged: longer than its `storage-wal-fsync-delay`.
    pub settle: Duration,
    /// Where lines go that the server refuses for what they are; beside it the file before, `.old`.
    pub refused: PathBuf,
}

impl fmt::Debug for InfluxConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, org, bucket, minutes_bucket, settle, refused, .. } = self;
        f.debug_struct("InfluxConfig")
            .field("url", url)
            .field("org", org)
            .field("bucket", bucket)
            .field("minutes_bucket", minutes_bucket)
            .field("settle", settle)
            .field("refused", refused)
            .finish_non_exhaustive()
    }
}

impl InfluxConfig {
    /// The address, parsed.
    pub(super) fn address(&self) -> Result<reqwest_011::Url, StoreError> {
        address(&self.url)
    }
}

/// What an address may be: the transport replaces a path, and has no TLS.
pub(super) fn address(url: &str) -> Result<reqwest_011::Url, StoreError> {
    let refuse = |remedy: &str| StoreError::Address { url: url.to_owned(), remedy: remedy.to_owned() };
    let parsed =
        reqwest_011::Url::parse(url).map_err(|error| refuse(&format!("{error}; write http://host:8086")))?;
    if parsed.scheme() != "http" {
        return Err(refuse(
            "only http:// is spoken; reach a server elsewhere through a tunnel (WireGuard, stunnel, ssh)",
        ));
    }
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() {
        return Err(refuse("a path or query is not used; write http://host:8086"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(refuse(
            "no name or password here; the token comes from INFLUXDB_TOKEN_FILE or token_file",
        ));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_what_is_allowed() {
        assert!(address("http://127.0.0.1:8086").is_ok());
        assert!(address("http://pi4.local:8086/").is_ok());
        for (url, text) in [
            ("127.0.0.1:8086", "write http://host:8086"),
            ("https://influx.example", "only http://"),
            ("http://h:1/influx", "a path"),
            ("http://me:secret@h:1", "no name or password"),
        ] {
            let error = address(url).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
