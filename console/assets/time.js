// Times, in the browser's zone unless another is asked for.

export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const NEW_YORK = "America/New_York";

const formats = new Map();

function format(options, zone = ZONE) {
  const key = JSON.stringify([options, zone]);
  if (!formats.has(key)) {
    formats.set(key, new Intl.DateTimeFormat("en-GB", { hourCycle: "h23", timeZone: zone, ...options }));
  }
  return formats.get(key);
}

/** 16:00 */
export const clock = (ms, zone) => format({ hour: "2-digit", minute: "2-digit" }, zone).format(ms);

/** 16:00:03 */
export const seconds = (ms, zone) =>
  format({ hour: "2-digit", minute: "2-digit", second: "2-digit" }, zone).format(ms);

const day = (ms, zone) => format({ year: "numeric", month: "2-digit", day: "2-digit" }, zone).format(ms);

/** Sun 23 Nov */
export const date = (ms, zone) => format({ weekday: "short", day: "numeric", month: "short" }, zone).format(ms);

/** Sunday 23 November 2026 */
export const fullDate = (ms) => format({ weekday: "long", day: "numeric", month: "long", year: "numeric" }).format(ms);

/** The zone's name for people: "Europe/Berlin (CET)". */
export function zoneName(ms) {
  const parts = format({ timeZoneName: "short" }).formatToParts(ms);
  const short = parts.find((part) => part.type === "timeZoneName")?.value ?? "";
  return short && short !== ZONE ? `${ZONE} (${short})` : ZONE;
}

/** As exact as it is near: "16:00:03" today, "Friday 16:00" within the week, "Fri 3 Oct 2025 16:00" before. */
export function since(ms, now, zone) {
  if (day(ms, zone) === day(now, zone)) return now - ms < 3_600_000 ? seconds(ms, zone) : clock(ms, zone);
  const week = 6 * 86_400_000;
  const options = now - ms < week
    ? { weekday: "long" }
    : { weekday: "short", day: "numeric", month: "short", year: "numeric" };
  return `${format(options, zone).format(ms).replace(",", "")} ${clock(ms, zone)}`;
}

/** Whether two times are on different days. */
export const otherDay = (a, b) => day(a) !== day(b);
