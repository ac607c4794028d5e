// Numbers arrive as text and are shown as that text: a price is never taken through a float to the page.

/** Digits behind the point. */
export function decimals(text) {
  const point = text.indexOf(".");
  return point < 0 ? 0 : text.length - point - 1;
}

/** Unseen digits that bring a number's point under those of its column: ".00" for "55107" beside "55107.56". */
export function pad(text, most) {
  const missing = most - decimals(text);
  return missing <= 0 ? "" : (text.includes(".") ? "" : ".") + "0".repeat(missing);
}

/** A mean (a double by contract) with this many digits. */
export function rounded(text, digits) {
  return Number(text).toFixed(Math.min(digits, 20));
}

/** Whole numbers in groups of three. */
export function grouped(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** 64 %: rounded down, so that only complete coverage is ever called 100 %. */
export function percent(text) {
  const share = Number(text);
  return share > 0 && share < 0.01 ? "under 1 %" : `${Math.floor(share * 100 + 1e-9)} %`;
}

/** 12.4 MB */
export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? count : count.toFixed(count < 10 ? 2 : 1)} ${units[unit]}`;
}

/** A number of minutes in its two largest units: "2 days 17 hours". */
export function lasting(minutes) {
  const parts = [[Math.floor(minutes / 1440), "day"], [Math.floor(minutes / 60) % 24, "hour"], [Math.floor(minutes) % 60, "minute"]];
  const said = parts.filter(([count]) => count > 0).slice(0, 2);
  return said.map(([count, unit]) => many(count, unit)).join(" ");
}

/** "1 trade", "2 trades" */
export function many(count, one, more = `${one}s`) {
  return `${grouped(count)} ${String(count) === "1" ? one : more}`;
}
