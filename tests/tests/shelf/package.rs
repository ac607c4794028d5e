//! The packages that are installed, and what is made of them: the same program under a higher version, and one that does not work.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// A folder with `tickberry_VERSION_ARCHITECTURE.deb`.
pub(crate) struct Packages {
    folder: PathBuf,
    /// The version they have.
    pub(crate) version: String,
}

impl Packages {
    /// `TB_DEBS`, or what `make dist` makes; made anew by `make dist` each time, so there is one version.
    pub(crate) fn find() -> Result<Packages> {
        let folder = std::env::var_os("TB_DEBS")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/dist"), PathBuf::from);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        for architecture in ARCHITECTURES {
            let package = folder.join(format!("tickberry_{version}_{architecture}.deb"));
            ensure!(package.is_file(), "{} is not there: run `make dist`, or set TB_DEBS", package.display());
        }
        Ok(Packages { folder: folder.canonicalize()?, version })
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What `tickberry_deb` is to be for another version of them, made in `folder`; on amd64 `program` takes the place
    /// of the program.
    pub(crate) fn again(&self, folder: &Path, version: &str, program: Option<&str>) -> Result<String> {
        for architecture in ARCHITECTURES {
            let tree = folder.join("tree");
            let from = self.folder.join(format!("tickberry_{}_{architecture}.deb", self.version));
            run(Command::new("dpkg-deb").arg("-R").arg(from).arg(&tree))?;
            let control = tree.join("DEBIAN/control");
            let text = std::fs::read_to_string(&control)?;
            let line = |line: &str| {
                if line.starts_with("Version:") {
                    format!("Version: {version}\n")
                } else {
                    format!("{line}\n")
                }
            };
            std::fs::write(&control, text.lines().map(line).collect::<String>())?;
            if let Some(program) = program.filter(|_| architecture == "amd64") {
                std::fs::write(tree.join("usr/bin/tickberry"), program)?;
                // Its checksum would be another.
                let _absent_is_fine = std::fs::remove_file(tree.join("DEBIAN/md5sums"));
            }
            let to = folder.join(format!("tickberry_{version}_{architecture}.deb"));
            run(Command::new("dpkg-deb")
                .args(["--root-owner-group", "-Zgzip", "-z1", "-b"])
                .arg(&tree)
                .arg(to))?;
            std::fs::remove_dir_all(&tree)?;
        }
        Ok(format!("{}/tickberry_{version}_{{{{ tickberry_architecture }}}}.deb", folder.display()))
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
