// The connection to the server: one EventSource, watched. What is lost is said, and tried again.

const SILENCE_MS = 16_000; // the server speaks at least every 5 s
const HIDDEN_MS = 60_000; // a page nobody sees lets its connection go

export class Stream {
  /** @param on.step(update, isSnapshot)  @param on.lost(since, isFull)  @param on.found() */
  constructor(on) {
    this.on = on;
    this.tries = 0;
    this.heard = 0;
    this.lostSince = 0;
    setInterval(() => this.watch(), 2_000);
    document.addEventListener("visibilitychange", () => this.seen());
  }

  /** Looks at another symbol. */
  open(source, symbol) {
    this.wanted = symbol ? `?${new URLSearchParams(source ? { source, symbol } : { symbol })}` : "";
    this.connect();
  }

  connect() {
    this.close();
    const events = new EventSource(`/api/v1/events${this.wanted}`);
    this.events = events;
    this.heard = Date.now();
    const step = (snapshot) => (event) => {
      if (events !== this.events) return;
      this.heard = Date.now();
      this.tries = 0;
      if (this.lostSince) {
        this.lostSince = 0;
        this.on.found();
      }
      this.on.step(JSON.parse(event.data), snapshot);
    };
    events.addEventListener("snapshot", step(true));
    events.addEventListener("update", step(false));
    // The browser tries again by itself, with the id it has; unless the server answered with an error.
    events.onerror = () => {
      if (events !== this.events) return;
      this.lose();
      if (events.readyState === EventSource.CLOSED) this.refused();
    };
  }

  lose() {
    if (!this.lostSince) {
      this.lostSince = Date.now();
      this.on.lost(this.lostSince);
    }
  }

  /** The server answered with an error: it is away, or it is there and takes no more viewers. */
  async refused() {
    const alive = await fetch("/api/v1/status").then((answer) => answer.ok, () => false);
    if (this.lostSince) this.on.lost(this.lostSince, alive);
    this.later();
  }

  later() {
    clearTimeout(this.timer);
    const wait = Math.min(30_000, 1_000 * 2 ** this.tries) * (0.5 + Math.random() / 2);
    this.tries += 1;
    this.timer = setTimeout(() => this.connect(), wait);
  }

  /** An open connection that says nothing is a lost one. */
  watch() {
    const silent = Date.now() - this.heard > SILENCE_MS;
    if (silent && this.events && this.events.readyState !== EventSource.CLOSED) {
      this.lose();
      this.connect();
    }
  }

  seen() {
    clearTimeout(this.hiding);
    if (document.hidden) this.hiding = setTimeout(() => this.close(), HIDDEN_MS);
    else if (!this.events) this.connect();
  }

  close() {
    clearTimeout(this.timer);
    this.events?.close();
    this.events = undefined;
  }
}
