//! The directory a process keeps its state in: made, locked, and of one kind for ever.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::exit::{Code, Failure};

/// A locked data directory. The lock lives as long as this value.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, locks it, and checks that its data is of this `kind`; an empty one
    /// becomes of this kind.
    ///
    /// # Errors
    /// 74 when it cannot be made or written, 69 when another process holds it, 64 when its data is of another kind.
    pub fn open(path: &Path, kind: &str) -> Result<Self, Failure> {
        let cannot = |what: &str, error: std::io::Error| {
            let path = path.display();
            Failure::new(
                Code::Io,
                format!(
                    "cannot {what} the data directory {path}: {error}; give a writable one with --data-dir"
                ),
            )
        };
        std::fs::create_dir_all(path).map_err(|error| cannot("make", error))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path.join("lock"))
            .map_err(|error| cannot("write to", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(path)),
            Err(TryLockError::Error(error)) => return Err(cannot("lock", error)),
        }
        let mut lock = lock;
        let pid = std::process::id().to_string();
        lock.set_len(0)
            .and_then(|()| lock.write_all(pid.as_bytes()))
            .map_err(|error| cannot("write to", error))?;
        remember_kind(path, kind, cannot)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn held(path: &Path) -> Failure {
    let mut pid = String::new();
    let reading = File::open(path.join("lock")).and_then(|mut lock| lock.read_to_string(&mut pid));
    let who = if reading.is_ok() && !pid.is_empty() {
        format!("process {pid}")
    } else {
        "another process".to_owned()
    };
    let path = path.display();
    Failure::new(
        Code::Unavailable,
        format!("the data directory {path} is in use by {who}; stop it or give another with --data-dir"),
    )
}

fn remember_kind(
    path: &Path,
    kind: &str,
    cannot: impl Fn(&str, std::io::Error) -> Failure,
) -> Result<(), Failure> {
    let file = path.join("kind");
    match std::fs::read_to_string(&file) {
        Ok(found) if found.trim() == kind => Ok(()),
        Ok(found) => Err(Failure::new(
            Code::Usage,
            format!(
                "the data directory {} holds {} data and this run is {kind}; the two are never mixed: give another with --data-dir",
                path.display(),
                found.trim()
            ),
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Written whole or not at all: a torn name would refuse both kinds.
            let draft = path.join("kind.new");
            File::create(&draft)
                .and_then(|mut file| file.write_all(kind.as_bytes()).and_then(|()| file.sync_all()))
                .and_then(|()| std::fs::rename(&draft, &file))
                .and_then(|()| File::open(path)?.sync_all())
                .map_err(|error| cannot("write to", error))
        }
        Err(error) => Err(cannot("read", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_and_one_kind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let held = DataDir::open(&path, "real").unwrap();
        let second = DataDir::open(&path, "real").unwrap_err();
        assert_eq!(second.code(), Code::Unavailable);
        assert!(
            second.to_string().contains(&format!("in use by process {}", std::process::id())),
            "{second}"
        );
        drop(held);
        let other = DataDir::open(&path, "simulated").unwrap_err();
        assert_eq!(other.code(), Code::Usage);
        assert!(other.to_string().contains("holds real data and this run is simulated"), "{other}");
        assert_eq!(DataDir::open(&path, "real").unwrap().path(), path);
    }

    #[test]
    fn what_cannot_be_made_says_so() {
        let failure = DataDir::open(Path::new("/proc/nowhere"), "real").unwrap_err();
        assert_eq!(failure.code(), Code::Io);
        assert!(failure.to_string().contains("--data-dir"), "{failure}");
    }
}
