//! The door to the file system: all the journal asks of a disk.
//!
//! The journal is written against [`Disk`] and [`DiskFile`] so that a model can stand in for the real thing
//! and lose, tear, reorder and flip what was not synced ([`super::model`]).

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One flat directory of files.
pub trait Disk: Send + Sync {
    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a file of `size` bytes, all allocated and zero; replaces one of that name.
    fn create(&self, name: &str, size: u64) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file; replaces the target.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// An open file. Positions are absolute, so that readers and the writer share one handle without a seek.
pub trait DiskFile: Send + Sync {
    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads up to `buf.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], pos: u64) -> io::Result<usize>;
    /// Writes all of `data`.
    fn write_at(&self, data: &[u8], pos: u64) -> io::Result<()>;
    /// Makes the data durable (fdatasync).
    fn sync(&self) -> io::Result<()>;
}

/// A real directory.
#[derive(Debug)]
pub struct DirDisk {
    path: PathBuf,
}

impl DirDisk {
    /// The directory `path`, made when it is not there.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let is_new = !path.is_dir();
        fs::create_dir_all(&path)?;
        // The directory's own name must survive a power cut too. Where it is old, a disk that refuses is no reason not to
        // start: the journal will meet the same refusal, and go on in memory.
        match path.parent().map_or(Ok(()), sync_path) {
            Err(error) if is_new => Err(error),
            _ => Ok(Self { path }),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn sync_path(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

impl Disk for DirDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string()
                && entry.file_type()?.is_file()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        // Write permission is asked for only by `create` and recycled segments; a read-only remount must not
        // stop the reading of what is there.
        let path = self.at(name);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(e)
                if e.kind() == ErrorKind::ReadOnlyFilesystem || e.kind() == ErrorKind::PermissionDenied =>
            {
                File::open(&path)?
            }
            other => other?,
        };
        Ok(Arc::new(RealFile(file)))
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.at(name))?;
        allocate(&file, size)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.at(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        sync_path(&self.path)
    }
}

/// Blocks first (so that a full disk is met here and not in the middle of a frame), then zeros: fallocate alone
/// leaves "unwritten" extents, and turning each into a written one is a metadata write at every later fdatasync.
fn allocate(file: &File, size: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, size) {
        // A file system without fallocate gets its blocks from the zeros below.
        Err(rustix::io::Errno::OPNOTSUPP) => {}
        other => other?,
    }
    let zeros = [0u8; 64 * 1024];
    let mut pos = 0;
    while pos < size {
        let n = (size - pos).min(zeros.len() as u64) as usize;
        file.write_all_at(&zeros[..n], pos)?;
        pos += n as u64;
    }
    Ok(())
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], pos: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.0.read_at(&mut buf[done..], pos + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write_at(&self, data: &[u8], pos: u64) -> io::Result<()> {
        self.0.write_all_at(data, pos)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
