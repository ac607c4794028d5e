//! Where the feed is, and the key to it, which no log and no error ever shows.

use std::fmt;
use std::net::IpAddr;

use secrecy::{ExposeSecret as _, SecretString};
use tokio_tungstenite::tungstenite::http::Uri;

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an address of a WebSocket.
    #[error("{0:?} is no WebSocket address; write for example \"wss://ws.finnhub.io\"")]
    Address(String),
    /// The key would travel unencrypted.
    #[error(
        "the token would go to {0} unencrypted; use wss://, or ws:// to this machine only (127.0.0.1, ::1, localhost)"
    )]
    Unencrypted(String),
    /// The address itself holds a key or a password.
    #[error(
        "the address of {0} holds a token or a password; take it out and set FINNHUB_TOKEN_FILE or FINNHUB_TOKEN"
    )]
    Secret(String),
    /// The key cannot be a key.
    #[error("the token holds white space or control characters; check FINNHUB_TOKEN_FILE or FINNHUB_TOKEN")]
    Token,
}

/// An address with its key.
#[derive(Clone)]
pub struct Endpoint {
    /// Scheme, host and port: what may be shown.
    shown: String,
    /// All before the key.
    base: String,
    token: Option<SecretString>,
}

impl Endpoint {
    /// Checks an address and a key.
    ///
    /// # Errors
    /// When the address is no WebSocket's, holds a secret itself, or would carry the key unencrypted to another host.
    pub fn new(url: &str, token: Option<SecretString>) -> Result<Self, EndpointError> {
        let uri: Uri = url.trim().parse().map_err(|_| EndpointError::Address(url.to_owned()))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(EndpointError::Address(url.to_owned()));
        };
        let host = authority.host();
        if !["ws", "wss"].contains(&scheme) || host.is_empty() {
            return Err(EndpointError::Address(url.to_owned()));
        }
        let query = uri.query().unwrap_or("");
        let has_key = query.split('&').any(|part| part.split('=').next() == Some("token"));
        if has_key || authority.as_str().contains('@') {
            return Err(EndpointError::Secret(host.to_owned()));
        }
        if scheme == "ws" && token.is_some() && !is_loopback(host) {
            return Err(EndpointError::Unencrypted(host.to_owned()));
        }
        if token.as_ref().is_some_and(|token| {
            let text = token.expose_secret();
            text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control())
        }) {
            return Err(EndpointError::Token);
        }
        let shown = format!("{scheme}://{authority}");
        let path = if uri.path().is_empty() { "/" } else { uri.path() };
        let mark = if query.is_empty() { "" } else { "?" };
        Ok(Self { base: format!("{shown}{path}{mark}{query}"), shown, token })
    }

    /// The address to ask for, key included. Only for the request itself.
    pub(super) fn request(&self) -> String {
        let Some(token) = &self.token else { return self.base.clone() };
        let separator = if self.base.contains('?') { '&' } else { '?' };
        format!("{}{separator}token={}", self.base, encoded(token.expose_secret()))
    }

    /// Foreign text (an error, a frame) without the key, should it hold it.
    pub fn scrub(&self, text: &str) -> String {
        let Some(token) = &self.token else { return text.to_owned() };
        let token = token.expose_secret();
        text.replace(token, "***").replace(&encoded(token), "***")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.shown)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Percent-encodes all that is not unreserved in a URL.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str, token: Option<&str>) -> Result<Endpoint, EndpointError> {
        Endpoint::new(url, token.map(SecretString::from))
    }

    #[test]
    fn the_token_is_added_and_never_shown() {
        let host = endpoint("wss://ws.finnhub.io", Some("a/b+c")).unwrap();
        assert_eq!(host.request(), "wss://ws.finnhub.io/?token=a%2Fb%2Bc");
        assert_eq!(
            (host.to_string(), format!("{host:?}")),
            ("wss://ws.finnhub.io".into(), "Endpoint(wss://ws.finnhub.io)".into())
        );
        assert_eq!(host.scrub("GET /?token=a%2Fb%2Bc or a/b+c"), "GET /?token=*** or ***");
        let with_query = endpoint("ws://127.0.0.1:99/feed?x=1", Some("k")).unwrap();
        assert_eq!(with_query.request(), "ws://127.0.0.1:99/feed?x=1&token=k");
        assert_eq!(endpoint("ws://10.0.0.7:99", None).unwrap().request(), "ws://10.0.0.7:99/");
    }

    #[test]
    fn the_token_never_leaves_the_machine_unencrypted() {
        for local in
            ["ws://127.0.0.1:1", "ws://127.9.8.7:1/x", "ws://[::1]:1", "ws://localhost:1", "ws://LOCALHOST:1"]
        {
            assert!(endpoint(local, Some("k")).is_ok(), "{local}");
        }
        for far in [
            "ws://ws.finnhub.io",
            "ws://10.0.0.7:1",
            "ws://127.0.0.1.example.org",
            "ws://localhost.example.org",
        ] {
            let error = endpoint(far, Some("k")).unwrap_err();
            assert!(matches!(error, EndpointError::Unencrypted(_)), "{far}: {error}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in ["", "ws.finnhub.io", "https://ws.finnhub.io", "wss://", "/x", "wss://a b"] {
            assert_eq!(endpoint(url, None).unwrap_err(), EndpointError::Address(url.into()), "{url}");
        }
        for url in [
            "wss://ws.finnhub.io?token=abc",
            "wss://ws.finnhub.io/?a=1&token=abc",
            "wss://me:abc@ws.finnhub.io",
        ] {
            let error = endpoint(url, None).unwrap_err();
            assert_eq!(error, EndpointError::Secret("ws.finnhub.io".into()));
            assert!(!error.to_string().contains("abc"));
        }
        for token in ["", "a b", "a\n"] {
            assert_eq!(endpoint("wss://ws.finnhub.io", Some(token)).unwrap_err(), EndpointError::Token);
        }
    }
}
