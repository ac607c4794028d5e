// The page's table of contents: what comes in goes to the model, what changed is drawn.

import { Chart } from "./chart.js";
import * as csv from "./csv.js";
import { Model } from "./model.js";
import { many } from "./number.js";
import * as panels from "./panels.js";
import { Stream } from "./stream.js";
import * as table from "./table.js";
import { clock, zoneName } from "./time.js";

const $ = (id) => document.getElementById(id);
const MINUTE = 60_000;

const model = new Model();
const chart = new Chart($("chart"), reading);
let rowsShown = 60;
let minutesShown = 15;
let fetched = 0;
let lost;
let retry;
let drawing = false;
let lastSaid = "";

const stream = new Stream({
  step(update, snapshot) {
    const first = !model.selected;
    model.step(update, snapshot);
    if (model.selected && (first || snapshot)) {
      stream.wanted = `?${new URLSearchParams(model.selected)}`;
      history();
    }
    draw();
  },
  lost(since, full = false) {
    lost = { since, full };
    draw();
  },
  found() {
    lost = undefined;
  },
});

/** Looks at another symbol, and keeps it in the address so that a reload shows it again. */
function choose({ source, symbol }) {
  model.select({ source, symbol });
  fetched = 0;
  location.replace(`#${new URLSearchParams({ source, symbol })}`);
  stream.open(source, symbol);
  draw();
}

/** What was before the page was opened, from the read API. */
async function history() {
  const { source, symbol } = model.selected;
  const limit = Math.min(3_000, 60 + Math.max(180, minutesShown, rowsShown));
  fetched = limit;
  const get = async (what) => {
    const answer = await fetch(`/api/v1/${what}?${new URLSearchParams({ source, symbol, limit, format: "csv" })}`);
    if (!answer.ok) throw new Error(`${what}: ${answer.status}`);
    return csv.parse(await answer.text());
  };
  try {
    const [minutes, gaps] = await Promise.all([get("minutes"), get("gaps")]);
    if (model.selected.source !== source || model.selected.symbol !== symbol) return;
    minutes.forEach((row) => model.addMinute(row, false));
    gaps.forEach((gap) => model.addGap(gap));
    draw();
  } catch {
    // The store is away for a moment; the stream goes on, and history is asked for again.
    clearTimeout(retry);
    retry = setTimeout(history, 5_000);
  }
}

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    document.body.classList.toggle("stale", Boolean(lost) || !model.bus.up);
    panels.feeds(model);
    panels.notices(model, lost);
    panels.symbols(model, choose);
    panels.hero(model);
    panels.ledger(model);
    table.draw($("rows"), model, rowsShown);
    $("more").hidden = model.minutes.size <= rowsShown;
    chart.draw(model, minutesShown * MINUTE);
    link();
    summary();
  });
}

function link() {
  if (!model.selected) return;
  $("csv").hidden = false;
  $("csv").href = `/api/v1/minutes?${new URLSearchParams({ ...model.selected, format: "csv" })}`;
}

/** For who listens instead of looking: each past minute and each change of state, not each tick. */
function summary() {
  const past = model.newest().find((row) => row.final === "1");
  const minute = past ? `${clock(Number(past.start_ms))}: closed at ${past.close}, ${many(past.trade_count, "trade")}.` : "";
  const feed = model.feed ? `${model.feed.source} is ${model.feed.state.replaceAll("_", " ")}.` : "";
  const text = `${model.selected?.symbol ?? ""} ${minute} ${feed}`;
  if (text !== lastSaid) $("summary").textContent = lastSaid = text;
}

/** The minute under the pointer, or else which stretch of time is shown. */
function reading(row, stretch) {
  $("reading").textContent = row
    ? [clock(Number(row.start_ms)), ...["open", "high", "low", "close", "volume"].map((name) => `${name} ${row[name]}`), many(row.trade_count, "trade")].join(" · ")
    : stretch ?? "";
}

$("zone").textContent = zoneName(Date.now());
table.head($("columns"));
$("ranges").addEventListener("change", (event) => {
  minutesShown = Number(event.target.value);
  if (minutesShown > fetched && model.selected) history();
  draw();
});
$("more").addEventListener("click", () => {
  rowsShown += 240;
  if (rowsShown > fetched) history();
  draw();
});
$("filter").addEventListener("input", draw);
setInterval(draw, 1_000);

const asked = new URLSearchParams(location.hash.slice(1));
stream.open(asked.get("source"), asked.get("symbol"));
