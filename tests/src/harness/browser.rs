//! A real browser, driven as a person's would be: Debian's Chromium without a window.

use super::{Process, TempHome, eventually};
use crate::skipped;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;
use thirtyfour::{
    ChromeCapabilities, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver,
    common::log::LoggingPrefsLogLevel,
};
use tokio::process::Command;

const DRIVER: &str = "/usr/bin/chromedriver";
/// Nothing of the browser's own may go out: every request seen is then the page's.
const QUIET: [&str; 13] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--window-size=1280,1400",
];

/// A browser with its driver; both end with it.
#[derive(Debug)]
pub struct Browser {
    /// The session.
    pub page: WebDriver,
    driver: Process,
}

/// What never leaves the browser.
const LOCAL: [&str; 3] = ["data:", "blob:", "chrome:"];

/// A cell of the page's table of minutes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Cell {
    /// Its minute.
    pub start_ms: String,
    /// Its column.
    pub column: String,
    /// Its full number.
    pub value: String,
    /// What is read there.
    pub text: String,
}

impl Browser {
    /// Starts one with an empty profile in `home`; None, with a line that says so, where there is no chromedriver.
    pub async fn start(home: &TempHome) -> Result<Option<Browser>> {
        Browser::start_with(home, &[]).await
    }

    /// The same with further arguments for it.
    pub async fn start_with(home: &TempHome, arguments: &[&str]) -> Result<Option<Browser>> {
        if !Path::new(DRIVER).is_file() {
            skipped(&format!("no {DRIVER}; apt-get install chromium chromium-driver"));
            return Ok(None);
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(DRIVER);
        // A group of its own: a killed driver leaves its browser behind, a killed group leaves nothing.
        command.arg(format!("--port={port}")).env("HOME", home.path()).process_group(0);
        let mut driver = Process::start(command, home.join("chromedriver.log"))?;
        let mut wanted: ChromeCapabilities = DesiredCapabilities::chrome();
        for argument in QUIET.iter().chain(arguments) {
            wanted.add_arg(argument)?;
        }
        wanted.add_arg(&format!("--user-data-dir={}", home.join("profile").display()))?;
        wanted.set_logging_prefs("browser", LoggingPrefsLogLevel::All)?;
        wanted.set_logging_prefs("performance", LoggingPrefsLogLevel::All)?;
        let page = eventually(Duration::from_secs(30), "a browser", async || {
            driver.must_live()?;
            Ok(WebDriver::new(format!("http://127.0.0.1:{port}"), wanted.clone()).await?)
        });
        Ok(Some(Browser { page: page.await?, driver }))
    }

    /// Runs a script that returns JSON.
    pub async fn ask(&self, script: &str) -> Result<Value> {
        Ok(self.page.execute(script, Vec::new()).await?.json().clone())
    }

    /// The cells of the table of minutes.
    pub async fn cells(&self) -> Result<Vec<Cell>> {
        let script = "return [...document.querySelectorAll('[data-start-ms][data-column]')].map(c => ({
            start_ms: c.dataset.startMs, column: c.dataset.column, value: c.dataset.value,
            text: c.textContent.trim() }))";
        Ok(serde_json::from_value(self.ask(script).await?)?)
    }

    /// An error if the page complained in the console.
    pub async fn no_complaints(&self) -> Result<()> {
        let log = self.page.get_log("browser").await?;
        let bad: Vec<_> =
            log.iter().filter(|entry| matches!(entry.level.as_str(), "SEVERE" | "WARNING")).collect();
        ensure!(bad.is_empty(), "the console says {bad:?}");
        Ok(())
    }

    /// An error if any request went elsewhere than to `server`; also if there was none at all.
    pub async fn asked_only(&self, server: SocketAddr) -> Result<()> {
        let mut asked = 0;
        for entry in self.page.get_log("performance").await? {
            let event: Value = serde_json::from_str(&entry.message)?;
            let message = &event["message"];
            if message["method"] != "Network.requestWillBeSent" {
                continue;
            }
            let url = message["params"]["request"]["url"].as_str().context("a request has a URL")?;
            let ours = url.starts_with(&format!("http://{server}/"));
            ensure!(ours || LOCAL.iter().any(|scheme| url.starts_with(scheme)), "a request went to {url}");
            asked += usize::from(ours);
        }
        ensure!(asked > 0, "the log of requests is empty");
        Ok(())
    }

    /// Ends the session and the driver.
    pub async fn quit(self) -> Result<()> {
        Ok(self.page.clone().quit().await?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Nothing to end if it has ended; and the session must not wait for an answer any more.
        let _ended = self.driver.kill_group();
        let _quit = self.page.clone().leak();
    }
}
