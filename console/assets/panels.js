// Everything that is neither chart nor table: feeds, notices, symbols, the numbers of the moment, the ledger.

import { bytes, decimals, grouped, many, percent, rounded } from "./number.js";
import { keyOf } from "./model.js";
import { clock, date, otherDay, since } from "./time.js";
import * as words from "./words.js";

const $ = (id) => document.getElementById(id);
const MINUTE = 60_000;

/** Sets a text only if it differs, so that nothing is announced or selected away for nothing. */
function put(element, text, value) {
  if (element.textContent !== text) element.textContent = text;
  if (value !== undefined) element.dataset.value = value;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Replaces children only when what they would say is new. */
function fill(element, sign, children) {
  if (element.dataset.sign === sign) return;
  element.dataset.sign = sign;
  element.replaceChildren(...children());
}

export function feeds(model) {
  const said = model.feeds.map((feed) => ({ feed, ...words.feed(feed, model.now) }));
  fill($("feeds"), JSON.stringify(said.map(({ label, text, feed }) => [feed.source, feed.simulated, label, text])), () =>
    said.map(({ feed, tone, mark, label, text }) => {
      const item = make("li", "feed");
      item.dataset.source = feed.source;
      item.dataset.state = feed.state;
      // What is wrong is said at length below, and here only in a word.
      item.append(make("span", "note", text));
      if (feed.simulated) item.append(badge("made-up", "◆", "Simulated"));
      item.append(badge(tone, mark, label));
      return item;
    }));
}

function badge(tone, mark, label) {
  const element = make("span", `badge ${tone}`, label);
  element.dataset.mark = mark;
  return element;
}

/** What somebody must know before they read a number. */
export function notices(model, lost) {
  const out = [];
  if (lost) {
    const then = since(lost.since, Date.now());
    const text = lost.full
      ? "tickberry is there, but as many pages are open as it takes. Close one; this one keeps trying."
      : `The connection to tickberry was lost at ${then}. Trying again; what you see is from then.`;
    out.push(["bad", text]);
  }
  if (!model.bus.up) {
    out.push(["bad", `tickberry's message bus cannot be heard since ${since(model.bus.since_ms, model.now)}; what you see is from then.`]);
  }
  for (const feed of model.feeds) {
    const { tone, notice } = words.feed(feed, model.now);
    if (notice && model.bus.up) out.push([tone === "bad" ? "bad" : "warn", notice]);
    if (feed.simulated) {
      out.push(["made-up", "Simulated: these trades are made up on this machine and come from no market. Set FINNHUB_TOKEN to see real ones."]);
    }
    if (feed.online && !feed.durable) {
      out.push(["warn", "Journal not durable: the disk cannot be written, so it is in memory; a power cut now loses what is not stored yet."]);
    }
  }
  for (const stream of model.streams) if (stream.message) out.push(["warn", `Store of ${stream.source}: ${stream.message}`]);
  fill($("notices"), JSON.stringify(out), () => out.map(([tone, text]) => make("p", `notice ${tone}`, text)));
}

/** The list of symbols: radio buttons, so that arrow keys choose. */
export function symbols(model, choose) {
  const all = [...model.symbols.values()].sort(
    (a, b) => (a.rank ?? 1e9) - (b.rank ?? 1e9) || a.symbol.localeCompare(b.symbol),
  );
  const box = $("symbols");
  fill(box, all.map((one) => keyOf(one.source, one.symbol)).join("\n"), () => all.map((one) => symbol(one, choose)));
  show(box.querySelector(":has(> :checked)"), box);
  const wanted = $("filter").value.trim().toLowerCase();
  $("filter-row").hidden = all.length <= 10;
  all.forEach((one, at) => {
    const element = box.children[at];
    const feed = model.feeds.find((each) => each.source === one.source);
    const [tone, mark, word] = words.symbolBrief(one.state, feed);
    const chosen = model.selected && keyOf(model.selected.source, model.selected.symbol) === keyOf(one.source, one.symbol);
    element.hidden = wanted !== "" && !one.symbol.toLowerCase().includes(wanted) && !chosen;
    element.querySelector("input").checked = Boolean(chosen);
    put(element.querySelector(".what"), one.last_price ?? "–", one.last_price ?? "");
    const how = element.querySelector(".how");
    how.className = `how ${tone}`;
    how.dataset.mark = mark;
    put(how, word);
  });
}

let shownBefore;

/** Brings the chosen one into sight, once: where the list is a strip, it may be out of it. */
function show(element, box) {
  if (!element || element === shownBefore) return;
  shownBefore = element;
  box.scrollLeft = element.offsetLeft - box.offsetLeft - (box.clientWidth - element.clientWidth) / 2;
}

function symbol(one, choose) {
  const [where, who] = names(one.symbol);
  const element = make("label", "symbol");
  const input = make("input");
  input.type = "radio";
  input.name = "symbol";
  input.value = `${one.source}/${one.symbol}`;
  input.addEventListener("change", () => choose(one));
  element.append(input, make("span", "who", who), make("span", "what"), make("span", "where", where || one.source), make("span", "how"));
  return element;
}

/** "BINANCE:BTCUSDT" as ["BINANCE", "BTCUSDT"]. */
function names(symbol) {
  const colon = symbol.indexOf(":");
  return colon < 0 ? ["", symbol] : [symbol.slice(0, colon), symbol.slice(colon + 1)];
}

let before = {};

/** Last price, past minute, open minute. */
export function hero(model) {
  const shown = model.symbol;
  if (!model.selected) return;
  put($("name"), model.selected.symbol);
  put($("state"), words.symbol(shown, model.feed, model.lastTrade(), model.now));
  const key = keyOf(model.selected.source, model.selected.symbol);
  // Before anything is heard, the last price is the close of the newest minute the store has.
  const price = shown?.last_price ?? model.newest()[0]?.close;
  put($("price"), price ?? "–", price ?? "");
  if (before.key !== key) before = { key, price };
  if (price && before.price && price !== before.price) {
    const up = Number(price) > Number(before.price);
    $("direction").className = `direction ${up ? "up" : "down"}`;
    put($("direction"), up ? "▲" : "▼");
    $("direction").ariaLabel = up ? "higher than before" : "lower than before";
  } else if (!before.price) {
    put($("direction"), "");
  }
  before.price = price;
  document.title = price ? `${price} ${names(model.selected.symbol)[1]} · tickberry` : "tickberry";
  minutes(model);
}

function minutes(model) {
  const rows = model.newest();
  const past = rows.find((row) => row.final === "1");
  const open = rows.find((row) => row.final !== "1" && (!past || Number(row.start_ms) > Number(past.start_ms)));
  const digits = past ? Math.max(...["open", "high", "low", "close"].map((name) => decimals(past[name]))) : 0;
  put($("avg"), past ? rounded(past.avg_price, digits + 2) : "–", past?.avg_price ?? "");
  put($("count"), past?.trade_count ?? "–", past?.trade_count ?? "");
  put($("volume"), past?.volume ?? "–", past?.volume ?? "");
  for (const id of ["avg", "count", "volume"]) {
    $(id).dataset.startMs = past?.start_ms ?? "";
    put($(`${id}-note`), past ? which(past, model.now) : "no minute yet");
  }
  put($("open-count"), open?.trade_count ?? "0", open?.trade_count ?? "0");
  $("open-count").dataset.startMs = open?.start_ms ?? "";
  put($("open-note"), open ? `volume ${open.volume}` : "none yet");
}

/** Which minute that was; said in full when it is not the one just past. */
function which(row, now) {
  const start = Number(row.start_ms);
  const covered = Number(row.coverage) < 1 ? `, ${percent(row.coverage)} covered` : "";
  const times = `${clock(start)} – ${clock(start + MINUTE)}`;
  const recent = now - start < 3 * MINUTE;
  return recent ? times + covered : `latest: ${otherDay(start, now) ? `${date(start)} ` : ""}${times}${covered}`;
}

/** Received, on disk, stored: three counts of the same records. */
export function ledger(model) {
  const out = model.streams.map((stream) => {
    const feed = model.feeds.find((one) => one.source === stream.source);
    return { ...stream, disk: feed?.disk_bytes_today, durable: feed?.durable };
  });
  fill($("ledger"), JSON.stringify(out), () => out.map(line));
}

function line(stream) {
  const list = make("dl");
  const say = (name, text, value, title, className = "") => {
    const item = make("div", className);
    const number = make("dd", "", text);
    number.dataset.field = name[1];
    number.dataset.value = value;
    item.title = title;
    item.append(make("dt", "", name[0]), number);
    list.append(item);
  };
  list.dataset.source = stream.source;
  const count = (value) => grouped(value);
  say(["Records received", "head"], count(stream.head), stream.head, "next offset of the journal", "step");
  const where = stream.durable ? "safe on disk" : "in memory";
  say([where, "committed"], count(stream.committed), stream.committed, "flushed to disk each second", stream.durable ? "step" : "step warn");
  const store = { sqlite: "SQLite", influxdb: "InfluxDB", none: "a store" }[stream.store] ?? stream.store;
  say([`stored in ${store}`, "stored"], count(stream.stored), stream.stored, "below this offset the store holds everything", "step");
  const behind = stream.head - stream.stored;
  say(["", "behind"], behind === 0 ? "✓ all in" : `${many(behind, "record")} on the way`, behind, "received, not yet stored", behind === 0 ? "end" : "");
  if (stream.lost != null) {
    say(["Lost", "lost"], count(stream.lost), stream.lost, "records below that offset that no journal could give any more", stream.lost ? "bad" : "");
  }
  if (stream.doubled != null) {
    say(["Doubled", "doubled"], count(stream.doubled), stream.doubled, "trades the store was given again as new since the aggregator started; it keeps each once", stream.doubled ? "bad" : "");
  }
  if (stream.disk != null) {
    say(["Written to disk today", "disk_bytes_today"], bytes(stream.disk), stream.disk, `${grouped(stream.disk)} bytes since midnight UTC`);
  }
  return list;
}
