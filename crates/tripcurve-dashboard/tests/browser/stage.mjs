// The programs that the test starts, and the browser that looks at them.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

export const root = process.argv[2];
const target = process.env.CARGO_TARGET_DIR ?? `${root}/target`;

/** Starts an example, and waits for the address that it prints. */
export async function start(example, ...args) {
  const child = spawn(`${target}/debug/examples/${example}`, args, { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: child.stdout })) {
    const address = line.match(/http:\S+/);
    if (address) return { child, url: address[0], port: new URL(address[0]).port, stop: () => stop(child) };
  }
  throw new Error(`${example} printed no address`);
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
}

/** What went wrong in a page, and where it sent requests. */
export function watch(page, host) {
  const seen = { errors: [], elsewhere: [] };
  page.on("pageerror", (error) => seen.errors.push(`${error}`));
  // The browser itself writes an error for each refused request; those are tested by their answers.
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) seen.errors.push(message.text());
  });
  page.on("request", (request) => {
    if (new URL(request.url()).host !== host) seen.elsewhere.push(request.url());
  });
  return seen;
}

/** Waits until `ask` gives a true value, and returns how many milliseconds that took. */
export async function until(what, ask, limit = 5_000) {
  const begin = Date.now();
  for (;;) {
    if (await ask()) return Date.now() - begin;
    if (Date.now() - begin > limit) throw new Error(`not within ${limit} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
