// The page: which view is open, and what is in its head.

import { DetailView } from "./detail.js";
import { address, h, mark, put } from "./dom.js";
import { Events } from "./events.js";
import { Store } from "./store.js";
import { Wall } from "./wall.js";
import { clock, eventWords, stateOf } from "./words.js";

const store = new Store();
const wall = new Wall(store);
const events = new Events(store);
const main = document.getElementById("main");
const said = document.getElementById("said");
const lost = document.getElementById("lost");

/** @type {Wall|Events|DetailView|null} */
let view = null;
let place = 0;

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  let next;
  if (name === "breaker" && rest.length > 0) next = new DetailView(store, decoded(rest.join("/")));
  else if (name === "events") next = events;
  else next = wall;
  if (next === view) return;
  if (view === wall) place = scrollY;
  view?.close();
  const isFirst = view === null;
  view = next;
  main.replaceChildren(view.node);
  for (const [id, own] of [["to-wall", wall], ["to-events", events]]) {
    mark(document.getElementById(id), "aria-current", view === own ? "page" : null);
  }
  view.open();
  scrollTo({ top: view === wall ? place : 0 });
  // After a change of the view, the Tab key begins there.
  if (!isFirst) main.focus({ preventScroll: true });
  name_();
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function name_() {
  const { title } = store.about;
  put(document.getElementById("title"), title);
  const shut = store.states[1] + store.states[3];
  const part = view instanceof DetailView ? `${view.key} – ` : shut > 0 ? `(${shut} open) ` : "";
  document.title = `${part}${title}`;
}

function link() {
  const words = { live: "live", connecting: "connecting", lost: "lost" };
  const node = document.getElementById("link");
  mark(node, "data-link", store.link);
  put(document.getElementById("link-word"), words[store.link]);
  lost.hidden = store.link !== "lost";
  mark(document.body, "data-link", store.link);
  if (store.link === "lost") {
    put(lost, `The program does not answer. The page shows how it was at ${clock(store.now())}, and tries again.`);
  }
}

/** Says to screen readers what has changed. @param {any[]} news */
function say(news) {
  const openings = news.filter((event) => event.to !== undefined);
  const words = openings.slice(-3).map((event) => `${event.name}: ${stateOf(event.to).word}, ${eventWords(event)}.`);
  if (openings.length > 3) words.unshift(`${openings.length} changes.`);
  if (words.length > 0) said.replaceChildren(h("p", { text: words.join(" ") }));
}

document.getElementById("brand").setAttribute("href", address(""));
document.getElementById("to-wall").setAttribute("href", address(""));
document.getElementById("to-events").setAttribute("href", address("events"));
document.body.prepend(h("button", { type: "button", class: "skip", text: "Skip to the breakers", onclick: () => main.focus() }));

store.addEventListener("delta", () => {
  if (store.events.length === 0) events.reset();
  view?.update();
  name_();
});
store.addEventListener("about", () => { view?.update(); name_(); });
store.addEventListener("link", link);
store.addEventListener("news", (event) => {
  const news = /** @type {CustomEvent} */ (event).detail;
  say(news);
  if (news.some((one) => one.on === "group")) store.refresh();
  if (view instanceof DetailView) view.news(news);
});
addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const box = main.querySelector("input[type=search]");
  if (box instanceof HTMLElement) {
    event.preventDefault();
    box.focus();
  }
});
setInterval(() => { if (!document.hidden) view?.tick(); }, 250);

route();
store.start();
