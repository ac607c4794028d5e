//! The file for lines that the server refuses for what they are, each with its words. Bounded: when it is full it becomes
//! the one before, and that one goes. The file is line protocol with comments, so what is in it can be mended and sent.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Bytes of the file at most; there are two.
const MOST: u64 = 1 << 20;

/// See the module.
pub(super) struct Refused {
    path: PathBuf,
}

impl Refused {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Puts lines aside. They are counted and told whether or not the disk takes them.
    pub(super) fn put(&self, lines: &str, why: &str) {
        let count = lines.lines().count();
        let path = self.path.display();
        match self.write(lines, why) {
            Ok(()) => {
                tracing::warn!(count, "InfluxDB refuses lines for what they are ({why}); they are in {path}")
            }
            Err(error) => {
                tracing::warn!(
                    count,
                    "InfluxDB refuses lines for what they are ({why}); {path} does not take them: {error}"
                );
            }
        }
    }

    fn write(&self, lines: &str, why: &str) -> std::io::Result<()> {
        let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut text = format!("# {why}\n");
        // Whole lines, as many as one file may hold.
        for line in lines.split_inclusive('\n') {
            if (text.len() + line.len()) as u64 > MOST {
                break;
            }
            text += line;
        }
        let length = std::fs::metadata(&self.path).map_or(0, |m| m.len());
        if length > 0 && length + text.len() as u64 > MOST {
            let mut old = self.path.clone().into_os_string();
            old.push(".old");
            std::fs::rename(&self.path, old)?;
        }
        let mut file: File = OpenOptions::new().append(true).create(true).open(&self.path)?;
        file.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_of_a_mebibyte_are_all_it_ever_takes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refused.lp");
        let refused = Refused::new(&path);
        refused.put("m a=1 1\n", "400:\nno");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# 400: no\nm a=1 1\n");
        for _ in 0..5 {
            refused.put(&"m a=1 1\n".repeat(100_000), "400");
        }
        refused.put(&"m a=1 1\n".repeat(200_000), "a batch that is longer than the file");
        let sizes = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len());
        let sizes: Vec<u64> = sizes.collect();
        assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= MOST), "{sizes:?}");
        Refused::new(Path::new("/proc/nowhere/refused.lp"))
            .put("m a=1 1\n", "a disk that is full is no panic");
    }
}
