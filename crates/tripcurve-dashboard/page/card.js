// One card of the wall. It is made once, and then filled again and again.

import { Spark } from "./charts.js";
import { address, h, mark, put } from "./dom.js";
import { STATES, count, fleetWords, icon, levelWords, nearest, percent, perSecond, policyWord, reicon, span, stateOf, took } from "./words.js";

/** A bar that fills. Its label and its words are texts. */
function bar() {
  const label = h("span", { class: "bar-label" });
  const words = h("span", { class: "bar-words" });
  const fill = h("div", { class: "fill" });
  const meter = h("div", { class: "meter", role: "meter", "aria-valuemin": 0, "aria-valuemax": 100 }, fill);
  const node = h("div", { class: "level" }, h("div", { class: "bar-text" }, label, words), meter);
  return {
    node,
    /** @param {string} name @param {string} text @param {number} share @param {string} kind */
    set(name, text, share, kind) {
      put(label, name);
      put(words, text);
      const value = Math.round(Math.min(1, Math.max(0, share)) * 100);
      mark(meter, "aria-label", name);
      mark(meter, "aria-valuenow", value);
      mark(meter, "aria-valuetext", text);
      mark(meter, "data-kind", kind);
      mark(meter, "data-heat", share >= 0.8 ? "hot" : share >= 0.5 ? "warm" : "cool");
      fill.style.setProperty("--fill", `${value}%`);
    },
  };
}

/** How near a card is to a trip, or how long it stays open. */
export function setLevel(bars, detail, now) {
  const left = detail.open_until_ms === null ? 0 : detail.open_until_ms - now;
  if (detail.state === "open") {
    const whole = Math.max(1, detail.open_until_ms - detail.since_ms);
    if (left > 0) bars.set("Next probe", `in ${took(left / 1e3)}`, left / whole, "time");
    else bars.set("Next probe", "with the next call", 0, "time");
  } else if (detail.state === "half-open" && detail.share !== null) {
    bars.set("Ramp", `lets ${percent(detail.share)} through`, detail.share, "ramp");
  } else if (detail.state === "half-open") {
    bars.set("Probes", `${count(detail.probes_in_flight)} in flight`, 0, "ramp");
  } else if (detail.state === "forced-open") {
    bars.set("Forced open", "until a reset", 1, "time");
  } else if (detail.state === "disabled") {
    bars.set("Disabled", "lets all calls through", 0, "ramp");
  } else {
    const level = nearest(detail.levels);
    if (level) bars.set(policyWord(level.policy), levelWords(level), level.fill, "level");
  }
}

export class CardView {
  constructor() {
    this.shape = icon("closed");
    this.name = h("span", { class: "name", dir: "auto" });
    this.state = h("span", { class: "state" });
    this.since = h("span", { class: "since" });
    this.why = h("p", { class: "why" });
    this.spark = new Spark();
    this.bar = bar();
    this.stats = ["ok", "failed", "rejected"].map((word) => {
      const value = h("b");
      return { value, node: h("span", { class: `stat ${word}` }, value, ` ${word}`) };
    });
    this.foot = h("p", { class: "foot" });
    this.link = h("a", { class: "card-link" },
      h("div", { class: "head" }, this.shape, this.name),
      h("div", { class: "sub" }, this.state, this.since),
      this.why, this.spark.node, this.bar.node,
      h("div", { class: "stats" }, ...this.stats.map((stat) => stat.node)),
      this.foot);
    this.node = h("div", { class: "card", role: "listitem" }, this.link);
  }

  /**
   * @param {import("./store.js").Card} card
   * @param {number} now
   */
  fill(card, now) {
    const { detail } = card;
    const state = STATES[card.state];
    mark(this.node, "data-state", state.name);
    mark(this.node, "data-id", card.id);
    mark(this.link, "href", address(`breaker/${encodeURIComponent(card.key)}`));
    reicon(this.shape, state.name);
    put(this.name, card.key);
    mark(this.name, "title", card.key);
    const known = detail !== null && detail.state === state.name;
    const hasWords = card.registry || Boolean(detail?.why);
    mark(this.node, "data-words", hasWords ? "yes" : null);
    if (!hasWords && this.drawn !== card.trail.at(-1)) {
      this.drawn = card.trail.at(-1);
      this.spark.set(card.trail);
    }
    mark(this.node, "data-empty", detail === null ? "yes" : null);
    if (card.registry && detail) this.#registry(detail);
    else if (detail) this.#breaker(detail, known, now);
    else {
      put(this.state, state.word);
      put(this.since, "");
      put(this.why, "");
      put(this.foot, "");
      this.bar.set("Trip level", `${card.fill * 5} %`, card.fill / 20, "level");
      for (const stat of this.stats) put(stat.value, "–");
    }
  }

  #breaker(detail, known, now) {
    put(this.state, stateOf(detail.state).word);
    put(this.since, known ? `for ${span(now - detail.since_ms)}` : "");
    put(this.why, detail.why ?? "");
    setLevel(this.bar, detail, now);
    const rate = detail.per_second;
    const rates = [rate.success + rate.ignored, rate.failure + rate.timed_out, rate.rejected];
    this.stats.forEach((stat, place) => {
      put(stat.value, perSecond(rates[place]));
      put(stat.node.lastChild, ` ${["ok", "failed", "rejected"][place]}`);
      mark(stat.node, "data-zero", rates[place] === 0 ? "yes" : null);
    });
    const parts = [];
    if (detail.p50 !== null) parts.push(`p50 ${took(detail.p50)}`, `p99 ${took(detail.p99)}`, `p99.9 ${took(detail.p999)}`);
    if (detail.in_flight !== null) parts.push(`${count(detail.in_flight)} in flight`);
    if (detail.overdue > 0) parts.push(`${count(detail.overdue)} overdue`);
    if (detail.fleet) parts.push(fleetWords(detail.fleet));
    if (parts.length === 0) parts.push(detail.calls > 0 ? `${count(detail.calls)} calls in the window` : "no calls in the window");
    put(this.foot, parts.join(" · "));
  }

  #registry(detail) {
    const all = detail.states.reduce((sum, some) => sum + some, 0);
    const shut = detail.states[1] + detail.states[3];
    put(this.state, "Registry");
    put(this.since, `${count(all)} breakers`);
    const worst = detail.worst.slice(0, 3).map((key) => `${key.name} ${key.state}`);
    put(this.why, worst.join(", "));
    this.bar.set("Open", `${count(shut)} of ${count(all)}`, all ? shut / all : 0, "level");
    const values = [detail.states[0], detail.states[2], shut];
    ["closed", "half-open", "open"].forEach((word, place) => {
      const stat = this.stats[place];
      put(stat.value, count(values[place]));
      put(stat.node.lastChild, ` ${word}`);
      mark(stat.node, "data-zero", values[place] === 0 ? "yes" : null);
    });
    put(this.foot, "one breaker for each key");
  }
}

export { bar };
