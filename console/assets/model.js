// What the page knows. Fed by the stream (what is new) and by the read API (what was before).

const MAX_POINTS = 1_000;
const MAX_MINUTES = 3_000;

export const keyOf = (source, symbol) => `${source} ${symbol}`;

/** "final" beats "open", a later revision beats an earlier one. */
const rank = (row) => Number(row.final) * 1e9 + Number(row.revision);

export class Model {
  feeds = [];
  streams = [];
  bus = { up: true };
  symbols = new Map();
  gaps = new Map();
  selected = undefined; // { source, symbol }
  points = []; // [time_ms, "price"], oldest first
  minutes = new Map(); // start_ms -> row of texts
  skew = 0; // the server's clock less ours

  /** The server's time. */
  get now() {
    return Date.now() + this.skew;
  }

  get symbol() {
    return this.selected && this.symbols.get(keyOf(this.selected.source, this.selected.symbol));
  }

  get feed() {
    return this.selected && this.feeds.find((feed) => feed.source === this.selected.source);
  }

  /** Takes a step of the stream. */
  step(update, snapshot) {
    this.skew = update.now_ms - Date.now();
    if (snapshot) {
      this.symbols.clear();
      this.points = [];
    }
    if (update.bus) this.bus = update.bus;
    // Whoever cannot hear the bus knows nothing of the feeds: neither that they are well nor that they are not.
    if (update.feeds) this.feeds = update.feeds.map((feed) => (this.bus.up ? feed : { ...feed, state: "not_heard" }));
    if (update.streams) this.streams = update.streams;
    for (const symbol of update.symbols ?? []) this.symbols.set(keyOf(symbol.source, symbol.symbol), symbol);
    for (const gap of update.gaps ?? []) this.addGap(gap);
    const told = update.selected;
    if (!told) return;
    if (!this.selected) this.select(told);
    if (keyOf(told.source, told.symbol) !== keyOf(this.selected.source, this.selected.symbol)) return;
    for (const [time, price] of told.points) {
      while (this.points.length && this.points.at(-1)[0] >= time) this.points.pop();
      this.points.push([time, price]);
    }
    this.points.splice(0, this.points.length - MAX_POINTS);
    for (const row of told.minutes) this.addMinute(row, true);
  }

  select({ source, symbol }) {
    this.selected = { source, symbol };
    this.points = [];
    this.minutes.clear();
    this.sorted = undefined;
  }

  addMinute(row, news) {
    const start = Number(row.start_ms);
    const known = this.minutes.get(start);
    if (known && (news ? rank(row) < rank(known) : rank(row) <= rank(known))) return;
    this.minutes.set(start, row);
    this.sorted = undefined;
    if (this.minutes.size > MAX_MINUTES) this.minutes.delete(Math.min(...this.minutes.keys()));
  }

  addGap(gap) {
    const [start_ms, end_ms] = [Number(gap.start_ms), Number(gap.end_ms)];
    this.gaps.set(`${gap.source} ${gap.symbol} ${start_ms} ${end_ms} ${gap.reason}`, { ...gap, start_ms, end_ms });
  }

  /** Minutes, newest first; not to be changed. */
  newest() {
    this.sorted ??= [...this.minutes.values()].sort((a, b) => Number(b.start_ms) - Number(a.start_ms));
    return this.sorted;
  }

  /** The gaps of the symbol shown, oldest first, with the one that has no end yet. */
  gapsShown() {
    const { source, symbol } = this.selected ?? {};
    const own = [...this.gaps.values()].filter(
      (gap) => gap.source === source && (gap.symbol === "*" || gap.symbol === symbol) && gap.end_ms > gap.start_ms,
    );
    const feed = this.feed;
    const heard = feed?.last_frame_ms;
    if (heard && !["live", "quiet", "not_heard"].includes(feed.state)) {
      own.push({ source, symbol: "*", start_ms: heard, end_ms: this.now, reason: feed.state, open: true });
    }
    return own.sort((a, b) => a.start_ms - b.start_ms);
  }

  /** When the symbol shown last traded, from whoever knows best. */
  lastTrade() {
    const symbol = this.symbol;
    const newest = this.newest()[0];
    const times = [
      symbol?.last_trade_ms,
      symbol?.last_kind === "trade" ? symbol.last_time_ms : undefined,
      newest ? Number(newest.start_ms) : undefined,
    ];
    const known = times.filter((time) => time != null);
    return known.length ? Math.max(...known) : undefined;
  }

  /** The oldest time there is anything of. */
  firstTime() {
    const oldest = this.newest().at(-1);
    const known = [oldest && Number(oldest.start_ms), this.points[0]?.[0]].filter((time) => time != null);
    return known.length ? Math.min(...known) : undefined;
  }

  /** The newest time there is anything of. */
  lastTime() {
    const known = [this.lastTrade(), this.symbol?.last_time_ms, this.points.at(-1)?.[0]].filter((time) => time != null);
    return known.length ? Math.max(...known) : undefined;
  }
}
