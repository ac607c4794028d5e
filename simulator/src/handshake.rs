//! The WebSocket handshake, by hand: the real one also answers 200, 401, 429, or nothing for a minute, and a
//! library that does handshakes properly can't be made to.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Longest request taken, and the longest wait for it.
const MAX_HEAD: usize = 8192;
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The API key of the URL; empty if there is none. Never logged.
    pub(crate) token: String,
    accept: String,
    /// What came behind the request.
    pub(crate) rest: Vec<u8>,
}

/// Reads the request; `None` if none came that can be answered.
pub(crate) async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    let whole = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                return Some(end);
            }
            let mut chunk = [0; 1024];
            match stream.read(&mut chunk).await {
                Ok(read) if read > 0 && head.len() + read <= MAX_HEAD => {
                    head.extend_from_slice(&chunk[..read])
                }
                _ => return None,
            }
        }
    });
    let end = whole.await.ok().flatten()?;
    let rest = head.split_off(end + 4);
    let request = parse(std::str::from_utf8(&head).ok()?).map(|request| Request { rest, ..request });
    if request.is_none() {
        refuse(stream, 400).await;
    }
    request
}

fn parse(head: &str) -> Option<Request> {
    let mut lines = head.split("\r\n");
    let target = lines.next()?.strip_prefix("GET ")?.split(' ').next()?;
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let token = query.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or("").to_owned();
    let headers = lines.filter_map(|line| line.split_once(':'));
    let (_, key) = { headers }.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))?;
    Some(Request { token, accept: derive_accept_key(key.trim().as_bytes()), rest: Vec::new() })
}

/// Answers 101. False if the client is gone.
pub(crate) async fn accept(stream: &mut TcpStream, request: &Request) -> bool {
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        request.accept
    );
    stream.write_all(answer.as_bytes()).await.is_ok()
}

/// Answers with any other status and ends the connection.
pub(crate) async fn refuse(stream: &mut TcpStream, status: u16) {
    let (reason, body) = match status {
        200 => ("OK", "Finnhub"),
        400 => ("Bad Request", "not a WebSocket request"),
        401 => ("Unauthorized", "Invalid API key"),
        429 => ("Too Many Requests", "API limit reached. Please try again later. Remaining Limit: 0"),
        503 => ("Service Unavailable", "too many connections"),
        _ => ("Refused", ""),
    };
    let answer = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // The client may be gone already: then there is nobody to refuse.
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        drop(stream.shutdown().await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_in_the_url() {
        let head = |target: &str| {
            format!("GET {target} HTTP/1.1\r\nHost: x\r\nsec-websocket-KEY: dGhlIHNhbXBsZSBub25jZQ==")
        };
        for (target, token) in [
            ("/?token=abc", "abc"),
            ("/ws?a=b&token=x1&c", "x1"),
            ("/", ""),
            ("/?token=", ""),
            ("/?mytoken=a", ""),
        ] {
            let request = parse(&head(target)).expect("a request");
            assert_eq!(request.token, token, "{target}");
            // The example of RFC 6455.
            assert_eq!(request.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        }
        for bad in ["", "POST / HTTP/1.1\r\nSec-WebSocket-Key: x", "GET / HTTP/1.1\r\nHost: x"] {
            assert_eq!(parse(bad), None);
        }
    }
}
