// The wall of all breakers. Only the cards on the screen and some around them are in the document.

import { CardView } from "./card.js";
import { groupBar } from "./actions.js";
import { h, mark, put } from "./dom.js";
import { STATES, count, icon } from "./words.js";

/** The height of a card with its gap, and the smallest width. app.css has the same numbers. */
const ROW = 212;
const WIDTH = 292;
const GAP = 14;
/** Rows above and below the screen that are there too. */
const AROUND = 1;

const SORTS = {
  trouble: { word: "Trouble first", by: (a, b) => trouble(a, b) || byName(a, b) },
  level: { word: "Nearest to a trip", by: (a, b) => b.fill - a.fill || byName(a, b) },
  traffic: { word: "Most calls", by: (a, b) => b.traffic - a.traffic || byName(a, b) },
  name: { word: "Name", by: byName },
};

const names = new Intl.Collator("en", { numeric: true });
function byName(a, b) {
  return names.compare(a.key, b.key);
}

function trouble(a, b) {
  // Calm breakers stay in the order of their names: a wall that moves can't be read.
  const rank = (card) => (card.state === 0 && card.fill >= 10 ? 1.5 : STATES[card.state].rank);
  return rank(a) - rank(b);
}

export class Wall {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.store = store;
    this.states = new Set();
    this.search = "";
    this.sort = "trouble";
    /** @type {import("./store.js").Card[]} */
    this.order = [];
    /** @type {Map<number, CardView>} */
    this.views = new Map();
    this.spare = [];
    this.columns = 1;
    this.chips = STATES.map((state, place) => {
      const number = h("b", { text: "0" });
      const node = h("button", { class: "chip", type: "button", "aria-pressed": "false", "data-state": state.name,
        onclick: () => this.#toggle(place) }, icon(state.name), `${state.word} `, number);
      return { node, number };
    });
    this.box = h("input", { type: "search", placeholder: "Search a name", "aria-label": "Search breakers by name",
      autocomplete: "off", spellcheck: "false", oninput: () => { this.search = this.box.value.trim().toLowerCase(); this.update(); } });
    this.select = h("select", { "aria-label": "Order", onchange: () => { this.sort = this.select.value; this.update(); } },
      ...Object.entries(SORTS).map(([value, { word }]) => h("option", { value, text: word })));
    this.note = h("p", { class: "note", "aria-live": "off" });
    this.groups = groupBar(store);
    this.list = h("div", { class: "wall", role: "list", "aria-label": "Breakers", onkeydown: (event) => this.#key(event) });
    this.empty = h("p", { class: "empty", hidden: true });
    this.node = h("section", { class: "wall-view", "aria-label": "Wall" },
      h("div", { class: "tools" },
        h("div", { class: "chips", role: "group", "aria-label": "Filter by state" }, ...this.chips.map((chip) => chip.node)),
        h("div", { class: "finders" }, this.box, this.select)),
      this.groups.node, this.note, this.list, this.empty);
    this.again = () => this.#place();
    this.resized = new ResizeObserver(this.again);
  }

  open() {
    addEventListener("scroll", this.again, { passive: true });
    this.resized.observe(this.list);
    this.update();
  }

  close() {
    removeEventListener("scroll", this.again);
    this.resized.disconnect();
  }

  /** @param {number} place */
  #toggle(place) {
    if (!this.states.delete(place)) this.states.add(place);
    mark(this.chips[place].node, "aria-pressed", String(this.states.has(place)));
    this.update();
  }

  /** Sorts all cards again. */
  update() {
    const { cards, states, expected } = this.store;
    this.chips.forEach((chip, place) => {
      put(chip.number, count(states[place]));
      chip.node.hidden = states[place] === 0 && place > 2 && !this.states.has(place);
    });
    const { states: wanted, search } = this;
    this.order = [...cards.values()].filter((card) =>
      (wanted.size === 0 || wanted.has(card.state) || (card.registry && card.state !== 0 && wanted.has(1))) && (search === "" || card.key.toLowerCase().includes(search)));
    this.order.sort(SORTS[this.sort].by);
    const loading = cards.size < expected ? `, ${count(expected - cards.size)} more are coming` : "";
    put(this.note, `${count(this.order.length)} of ${count(expected)} shown${loading}`);
    this.empty.hidden = this.order.length > 0 || this.store.link === "connecting";
    put(this.empty, expected === 0 ? "No breaker is on the roster yet." : "No breaker matches.");
    this.groups.update();
    this.#place();
  }

  /** Puts the cards on the screen at their places. */
  #place() {
    const width = this.list.clientWidth;
    if (width === 0) return;
    this.columns = Math.max(1, Math.floor((width + GAP) / (WIDTH + GAP)));
    const cell = (width + GAP) / this.columns;
    const rows = Math.ceil(this.order.length / this.columns);
    this.list.style.setProperty("height", `${rows * ROW}px`);
    const top = -this.list.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / ROW) - AROUND);
    const end = Math.min(rows, Math.ceil((top + innerHeight) / ROW) + AROUND);
    const shown = this.order.slice(first * this.columns, end * this.columns);
    const active = document.activeElement;
    const keep = new Set(shown.map((card) => card.id));
    for (const [id, view] of this.views) {
      if (keep.has(id)) continue;
      this.views.delete(id);
      view.node.remove();
      if (this.spare.length < 40) this.spare.push(view);
    }
    const now = this.store.now();
    shown.forEach((card, place) => {
      let view = this.views.get(card.id);
      if (!view) {
        view = this.spare.pop() ?? new CardView();
        this.views.set(card.id, view);
      }
      const index = first * this.columns + place;
      mark(view.node, "aria-setsize", this.order.length);
      mark(view.node, "aria-posinset", index + 1);
      const { style } = view.node;
      style.setProperty("width", `${cell - GAP}px`);
      style.setProperty("transform", `translate(${(index % this.columns) * cell}px, ${Math.floor(index / this.columns) * ROW}px)`);
      // The order in the document is the order for the Tab key.
      const there = this.list.children[place];
      if (there !== view.node) {
        if (this.list.moveBefore && view.node.parentNode === this.list) this.list.moveBefore(view.node, there ?? null);
        else this.list.insertBefore(view.node, there ?? null);
      }
      view.fill(card, now);
    });
    if (active instanceof HTMLElement && active !== document.activeElement && this.list.contains(active)) {
      active.focus({ preventScroll: true });
    }
    this.store.look(shown.map((card) => card.id));
  }

  /** Shows how the time passes. */
  tick() {
    const now = this.store.now();
    for (const [id, view] of this.views) {
      const card = this.store.cards.get(id);
      if (card) view.fill(card, now);
    }
  }

  /** The arrows walk from card to card. @param {KeyboardEvent} event */
  #key(event) {
    const node = event.target instanceof Element ? event.target.closest(".card") : null;
    if (!node) return;
    const from = this.order.findIndex((card) => card.id === Number(node.getAttribute("data-id")));
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns,
      Home: -from, End: this.order.length - 1 - from };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const to = Math.min(this.order.length - 1, Math.max(0, from + steps[event.key]));
    const row = this.list.getBoundingClientRect().top + scrollY + Math.floor(to / this.columns) * ROW;
    const head = document.querySelector(".top")?.getBoundingClientRect().height ?? 0;
    if (row - head < scrollY) scrollTo({ top: row - head - GAP });
    else if (row + ROW > scrollY + innerHeight) scrollTo({ top: row + ROW - innerHeight });
    this.#place();
    this.views.get(this.order[to].id)?.link.focus({ preventScroll: true });
  }
}
