//! No secret is where it can be read by who should not.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use tickberry_tests::harness::lab::{HOSTS, Lab};

/// Looks for every secret in what playbooks said, in every command line seen, in every journal, and in the repository.
pub(crate) async fn nowhere(lab: &Lab) -> Result<String> {
    let mut places: Vec<(String, String)> = Vec::new();
    for (i, said) in lab.said().iter().enumerate() {
        places.push((format!("what the lab or playbook {i} said"), said.clone()));
    }
    places.push(("command lines".to_owned(), lab.command_lines().join("\n")));
    for host in HOSTS {
        let journal = lab.on(host, "journalctl --no-pager --output=export").await?;
        ensure!(journal.lines().count() > 50, "the journal of {host} is empty");
        places.push((format!("the journal of {host}"), journal));
    }
    for file in repository()? {
        let text = std::fs::read(&file).unwrap_or_default();
        places.push((file.display().to_string(), String::from_utf8_lossy(&text).into_owned()));
    }
    let mut secrets = lab.secrets()?;
    // Those that never leave the store's host.
    for line in lab.on(crate::STORE, "cd /etc/tickberry/influxdb && grep -H . *").await?.lines() {
        let (name, secret) = line.split_once(':').context("a file's name and its line")?;
        ensure!(secret.len() >= 12, "{name} is no secret");
        secrets.push((name.to_owned(), secret.to_owned()));
    }
    for wanted in [
        "bus-password",
        "influxdb-token",
        "influxdb-grafana-token",
        "grafana-admin-password",
        "influxdb-operator-token",
        "influxdb-admin-password",
    ] {
        ensure!(secrets.iter().any(|(name, _)| name == wanted), "there is no secret {wanted}");
    }
    for (name, secret) in &secrets {
        for (place, text) in &places {
            ensure!(!text.contains(secret.as_str()), "{name} is in {place}");
        }
    }
    let seen = lab.command_lines().len();
    ensure!(seen > 100, "only {seen} command lines were seen");
    Ok(format!("{} secrets in none of {} places, {seen} command lines", secrets.len(), places.len()))
}

/// Every file that git knows or would know.
fn repository() -> Result<Vec<PathBuf>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(&top)
        .output()
        .context("git ls-files")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout)?;
    let files: Vec<PathBuf> =
        names.split('\0').filter(|name| !name.is_empty()).map(|name| top.join(name)).collect();
    ensure!(files.len() > 100, "{} files", files.len());
    Ok(files)
}
