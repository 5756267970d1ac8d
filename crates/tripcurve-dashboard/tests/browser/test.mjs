// The dashboard in a real browser. Each step prints one line.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { launch, root, start, until, watch } from "./stage.mjs";
import { pictures } from "./pictures.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await launch();
const began = Date.now();
mkdirSync(`${root}/target/dashboard`, { recursive: true });

function done(what) {
  console.log(`${((Date.now() - began) / 1e3).toFixed(1).padStart(6)} s  ${what}`);
}

const card = (page, name) => page.locator(".card", { has: page.getByText(name, { exact: true }) });
const stateOf = (page, name) => card(page, name).getAttribute("data-state");

/** A new page that shows an address. */
async function open(url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1_280, height: 900 }, ...options });
  const page = await context.newPage();
  const seen = watch(page, new URL(url).host);
  await page.goto(url);
  return { page, seen, close: () => context.close() };
}

/** Asks axe-core. The policy of the page forbids scripts from elsewhere, so the protocol adds it. */
async function accessible(page, what) {
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: axe });
  // Transitions of colours must be over.
  await page.waitForTimeout(300);
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
    expression: "axe.run(document).then((found) => JSON.stringify(found.violations.map((it) => [it.impact, it.id, it.nodes.map((node) => node.html + ' ' + node.failureSummary).slice(0, 3)])))",
    awaitPromise: true, returnByValue: true,
  });
  assert.equal(exceptionDetails, undefined, what);
  const found = JSON.parse(result.value);
  const grave = found.filter(([impact]) => impact === "serious" || impact === "critical");
  assert.deepEqual(grave, [], `axe-core: ${what}`);
  const width = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(width[0] <= width[1], `${what} is wider than the screen: ${width}`);
  return found.length;
}

async function looks() {
  const stage = await start("browser_stage");
  const { page, seen, close } = await open(stage.url);
  await until("six cards", async () => (await page.locator(".card").count()) === 6);
  assert.equal(await page.title(), "(1 open) stage");
  const markup = "<script>document.title='owned'</script><img src=x onerror=alert(1)>";
  assert.equal(await card(page, markup).locator(".name").textContent(), markup);
  assert.equal(await page.locator("img[src=x], main script").count(), 0);
  done("a name with markup is shown as text");

  assert.equal(await stateOf(page, "payments"), "closed");
  await fetch(new URL("/stage/fail/payments", stage.url), { method: "POST" });
  const took = await until("payments is open", async () => (await stateOf(page, "payments")) === "open");
  assert.ok(took < 2_000, `${took} ms`);
  await until("the reason", async () => (await card(page, "payments").textContent()).includes("5 calls in a row failed (limit 5)"));
  assert.match(await card(page, "payments").textContent(), /Open.*Next probe.*rejected/s);
  assert.match(await page.locator("#said").textContent(), /payments: Open/);
  done(`a trip by real calls is visible after ${took} ms`);

  await card(page, "payments").locator("a").click();
  await page.locator(".chart .area").waitFor();
  await page.locator(".chart .strip.open").waitFor();
  assert.match(await page.locator(".chart").first().getAttribute("aria-label"), /openings/);
  assert.match(await page.locator(".settings").textContent(), /Failure rate50 %10 calls/);
  assert.match(await page.locator(".events").textContent(), /ClosedOpen|Closed→Open/);
  await page.locator("#to-events").click();
  await page.locator(".events-view .event").first().waitFor();
  assert.match(await page.locator(".events-view").textContent(), /tenant-7/);
  done("time lines are drawn, of one breaker and of the program");

  assert.equal(await page.locator("[data-action]").count(), 0);
  await page.goto(`${stage.url}#/breaker/stock`);
  await page.locator(".hero").waitFor();
  assert.equal(await page.locator("[data-action]").count(), 0);
  const attempt = await page.evaluate(async () => {
    const body = JSON.stringify({ action: "force-open" });
    const answer = await fetch("api/breakers/stock/actions", { method: "POST", body, headers: { "content-type": "application/json" } });
    return [answer.status, (await answer.json()).error];
  });
  assert.deepEqual(attempt, [403, "this dashboard only shows: the program gave it no authorization function"]);
  done("without authorization there are no buttons, and a request by hand is refused");

  await page.goto(stage.url);
  await until("live", async () => (await page.locator("#link").textContent()).includes("live"));
  await stage.stop();
  await page.locator("#lost").waitFor({ timeout: 5_000 });
  assert.match(await page.locator("#lost").textContent(), /does not answer/);
  const again = await start("browser_stage", "--act", "--port", stage.port);
  const back = await until("the page recovers", async () => (await page.locator("#link").textContent()).includes("live"), 15_000);
  assert.ok(await page.locator("#lost").isHidden());
  await until("the new cards", async () => (await stateOf(page, "payments")) === "closed");
  done(`the program was killed, the page said so, and recovered ${back} ms after the new start`);
  assert.deepEqual(seen, { errors: [], elsewhere: [] });
  await close();
  return again;
}

async function acts(stage) {
  const { page, seen, close } = await open(stage.url);
  await page.locator(".card").first().waitFor();
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.type), "search");
  await card(page, "search").locator("a").focus();
  await page.keyboard.press("Home");
  const first = await page.evaluate(() => document.activeElement.closest(".card").getAttribute("aria-posinset"));
  await page.keyboard.press("ArrowRight");
  const second = await page.evaluate(() => document.activeElement.closest(".card").getAttribute("aria-posinset"));
  assert.deepEqual([first, second], ["1", "2"]);
  await card(page, "stock").locator("a").focus();
  await page.keyboard.press("Enter");
  await page.locator(".actions").waitFor();
  done("the keyboard reaches the search, the cards and a breaker");

  const hero = page.locator(".detail");
  await page.locator("[data-action=trip]").focus();
  await page.keyboard.press("Enter");
  await page.locator("#seconds").fill("600");
  await accessible(page, "the dialog");
  await page.keyboard.press("Enter");
  await until("tripped", async () => (await hero.getAttribute("data-state")) === "open");
  await until("the actor", async () => (await page.locator(".events").textContent()).includes("ann: trip for 600 s"));
  for (const [action, state] of [["reset", "closed"], ["force-open", "forced-open"], ["metrics-only", "metrics-only"], ["disable", "disabled"]]) {
    await page.locator(`[data-action=${action}]`).click();
    await page.locator("dialog [type=submit]").click();
    await until(action, async () => (await hero.getAttribute("data-state")) === state);
  }
  await page.locator("#to-wall").click();
  for (const [action, state] of [["isolate", "forced-open"], ["release", "closed"]]) {
    await page.locator(`.groups [data-action=${action}]`).click();
    await page.locator("dialog [type=submit]").click();
    await until(action, async () => (await stateOf(page, "payments")) === state);
  }
  await page.locator("#to-events").click();
  await until("all actions", async () => (await page.locator(".events .badge").count()) === 7);
  await page.goto(`${stage.url}#/breaker/tenants`);
  await page.locator(".keys").getByText("tenant-7").click();
  await page.locator(".actions").waitFor();
  assert.equal(await page.locator(".hero h2").textContent(), "tenant-7");
  done("with authorization all actions work, each an event with its actor");

  const post = (headers) => fetch(`${stage.url}/api/breakers/stock/actions`, {
    method: "POST", body: JSON.stringify({ action: "reset" }), headers: { "content-type": "application/json", ...headers },
  });
  const origin = new URL(stage.url).origin;
  const cases = [[{ origin: "https://evil.example" }, 403], [{ "sec-fetch-site": "cross-site", origin }, 403], [{ origin, "x-user": "mallory" }, 403], [{ origin }, 200]];
  for (const [headers, status] of cases) {
    const answer = await post(headers);
    assert.equal(answer.status, status, JSON.stringify(headers));
    if (status === 403) assert.ok((await answer.json()).error.length > 10);
  }
  done("requests of other sites and of others are refused, with a reason");
  assert.deepEqual(seen, { errors: [], elsewhere: [] });
  await close();
  await fetch(new URL("/stage/fail/payments", stage.url), { method: "POST" });
  for (const width of [1_280, 375]) {
    for (const colorScheme of ["light", "dark"]) {
      const view = await open(stage.url, { viewport: { width, height: 800 }, colorScheme });
      await view.page.locator(".card").first().waitFor();
      let minor = await accessible(view.page, `wall, ${width}, ${colorScheme}`);
      await view.page.goto(`${stage.url}#/breaker/payments`);
      await view.page.locator(".chart").first().waitFor();
      minor += await accessible(view.page, `breaker, ${width}, ${colorScheme}`);
      await view.page.goto(`${stage.url}#/events`);
      await view.page.locator(".event").first().waitFor();
      minor += await accessible(view.page, `time line, ${width}, ${colorScheme}`);
      assert.deepEqual(view.seen, { errors: [], elsewhere: [] });
      done(`axe-core finds nothing serious at ${width} pixels in ${colorScheme} (${minor} smaller)`);
      await view.close();
    }
  }
}

/** A breaker that has joined a fleet, beside breakers that haven't. */
async function showsAFleet(without) {
  const own = await open(without.url);
  await card(own.page, "search").locator("a").click();
  await own.page.locator(".chart").first().waitFor();
  assert.ok(await own.page.getByRole("heading", { name: "Fleet", exact: true }).isHidden());
  await own.close();

  const stage = await start("browser_stage", "--fleet");
  const { page, seen, close } = await open(stage.url);
  await until("the members", async () => (await card(page, "search").textContent()).includes("fleet of 20"), 20_000);
  assert.doesNotMatch(await card(page, "stock").textContent(), /fleet/);
  await card(page, "search").locator("a").click();
  const panel = page.locator(".panel", { has: page.getByRole("heading", { name: "Fleet", exact: true }) });
  await panel.waitFor();
  assert.match(await panel.textContent(), /Stateclosed.*Members20.*Left out as too loud0/s);
  // The page knows the evidence when a call of this program has failed.
  await until("the evidence", async () => /Evidence \(nats\)-?[0-9.]+ \/ [0-9.]+/.test(await panel.textContent()), 30_000);
  const cut = await panel.locator("dd").evaluateAll((all) => all.filter((it) => it.scrollWidth > it.clientWidth).map((it) => it.textContent));
  assert.deepEqual(cut, []);
  const minor = await accessible(page, "a breaker of a fleet");
  await page.screenshot({ path: `${root}/target/dashboard/fleet-1280-light.png` });
  // Two members aren't enough, and nineteen are.
  await fetch(new URL("/stage/fleet/2", stage.url), { method: "POST" });
  await page.waitForTimeout(3_000);
  assert.match(await panel.textContent(), /Stateclosed/);
  await fetch(new URL("/stage/fleet/19", stage.url), { method: "POST" });
  await until("the fleet is open", async () => /State(open|ramp)/.test(await panel.textContent()), 20_000);
  await until("the reason", async () => (await page.locator(".hero .why").textContent()).length > 10);
  assert.deepEqual(seen, { errors: [], elsewhere: [] });
  done(`a fleet is shown where a breaker has joined one, and opens it (${minor} smaller findings of axe-core)`);
  await close();
  await stage.stop();
}

async function manyBreakers() {
  const stage = await start("browser_stage", "--breakers", "5000");
  const context = await browser.newContext({ viewport: { width: 1_280, height: 900 } });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  const seconds = new Map();
  let all = 0;
  session.on("Network.dataReceived", ({ dataLength }) => {
    const second = Math.floor((Date.now() - begin) / 1e3);
    seconds.set(second, (seconds.get(second) ?? 0) + dataLength);
    all += dataLength;
  });
  let begin = Date.now();
  await page.goto(stage.url);
  await page.locator(".card").first().waitFor();
  const loaded = await until("all cards", async () => (await page.locator(".note").textContent()).startsWith("5,006 of 5,006 shown") && !(await page.locator(".note").textContent()).includes("more"), 40_000);
  [begin, all] = [Date.now(), 0];
  seconds.clear();
  await page.waitForTimeout(6_000);
  const rate = all / 6 / 1e3;
  const peak = Math.max(...seconds.values()) / 1e3;
  assert.ok(rate < 50, `${rate} kB a second`);
  const frames = await page.evaluate(async () => {
    const gaps = [];
    let last = performance.now();
    for (let step = 0; step < 90; step++) {
      scrollBy(0, 400);
      await new Promise((resolve) => requestAnimationFrame(resolve));
      gaps.push(performance.now() - last);
      last = performance.now();
    }
    return gaps.sort((a, b) => a - b);
  });
  const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
  assert.ok(nodes < 3_000, `${nodes} nodes`);
  const [median, late] = [frames[45], frames[85]];
  assert.ok(median < 60, `a frame takes ${median} ms`);
  await page.locator("input[type=search]").fill("shard-4999");
  await until("the search", async () => (await page.locator(".card").count()) === 1);
  await until("its detail", async () => !(await page.locator(".card").getAttribute("data-empty")));
  done(`5,000 breakers: all there after ${(loaded / 1e3).toFixed(1)} s, ${nodes} nodes, ${rate.toFixed(1)} kB/s (at most ${peak.toFixed(0)} kB in a second), a frame of scrolling takes ${median.toFixed(0)} ms, 95 % of them ${late.toFixed(0)} ms`);
  await context.close();
  await stage.stop();
}

const stages = [];
try {
  const stage = await looks();
  stages.push(stage);
  await acts(stage);
  await showsAFleet(stage);
  await manyBreakers();
  const shop = await start("storefront_live", "--port", "0");
  stages.push(shop);
  done(await pictures(browser, shop.url, process.argv.includes("--keep")));
  console.log(`\nthe dashboard works in ${await browser.version()}`);
} finally {
  for (const stage of stages) await stage.stop();
  await browser.close();
}
process.exit(0);
