// What the page knows, and the stream that it comes from.

import { STATES } from "./words.js";

/**
 * A card: its brief is known for all cards, its detail for those that were on the screen.
 * @typedef {{id: number, key: string, state: number, fill: number, traffic: number,
 *   registry: boolean, detail: any, trail: Array<[number, number]>}} Card
 */

const MOST_EVENTS = 500;
const SILENCE = 12_000;

export class Store extends EventTarget {
  constructor() {
    super();
    /** @type {Map<number, Card>} */
    this.cards = new Map();
    /** @type {any[]} the oldest first */
    this.events = [];
    this.states = STATES.map(() => 0);
    this.expected = 0;
    /** @type {any} */
    this.about = { title: "breakers", actions: false, groups: [] };
    /** @type {"connecting"|"live"|"lost"} */
    this.link = "connecting";
    /** The server's clock minus ours. */
    this.skew = 0;
    /** @type {number[]|null} null asks for the cards in the worst trouble */
    this.show = null;
    this.last = "";
    this.heard = Date.now();
    /** @type {EventSource|null} */
    this.source = null;
    this.timer = 0;
    setInterval(() => this.#watch(), 2_000);
  }

  /** The server's time in milliseconds since 1970. */
  now() {
    return Date.now() + this.skew;
  }

  async start() {
    await this.#learn();
    this.#open();
  }

  /** Asks again what the program is, for example after a group was isolated. */
  refresh() {
    return this.#learn();
  }

  async #learn() {
    try {
      const answer = await fetch("api/about");
      if (!answer.ok) return;
      this.about = await answer.json();
      this.#tell("about");
    } catch {
      // The stream says that the program is not there.
    }
  }

  /**
   * Asks for the details of these cards.
   * @param {number[]} ids
   */
  look(ids) {
    const wanted = [...ids].sort((a, b) => a - b);
    if (wanted.join() === this.show?.join()) return;
    this.show = wanted;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#open(), 200);
  }

  #open() {
    clearTimeout(this.timer);
    this.source?.close();
    const query = new URLSearchParams();
    if (this.show) query.set("show", this.show.join());
    if (this.last) query.set("last", this.last);
    const source = new EventSource(`api/stream?${query}`);
    this.source = source;
    source.addEventListener("delta", (message) => {
      this.last = message.lastEventId;
      this.heard = Date.now();
      this.#link("live");
      this.#take(JSON.parse(message.data));
    });
    source.addEventListener("error", () => {
      if (this.source !== source) return;
      this.#link("lost");
      // A browser gives up after an answer that is no stream.
      if (source.readyState === EventSource.CLOSED) {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.#open(), 2_000);
      }
    });
  }

  #watch() {
    if (Date.now() - this.heard < SILENCE) return;
    this.heard = Date.now();
    this.#link("lost");
    this.#open();
  }

  /** @param {"live"|"lost"} link */
  #link(link) {
    if (this.link === link) return;
    this.link = link;
    this.#tell("link");
  }

  /** @param {any} delta */
  #take(delta) {
    const isFirst = delta.reset === true;
    if (isFirst) {
      this.cards.clear();
      this.events = [];
      this.#learn();
    }
    this.skew = delta.at_ms - Date.now();
    this.states = delta.states;
    this.expected = delta.cards;
    for (const id of delta.gone ?? []) this.cards.delete(id);
    for (const [id, key, state, fill, traffic, registry] of delta.briefs ?? []) {
      const card = this.cards.get(id);
      if (card) Object.assign(card, { state, fill, traffic });
      else if (key !== null) this.cards.set(id, { id, key, state, fill, traffic, registry: registry === 1, detail: null, trail: [] });
    }
    for (const detail of delta.details ?? []) {
      const card = this.cards.get(detail.id);
      if (!card) continue;
      card.detail = detail;
      if (detail.per_second) {
        const { success, ignored, failure, timed_out: late } = detail.per_second;
        card.trail.push([success + ignored + failure + late, failure + late]);
        if (card.trail.length > 60) card.trail.shift();
      }
      card.state = STATES.findIndex((state) => state.name === detail.state);
    }
    const events = delta.events ?? [];
    this.events.push(...events);
    this.events.splice(0, Math.max(0, this.events.length - MOST_EVENTS));
    this.#tell("delta");
    if (!isFirst && events.length > 0) this.dispatchEvent(new CustomEvent("news", { detail: events }));
  }

  /** @param {string} what */
  #tell(what) {
    this.dispatchEvent(new Event(what));
  }

  /** @param {string} key */
  byKey(key) {
    for (const card of this.cards.values()) if (card.key === key) return card;
    return null;
  }
}
