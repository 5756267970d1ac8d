// What an authorized user may do. Without authorization the page has none of this.

import { h, put } from "./dom.js";

const ACTIONS = [
  { action: "trip", word: "Trip", tells: "Opens the breaker for some seconds. Then it recovers as after any trip.", risky: true },
  { action: "force-open", word: "Force open", tells: "Rejects all calls until a reset.", risky: true },
  { action: "metrics-only", word: "Metrics only", tells: "Lets all calls through and records them, but never trips." },
  { action: "disable", word: "Disable", tells: "Lets all calls through and records nothing." },
  { action: "reset", word: "Reset", tells: "Closes the breaker with an empty window." },
];

/** Shows a short message. @param {string} text @param {boolean} isBad */
export function toast(text, isBad) {
  const node = document.getElementById("toast");
  put(node, text);
  node.classList.toggle("bad", isBad);
  node.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { node.hidden = true; }, 6_000);
}
toast.timer = 0;

/**
 * Sends an action. The browser adds `Sec-Fetch-Site` and `Origin` by itself.
 * @param {string} path
 * @param {any} action
 * @param {string} done
 */
async function send(path, action, done) {
  try {
    const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(action) });
    const body = await answer.json().catch(() => ({}));
    if (answer.ok) toast(done, false);
    else toast(`Refused: ${body.error ?? answer.statusText}`, true);
  } catch {
    toast("The program did not answer.", true);
  }
}

/**
 * Asks before it acts.
 * @param {{title: string, tells: string, word: string, risky?: boolean, seconds?: boolean}} what
 * @returns {Promise<{seconds: number}|null>}
 */
function confirm({ title, tells, word, risky, seconds }) {
  return new Promise((resolve) => {
    const field = h("input", { type: "number", id: "seconds", min: 1, max: 86_400, step: 1, value: 30, required: true });
    const dialog = h("dialog", { class: "ask", "aria-labelledby": "ask-title" });
    const form = h("form", { method: "dialog", onsubmit: () => dialog.close("yes") },
      h("h2", { id: "ask-title", dir: "auto", text: title }), h("p", { text: tells }),
      seconds ? h("p", { class: "field" }, h("label", { for: "seconds", text: "Seconds " }), field) : null,
      h("div", { class: "answers" },
        h("button", { type: "button", class: "quiet", text: "Cancel", onclick: () => dialog.close("no") }),
        h("button", { type: "submit", class: risky ? "risky" : "sure", text: word })));
    dialog.append(form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? { seconds: Number(field.value) } : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * The buttons for a breaker; null if nobody may act.
 * @param {import("./store.js").Store} store
 * @param {string} key
 */
export function breakerActions(store, key) {
  if (!store.about.actions) return null;
  const buttons = ACTIONS.map(({ action, word, tells, risky }) => h("button", {
    type: "button", class: risky ? "risky" : "quiet", "data-action": action, title: tells, text: word,
    onclick: async () => {
      const isTrip = action === "trip";
      // The key may be that of another breaker by the time the user answers.
      const id = store.byKey(key)?.id ?? null;
      const answer = await confirm({ title: `${word}: ${key}`, tells, word, risky, seconds: isTrip });
      if (!answer) return;
      const body = isTrip ? { action, id, seconds: answer.seconds } : { action, id };
      await send(`api/breakers/${encodeURIComponent(key)}/actions`, body, `${word}: done`);
    },
  }));
  return h("div", { class: "actions", role: "group", "aria-label": "Actions" }, ...buttons);
}

/** The groups, with their buttons. @param {import("./store.js").Store} store */
export function groupBar(store) {
  const node = h("div", { class: "groups", hidden: true });
  let drawn = "";
  return {
    node,
    update() {
      const { groups, actions } = store.about;
      const wanted = JSON.stringify([groups, actions]);
      if (wanted === drawn) return;
      drawn = wanted;
      node.hidden = !actions || groups.length === 0;
      if (node.hidden) return node.replaceChildren();
      node.replaceChildren(...groups.map(({ name, isolated }) => {
        const [action, word] = isolated ? ["release", "Release"] : ["isolate", "Isolate"];
        const tells = isolated ? "The breakers of the group go on as before the isolation." : "All breakers of the group reject all calls until the group is released.";
        return h("span", { class: "group" }, h("span", { text: `Group ${name}${isolated ? " is isolated" : ""}` }),
          h("button", { type: "button", class: isolated ? "quiet" : "risky", "data-group": name, "data-action": action, text: word,
            onclick: async () => {
              const answer = await confirm({ title: `${word} group ${name}`, tells, word, risky: !isolated });
              if (!answer) return;
              await send(`api/groups/${encodeURIComponent(name)}/actions`, { action }, `${word}: done`);
              store.refresh();
            } }));
      }));
    },
  };
}
