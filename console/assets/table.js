// The table of past minutes. Each cell's text is the API's text; only means are rounded, and keep the
// full text in `data-value`.

import { decimals, lasting, many, pad, percent, rounded } from "./number.js";
import { clock, date, fullDate, otherDay, seconds } from "./time.js";
import { reason } from "./words.js";

const COLUMNS = [
  ["start_ms", "Minute"],
  ["open", "Open"],
  ["high", "High"],
  ["low", "Low"],
  ["close", "Close"],
  ["volume", "Volume"],
  ["trade_count", "Trades"],
  ["avg_price", "Average"],
  ["vwap", "VWAP", "average weighted by volume"],
  ["coverage", "Covered", "part of the minute in which the feed was heard"],
];
const PRICES = ["open", "high", "low", "close"];
const MINUTE = 60_000;

export function head(row) {
  row.replaceChildren(...COLUMNS.map(([, name, title]) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    if (title) cell.title = title;
    return cell;
  }));
}

/** Draws the newest `most` minutes; rows that are as they were are kept, so that a selection survives. */
export function draw(body, model, most) {
  const rows = model.newest().slice(0, most);
  const widths = {
    price: Math.max(0, ...rows.flatMap((row) => PRICES.map((name) => decimals(row[name])))),
    volume: Math.max(0, ...rows.map((row) => decimals(row.volume))),
  };
  const gaps = model.gapsShown();
  const wanted = rows.length ? missed(Number(rows[0].start_ms) + MINUTE, model.now, gaps) : [];
  rows.forEach((row, at) => {
    const start = Number(row.start_ms);
    if (otherDay(start, at > 0 ? Number(rows[at - 1].start_ms) : model.now)) {
      const day = fullDate(start);
      wanted.push([`d${day}`, day, () => line("day", day)]);
    }
    wanted.push([`m${row.start_ms}`, `${Object.values(row)} ${widths.price} ${widths.volume}`, () => minute(row, widths, model.now)]);
    const older = rows[at + 1];
    if (older) wanted.push(...between(Number(older.start_ms) + MINUTE, start, gaps));
  });
  const kept = new Map([...body.children].map((element) => [element.dataset.key, element]));
  const elements = wanted.map(([key, sign, make]) => {
    const known = kept.get(key);
    if (known?.dataset.sign === sign) return known;
    const element = make();
    element.dataset.key = key;
    element.dataset.sign = sign;
    return element;
  });
  const same = elements.length === body.children.length && elements.every((element, at) => element === body.children[at]);
  if (!same) body.replaceChildren(...elements);
}

function minute(row, widths, now) {
  const start = Number(row.start_ms);
  const element = document.createElement("tr");
  element.classList.toggle("open", row.final !== "1");
  const partial = Number(row.coverage) < 1;
  element.classList.toggle("partial", partial);
  for (const [name] of COLUMNS) {
    const cell = document.createElement(name === "start_ms" ? "th" : "td");
    cell.dataset.startMs = row.start_ms;
    cell.dataset.column = name;
    cell.dataset.value = row[name];
    cell.textContent = row[name];
    if (PRICES.includes(name)) cell.dataset.pad = pad(row[name], widths.price);
    if (name === "volume") cell.dataset.pad = pad(row[name], widths.volume);
    if (name === "avg_price" || name === "vwap") {
      cell.textContent = rounded(row[name], widths.price + 2);
      cell.title = row[name];
    }
    if (name === "coverage") {
      cell.textContent = (partial ? "◔ " : "") + percent(row[name]);
      cell.append(unseen(" covered"));
      if (partial) cell.title = `${percent(row[name])} covered: the feed was heard for that part of this minute`;
    }
    if (name === "start_ms") label(cell, row, start, now);
    element.append(cell);
  }
  return element;
}

function label(cell, row, start, now) {
  cell.scope = "row";
  cell.textContent = clock(start);
  if (row.final !== "1") tag(cell, now - start < MINUTE ? "so far" : "closing", "accent", "Not final yet");
  if (row.revision !== "0") {
    tag(cell, row.revision === "1" ? "revised" : `revised ×${row.revision}`, "", `Revised ${many(row.revision, "time")} after it was final, because of late trades or a gap`);
  }
}

/** For who listens: what the column's name tells who looks. */
function unseen(text) {
  const element = document.createElement("span");
  element.className = "unseen";
  element.textContent = text;
  return element;
}

function tag(cell, text, tone, title) {
  const element = document.createElement("span");
  element.className = `tag ${tone}`;
  element.textContent = text;
  element.title = title;
  cell.append(" ", element);
}

/** What was between two minutes that have rows: silence, or nobody listening. */
function between(from, to, gaps) {
  const out = missed(from, to, gaps);
  if (to > from && out.length === 0) {
    const text = `No trades for ${lasting((to - from) / MINUTE)}`;
    out.push([`s${from}`, text, () => line("still", text)]);
  }
  return out;
}

function missed(from, to, gaps) {
  const within = gaps.filter((gap) => gap.start_ms < to && gap.end_ms > from && to > from);
  return within.reverse().map((gap) => {
    const began = gap.start_ms > 0 ? `from ${moment(gap.start_ms, from)} ` : "";
    const ended = gap.open ? "until now" : `to ${moment(gap.end_ms, from)}`;
    const text = `The feed was not heard ${began}${ended}: ${reason(gap.reason)}`;
    return [`g${gap.start_ms}-${gap.reason}-${from}`, text, () => line("gap", text)];
  });
}

/** A time, with its date where that is not the row's. */
const moment = (ms, near) => (otherDay(ms, near) ? `${date(ms)} ` : "") + seconds(ms);

function line(kind, text) {
  const row = document.createElement("tr");
  row.className = kind;
  const cell = document.createElement("td");
  cell.colSpan = COLUMNS.length;
  cell.textContent = text;
  row.append(cell);
  return row;
}
