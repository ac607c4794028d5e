//! The directory a process keeps its state in: made, locked, and of one kind for ever.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::exit::{Code, Failure};

/// A locked data directory. The lock lives as long as this value.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, locks it, and checks that its data is of this `kind`; one without data
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
        // Over what is there, so that a disk without space does not keep a process from starting again.
        let pid = std::process::id().to_string();
        lock.write_all(pid.as_bytes())
            .and_then(|()| lock.set_len(pid.len() as u64))
            .map_err(|error| cannot("write to", error))?;
        remember_kind(path, kind, cannot)?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves word for whoever asks [`Look::said`] of this directory while it is held: `mqtt 127.0.0.1:1883`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn say(&mut self, name: &str, value: impl std::fmt::Display) -> std::io::Result<()> {
        self.lock.write_all(format!("\n{name} {value}").as_bytes())
    }
}

/// What can be seen of a data directory without touching it.
#[derive(Debug, Default)]
pub struct Look {
    /// Whether a process holds it.
    pub held: bool,
    /// What kind of data it holds, if any.
    pub kind: Option<String>,
    word: String,
}

impl Look {
    /// Looks. A directory that is not there is not held.
    pub fn at(path: &Path) -> Self {
        let Ok(mut lock) = File::open(path.join("lock")) else { return Self::default() };
        let held = matches!(lock.try_lock(), Err(TryLockError::WouldBlock));
        let mut word = String::new();
        // Only said while it is held; what is left of an earlier holder means nothing.
        if held && lock.read_to_string(&mut word).is_err() {
            word.clear();
        }
        let kind = std::fs::read_to_string(path.join(KIND)).ok().filter(|_| !is_empty(path));
        Self { held, kind: kind.map(|kind| kind.trim().to_owned()), word }
    }

    /// What the holder said under this name.
    pub fn said(&self, name: &str) -> Option<&str> {
        self.word.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    }
}

/// The file that remembers the kind.
const KIND: &str = "kind";
/// What a directory without data may hold.
const NO_DATA: [&str; 3] = ["lock", KIND, "kind.new"];

/// Whether the directory holds no data of any kind. One that cannot be read may hold some.
fn is_empty(path: &Path) -> bool {
    let is_data = |name: &std::ffi::OsStr| !NO_DATA.iter().any(|own| name == *own);
    std::fs::read_dir(path)
        .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|entry| !is_data(&entry.file_name()))))
}

fn held(path: &Path) -> Failure {
    let mut pid = String::new();
    let reading = File::open(path.join("lock")).and_then(|mut lock| lock.read_to_string(&mut pid));
    let pid = pid.lines().next().filter(|_| reading.is_ok());
    let who = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
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
    let file = path.join(KIND);
    match std::fs::read_to_string(&file) {
        Ok(found) if found.trim() == kind => Ok(()),
        Ok(found) if !is_empty(path) => Err(Failure::new(
            Code::Usage,
            format!(
                "the data directory {} holds {} data and this run is {kind}; the two are never mixed: give another with --data-dir",
                path.display(),
                found.trim()
            ),
        )),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(cannot("read", error)),
        // New, or of a run that ended before it kept anything.
        _ => {
            // Written whole or not at all: a torn name would refuse both kinds.
            let draft = path.join("kind.new");
            File::create(&draft)
                .and_then(|mut file| file.write_all(kind.as_bytes()).and_then(|()| file.sync_all()))
                .and_then(|()| std::fs::rename(&draft, &file))
                .and_then(|()| File::open(path)?.sync_all())
                .map_err(|error| cannot("write to", error))
        }
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
        std::fs::write(path.join("data"), "something").unwrap();
        let other = DataDir::open(&path, "simulated").unwrap_err();
        assert_eq!(other.code(), Code::Usage);
        assert!(other.to_string().contains("holds real data and this run is simulated"), "{other}");
        assert_eq!(DataDir::open(&path, "real").unwrap().path(), path);
    }

    #[test]
    fn without_data_there_is_no_kind_to_keep() {
        let folder = tempfile::tempdir().unwrap();
        drop(DataDir::open(folder.path(), "real").unwrap());
        assert_eq!(Look::at(folder.path()).kind, None);
        drop(DataDir::open(folder.path(), "simulated").unwrap());
        std::fs::write(folder.path().join("data"), "something").unwrap();
        assert_eq!(Look::at(folder.path()).kind.as_deref(), Some("simulated"));
    }

    #[test]
    fn a_look_changes_nothing_and_sees_what_the_holder_says() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!Look::at(&folder.path().join("none")).held);
        let mut held = DataDir::open(folder.path(), "real").unwrap();
        held.say("mqtt", "127.0.0.1:1884").unwrap();
        let look = Look::at(folder.path());
        assert_eq!((look.held, look.said("mqtt"), look.said("http")), (true, Some("127.0.0.1:1884"), None));
        drop(held);
        let look = Look::at(folder.path());
        assert_eq!((look.held, look.said("mqtt")), (false, None));
    }

    #[test]
    fn what_cannot_be_made_says_so() {
        let failure = DataDir::open(Path::new("/proc/nowhere"), "real").unwrap_err();
        assert_eq!(failure.code(), Code::Io);
        assert!(failure.to_string().contains("--data-dir"), "{failure}");
    }
}
