// The states, in words. A person who knows nothing of feeds should know what is the matter, and since when.

import { NEW_YORK, since } from "./time.js";

const REASONS = {
  start: "tickberry was not running",
  disconnect: "the connection was lost",
  stall: "the connection was silent",
  refused: "the feed refused the connection",
  quarantine: "records were damaged on disk",
  lost_range: "records were lost",
  limit: "over the plan's number of symbols",
  memory: "the disk could not be written",
  stalled: "nothing arrives",
  backing_off: "waiting to reconnect",
  connecting: "connecting",
  subscribing: "connecting",
  surplus: "another connection uses the key",
};

/** Why the feed was not heard. */
export const reason = (word) => REASONS[word] ?? word.replaceAll("_", " ");

/** US shares have no exchange before their name; they trade on New York's clock. */
const isShare = (symbol) => !symbol.includes(":");

const sinceThen = (ms, now, symbol) =>
  isShare(symbol) ? `${since(ms, now, NEW_YORK)} New York` : since(ms, now);

const ended = (text) => text + (/[.!?]$/.test(text) ? "" : ".");
const sentence = (text) => text.charAt(0).toUpperCase() + ended(text.slice(1));

/** A feed: { tone, mark, label, text }, and { notice } where there is something to know or do. */
export function feed(feed, now) {
  const name = feed.source.charAt(0).toUpperCase() + feed.source.slice(1);
  const from = feed.since_ms ? since(feed.since_ms, now) : "the start";
  const told = feed.message ?? "";
  const say = (tone, mark, label, text) => {
    const trouble = tone === "bad" || tone === "warn";
    const words = told ? `${label} since ${from}: ${ended(told)}` : `${label}. ${text}`;
    return { tone, mark, label, text: trouble ? "" : text, notice: trouble ? words : told && sentence(told) };
  };
  if (!feed.online && feed.state === "stalled") {
    return say("bad", "✕", "Not running", `The gateway of ${name} has not been heard since ${from}.`);
  }
  switch (feed.state) {
    case "live":
      return say("good", "●", "Live", feed.simulated ? "Made-up trades are arriving." : `${name} is sending trades.`);
    case "quiet": {
      const last = feed.last_trade_ms ? `No trades since ${since(feed.last_trade_ms, now)}` : "No trades yet";
      return say("idle", "◐", "Quiet", `${last}; the feed is alive.`);
    }
    case "stalled": {
      const heard = feed.last_frame_ms ? since(feed.last_frame_ms, now) : from;
      return say("bad", "‖", "Stalled", `Connected, but nothing at all has arrived since ${heard}.`);
    }
    case "refused":
      return say("bad", "✕", "Refused", `${name} has refused the connection since ${from}.`);
    case "surplus":
      return say("bad", "⧉", "Surplus connection", `Another connection uses the same ${name} key (since ${from}).`);
    case "backing_off":
      return say("warn", "↻", "Backing off", `Not connected since ${from}; waiting before the next attempt.`);
    case "not_heard":
      return say("idle", "…", "Not heard", "");
    case "subscribing":
      return say("idle", "…", "Subscribing", "Connected; nothing has been heard yet.");
    default:
      return say("idle", "…", "Connecting", `Connecting to ${name} since ${from}.`);
  }
}

const BRIEF = {
  trading: ["good", "●", "trading"],
  quiet: ["idle", "◐", "quiet"],
  price_updates: ["idle", "◇", "prices only"],
  never_heard: ["idle", "○", "never heard"],
  not_subscribed: ["idle", "–", "not subscribed"],
};

/** Whether the feed delivers, if there is anything to deliver. */
const delivers = (feed) => !feed || ["live", "quiet"].includes(feed.state);

/** A symbol, for the list: [tone, mark, word]. */
export function symbolBrief(state, feed) {
  if (feed?.state === "not_heard") return ["idle", "…", "not heard"];
  if (!delivers(feed) && state !== "not_subscribed") return ["bad", "‖", "no feed"];
  return BRIEF[state] ?? ["idle", "…", "waiting"];
}

/** A symbol, in a sentence. */
export function symbol(shown, feed, lastTrade, now) {
  if (!shown) return "";
  const then = lastTrade ? sinceThen(lastTrade, now, shown.symbol) : undefined;
  const quiet = then ? `No trades since ${then}` : "No trades yet";
  if (feed?.state === "not_heard") {
    return then ? `Last trade heard ${then}; what came since will follow.` : "Nothing is heard yet.";
  }
  if (!delivers(feed)) {
    return `${quiet}; the feed is not delivering (${reason(feed.state)}).`;
  }
  switch (shown.state) {
    case "trading":
      return then ? `Trading; last trade ${then}.` : "Trading.";
    case "quiet":
      return `${quiet}; the feed is alive.`;
    case "price_updates":
      return "Price updates only: the plan sends no trades of this symbol, so it has no minutes.";
    case "never_heard":
      return then
        ? `${quiet}; the feed is alive.`
        : "Never heard: the feed is alive but has sent nothing for this symbol. Is its name right, its market open?";
    case "not_subscribed":
      return `Not subscribed now. ${quiet}.`;
    default:
      return `${quiet}.`;
  }
}
