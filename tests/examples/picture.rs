//! Frames of the page for a moving picture: `picture ADDRESS FOLDER SECONDS [WIDTH]`. `scripts/picture` makes one of them.
//!
//! Two frames a second; each is named by its time, so that the picture runs as fast as the page did.

use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tickberry_tests::harness::{Browser, TempHome, eventually};
use tokio::time::{Instant, MissedTickBehavior, interval};

const PACE: Duration = Duration::from_millis(500);
/// Width of the page, as on a laptop; the frames are smaller.
const PAGE: u32 = 1280;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, folder, seconds, rest @ ..] = &arguments[..] else {
        anyhow::bail!("picture ADDRESS FOLDER SECONDS [WIDTH]");
    };
    let width: u32 = rest.first().map_or(Ok(960), |width| width.parse())?;
    let length = Duration::from_secs(seconds.parse()?);
    let home = TempHome::new("picture");
    let scale = format!("--force-device-scale-factor={}", f64::from(width) / f64::from(PAGE));
    let browser = Browser::start_with(&home, &[&scale]).await?.context("no browser")?;
    // The window is a little larger than the page in it.
    let resize = async |height: u64| -> Result<()> {
        let script = "const more = (outer, inner) => Math.max(0, Math.round(outer - inner)); \
                      return [more(outerWidth, innerWidth), more(outerHeight, innerHeight)]";
        let frame = browser.ask(script).await?;
        let frame = |at: usize| frame[at].as_u64().and_then(|n| u32::try_from(n).ok()).context("a size");
        let height = u32::try_from(height)? + frame(1)?;
        Ok(browser.page.set_window_rect(0, 0, PAGE + frame(0)?, height).await?)
    };
    resize(1000).await?;
    browser.page.goto(format!("http://{address}/")).await?;
    eventually(Duration::from_secs(30), "the page shows a past minute", async || {
        let shown =
            browser.ask("return document.querySelector('[data-field=past_trade_count]').textContent").await?;
        ensure!(shown != "–", "{shown}");
        Ok(())
    })
    .await?;
    // As tall as the page is, with room for a notice and a minute more.
    let tall = browser.ask("return document.body.offsetHeight + 110").await?;
    resize(tall.as_u64().context("a height")?).await?;
    let begun = Instant::now();
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while begun.elapsed() < length {
        ticks.tick().await;
        let at = begun.elapsed().as_millis();
        let frame = browser.page.screenshot_as_png().await?;
        std::fs::write(format!("{folder}/{at:08}.png"), frame)?;
    }
    browser.quit().await
}
