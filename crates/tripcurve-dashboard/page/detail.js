// One breaker: its numbers, its last hour, its durations, its settings and its events.

import { breakerActions } from "./actions.js";
import { bar, setLevel } from "./card.js";
import { histogram, timeLine } from "./charts.js";
import { address, h, mark, put } from "./dom.js";
import { eventItem } from "./events.js";
import { count, icon, levelWords, measure, percent, perSecond, policyWord, reicon, span, stateOf, took } from "./words.js";

/** How often the hour and the durations are asked for. */
const PERIOD = 5_000;

const SETTINGS = {
  window: "Window", open_for: "Stays open for", recovery: "Recovery", probe_timeout: "Time limit of a probe",
  on_cancel: "A cancelled call is", latency: "Durations", slower_than: "A call is slow after",
};

const VALUES = { Off: "not recorded", Combined: "recorded", ByOutcome: "recorded by outcome", Ignored: "ignored", Success: "a success", Failure: "a failure" };

/** @param {string} word */
function tile(word) {
  const value = h("dd");
  return { node: h("div", { class: "tile" }, h("dt", { text: word }), value), value };
}

/** @param {string} title @param {...any} children */
function panel(title, ...children) {
  return h("section", { class: "panel" }, h("h3", { text: title }), ...children);
}

export class DetailView {
  /** @param {import("./store.js").Store} store @param {string} key */
  constructor(store, key) {
    this.store = store;
    this.key = key;
    this.timer = 0;
    /** @type {any} */
    this.answer = null;
    this.shape = icon("closed");
    this.state = h("span", { class: "state" });
    this.why = h("p", { class: "why" });
    this.bar = bar();
    this.tiles = Object.fromEntries([
      ["ok", "Succeeded"], ["failed", "Failed"], ["timed", "Given up"], ["rejected", "Rejected"], ["rate", "Failure rate"],
      ["window", "In the window"], ["flight", "In flight"], ["overdue", "Overdue"], ["p50", "p50"], ["p99", "p99"], ["p999", "p99.9"], ["all", "Rejected in all"],
    ].map(([name, word]) => [name, tile(word)]));
    this.actions = h("div");
    this.hour = h("div", { class: "chart-box" });
    this.durations = h("div", { class: "chart-box" });
    this.settings = h("table", { class: "settings" });
    this.others = h("dl", { class: "more-settings" });
    this.events = h("ol", { class: "events" });
    this.keys = h("ul", { class: "keys" });
    this.heading = h("h2", { dir: "auto", text: key });
    this.live = h("div", { class: "live" },
      h("dl", { class: "tiles" }, ...Object.values(this.tiles).map((it) => it.node)));
    this.keysPanel = panel("Keys that are not closed", this.keys);
    this.keysPanel.hidden = true;
    this.durationsPanel = panel("How long calls take", this.durations);
    this.fleet = Object.fromEntries([
      ["state", "State"], ["members", "Members"], ["calls", "Calls a second"], ["usual", "Evidence (nats)"], ["tolerated", "Beyond tolerated (nats)"],
      ["without", "Without loudest (nats)"], ["out", "Left out as too loud"],
    ].map(([name, word]) => [name, tile(word)]));
    this.fleetWhy = h("p", { class: "why" });
    this.fleetPanel = panel("Fleet", this.fleetWhy, h("dl", { class: "tiles" }, ...Object.values(this.fleet).map((it) => it.node)));
    this.fleetPanel.hidden = true;
    this.settingsPanel = panel("Settings", h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "What makes it trip" }, this.settings), this.others);
    this.hourPanel = panel("The last hour", this.hour,
      h("p", { class: "legend" }, h("span", { class: "key area" }, "way to a trip"), h("span", { class: "key rate" }, "failure rate"),
        h("span", { class: "key trip" }, "opening"), h("span", { class: "key strip" }, "states: closed is low, open is high")));
    this.eventsPanel = panel("What happened", this.events);
    this.node = h("article", { class: "detail" },
      h("p", { class: "back" }, h("a", { href: address(""), text: "← All breakers" })),
      h("div", { class: "hero" },
        h("div", { class: "head" }, this.shape, this.heading), h("div", { class: "sub" }, this.state), this.why, this.bar.node, this.actions),
      this.live, this.fleetPanel, this.keysPanel,
      this.hourPanel, this.durationsPanel, this.settingsPanel, this.eventsPanel);
  }

  open() {
    this.#fetch();
    this.update();
  }

  close() {
    clearTimeout(this.timer);
    this.timer = -1;
  }

  async #fetch() {
    clearTimeout(this.timer);
    try {
      const answer = await fetch(`api/breakers/${encodeURIComponent(this.key)}`);
      if (answer.ok) {
        this.answer = await answer.json();
        this.#draw();
        this.update();
      } else if (answer.status === 404) {
        put(this.why, "This breaker is gone, or was never there.");
        mark(this.node, "data-gone", "yes");
      }
    } catch {
      // The head of the page says that the program is not there.
    }
    if (this.timer !== -1) this.timer = setTimeout(() => this.#fetch(), PERIOD);
  }

  news(events) {
    if (events.some((event) => event.name === this.key)) this.#fetch();
  }

  update() {
    const card = this.store.byKey(this.key);
    this.store.look(card ? [card.id] : []);
    this.tick();
    // A registry has no buttons, and a breaker of a registry has no card.
    const acts = this.store.about.actions && (card ? !card.registry : Boolean(this.answer?.breaker));
    if (this.actions.getAttribute("data-for") === String(acts)) return;
    mark(this.actions, "data-for", String(acts));
    this.actions.replaceChildren(...(acts ? [breakerActions(this.store, this.key)] : []));
  }

  tick() {
    const card = this.store.byKey(this.key);
    const detail = card?.detail ?? this.answer?.card ?? null;
    if (detail === null) return;
    const now = this.store.now();
    const state = stateOf(detail.state);
    mark(this.node, "data-state", state.name);
    reicon(this.shape, state.name);
    if (detail.kind === "registry") return this.#registry(detail);
    put(this.state, `${state.word} for ${span(now - detail.since_ms)}`);
    put(this.why, detail.why ?? "");
    setLevel(this.bar, detail, now);
    const { tiles } = this;
    const rate = detail.per_second;
    const values = {
      ok: perSecond(rate.success + rate.ignored), failed: perSecond(rate.failure), timed: perSecond(rate.timed_out), rejected: perSecond(rate.rejected),
      rate: detail.failure_rate === null ? "–" : percent(detail.failure_rate), window: count(detail.calls),
      flight: detail.in_flight === null ? null : count(detail.in_flight), overdue: count(detail.overdue),
      p50: detail.p50 === null ? null : took(detail.p50), p99: detail.p50 === null ? null : took(detail.p99),
      p999: detail.p50 === null ? null : took(detail.p999), all: count(detail.rejected),
    };
    for (const [name, value] of Object.entries(values)) {
      tiles[name].node.hidden = value === null;
      if (value !== null) put(tiles[name].value, value);
    }
    this.#fleet(detail.fleet ?? null);
  }

  /** The evidence is that of this program's last report, so it is shown while the fleet is closed. */
  #fleet(fleet) {
    this.fleetPanel.hidden = fleet === null;
    if (fleet === null) return;
    put(this.fleetWhy, fleet.local_only === null ? "" : `This program decides for itself: ${fleet.local_only}.`);
    const test = (against) => fleet.tests.find((it) => it.against === against);
    const nats = (value, needed) => `${value.toFixed(1)} / ${needed.toFixed(1)}`;
    const usual = test("usual");
    const tolerated = test("tolerated");
    // A trip takes enough in each test, so the test that is furthest from it counts.
    const without = fleet.tests.filter((it) => it.without_loudest !== null)
      .sort((a, b) => (a.without_loudest - a.needed_without_loudest) - (b.without_loudest - b.needed_without_loudest))[0];
    const values = {
      state: { closed: "closed", open: "open", ramp: `ramp, ${percent(fleet.share)}` }[fleet.state],
      members: count(fleet.members), calls: perSecond(fleet.calls_per_second),
      usual: usual ? nats(usual.evidence, usual.needed) : null,
      tolerated: tolerated ? nats(tolerated.evidence, tolerated.needed) : null,
      without: without ? nats(without.without_loudest, without.needed_without_loudest) : null,
      out: count(fleet.left_out),
    };
    for (const [name, value] of Object.entries(values)) {
      this.fleet[name].node.hidden = value === null;
      if (value !== null) put(this.fleet[name].value, value);
    }
  }

  #registry(detail) {
    const all = detail.states.reduce((sum, some) => sum + some, 0);
    const shut = detail.states[1] + detail.states[3];
    put(this.state, `Registry of ${count(all)} breakers`);
    put(this.why, `${count(detail.states[0])} closed, ${count(detail.states[2])} half-open, ${count(shut)} open`);
    this.bar.set("Open", `${count(shut)} of ${count(all)}`, all ? shut / all : 0, "level");
    this.live.hidden = this.fleetPanel.hidden = true;
    this.durationsPanel.hidden = this.settingsPanel.hidden = this.hourPanel.hidden = this.eventsPanel.hidden = true;
    this.keysPanel.hidden = false;
    const wanted = JSON.stringify(detail.worst);
    if (this.keys.getAttribute("data-of") === wanted) return;
    mark(this.keys, "data-of", wanted);
    // A name that was cut leads nowhere.
    const name = (key) => (key.cut ? h("span", { dir: "auto", text: key.name })
      : h("a", { dir: "auto", href: address(`breaker/${encodeURIComponent(key.name)}`), text: key.name }));
    const items = detail.worst.map((key) => h("li", {}, icon(key.state), name(key), h("span", { text: stateOf(key.state).word })));
    this.keys.replaceChildren(...(items.length ? items : [h("li", { text: "none" })]));
  }

  #draw() {
    const { answer } = this;
    const now = this.store.now();
    const events = answer.events ?? [];
    const state = answer.card?.state ?? answer.breaker?.snapshot.state ?? "closed";
    const hour = timeLine(answer.history.points, events, state, now);
    this.hour.replaceChildren(h("p", { class: "at-limit", "aria-hidden": "true", text: "trip" }), hour.chart, h("p", { class: "axis", "aria-hidden": "true" }, ...hour.marks.map((text) => h("span", { text }))));
    if (!answer.card && answer.breaker) this.#alone(answer.breaker);
    const bins = answer.breaker?.durations;
    if (bins?.length) {
      const durations = histogram(bins);
      this.durations.replaceChildren(durations.chart, h("p", { class: "axis", "aria-hidden": "true" }, ...durations.marks.map((text) => h("span", { text }))));
    } else {
      const why = bins ? "No calls are in the window." : "This breaker records no durations. The builder's method latency turns it on.";
      this.durations.replaceChildren(h("p", { class: "empty", text: why }));
    }
    const levels = answer.breaker?.levels ?? [];
    this.settings.replaceChildren(
      h("thead", {}, h("tr", {}, ...["Policy", "Trips at", "From", "Now"].map((text) => h("th", { scope: "col", text })))),
      h("tbody", {}, ...levels.map((level) => h("tr", {}, h("th", { scope: "row", text: policyWord(level.policy) }),
        h("td", { text: level.threshold === 0 ? "not known yet" : measure(level.policy, level.threshold) }),
        h("td", { text: level.min_calls > 1 ? `${count(level.min_calls)} calls` : "the first call" }), h("td", { text: levelWords(level) })))));
    this.others.replaceChildren(...(answer.breaker?.settings ?? []).map(({ name, value }) => h("div", {}, h("dt", { text: SETTINGS[name] ?? name }), h("dd", { text: VALUES[value] ?? value }))));
    const latest = [...events].reverse().slice(0, 50).map((event) => eventItem(event, false));
    this.events.replaceChildren(...(latest.length ? latest : [h("li", { class: "empty", text: "It has not changed its state." })]));
  }

  /** A breaker of a registry has no card. */
  #alone({ snapshot, levels }) {
    const opening = snapshot.latest_opening;
    const detail = {
      ...snapshot, kind: "breaker", levels, since_ms: this.store.now() - snapshot.in_state_for_seconds * 1e3, share: snapshot.admitted_share,
      open_until_ms: snapshot.remaining_open_seconds === null ? null : this.store.now() + snapshot.remaining_open_seconds * 1e3,
      why: snapshot.state === "closed" || !opening ? null : opening.cause.text, in_flight: null, rejected: snapshot.totals.rejected,
      per_second: { success: 0, failure: 0, timed_out: 0, ignored: 0, rejected: 0 },
      p50: snapshot.latency?.p50_seconds ?? null, p99: snapshot.latency?.p99_seconds ?? null, p999: snapshot.latency?.p999_seconds ?? null,
    };
    this.answer.card = detail;
    this.tick();
  }
}
