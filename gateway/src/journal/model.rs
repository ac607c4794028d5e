//! A disk that forgets: what was not synced may be gone, torn, or there in any order, after a power cut.
//!
//! For tests and simulations. All randomness comes from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// What is wrong with the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// No block is left for a new file; files that have theirs can be written.
    Full,
    /// Nothing can be written.
    ReadOnly,
    /// Every write fails; names can be changed, and what was written before can be synced.
    WriteFails,
    /// Every sync fails, and (as Linux does) the pages it could not write are clean afterwards.
    SyncFails,
    /// Every sync succeeds and does nothing: the negative control, against which no journal helps.
    SyncLies,
}

/// The disk. Clones of the handle are the same disk.
#[derive(Clone)]
pub struct ModelDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Clone)]
struct Inner {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    /// The directory as it is on the platter, and the changes that are not there yet, in order.
    durable_names: BTreeMap<String, usize>,
    name_changes: Vec<BTreeMap<String, usize>>,
    random: u64,
    fault: Fault,
    /// Operations until the power is cut.
    fuse: Option<u64>,
    /// Handles of an earlier boot are dead.
    boot: u64,
}

#[derive(Clone, Default)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

impl ModelDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        let inner = Inner {
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            random: seed,
            fault: Fault::None,
            fuse: None,
            boot: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Another disk with the same content.
    pub fn copy(&self) -> Self {
        Self { inner: Arc::new(Mutex::new(self.lock().clone())) }
    }

    /// Breaks or mends the disk.
    pub fn set_fault(&self, fault: Fault) {
        self.lock().fault = fault;
    }

    /// Lets `operations` more succeed; then the power is off until [`ModelDisk::power_on`].
    pub fn cut_power_after(&self, operations: u64) {
        self.lock().fuse = Some(operations);
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        self.lock().fuse == Some(0)
    }

    /// Cuts the power, if that has not happened yet, and comes back with what was on the platter: all that was
    /// synced, and of the rest what chance decides. Handles from before are dead.
    pub fn power_on(&self) {
        let mut inner = self.lock();
        inner.fuse = None;
        inner.boot += 1;
        inner.lose_unsynced();
        inner.forget_removed();
    }

    /// The process died and the machine did not: nothing is lost, handles are dead.
    pub fn kill_process(&self) {
        let mut inner = self.lock();
        inner.fuse = None;
        inner.boot += 1;
    }

    /// Inverts the bits of `mask` in one byte, on the platter and in the cache. False beyond the end.
    pub fn flip(&self, name: &str, pos: usize, mask: u8) -> bool {
        self.change(name, |bytes| match bytes.get_mut(pos) {
            Some(byte) => {
                *byte ^= mask;
                true
            }
            None => false,
        })
    }

    /// Cuts a file short.
    pub fn truncate(&self, name: &str, len: usize) -> bool {
        self.change(name, |bytes| {
            bytes.truncate(len);
            true
        })
    }

    /// Names of the files.
    pub fn names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// A file's bytes.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let inner = self.lock();
        inner.names.get(name).map(|&i| inner.files[i].cached.clone()).unwrap_or_default()
    }

    fn change(&self, name: &str, mut change: impl FnMut(&mut Vec<u8>) -> bool) -> bool {
        let mut inner = self.lock();
        let Some(&i) = inner.names.get(name) else { return false };
        let file = &mut inner.files[i];
        let durable = change(&mut file.durable);
        change(&mut file.cached) || durable
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// splitmix64.
    fn below(&mut self, n: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }

    fn alive(&self, boot: u64) -> io::Result<()> {
        if self.boot != boot || self.fuse == Some(0) {
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
    }

    /// Before each operation that changes something.
    fn burn(&mut self, boot: u64) -> io::Result<()> {
        self.alive(boot)?;
        if let Some(left) = &mut self.fuse {
            *left -= 1;
            if *left == 0 {
                return Err(io::Error::other("the power was cut"));
            }
        }
        match self.fault {
            Fault::ReadOnly => Err(ErrorKind::ReadOnlyFilesystem.into()),
            _ => Ok(()),
        }
    }

    /// The kernel may write anything back at any time.
    fn write_back_some(&mut self, file: usize) {
        if self.below(8) == 0 && self.fault != Fault::SyncLies {
            let dirty: Vec<usize> = self.files[file].dirty.iter().copied().collect();
            for sector in dirty {
                if self.below(2) == 0 {
                    self.files[file].write_back(sector);
                    // It stays dirty: only a sync promises anything.
                }
            }
        }
    }

    /// After a power cut nothing can bring back a file without a name.
    fn forget_removed(&mut self) {
        let named: BTreeSet<usize> = self.names.values().copied().collect();
        for (i, file) in self.files.iter_mut().enumerate() {
            if !named.contains(&i) {
                *file = Content::default();
            }
        }
    }

    fn lose_unsynced(&mut self) {
        // A journaling file system keeps the directory's changes in order.
        let kept = self.below(self.name_changes.len() as u64 + 1) as usize;
        if let Some(names) = kept.checked_sub(1).map(|i| self.name_changes[i].clone()) {
            self.durable_names = names;
        }
        self.names = self.durable_names.clone();
        self.name_changes.clear();
        for i in 0..self.files.len() {
            let dirty = std::mem::take(&mut self.files[i].dirty);
            for sector in dirty {
                match self.below(8) {
                    0..=2 => {}
                    // The sector under the head when the power went.
                    3 => {
                        let garbage = self.below(256) as u8;
                        self.files[i].write_back(sector);
                        let at = sector * SECTOR;
                        let end = (at + SECTOR).min(self.files[i].durable.len());
                        let from = at + self.below((end.saturating_sub(at)) as u64 + 1) as usize;
                        self.files[i].durable[from.min(end)..end].fill(garbage);
                    }
                    _ => self.files[i].write_back(sector),
                }
            }
            let file = &mut self.files[i];
            file.cached = file.durable.clone();
        }
    }
}

impl Content {
    fn write(&mut self, data: &[u8], pos: usize) {
        let end = pos + data.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[pos..end].copy_from_slice(data);
        self.dirty.extend(pos / SECTOR..end.div_ceil(SECTOR));
    }

    fn write_back(&mut self, sector: usize) {
        let at = sector * SECTOR;
        let end = (at + SECTOR).min(self.cached.len());
        if at >= end {
            return;
        }
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[at..end].copy_from_slice(&self.cached[at..end]);
    }
}

impl Disk for ModelDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.lock();
        let file = *inner.names.get(name).ok_or(ErrorKind::NotFound)?;
        let boot = inner.boot;
        drop(inner);
        Ok(Arc::new(ModelFile { disk: self.clone(), file, boot }))
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.lock();
        let boot = inner.boot;
        inner.burn(boot)?;
        if inner.fault == Fault::Full {
            return Err(ErrorKind::StorageFull.into());
        }
        let file = inner.files.len();
        let mut content = Content::default();
        content.write(&vec![0; size as usize], 0);
        inner.files.push(content);
        inner.rename_to(|names| {
            names.insert(name.to_owned(), file);
        });
        drop(inner);
        Ok(Arc::new(ModelFile { disk: self.clone(), file, boot }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.lock();
        let boot = inner.boot;
        inner.burn(boot)?;
        let file = *inner.names.get(from).ok_or(ErrorKind::NotFound)?;
        inner.rename_to(|names| {
            names.remove(from);
            names.insert(to.to_owned(), file);
        });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.lock();
        let boot = inner.boot;
        inner.burn(boot)?;
        if !inner.names.contains_key(name) {
            return Err(ErrorKind::NotFound.into());
        }
        inner.rename_to(|names| {
            names.remove(name);
        });
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut inner = self.lock();
        let boot = inner.boot;
        inner.burn(boot)?;
        match inner.fault {
            Fault::SyncFails => Err(io::Error::other("sync failed")),
            Fault::SyncLies => Ok(()),
            _ => {
                inner.durable_names = inner.names.clone();
                inner.name_changes.clear();
                Ok(())
            }
        }
    }
}

impl Inner {
    fn rename_to(&mut self, change: impl FnOnce(&mut BTreeMap<String, usize>)) {
        change(&mut self.names);
        self.name_changes.push(self.names.clone());
    }
}

struct ModelFile {
    disk: ModelDisk,
    file: usize,
    boot: u64,
}

impl DiskFile for ModelFile {
    fn size(&self) -> io::Result<u64> {
        let inner = self.disk.lock();
        inner.alive(self.boot)?;
        Ok(inner.files[self.file].cached.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], pos: u64) -> io::Result<usize> {
        let inner = self.disk.lock();
        inner.alive(self.boot)?;
        let bytes = inner.files[self.file].cached.get(pos as usize..).unwrap_or_default();
        let n = bytes.len().min(buf.len());
        buf[..n].copy_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_at(&self, data: &[u8], pos: u64) -> io::Result<()> {
        let mut inner = self.disk.lock();
        inner.burn(self.boot)?;
        if inner.fault == Fault::WriteFails {
            return Err(io::Error::other("write failed"));
        }
        inner.files[self.file].write(data, pos as usize);
        inner.write_back_some(self.file);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.lock();
        inner.burn(self.boot)?;
        match inner.fault {
            Fault::SyncFails => {
                inner.files[self.file].dirty.clear();
                Err(io::Error::other("sync failed"))
            }
            Fault::SyncLies => Ok(()),
            _ => {
                let dirty = std::mem::take(&mut inner.files[self.file].dirty);
                for sector in dirty {
                    inner.files[self.file].write_back(sector);
                }
                Ok(())
            }
        }
    }
}
