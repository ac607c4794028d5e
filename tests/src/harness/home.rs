//! A test's own folder: data and logs, kept when the test fails.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A new folder under the system's temporary one. Removed at the end; kept, and named, if the test panicked.
#[derive(Debug)]
pub struct TempHome {
    path: PathBuf,
    keep: AtomicBool,
}

impl TempHome {
    /// A folder with the test's name in its own.
    pub fn new(name: &str) -> TempHome {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("tickberry-tests/{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&path).expect("the temporary folder can be written");
        TempHome { path, keep: AtomicBool::new(false) }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keep it at the end, whatever happens.
    pub fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    /// Something in the folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for TempHome {
    fn drop(&mut self) {
        let keep = self.keep.load(Ordering::Relaxed) || std::thread::panicking();
        if keep || std::env::var_os("TB_KEEP").is_some() {
            eprintln!("data and logs are kept in {}", self.path.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}
