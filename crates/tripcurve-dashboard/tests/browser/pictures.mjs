// The screenshots: of the storefront in trouble, at two widths, in light and dark.

import { copyFileSync, mkdirSync } from "node:fs";
import { root, until } from "./stage.mjs";

const FOLDER = `${root}/target/dashboard`;

/** Takes the pictures, and copies some into the documentation if they are to be kept. */
export async function pictures(browser, url, keep) {
  const views = [];
  for (const [width, height] of [[1_280, 860], [375, 812]]) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme, deviceScaleFactor: width < 400 ? 2 : 1 });
      const page = await context.newPage();
      await page.goto(url);
      views.push({ page, context, name: `${width}-${colorScheme}` });
    }
  }
  // Both services of the backend fail from second 5 on, and the search from second 8 on.
  const shut = async () => {
    const states = await views[0].page.locator(".card").evaluateAll((cards) => cards.map((card) => card.dataset.state));
    return states.filter((state) => state === "open" || state === "half-open").length >= 3;
  };
  await views[0].page.waitForTimeout(20_000);
  await until("a storefront in trouble", shut, 50_000);
  for (const { page, name } of views) await page.screenshot({ path: `${FOLDER}/wall-${name}.png` });
  for (const [view, hash] of [["breaker", "#/breaker/search"], ["events", "#/events"]]) {
    for (const { page } of views) await page.goto(`${url}${hash}`);
    await views[0].page.waitForTimeout(1_500);
    for (const { page, name } of views) await page.screenshot({ path: `${FOLDER}/${view}-${name}.png` });
  }
  for (const { context } of views) await context.close();
  if (keep) {
    const docs = `${root}/docs/dashboard`;
    mkdirSync(docs, { recursive: true });
    for (const name of ["wall-1280-light", "wall-1280-dark", "breaker-1280-light", "wall-375-dark"]) copyFileSync(`${FOLDER}/${name}.png`, `${docs}/${name}.png`);
  }
  return `screenshots are in target/dashboard${keep ? " and docs/dashboard" : ""}`;
}
