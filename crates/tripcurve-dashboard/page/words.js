// States, policies, numbers and times in words.

import { s } from "./dom.js";

/** The states in the order of the API: their words, and how bad they are. */
export const STATES = [
  { name: "closed", word: "Closed", rank: 3, path: "M8 1.500a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Zm-3 6.7 2.2 2.2 4-4.6" },
  { name: "open", word: "Open", rank: 0, path: "M8 1.5 15 14H1ZM8 6v4m0 1.700v.6" },
  { name: "half-open", word: "Half-open", rank: 1, path: "M8 1.500a6.5 6.5 0 1 0 0 13ZM8 1.500a6.5 6.5 0 0 1 0 13" },
  { name: "forced-open", word: "Forced open", rank: 0, path: "M2.5 2.500h11v11h-11Zm3 3 5 5m0-5-5 5" },
  { name: "disabled", word: "Disabled", rank: 2, path: "M8 1.500a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM4.5 8h7" },
  { name: "metrics-only", word: "Metrics only", rank: 2, path: "M2 14V8m4 6V3m4 11V6m4 8v-4" },
];

/** A breaker's fleet in a few words. */
export function fleetWords(fleet) {
  if (fleet.local_only !== null) return "decides without its fleet";
  const all = `fleet of ${count(fleet.members)}`;
  if (fleet.state === "open") return `${all} is open`;
  if (fleet.state === "ramp") return `${all} lets ${percent(fleet.share)} through`;
  if (fleet.left_out > 0) return `${all} leaves out ${count(fleet.left_out)} as too loud`;
  return all;
}

/** @param {string} name */
export function stateOf(name) {
  return STATES.find((state) => state.name === name) ?? STATES[0];
}

/**
 * The shape of a state, so that colour is not all that tells it.
 * @param {string} name
 */
export function icon(name) {
  return s("svg", { class: `icon ${name}`, viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
    s("path", { d: stateOf(name).path }));
}

/** Changes the shape that `icon` made. @param {Element} node @param {string} name */
export function reicon(node, name) {
  if (node.getAttribute("class") === `icon ${name}`) return;
  node.setAttribute("class", `icon ${name}`);
  node.firstElementChild.setAttribute("d", stateOf(name).path);
}

/** A share as percent. @param {number} share */
export function percent(share) {
  const value = share * 100;
  return `${value > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} %`;
}

/** A number of calls a second. @param {number} rate */
export function perSecond(rate) {
  if (rate >= 1e6) return `${(rate / 1e6).toFixed(1)} M/s`;
  if (rate >= 1e4) return `${(rate / 1e3).toFixed(0)} k/s`;
  if (rate >= 1e3) return `${(rate / 1e3).toFixed(1)} k/s`;
  return `${rate >= 9.95 || rate === 0 ? Math.round(rate) : rate.toFixed(1)}/s`;
}

/** A count. @param {number} count */
export function count(count) {
  return count.toLocaleString("en");
}

/** How long a call took. @param {number|null|undefined} seconds */
export function took(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const digits = (value) => (value < 9.95 ? value.toFixed(1) : Math.round(value));
  if (seconds >= 1) return `${digits(seconds)} s`;
  if (seconds >= 1e-3) return `${digits(seconds * 1e3)} ms`;
  return `${digits(seconds * 1e6)} µs`;
}

/** A long span of time. @param {number} ms */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1e3));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, "0")} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} days`;
}

/** A time of the day. @param {number} ms */
export function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

const POLICIES = {
  consecutive_failures: "Failures in a row",
  failure_count: "Failures",
  failure_rate: "Failure rate",
  slow_rate: "Slow calls",
  burn_rate: "Error budget",
  latency_percentile: "Latency",
  slower_than_usual: "Slower than usual",
  evidence: "Evidence",
};

/** @param {string} policy */
export function policyWord(policy) {
  return POLICIES[policy] ?? policy;
}

/** A measured value of a policy. @param {string} policy @param {number} value */
export function measure(policy, value) {
  switch (policy) {
    case "failure_rate": case "slow_rate": case "burn_rate": return percent(value);
    case "latency_percentile": case "slower_than_usual": return took(value);
    case "evidence": return `${value.toFixed(1)} nats`;
    default: return count(value);
  }
}

/**
 * How near a policy is to a trip, in words.
 * @param {{policy: string, measured: number, threshold: number, calls: number, min_calls: number}} level
 */
export function levelWords(level) {
  const { policy, measured, threshold, calls, min_calls: least } = level;
  if (policy === "slower_than_usual" && threshold === 0) return "learning what is usual";
  const unit = policy === "evidence" ? `${measured.toFixed(1)} of ${measure(policy, threshold)}`
    : `${measure(policy, measured)} of ${measure(policy, threshold)}`;
  return calls < least ? `${unit}; ${count(calls)} of ${count(least)} calls` : unit;
}

/** The policy that is nearest to a trip. @param {Array<any>} levels */
export function nearest(levels) {
  const order = ["evidence", "failure_rate"];
  const rank = (level) => level.fill * 10 + (order.includes(level.policy) ? 1e-6 : 0);
  return levels.reduce((best, level) => (!best || rank(level) > rank(best) ? level : best), null);
}

/** Why something happened, in words. @param {any} event */
export function eventWords(event) {
  if (event.kind === "action") {
    const seconds = event.seconds === null ? "" : ` for ${event.seconds} s`;
    return `${event.actor}: ${event.action.replace("-", " ")}${seconds}`;
  }
  const label = event.label ? `, the last with ${event.label}` : "";
  const missed = event.missed ? ` (${count(event.missed)} changes before this one are not shown)` : "";
  return `${event.cause.text}${label}${missed}`;
}
