// What is drawn on the chart besides lines, straight onto its canvas.

import { reason } from "./words.js";

const MINUTE = 60_000;

/** A colour of the style sheet, as it is now. */
export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Stretches in which the feed was not heard; where there is room, with the reason. */
export function hatch(plot, gaps, named) {
  const { ctx } = plot;
  const { left, top, width, height } = plot.bbox;
  for (const gap of gaps) {
    const from = Math.max(left, plot.valToPos(gap.start_ms, "x", true));
    const to = Math.min(left + width, plot.valToPos(gap.end_ms, "x", true));
    if (to <= from) continue;
    ctx.save();
    ctx.fillStyle = pattern(ctx);
    ctx.fillRect(from, top, Math.max(2, to - from), height);
    const text = reason(gap.reason);
    ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
    if (named && ctx.measureText(text).width < to - from - 16) {
      ctx.fillStyle = color("--soft");
      ctx.textAlign = "center";
      ctx.fillText(text, (from + to) / 2, top + 18 * devicePixelRatio);
    }
    ctx.restore();
  }
}

/** The last price: a dashed line, and its digits on the axis. */
export function lastPrice(plot, text) {
  if (!text) return;
  const { ctx } = plot;
  const { left, top, width, height } = plot.bbox;
  const y = plot.valToPos(Number(text), "y", true);
  if (!(y >= top && y <= top + height)) return;
  const pixel = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = color("--accent");
  ctx.lineWidth = pixel;
  ctx.setLineDash([3 * pixel, 4 * pixel]);
  ctx.beginPath();
  ctx.moveTo(left, y);
  ctx.lineTo(left + width, y);
  ctx.stroke();
  ctx.font = `600 ${12 * pixel}px system-ui, sans-serif`;
  const box = ctx.measureText(text).width + 10 * pixel;
  // Half a number of the axis looking out from behind it would be misread.
  ctx.fillStyle = color("--card");
  ctx.fillRect(left + width + 1, y - 16 * pixel, plot.axes[1]._size * pixel, 32 * pixel);
  ctx.fillStyle = color("--accent");
  ctx.beginPath();
  ctx.roundRect(left + width + 1, y - 10 * pixel, box, 20 * pixel, 5 * pixel);
  ctx.fill();
  ctx.fillStyle = color("--card");
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  ctx.fillText(text, left + width + 6 * pixel, y + pixel);
  ctx.restore();
}

/** Volume bars: hatched where the minute was not covered in full, outlined while it is not final. */
export function bars(plot, minutes) {
  const { ctx } = plot;
  const { left, top, width, height } = plot.bbox;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  const floor = plot.valToPos(0, "y", true);
  for (const { row, start } of minutes) {
    const from = plot.valToPos(start + MINUTE * 0.1, "x", true);
    const to = plot.valToPos(start + MINUTE * 0.9, "x", true);
    const y = plot.valToPos(Number(row.volume), "y", true);
    const box = [from, y, Math.max(1, to - from), floor - y];
    const partial = Number(row.coverage) < 1;
    ctx.fillStyle = partial ? pattern(ctx) : color("--bar");
    ctx.fillRect(...box);
    if (partial || row.final !== "1") {
      ctx.strokeStyle = color(row.final === "1" ? "--bar" : "--accent");
      ctx.lineWidth = devicePixelRatio;
      ctx.strokeRect(...box);
    }
  }
  ctx.restore();
}

const patterns = new Map();

function pattern(ctx) {
  const ink = color("--hatch");
  if (!patterns.has(ink)) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8 * devicePixelRatio;
    const pen = tile.getContext("2d");
    pen.strokeStyle = ink;
    pen.lineWidth = 2 * devicePixelRatio;
    const size = tile.width;
    for (const shift of [-size, 0, size]) {
      pen.moveTo(shift - 2, size + 2);
      pen.lineTo(shift + size + 2, -2);
    }
    pen.stroke();
    patterns.set(ink, tile);
  }
  return ctx.createPattern(patterns.get(ink), "repeat");
}
