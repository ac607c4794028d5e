// Price line and volume bars, with uPlot. What was not heard is drawn as such: hatched, and the line ends there.

import { bars, color, hatch, lastPrice } from "./marks.js";
import { clock, date, otherDay, seconds } from "./time.js";
import { reason } from "./words.js";

const MINUTE = 60_000;
const AXIS = 78;
const PRICE_SHARE = 0.72;

export class Chart {
  constructor(element, onRead) {
    this.element = element;
    this.onRead = onRead;
    this.gaps = [];
    this.minutes = [];
    this.last = undefined;
    this.range = [Date.now() - 15 * MINUTE, Date.now()];
    this.price = this.plot(this.priceOptions());
    this.volume = this.plot(this.volumeOptions());
    new ResizeObserver(() => this.fit()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    matchMedia("print").addEventListener("change", () => this.redraw());
  }

  plot(options) {
    const holder = document.createElement("div");
    this.element.append(holder);
    return new uPlot({ ...this.size(options.part), ...options }, options.series.map(() => []), holder);
  }

  size(part) {
    const height = Math.max(330, Math.min(460, this.element.clientWidth * 0.5));
    return { width: Math.max(240, this.element.clientWidth), height: Math.round(height * (part === "price" ? PRICE_SHARE : 1 - PRICE_SHARE)) };
  }

  fit() {
    this.price.setSize(this.size("price"));
    this.volume.setSize(this.size("volume"));
  }

  redraw() {
    this.price.redraw();
    this.volume.redraw();
  }

  common() {
    return {
      ms: 1,
      legend: { show: false },
      padding: [10, 0, 0, 20],
      cursor: { sync: { key: "minutes" }, drag: { x: false, y: false }, points: { size: 7 }, y: false },
      hooks: {
        drawClear: [(plot) => hatch(plot, this.gaps, plot === this.price)],
        setCursor: [(plot) => plot.cursor.event && this.read(plot)],
      },
    };
  }

  axes(label, more = {}) {
    const grid = { stroke: () => color("--line"), width: 1 };
    const text = { stroke: () => color("--soft"), font: "12px system-ui, sans-serif", ticks: { show: false } };
    const times = (plot, splits, _axis, _space, step) =>
      splits.map((time, at) => {
        const newDay = at > 0 && otherDay(time, splits[at - 1]);
        return newDay ? date(time) : step < MINUTE ? seconds(time) : clock(time);
      });
    return [
      { ...text, grid: { ...grid, show: false }, values: times, space: 76, size: label ? 26 : 4, show: true },
      { ...text, grid, side: 1, size: AXIS, ...more },
    ];
  }

  /** An axis with nothing on it has no numbers. */
  numbers(splits, say) {
    return splits.map((split) => (this.minutes.length || this.last ? say(split, splits) : ""));
  }

  priceOptions() {
    const wash = () => color("--accent-wash");
    const quiet = { stroke: "transparent", width: 0, points: { show: false } };
    const options = this.common();
    return {
      ...options,
      part: "price",
      hooks: { ...options.hooks, draw: [(plot) => lastPrice(plot, this.last)] },
      scales: { x: { time: true, range: () => this.range }, y: { range: (_, low, high) => padded(low, high) } },
      series: [
        {},
        { ...quiet },
        { ...quiet },
        { stroke: () => color("--accent"), width: 2, points: { show: false }, spanGaps: false },
      ],
      bands: [{ series: [2, 1], fill: wash }],
      axes: this.axes(false, { values: (_, splits) => this.numbers(splits, tick) }),
    };
  }

  volumeOptions() {
    const options = this.common();
    options.hooks = { ...options.hooks, draw: [(plot) => bars(plot, this.minutes)] };
    return {
      ...options,
      part: "volume",
      scales: { x: { time: true, range: () => this.range }, y: { range: (_, _low, high) => [0, (high || 1) * 1.08] } },
      series: [{}, { paths: () => null, points: { show: false }, stroke: "transparent" }],
      axes: this.axes(true, { space: 26, values: (_, splits) => this.numbers(splits, short) }),
    };
  }

  /** Draws `length` milliseconds up to `end`. */
  draw(model, length) {
    const last = model.lastTime();
    const now = model.now;
    // A symbol that is quiet for longer than the stretch shows the stretch it last traded in.
    const end = last === undefined || now - last < length * 0.8 ? Math.max(now, last ?? 0) : last + length / 30;
    // In the first minutes of all, the stretch grows with what there is.
    const oldest = model.firstTime() ?? end;
    this.range = [Math.max(end - length, Math.min(oldest - 5_000, end - 3 * MINUTE)), end];
    this.gaps = model.gapsShown();
    this.last = model.symbol?.last_price;
    const minutes = model.newest().map((row) => ({ row, start: Number(row.start_ms) }));
    this.minutes = minutes.filter(({ start }) => start + MINUTE > this.range[0] && start < end).reverse();
    this.price.setData(this.priceData(model.points));
    this.volume.setData([this.minutes.map(({ start }) => start), this.minutes.map(({ row }) => Number(row.volume))]);
    this.describe(model);
  }

  /** Closes of the minutes up to where the finer points begin; a null wherever the feed was not heard. */
  priceData(points) {
    const from = points.length ? points[0][0] : Infinity;
    const line = [];
    for (const { row, start } of this.minutes) {
      const [low, high] = [Number(row.low), Number(row.high)];
      const [begin, end] = this.heard(start);
      const coarse = start + MINUTE <= from;
      line.push([begin, low, high, coarse ? Number(row.open) : undefined]);
      line.push([end, low, high, coarse ? Number(row.close) : undefined]);
    }
    for (const [time, price] of points) line.push([time, undefined, undefined, Number(price)]);
    for (const gap of this.gaps) line.push([gap.start_ms + 1, null, null, null]);
    line.sort((a, b) => a[0] - b[0]);
    const data = [[], [], [], []];
    for (const [time, ...values] of line) {
      if (time === data[0].at(-1)) {
        values.forEach((value, at) => value !== undefined && (data[at + 1][data[0].length - 1] = value));
      } else {
        data[0].push(time);
        values.forEach((value, at) => data[at + 1].push(value));
      }
    }
    return data;
  }

  /** The part of a minute in which its trades can have been, going by the gaps at its edges. */
  heard(start) {
    let [begin, end] = [start, start + MINUTE - 1];
    for (const gap of this.gaps) {
      if (gap.start_ms <= begin && gap.end_ms > begin && gap.end_ms < end) begin = gap.end_ms + 1;
      if (gap.end_ms > end && gap.start_ms < end && gap.start_ms > begin) end = gap.start_ms;
    }
    return [begin, end];
  }

  /** Tells the minute under the cursor, in the texts of its row. */
  read(plot) {
    const time = plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : undefined;
    const found = time && this.minutes?.find(({ start }) => time >= start && time < start + MINUTE);
    const gap = !found && time && this.gaps.find((one) => time >= one.start_ms && time < one.end_ms);
    const nothing = gap ? `the feed was not heard: ${reason(gap.reason)}` : "no trades";
    this.onRead(found?.row, time ? `${clock(time)} · ${nothing}` : this.stretch);
  }

  describe(model) {
    const prices = this.minutes.flatMap(({ row }) => [row.low, row.high]).sort((a, b) => a - b);
    const [from, to] = this.range.map((time) => clock(time));
    this.stretch = `${otherDay(this.range[0], model.now) ? `${date(this.range[0])} ` : ""}${from} – ${to}`;
    if (!(this.price.cursor.left >= 0)) this.onRead(undefined, this.stretch);
    const text = prices.length
      ? `Price of ${model.selected?.symbol} from ${from} to ${to}: lowest ${prices[0]}, highest ${prices.at(-1)}. The table below has the numbers.`
      : `Nothing to draw from ${from} to ${to}`;
    if (this.element.ariaLabel !== text) this.element.ariaLabel = text;
  }
}

function padded(low, high) {
  if (low == null || high == null) return [0, 1];
  const room = (high - low) * 0.08 || Math.abs(high) * 0.001 || 1;
  return [low - room, high + room];
}

/** An axis' numbers, all with as many digits as the finest of them needs. */
function tick(value, all) {
  const step = all.length > 1 ? Math.abs(all[1] - all[0]) : Math.abs(value) || 1;
  return value.toFixed(Math.max(0, Math.min(12, Math.ceil(-Math.log10(step) - 1e-9))));
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const short = (value) => compact.format(value);
