//! Organisation, buckets and tokens on a server, as a store needs them. Running it again changes nothing; each step says
//! what it did. Tokens go to files of mode 0600 and nowhere else: the server shows one only when it makes it.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, message};
use super::link::{Ask, Link};
use super::server::{self, Bucket, Buckets};
use crate::StoreError;

/// What is wanted.
pub struct Plan {
    /// The server.
    pub url: String,
    /// The organisation's name.
    pub org: String,
    /// Name and age of the buckets: trades, and the rest. The same name twice is one bucket, with the longer age.
    pub buckets: [(String, Duration); 2],
    /// A token that may make all of it, for a server that was set up before. Otherwise the one in `folder`.
    pub admin: Option<SecretString>,
    /// Where tokens are put.
    pub folder: PathBuf,
    /// Whether a bucket that keeps its data longer may be made to forget earlier.
    pub shorten: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `made`, `changed` or `kept`.
    pub done: &'static str,
    /// What.
    pub what: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7} {}", self.done, self.what)
    }
}

/// The user of a server that is set up here; nobody needs it while the operator's token is there.
const USER: &str = "tickberry";
const OPERATOR: &str = "influxdb-operator-token";
const PASSWORD: &str = "influxdb-admin-password";
/// Descriptions of the tokens, their files, and what they may do.
const TOKENS: [(&str, &str, &[&str]); 2] = [
    ("tickberry aggregator", "influxdb-token", &["read", "write"]),
    ("tickberry grafana", "influxdb-grafana-token", &["read"]),
];

/// Makes what is not there.
pub fn run(plan: &Plan) -> Result<Vec<Step>, StoreError> {
    let mut steps = Vec::new();
    let setup = Setup { plan, link: link(plan, "".into())? };
    let version = server::check_version(&setup.link)?;
    steps.push(Step { done: "kept", what: format!("InfluxDB {version} at {}", plan.url) });
    let setup = setup.begin(&mut steps)?;
    let org = setup.org(&mut steps)?;
    let mut ids = Vec::new();
    for (name, age) in wanted(&plan.buckets) {
        ids.push((name, setup.bucket(&org, name, age, &mut steps)?));
    }
    for (description, file, actions) in TOKENS {
        setup.token(&org, &ids, description, file, actions, &mut steps)?;
    }
    Ok(steps)
}

fn link(plan: &Plan, token: SecretString) -> Result<Link, StoreError> {
    Link::new(&plan.url, &plan.org, token)
}

fn wanted(buckets: &[(String, Duration); 2]) -> Vec<(&str, Duration)> {
    let [(one, age), (other, other_age)] = buckets;
    if one == other { vec![(one, *age.max(other_age))] } else { vec![(one, *age), (other, *other_age)] }
}

struct Setup<'a> {
    plan: &'a Plan,
    link: Link,
}

impl Setup<'_> {
    /// A server that nobody has set up gets its operator; otherwise the operator's token is found.
    fn begin(self, steps: &mut Vec<Step>) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct Allowed {
            allowed: bool,
        }
        let Allowed { allowed } = self.understood(self.link.ask("/api/v2/setup", &Ask::Get(&[]))?)?;
        let plan = self.plan;
        let path = plan.folder.join(OPERATOR);
        if !allowed {
            let token = match &plan.admin {
                Some(token) => token.clone(),
                None => self.read(&path)?,
            };
            return Ok(Self { plan, link: link(plan, token)? });
        }
        // Before the server knows it: whatever is cut short here, the token is not lost.
        let token = self.read(&path).or_else(|_| self.keep(&path, random()))?;
        let password = self.read(&plan.folder.join(PASSWORD));
        let password = password.or_else(|_| self.keep(&plan.folder.join(PASSWORD), random()))?;
        let (bucket, age) = wanted(&plan.buckets)[0];
        let body = json!({
            "username": USER, "password": password.expose_secret(), "org": plan.org, "bucket": bucket,
            "retentionPeriodSeconds": age.as_secs(), "token": token.expose_secret(),
        });
        let _made: Value = self.made(self.link.ask("/api/v2/setup", &Ask::Post(&body))?)?;
        let what = format!(
            "user {USER}, organisation {:?}, bucket {bucket:?}; operator's token in {}",
            plan.org,
            path.display()
        );
        steps.push(Step { done: "made", what });
        Ok(Self { plan, link: link(plan, token)? })
    }

    fn org(&self, steps: &mut Vec<Step>) -> Result<String, StoreError> {
        let name = self.plan.org.as_str();
        let answer = self.link.ask("/api/v2/orgs", &Ask::Get(&[("org", name)]))?;
        let found: Option<Orgs> = if answer.status == 404 { None } else { Some(self.understood(answer)?) };
        let found = found.and_then(|all| all.orgs.into_iter().find(|org| org.name == name));
        let (done, org) = match found {
            Some(org) => ("kept", org),
            None => {
                ("made", self.made(self.link.ask("/api/v2/orgs", &Ask::Post(&json!({ "name": name })))?)?)
            }
        };
        steps.push(Step { done, what: format!("organisation {name:?}") });
        Ok(org.id)
    }

    fn bucket(
        &self,
        org: &str,
        name: &str,
        age: Duration,
        steps: &mut Vec<Step>,
    ) -> Result<String, StoreError> {
        let answer = self.link.ask("/api/v2/buckets", &Ask::Get(&[("orgID", org), ("name", name)]))?;
        let found: Option<Buckets> = if answer.status == 404 { None } else { Some(self.understood(answer)?) };
        let found = found.and_then(|all| all.buckets.into_iter().find(|bucket| bucket.name == name));
        let wanted = i64::try_from(age.as_secs()).unwrap_or(0);
        let rules = json!([{ "type": "expire", "everySeconds": wanted }]);
        let Some(bucket) = found else {
            let body = json!({ "orgID": org, "name": name, "retentionRules": rules });
            let bucket: Bucket = self.made(self.link.ask("/api/v2/buckets", &Ask::Post(&body))?)?;
            steps.push(Step { done: "made", what: format!("bucket {name:?}, keeps {}", days(Some(wanted))) });
            return Ok(bucket.id);
        };
        let kept = bucket.seconds();
        let is_shorter = kept.is_none_or(|kept| wanted < kept);
        if kept == Some(wanted) || (is_shorter && !self.plan.shorten) {
            let note = if kept == Some(wanted) {
                String::new()
            } else {
                format!(" and not {}: with --shorten it will forget earlier", days(Some(wanted)))
            };
            steps.push(Step { done: "kept", what: format!("bucket {name:?}, keeps {}{note}", days(kept)) });
            return Ok(bucket.id);
        }
        let path = format!("/api/v2/buckets/{}", bucket.id);
        let body = json!({ "retentionRules": rules });
        let _changed: Value = self.understood(self.link.ask(&path, &Ask::Patch(&body))?)?;
        let what = format!("bucket {name:?}, keeps {} instead of {}", days(Some(wanted)), days(kept));
        steps.push(Step { done: "changed", what });
        Ok(bucket.id)
    }

    fn token(
        &self,
        org: &str,
        buckets: &[(&str, String)],
        description: &str,
        file: &str,
        actions: &[&str],
        steps: &mut Vec<Step>,
    ) -> Result<(), StoreError> {
        let path = self.plan.folder.join(file);
        let all: Authorizations =
            self.understood(self.link.ask("/api/v2/authorizations", &Ask::Get(&[("orgID", org)]))?)?;
        let ours: Vec<Authorization> =
            all.authorizations.into_iter().filter(|one| one.description == description).collect();
        let permissions: Vec<Value> = buckets
            .iter()
            .flat_map(|(_, id)| {
                actions.iter().map(move |action| json!({ "action": action, "resource": { "type": "buckets", "id": id, "orgID": org } }))
            })
            .collect();
        let is_enough = |one: &Authorization| {
            one.status == "active"
                && one.permissions.len() == permissions.len()
                && permissions.iter().all(|wanted| one.permissions.iter().any(|found| same(found, wanted)))
        };
        let what = format!(
            "token {description:?} ({} {:?}) in {}",
            actions.join(" and "),
            buckets.iter().map(|b| b.0).collect::<Vec<_>>(),
            path.display()
        );
        if ours.len() == 1 && ours.iter().all(is_enough) && self.works(&path, buckets) {
            steps.push(Step { done: "kept", what });
            return Ok(());
        }
        let body = json!({ "orgID": org, "description": description, "permissions": permissions });
        let made: Token = self.made(self.link.ask("/api/v2/authorizations", &Ask::Post(&body))?)?;
        self.keep(&path, made.token)?;
        // Those whose text nobody has any more, or that may do something else.
        for one in &ours {
            self.link.ask(&format!("/api/v2/authorizations/{}", one.id), &Ask::Delete)?;
        }
        steps.push(Step { done: if ours.is_empty() { "made" } else { "changed" }, what });
        Ok(())
    }

    /// Whether the token in the file is one of this server.
    fn works(&self, path: &Path, buckets: &[(&str, String)]) -> bool {
        let link = self.read(path).and_then(|token| link(self.plan, token));
        link.is_ok_and(|link| buckets.iter().all(|(name, _)| server::retention(&link, name).is_ok()))
    }

    fn made<T: serde::de::DeserializeOwned>(&self, answer: Answer) -> Result<T, StoreError> {
        if answer.status == 201 { self.parsed(&answer) } else { Err(self.refused(&answer)) }
    }

    fn understood<T: serde::de::DeserializeOwned>(&self, answer: Answer) -> Result<T, StoreError> {
        if answer.status == 200 { self.parsed(&answer) } else { Err(self.refused(&answer)) }
    }

    fn parsed<T: serde::de::DeserializeOwned>(&self, answer: &Answer) -> Result<T, StoreError> {
        serde_json::from_str(&answer.text)
            .map_err(|error| self.link.away(format!("its answer is not understood: {error}")))
    }

    fn refused(&self, answer: &Answer) -> StoreError {
        StoreError::Refused {
            url: self.plan.url.clone(),
            detail: format!("it answers {}: {}", answer.status, message(&answer.text)),
            remedy: "this needs an operator's (all-access) token: INFLUXDB_ADMIN_TOKEN_FILE or INFLUXDB_ADMIN_TOKEN".into(),
        }
    }

    fn read(&self, path: &Path) -> Result<SecretString, StoreError> {
        let cannot = |detail: String| {
            StoreError::Refused {
            url: self.plan.url.clone(),
            detail,
            remedy: "it was set up before, so give an operator's token: INFLUXDB_ADMIN_TOKEN_FILE or INFLUXDB_ADMIN_TOKEN".into(),
        }
        };
        let text =
            std::fs::read_to_string(path).map_err(|error| cannot(format!("{}: {error}", path.display())))?;
        match text.trim() {
            "" => Err(cannot(format!("{} is empty", path.display()))),
            token => Ok(token.into()),
        }
    }

    /// Writes a secret where only its owner reads it: whole or not at all.
    fn keep(&self, path: &Path, secret: String) -> Result<SecretString, StoreError> {
        let draft = path.with_extension("new");
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(&self.plan.folder)?;
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            writeln!(file, "{secret}")?;
            file.sync_all()?;
            std::fs::rename(&draft, path)
        };
        write().map_err(|error| StoreError::Denied { path: path.to_owned(), detail: error.to_string() })?;
        Ok(secret.into())
    }
}

fn same(found: &Value, wanted: &Value) -> bool {
    let of = |value: &Value| {
        [
            value.get("action").cloned(),
            value.pointer("/resource/type").cloned(),
            value.pointer("/resource/id").cloned(),
        ]
    };
    of(found) == of(wanted)
}

/// 256 bits.
fn random() -> String {
    (0..4).map(|_| format!("{:016x}", rand::random::<u64>())).collect()
}

fn days(seconds: Option<i64>) -> String {
    const DAY: i64 = 86_400;
    match seconds {
        None => "everything".into(),
        Some(seconds) if seconds % DAY == 0 => format!("{} days", seconds / DAY),
        Some(seconds) => format!("{seconds} s"),
    }
}

#[derive(Deserialize)]
struct Orgs {
    #[serde(default)]
    orgs: Vec<Org>,
}

#[derive(Deserialize)]
struct Org {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Authorizations {
    #[serde(default)]
    authorizations: Vec<Authorization>,
}

#[derive(Deserialize)]
struct Authorization {
    id: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    permissions: Vec<Value>,
}

/// Never printed: no `Debug`.
#[derive(Deserialize)]
struct Token {
    token: String,
}
