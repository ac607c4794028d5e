//! Who may connect to the service listener, and what for. The seam for mutual TLS and rights per role.

use crate::topic::{ROOT, covers, matches};
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;

/// What a client says about itself in CONNECT, and what we know about it.
#[derive(Debug)]
pub struct Credentials<'a> {
    /// Its client id, already known to be of `[A-Za-z0-9_-]{1,64}`.
    pub client_id: &'a str,
    /// Its user name.
    pub username: Option<&'a str>,
    /// Its password.
    pub password: Option<&'a [u8]>,
    /// Where it connects from.
    pub peer: SocketAddr,
}

/// Why a client is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A protocol version that we do not speak.
    Version,
    /// A client id that we do not accept.
    ClientId,
    /// Full, or stopping.
    Unavailable,
    /// Wrong user name or password.
    BadCredentials,
    /// Known, but not allowed.
    NotAuthorized,
}

/// Decides about each connection of the service listener.
pub trait Authenticator: Send + Sync + 'static {
    /// What this client may do, or why it may not come in.
    fn admit(&self, credentials: &Credentials<'_>) -> Result<Rights, Refusal>;
}

/// What a client may publish and subscribe, as topic filters.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// Topics it may publish to.
    pub publish: Vec<String>,
    /// Filters it may subscribe to, or to parts of.
    pub subscribe: Vec<String>,
}

impl Rights {
    /// Everything of ours.
    pub fn all() -> Rights {
        let all = vec![format!("{ROOT}/#")];
        Rights { publish: all.clone(), subscribe: all }
    }

    /// Everything there is to hear, nothing to say: a tap.
    pub(crate) fn listen() -> Rights {
        Rights { publish: Vec::new(), subscribe: vec!["#".to_owned()] }
    }

    pub(crate) fn may_publish(&self, topic: &str) -> bool {
        self.publish.iter().any(|filter| matches(filter, topic))
    }

    pub(crate) fn may_subscribe(&self, filter: &str) -> bool {
        self.subscribe.iter().any(|allowed| covers(allowed, filter))
    }
}

/// One user name and one password for all services, each of which may do everything: the all-in-one, where the secret is
/// made at the start and never leaves the process.
#[derive(Clone, Debug)]
pub struct SharedSecret {
    username: String,
    password: SecretString,
}

impl SharedSecret {
    /// Admits whoever knows both.
    pub fn new(username: impl Into<String>, password: SecretString) -> SharedSecret {
        SharedSecret { username: username.into(), password }
    }

    /// With a password of 128 random bits that nobody has seen.
    pub fn generate() -> SharedSecret {
        SharedSecret::new("tickberry", format!("{:032x}", rand::random::<u128>()).into())
    }

    /// The user name.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password.
    pub fn password(&self) -> &SecretString {
        &self.password
    }
}

impl Authenticator for SharedSecret {
    fn admit(&self, credentials: &Credentials<'_>) -> Result<Rights, Refusal> {
        let name = same(credentials.username.unwrap_or_default().as_bytes(), self.username.as_bytes());
        let secret = self.password.expose_secret().as_bytes();
        let word = same(credentials.password.unwrap_or_default(), secret);
        if name & word & !secret.is_empty() { Ok(Rights::all()) } else { Err(Refusal::BadCredentials) }
    }
}

/// Compares without telling by its running time where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (x, y)| differences | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(secret: &SharedSecret, username: &str, password: &str) -> bool {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let password = Some(password.as_bytes());
        secret.admit(&Credentials { client_id: "x", username: Some(username), password, peer }).is_ok()
    }

    #[test]
    fn only_who_knows_both_comes_in() {
        let secret = SharedSecret::new("u", "word".into());
        assert!(admit(&secret, "u", "word"));
        for (username, password) in [("u", ""), ("u", "wor"), ("u", "words"), ("", "word"), ("v", "word")] {
            assert!(!admit(&secret, username, password), "{username} {password}");
        }
        assert!(!admit(&SharedSecret::new("u", "".into()), "u", ""), "an empty secret opens nothing");
        assert_ne!(
            SharedSecret::generate().password().expose_secret(),
            SharedSecret::generate().password().expose_secret()
        );
    }
}
