// Charts of one breaker. Each has a text that says the same.

import { s } from "./dom.js";
import { clock, count, percent, took } from "./words.js";

const WIDTH = 960;
const HOUR = 3_600_000;

/**
 * The last hour: the states as a strip, the way to a trip as an area, the failure rate as a line.
 * @param {Array<[number, number|null, number, number, number, number|null]>} points
 * @param {any[]} events transitions, the oldest first
 * @param {string} state the state now
 * @param {number} now
 */
export function timeLine(points, events, state, now) {
  const top = 14, height = 150, strip = 196, bottom = 236;
  const oldest = Math.min(points[0]?.[0] ?? now, events[0]?.at_ms ?? now);
  // A young program has no hour yet: the chart begins with it, but shows a minute at least.
  const from = Math.max(now - HOUR, Math.min(oldest, now - 60_000));
  const x = (at) => ((Math.min(now, Math.max(from, at)) - from) / (now - from)) * WIDTH;
  const y = (share) => top + height * (1 - Math.min(1, share));
  // Between two points a breaker may have tripped: then it was at the limit.
  const trips = events.filter((event) => event.from === "closed" && event.to === "open" && event.cause?.kind !== "manual")
    .flatMap((event) => [[event.at_ms - 1_500, null, 0, 0, 0, null], [event.at_ms, null, 1, 0, 0, null],
      [event.at_ms + 1, null, 0, 0, 0, null]]);
  const shown = [...points, ...trips].filter((point) => point[0] >= from).sort((a, b) => a[0] - b[0]);
  const chart = s("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${bottom + 22}`, role: "img", preserveAspectRatio: "none" });
  for (const share of [0, 0.5, 1]) {
    chart.append(s("line", { class: share === 1 ? "limit" : "grid", x1: 0, x2: WIDTH, y1: y(share), y2: y(share) }));
  }
  if (shown.length > 0) {
    const line = shown.map((point) => `${x(point[0]).toFixed(1)} ${y(point[2]).toFixed(1)}`);
    const begin = x(shown[0][0]).toFixed(1), end = x(shown.at(-1)[0]).toFixed(1);
    chart.append(s("path", { class: "area", d: `M${begin} ${y(0)}L${line.join("L")}L${end} ${y(0)}Z` }));
    chart.append(s("path", { class: "edge", d: `M${line.join("L")}` }));
    let path = "", pen = "M";
    for (const [at, rate] of points.filter((point) => point[0] >= from)) {
      if (rate === null) { pen = "M"; continue; }
      path += `${pen}${x(at).toFixed(1)} ${y(rate).toFixed(1)}`;
      pen = "L";
    }
    if (path) chart.append(s("path", { class: "rate", d: path }));
  }
  const changes = events.filter((event) => event.to !== undefined && event.at_ms >= from);
  let begin = from;
  let current = changes[0]?.from ?? state;
  for (const event of [...changes, { at_ms: now, to: state }]) {
    const left = x(begin), right = x(event.at_ms);
    if (right > left) {
      chart.append(s("rect", { class: `strip ${current}`, x: left.toFixed(1), y: strip, width: (right - left).toFixed(1), height: current === "closed" ? 10 : 26,
        transform: current === "closed" ? "translate(0 16)" : "" }));
    }
    begin = event.at_ms;
    current = event.to;
  }
  for (const event of changes) {
    if (event.to !== "open" && event.to !== "forced-open") continue;
    const at = x(event.at_ms).toFixed(1);
    chart.append(s("line", { class: "trip", x1: at, x2: at, y1: top, y2: strip }));
  }
  const openings = changes.filter((event) => event.to === "open" || event.to === "forced-open").length;
  const peak = Math.max(0, ...shown.map((point) => point[2]));
  const minutes = Math.max(1, Math.round((now - from) / 60_000));
  chart.setAttribute("aria-label", `The last ${minutes} minutes: ${count(changes.length)} changes of state, `
    + `${count(openings)} openings; it came to ${percent(peak)} of a trip.`);
  return { chart, from, marks: [from, from + (now - from) / 2, now].map(clock) };
}

/**
 * How long calls took: a bar for each bin.
 * @param {Array<[number, number]>} bins the longest duration in seconds, and calls
 */
export function histogram(bins) {
  const height = 130;
  const most = Math.max(1, ...bins.map((bin) => bin[1]));
  // Gaps between bins are empty bins: four to an octave.
  const place = (seconds) => Math.round(Math.log2(seconds) * 4);
  const first = place(bins[0][0]), last = place(bins.at(-1)[0]);
  const width = WIDTH / Math.max(12, last - first + 1);
  const chart = s("svg", { class: "chart bars", viewBox: `0 0 ${WIDTH} ${height + 4}`, role: "img", preserveAspectRatio: "none" });
  for (const [seconds, calls] of bins) {
    const tall = Math.max(2, (calls / most) * height);
    const left = (place(seconds) - first) * width;
    chart.append(s("rect", { class: "bin", x: (left + 1).toFixed(1), y: (height - tall).toFixed(1), width: Math.max(1, width - 2).toFixed(1), height: tall.toFixed(1) }));
  }
  chart.append(s("line", { class: "grid", x1: 0, x2: WIDTH, y1: height, y2: height }));
  const all = bins.reduce((sum, bin) => sum + bin[1], 0);
  const common = bins.reduce((best, bin) => (bin[1] > best[1] ? bin : best));
  chart.setAttribute("aria-label", `How long ${count(all)} calls took: from about ${took(bins[0][0])} to ${took(bins.at(-1)[0])}, most often about ${took(common[0])}.`);
  const shownLast = (first + Math.max(12, last - first + 1) - 1) / 4;
  return { chart, marks: [took(bins[0][0]), took(2 ** ((first / 4 + shownLast) / 2)), took(2 ** shownLast)] };
}

/**
 * How many changes of state came in each minute of the last hour.
 * @param {any[]} events
 * @param {number} now
 */
export function changesChart(events, now) {
  const height = 60;
  const minutes = Array.from({ length: 60 }, () => ({ trips: 0, others: 0 }));
  for (const event of events) {
    const minute = minutes[59 - Math.floor((now - event.at_ms) / 60_000)];
    if (!minute || event.kind !== "transition") continue;
    if (event.to === "open" || event.to === "forced-open") minute.trips += 1;
    else minute.others += 1;
  }
  const most = Math.max(4, ...minutes.map((minute) => minute.trips + minute.others));
  const chart = s("svg", { class: "chart minutes", viewBox: `0 0 ${WIDTH} ${height + 4}`, role: "img", preserveAspectRatio: "none" });
  minutes.forEach(({ trips, others }, place) => {
    const tall = (calls) => (calls / most) * height;
    const x = place * 16 + 2;
    if (others) chart.append(s("rect", { class: "others", x, width: 12, y: height - tall(trips + others), height: tall(others) }));
    if (trips) chart.append(s("rect", { class: "trips", x, width: 12, y: height - tall(trips), height: tall(trips) }));
  });
  chart.append(s("line", { class: "grid", x1: 0, x2: WIDTH, y1: height, y2: height }));
  const sum = (what) => minutes.reduce((all, minute) => all + minute[what], 0);
  chart.setAttribute("aria-label", `The last hour: ${count(sum("trips"))} openings and ${count(sum("others"))} other changes of state.`);
  return chart;
}

/**
 * The calls a second of the last minute, of which the dark part failed.
 * @param {Array<[number, number]>} trail calls and failures a second, the oldest first
 */
export class Spark {
  constructor() {
    this.all = s("path", { class: "spark-all" });
    this.bad = s("path", { class: "spark-bad" });
    this.node = s("svg", { class: "spark", viewBox: "0 0 59 28", preserveAspectRatio: "none", "aria-hidden": "true" }, this.all, this.bad);
  }

  /** @param {Array<[number, number]>} trail */
  set(trail) {
    const most = Math.max(1, ...trail.map(([all]) => all)) * 1.1;
    const left = 60 - trail.length;
    const area = (part) => {
      if (trail.length < 2) return "";
      const points = trail.map((values, place) => `${left + place} ${(28 - (values[part] / most) * 28).toFixed(1)}`);
      return `M${left} 28L${points.join("L")}L59 28Z`;
    };
    this.all.setAttribute("d", area(0));
    this.bad.setAttribute("d", area(1));
  }
}
