// The time line of all transitions and actions of the program.

import { changesChart } from "./charts.js";
import { address, h } from "./dom.js";
import { clock, eventWords, icon, stateOf } from "./words.js";

const MOST = 200;

/** An event as an item of a list. @param {any} event @param {boolean} named whether it names its breaker */
export function eventItem(event, named) {
  const time = h("time", { datetime: new Date(event.at_ms).toISOString(), text: clock(event.at_ms) });
  const name = !named ? null : event.on === "group"
    ? h("span", { class: "event-name", text: `group ${event.name}` })
    : h("a", { class: "event-name", dir: "auto", href: address(`breaker/${encodeURIComponent(event.name)}`), text: event.name });
  const what = event.kind === "action"
    ? h("span", { class: "moved action" }, h("span", { class: "badge", text: "action" }))
    : h("span", { class: "moved" }, icon(event.from), h("span", { class: "was", text: stateOf(event.from).word }),
      h("span", { class: "arrow", "aria-label": "to", role: "img", text: "→" }), icon(event.to),
      h("b", { class: `now ${event.to}`, text: stateOf(event.to).word }));
  return h("li", { class: "event", "data-event": event.id }, time, name, what, h("span", { class: "reason", text: eventWords(event) }));
}

export class Events {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.store = store;
    /** @type {any[]} the oldest first */
    this.events = [];
    this.search = "";
    this.top = 0;
    this.box = h("input", { type: "search", placeholder: "Search a name or a reason", "aria-label": "Search events",
      autocomplete: "off", spellcheck: "false", oninput: () => { this.search = this.box.value.trim().toLowerCase(); this.#draw(); } });
    this.chart = h("div", { class: "chart-box" });
    this.list = h("ol", { class: "events" });
    this.more = h("button", { type: "button", class: "quiet", text: "Show older", onclick: () => this.#older() });
    this.empty = h("p", { class: "empty", text: "Nothing has happened yet.", hidden: true });
    this.node = h("section", { class: "events-view", "aria-labelledby": "events-title" },
      h("h2", { id: "events-title", text: "Time line" }), this.chart,
      h("p", { class: "legend" }, h("span", { class: "key trips" }, "openings"), h("span", { class: "key others" }, "other changes, each minute of the last hour")),
      h("div", { class: "finders" }, this.box), this.list, this.empty, this.more);
  }

  async open() {
    await this.#fetch("");
  }

  close() {}

  async #fetch(query) {
    try {
      const answer = await fetch(`api/events?limit=${MOST}${query}`);
      const { events } = await answer.json();
      this.more.hidden = events.length < MOST;
      const known = new Set(this.events.map((event) => event.id));
      this.events.push(...events.filter((event) => !known.has(event.id)));
      this.events.sort((a, b) => a.id - b.id);
    } catch {
      // The head of the page says that the program is not there.
    }
    this.#draw();
  }

  #older() {
    const oldest = this.events[0]?.id;
    if (oldest !== undefined) this.#fetch(`&before=${oldest}`);
  }

  reset() {
    this.events = [];
    this.top = 0;
  }

  update() {
    const last = this.events.at(-1)?.id ?? 0;
    const news = this.store.events.filter((event) => event.id > last);
    if (news.length === 0) return;
    this.events.push(...news);
    this.#draw();
  }

  tick() {}

  #draw() {
    const { search } = this;
    this.chart.replaceChildren(changesChart(this.events, this.store.now()));
    const shown = this.events.filter((event) => search === ""
      || event.name.toLowerCase().includes(search) || eventWords(event).toLowerCase().includes(search));
    // The latest transition is the first line.
    const items = shown.slice(-400).sort((a, b) => b.at_ms - a.at_ms || b.id - a.id).map((event) => eventItem(event, true));
    this.list.replaceChildren(...items);
    this.empty.hidden = items.length > 0;
  }
}
