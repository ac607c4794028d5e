//! The first hosts: one Pi alone, and one whose card `flash` has made.

use std::path::Path;
use std::time::Duration;

use crate::package::Packages;
use crate::{BESIDE, GATEWAY, STORE};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use tickberry_tests::harness::lab::{Lab, RUN, address, lab};
use tickberry_tests::harness::{Client, Finished, TempHome, eventually};

/// From the card's image to a host that lets its user in; the seed comes out of the image that `flash` made.
pub(crate) async fn flash(lab: &mut Lab, home: &TempHome) -> Result<String> {
    let (image, card, seed) = (home.join("system.img"), home.join("pi1.img"), home.join("seed"));
    std::fs::create_dir(&seed)?;
    let make = format!(
        "set -e; export PATH=$PATH:/usr/sbin:/sbin; truncate -s 96M {image}
         printf 'start=8192,size=131072,type=c\\nstart=139264,type=83\\n' | sfdisk -q {image}
         mformat -i {image}@@4194304 -F -T 131072 -h 16 -s 63 ::
         echo 'console=tty1 root=LABEL=writable rootwait' >{home}/cmdline.txt
         echo '#cloud-config' >{home}/user-data; : >{home}/meta-data
         mcopy -i {image}@@4194304 {home}/cmdline.txt {home}/user-data {home}/meta-data ::",
        image = image.display(),
        home = home.path().display()
    );
    shell(&make).await?;
    let variables = json!({"flash_host": GATEWAY, "flash_image": image, "flash_to_file": card}).to_string();
    lab.play("flash", &["-e", &variables]).await?.well()?;
    for file in ["user-data", "meta-data", "network-config"] {
        let (card, file) = (card.display(), seed.join(file).display().to_string());
        shell(&format!("mcopy -i {card}@@4194304 ::$(basename {file}) {file}")).await?;
    }
    let user_data = std::fs::read_to_string(seed.join("user-data"))?;
    ensure!(user_data.starts_with("#cloud-config"), "{user_data}");
    // The schema, by the real cloud-init; and then it has to do what is asked of it.
    shell(&format!("{} >/dev/null", put(STORE, &seed.join("user-data"), "/root/user-data"))).await?;
    let schema =
        lab.on(STORE, "cloud-init schema --config-file /root/user-data 2>&1; rm /root/user-data").await?;
    ensure!(schema.contains("Valid cloud-config"), "{schema}");
    shell(&put(STORE, &seed.join("network-config"), "/root/network-config")).await?;
    let network = lab
        .on(
            STORE,
            "cloud-init devel net-convert --network-data /root/network-config --kind yaml --distro debian \
             --output-kind networkd --directory /root/net >/dev/null 2>&1; cat /root/net/etc/systemd/network/*; \
             rm -r /root/net /root/network-config",
        )
        .await?;
    let wanted = format!("Address={}/24", address(GATEWAY));
    ensure!(network.contains(&wanted), "{wanted} is not in what cloud-init makes of it: {network}");
    // What this machine knows of the host before they have met.
    let known = std::fs::read_to_string(Path::new(RUN).join("known_hosts"))?;
    let known: Vec<&str> =
        known.lines().filter_map(|line| line.strip_prefix(&format!("{} ", address(GATEWAY)))).collect();
    lab.host("fresh", GATEWAY, &[&seed.display().to_string()]).await?;
    let key = lab.on(GATEWAY, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub").await?;
    ensure!(known.len() == 1 && known[0].starts_with(key.trim()), "known: {known:?}; the host's: {key}");
    let status = lab.on(GATEWAY, "cloud-init status --wait --long; hostname; id pi").await?;
    ensure!(status.contains("status: done") && status.contains(&format!("\n{GATEWAY}\n")), "{status}");
    let keys = lab.on(GATEWAY, "cat /home/pi/.ssh/authorized_keys; sudo -l -U pi").await?;
    let key = std::fs::read_to_string(Path::new(RUN).join("key.pub"))?;
    let key = key.split_whitespace().nth(1).context("a public key")?;
    ensure!(keys.contains(key) && keys.contains("NOPASSWD: ALL"), "{keys}");
    Ok(schema.trim().to_owned())
}

/// One Pi and no Ansible: the package, and `systemctl enable --now`.
pub(crate) async fn alone(packages: &Packages) -> Result<()> {
    let package = packages.folder().join(format!("tickberry_{}_arm64.deb", packages.version));
    shell(&put(BESIDE, &package, "/root/tickberry.deb")).await?;
    let words = "apt-get install -qq -y /root/tickberry.deb >/dev/null 2>&1 && systemctl enable --quiet --now tickberry";
    let finished = Finished::within(Duration::from_secs(180), lab(&["ssh", BESIDE, words])).await?;
    ensure!(finished.code == 0, "{finished:?}");
    Ok(())
}

/// Gateway, broker, aggregator and page work in it, on arm64; then it is switched off.
pub(crate) async fn alone_no_more(lab: &Lab) -> Result<String> {
    let audit = eventually(Duration::from_secs(120), "minutes of one Pi alone", async || {
        let said = lab.on(BESIDE, "tickberry audit 2>&1").await?;
        ensure!(said.contains(" 0 differ") && !said.contains(" 0 minutes equal"), "{said}");
        Ok(said)
    })
    .await?;
    let page = Client::new(format!("{}:8080", address(BESIDE)).parse()?);
    page.body("/").await.context("the page of one Pi alone")?;
    let said = lab.on(BESIDE, "tickberry --version; dpkg --print-architecture").await?;
    lab.host("kill", BESIDE, &[]).await?;
    Ok(format!("{}; {}", said.replace('\n', " ").trim(), audit.lines().last().unwrap_or_default().trim()))
}

fn put(host: &str, from: &Path, to: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/lab");
    format!("{} ssh {host} 'cat >{to}' <{}", script.display(), from.display())
}

pub(crate) async fn shell(words: &str) -> Result<()> {
    let mut command = tokio::process::Command::new("bash");
    command.args(["-c", words]);
    let finished = Finished::within(Duration::from_secs(60), command).await?;
    ensure!(finished.code == 0, "{words}: {finished:?}");
    Ok(())
}
