//! Secrets: from a file, the environment or a systemd credential, never from an option.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// Why a secret that was meant to be there cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file it is to be read from cannot be read.
    #[error("cannot read the secret {name} from {path}: {error}")]
    Read {
        /// Which secret.
        name: String,
        /// From where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is there and empty.
    #[error("the secret {name} ({origin}) is empty; put the value in or unset it")]
    Empty {
        /// Which secret.
        name: String,
        /// Where it was found.
        origin: String,
    },
}

/// Finds a secret: `{NAME}_FILE` names a file, `{NAME}` is the value, or systemd hands it over as a credential.
/// `None` where none of them is there. An empty credential is none: a unit can name a file that may be missing only by
/// setting something in its place.
///
/// # Errors
/// When one is there and cannot be read, or is empty in file or environment.
pub fn find(
    name: &str,
    credential: &str,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<SecretString>, SecretError> {
    if let Some(path) = env(&format!("{name}_FILE")) {
        return read(name, Path::new(&path)).map(Some);
    }
    if let Some(value) = env(name) {
        return checked(name, format!("environment variable {name}"), &value).map(Some);
    }
    let path = env("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(credential));
    let Some(path) = path.filter(|path| path.exists()) else { return Ok(None) };
    match read(name, &path) {
        Err(SecretError::Empty { .. }) => Ok(None),
        found => found.map(Some),
    }
}

/// As [`find`], with a file that the configuration names: it comes after the environment and before the credential.
///
/// # Errors
/// When one is there and cannot be read, or is empty.
pub fn find_configured(
    name: &str,
    credential: &str,
    file: Option<&Path>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<SecretString>, SecretError> {
    let is_set = |name: &str| env(name).is_some();
    match file {
        Some(path) if !is_set(name) && !is_set(&format!("{name}_FILE")) => read(name, path).map(Some),
        _ => find(name, credential, env),
    }
}

fn read(name: &str, path: &Path) -> Result<SecretString, SecretError> {
    let text = std::fs::read_to_string(path).map_err(|error| SecretError::Read {
        name: name.to_owned(),
        path: path.to_owned(),
        error,
    })?;
    checked(name, path.display().to_string(), &text)
}

fn checked(name: &str, origin: String, value: &str) -> Result<SecretString, SecretError> {
    let value = value.trim();
    if value.is_empty() {
        return Err(SecretError::Empty { name: name.to_owned(), origin });
    }
    Ok(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn file_before_environment_before_credential() {
        let folder = tempfile::tempdir().unwrap();
        let (file, credential) = (folder.path().join("token"), folder.path().join("finnhub-token"));
        std::fs::write(&file, "from file\n").unwrap();
        std::fs::write(&credential, "from systemd").unwrap();
        let found = |set: &[(&str, &str)]| {
            let env = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            find("TOKEN", "finnhub-token", env).map(|s| s.map(|s| s.expose_secret().to_owned()))
        };
        let (file, dir) = (file.to_str().unwrap(), folder.path().to_str().unwrap());
        let all = [("TOKEN_FILE", file), ("TOKEN", "from env"), ("CREDENTIALS_DIRECTORY", dir)];
        assert_eq!(found(&all).unwrap().as_deref(), Some("from file"));
        assert_eq!(found(&all[1..]).unwrap().as_deref(), Some("from env"));
        assert_eq!(found(&all[2..]).unwrap().as_deref(), Some("from systemd"));
        assert_eq!(found(&[]).unwrap(), None);
        std::fs::write(&credential, "\n").unwrap();
        assert_eq!(found(&all[2..]).unwrap(), None);
        std::fs::write(&credential, "from systemd").unwrap();
        let configured = |set: &[(&str, &str)]| {
            let env = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            let secret = find_configured("TOKEN", "finnhub-token", Some(Path::new(file)), env);
            secret.unwrap().unwrap().expose_secret().to_owned()
        };
        assert_eq!(configured(&all[1..]), "from env");
        assert_eq!(configured(&all[2..]), "from file");
        assert!(matches!(found(&[("TOKEN", " ")]), Err(SecretError::Empty { .. })));
        assert!(matches!(found(&[("TOKEN_FILE", "/nowhere")]), Err(SecretError::Read { .. })));
    }
}
