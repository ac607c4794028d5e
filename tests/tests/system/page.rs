//! The page in a real browser: its numbers are the database's, and it talks to nobody else.

use crate::feed::Feed;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::time::Duration;
use tickberry_tests::generate;
use tickberry_tests::harness::{
    Browser, Cell, Database, Host, Role, TempHome, Up, UpOptions, eventually, turn,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The columns whose text is the number itself.
const PLAIN: [&str; 6] = ["open", "high", "low", "close", "volume", "trade_count"];

/// The stored minutes of a symbol as text: (start, column) to the shortest text of the stored number.
fn stored(database: &Database, symbol: &str) -> Result<BTreeMap<(String, String), String>> {
    let mut texts = BTreeMap::new();
    for ((_, start), w) in database.minutes()?.iter().filter(|((name, _), _)| name == symbol) {
        let reals = [
            ("open", w.open),
            ("high", w.high),
            ("low", w.low),
            ("close", w.close),
            ("volume", w.volume),
            ("vwap", w.vwap),
            ("avg_price", w.avg_price),
        ];
        for (column, value) in reals {
            texts.insert((start.to_string(), column.to_owned()), value.to_string());
        }
        texts.insert((start.to_string(), "trade_count".to_owned()), w.trade_count.to_string());
    }
    Ok(texts)
}

/// `61837.50` and `61837.5` are the same digits: the feed's own zeros may be kept.
fn canonical(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Every stored number is on the page, text for text, and no other.
fn same(cells: &[Cell], stored: &BTreeMap<(String, String), String>) -> Result<()> {
    let mut seen = 0;
    for cell in cells {
        let key = (cell.start_ms.clone(), cell.column.clone());
        let Some(want) = stored.get(&key) else {
            ensure!(matches!(cell.column.as_str(), "start_ms" | "coverage"), "not in the database: {cell:?}");
            continue;
        };
        ensure!(canonical(&cell.value) == canonical(want), "{cell:?}, stored is {want}");
        if PLAIN.contains(&cell.column.as_str()) {
            ensure!(canonical(&cell.text) == canonical(want), "{cell:?} reads differently; stored is {want}");
        }
        seen += 1;
    }
    ensure!(seen == stored.len(), "{seen} numbers on the page, {} in the database", stored.len());
    Ok(())
}

/// A number of the ledger.
async fn ledger(browser: &Browser, field: &str) -> Result<i64> {
    let script = format!("return document.querySelector('#ledger [data-field={field}]')?.dataset.value");
    let value = browser.ask(&script).await?;
    value.as_str().and_then(|value| value.parse().ok()).with_context(|| format!("{field}: {value}"))
}

#[tokio::test]
async fn the_page_shows_what_is_stored_and_asks_nobody_else() {
    let _turn = turn().await;
    let home = TempHome::new("page");
    let Some(browser) = Browser::start(&home).await.unwrap() else { return };
    let sent = generate::trades(31, generate::START_MS, 9_000);
    let feed = Feed::recorded_now(Feed::files(&home, &sent)).await;
    let mut up = Up::start(&home, &UpOptions::new(&home, feed.address())).await.unwrap();
    up.all_stored(sent.len() as u64 + 1, Duration::from_secs(60)).await.unwrap();
    let database = up.database().unwrap();
    let address = up.options.http;
    browser.page.goto(format!("http://{address}/")).await.unwrap();
    let agrees = async || {
        let symbol =
            browser.ask("return document.querySelector('#symbols input:checked')?.value ?? ''").await?;
        let symbol = symbol.as_str().context("a symbol is chosen")?.to_owned();
        let symbol = symbol.rsplit_once('/').map_or(symbol.as_str(), |(_, name)| name).to_owned();
        let want = stored(&database, &symbol)?;
        ensure!(want.len() >= 3 * 8, "{symbol:?} has {} numbers stored", want.len());
        same(&browser.cells().await?, &want)
    };
    eventually(Duration::from_secs(20), "page and database agree", agrees).await.unwrap();
    browser.page.refresh().await.unwrap();
    eventually(Duration::from_secs(5), "history is there at once after a reload", agrees).await.unwrap();
    eventually(Duration::from_secs(5), "the ledger says that all is in, once", async || {
        let (received, stored) = (ledger(&browser, "head").await?, ledger(&browser, "stored").await?);
        ensure!(received == stored && received > sent.len() as i64, "received {received}, stored {stored}");
        ensure!(stored - database.number("SELECT count(*) FROM trades")? < 10, "records that are no trades");
        for field in ["behind", "lost", "doubled"] {
            ensure!(ledger(&browser, field).await? == 0, "{field}");
        }
        Ok(())
    })
    .await
    .unwrap();
    let price =
        browser.ask("return document.querySelector('[data-field=last_price]').textContent").await.unwrap();
    assert!(price.as_str().unwrap().bytes().any(|b| b.is_ascii_digit()), "{price}");
    browser.no_complaints().await.unwrap();
    browser.asked_only(address).await.unwrap();
    browser.quit().await.unwrap();
    up.stop().await.unwrap();
}

#[tokio::test]
async fn the_page_moves_with_the_trades() {
    let _turn = turn().await;
    let home = TempHome::new("moving");
    let Some(browser) = Browser::start(&home).await.unwrap() else { return };
    let feed = Feed::generated(5.0).await;
    let mut up = Up::start(&home, &UpOptions::new(&home, feed.address())).await.unwrap();
    browser.page.goto(format!("http://{}/", up.options.http)).await.unwrap();
    let mut seen: Vec<String> = Vec::new();
    eventually(Duration::from_secs(30), "the number of trades in the past minute moves", async || {
        let count =
            browser.ask("return document.querySelector('[data-field=trade_count]').textContent").await?;
        let text = count.as_str().unwrap_or_default().to_owned();
        if seen.last() != Some(&text) {
            seen.push(text);
        }
        ensure!(seen.len() > 4, "{seen:?}");
        Ok(())
    })
    .await
    .unwrap();
    let state = browser.ask("return document.body.innerText").await.unwrap();
    assert!(state.as_str().unwrap().to_lowercase().contains("live"), "the feed's state is in words: {state}");
    browser.no_complaints().await.unwrap();
    browser.asked_only(up.options.http).await.unwrap();
    browser.quit().await.unwrap();
    up.stop().await.unwrap();
}

/// While broker and aggregator are dead the page says so, claims nothing of the feed, and catches up afterwards.
#[tokio::test]
async fn what_is_dead_is_told_and_caught_up_with() {
    let _turn = turn().await;
    let home = TempHome::new("dead");
    let Some(browser) = Browser::start(&home).await.unwrap() else { return };
    let feed = Feed::generated(5.0).await;
    let (mut broker, bus, _) = Role::broker(&home).unwrap();
    let mut aggregator = Role::aggregator(&home, "one", bus).unwrap();
    let mut gateway = Role::gateway(&home, bus, feed.address()).unwrap();
    let (mut console, page) = Role::console(&home, bus, &aggregator).unwrap();
    eventually(Duration::from_secs(20), "the page is there", async || console.http.ready().await)
        .await
        .unwrap();
    browser.page.goto(format!("http://{page}/")).await.unwrap();
    let says = async |wanted: &[&str], unwanted: &[&str]| {
        let words = wanted.join(", ");
        eventually(Duration::from_secs(20), &words, async || {
            let text = browser.ask("return document.body.innerText").await?;
            let text = text.as_str().context("a text")?;
            ensure!(wanted.iter().all(|words| text.contains(words)), "{text}");
            ensure!(!unwanted.iter().any(|words| text.contains(words)), "{text}");
            Ok(())
        })
        .await
        .unwrap();
    };
    let caught_up = async |from: i64| {
        eventually(Duration::from_secs(30), "the store has what came meanwhile", async || {
            let stored = ledger(&browser, "stored").await?;
            ensure!(stored > from, "{stored} stored, not {from}");
            ensure!(
                ledger(&browser, "lost").await? == 0 && ledger(&browser, "doubled").await? == 0,
                "lost or doubled"
            );
            Ok(())
        })
        .await
        .unwrap();
        ledger(&browser, "head").await.unwrap()
    };
    let (no_aggregator, no_bus) = ("the aggregator is not running", "message bus cannot be heard");
    let mut head = caught_up(100).await;
    says(&["Live"], &[no_aggregator, no_bus]).await;
    aggregator.process.kill9().await.unwrap();
    says(&["Live", no_aggregator, "waits in the journal"], &[no_bus]).await;
    aggregator.start_again(&home).unwrap();
    head = caught_up(head).await;
    says(&["Live"], &[no_aggregator, no_bus]).await;
    broker.process.kill9().await.unwrap();
    says(&[no_bus, "Not heard", "what came since will follow"], &["Not running", "not delivering"]).await;
    aggregator.process.kill9().await.unwrap();
    broker.start_again(&home).unwrap();
    aggregator.start_again(&home).unwrap();
    caught_up(head).await;
    says(&["Live"], &[no_aggregator, no_bus]).await;
    browser.no_complaints().await.unwrap();
    browser.quit().await.unwrap();
    for role in [&mut console, &mut aggregator, &mut gateway, &mut broker] {
        role.stop().await.unwrap();
    }
}

/// A share whose market is closed: the feed is alive, and since when nobody trades is told in New York's time.
#[tokio::test]
async fn a_share_that_sleeps_is_no_broken_feed() {
    let _turn = turn().await;
    let home = TempHome::new("asleep");
    let Some(browser) = Browser::start(&home).await.unwrap() else { return };
    let feed = Feed::silent(["AAPL"].into_iter()).await;
    let mut options = UpOptions::new(&home, feed.address());
    options.symbols = "AAPL".to_owned();
    options.environment.push(("TICKBERRY_GATEWAY__QUIET_AFTER".to_owned(), "1s".to_owned()));
    let mut up = Up::start(&home, &options).await.unwrap();
    let subscribed = feed.control().until(|counts| counts.subscriptions == 1);
    tokio::time::timeout(Duration::from_secs(10), subscribed).await.expect("the symbol is subscribed to");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let closed_ms = now - 2 * 86_400_000;
    let trade = format!(
        r#"{{"data":[{{"c":["1","8"],"p":231.15,"s":"AAPL","t":{closed_ms},"v":4}}],"type":"trade"}}"#
    );
    assert!(feed.control().inject(&trade));
    up.all_stored(2, Duration::from_secs(20)).await.unwrap();
    up.stop().await.unwrap();
    // Started anew while the market is closed: nothing but pings are heard.
    let mut up = Up::start(&home, &options).await.unwrap();
    let again = feed.control().until(|counts| counts.connections == 2);
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("it connects again");
    assert!(feed.control().inject(r#"{"type":"ping"}"#));
    browser.page.goto(format!("http://{}/", up.options.http)).await.unwrap();
    let then = "const at = (options) => new Intl.DateTimeFormat('en-GB', { timeZone: 'America/New_York', \
                hourCycle: 'h23', ...options }).format(TIME); \
                return `${at({ weekday: 'long' })} ${at({ hour: '2-digit', minute: '2-digit' })} New York`";
    let then = browser.ask(&then.replace("TIME", &closed_ms.to_string())).await.unwrap();
    let words = format!("No trades since {}; the feed is alive", then.as_str().unwrap());
    eventually(Duration::from_secs(20), &words, async || {
        let shown = browser.ask("return document.querySelector('#state').textContent").await?;
        ensure!(shown.as_str().is_some_and(|shown| shown.contains(&words)), "{shown}");
        let feeds = browser.ask("return document.querySelector('#feeds').textContent").await?;
        ensure!(feeds.as_str().is_some_and(|feeds| feeds.contains("Quiet")), "{feeds}");
        Ok(())
    })
    .await
    .unwrap();
    browser.no_complaints().await.unwrap();
    browser.quit().await.unwrap();
    up.stop().await.unwrap();
}

/// A page of ours that complains and asks elsewhere: both must be noticed, or the tests above say nothing.
#[tokio::test]
async fn complaints_and_requests_elsewhere_are_noticed() {
    let _turn = turn().await;
    let home = TempHome::new("noticed");
    let Some(browser) = Browser::start(&home).await.unwrap() else { return };
    let server = tokio::net::TcpListener::bind(Host::unique().at(0)).await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        const PAGE: &str = "<link rel=icon href='data:,'><p id=symbols>hello</p>";
        loop {
            let (mut socket, _) = server.accept().await.unwrap();
            let mut request = [0; 2048];
            let _some = socket.read(&mut request).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n",
                PAGE.len()
            );
            let _gone = socket.write_all([head.as_bytes(), PAGE.as_bytes()].concat().as_slice()).await;
        }
    });
    browser.page.goto(format!("http://{address}/")).await.unwrap();
    browser.no_complaints().await.unwrap();
    browser.asked_only(address).await.unwrap();
    assert!(browser.asked_only(address).await.is_err(), "an empty log proves nothing");
    browser.ask("console.error('ouch')").await.unwrap();
    assert!(browser.no_complaints().await.unwrap_err().to_string().contains("ouch"));
    let elsewhere = Host::unique().free();
    browser.ask(&format!("new Image().src = 'http://{elsewhere}/spy'")).await.unwrap();
    eventually(Duration::from_secs(5), "the request elsewhere is seen", async || {
        let words = browser.asked_only(address).await.err().context("nothing yet")?.to_string();
        ensure!(words.contains("/spy"), "{words}");
        Ok(())
    })
    .await
    .unwrap();
    browser.quit().await.unwrap();
}
