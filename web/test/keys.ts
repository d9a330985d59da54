import type { Locator, Page } from "playwright-core";
import { expect } from "vitest";
import { patience } from "./bed";

const stops = 150; // a page has fewer

/** reach presses Tab, or another key, until something has the focus. Each stop on the way shows that it has it. */
export async function reach(page: Page, what: Locator, key = "Tab"): Promise<void> {
  await what.waitFor();
  for (let i = 0; i < stops; i++) {
    await page.keyboard.press(key);
    expect(await page.evaluate(hidden), "has the focus, and doesn't show it").toBe("");
    if (await has(what)) return;
  }
  throw new Error(`the focus doesn't come to ${String(what)}`);
}

/** hidden returns what has the focus if nobody sees that. */
function hidden(): string {
  const at = document.activeElement!;
  if (at === document.body) return ""; // after the last one
  const editor = at.matches(".cm-content") ? at.closest(".editor") : null;
  const { outlineStyle, outlineWidth } = getComputedStyle(at);
  const shown = editor
    ? getComputedStyle(editor, "::after").borderTopWidth !== "0px"
    : at.matches("g") // an edge of a graph
      ? getComputedStyle(at.querySelector(".thin")!).strokeWidth === "2.5px"
      : outlineStyle !== "none" && outlineWidth !== "0px";
  const box = at.getBoundingClientRect();
  const inView = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return shown && inView ? "" : at.outerHTML.slice(0, 300);
}

const has = (what: Locator) => what.evaluate((el) => el === document.activeElement);

/** keeps waits until something has the focus without a key. */
export const keeps = (what: Locator) => expect.poll(() => has(what), { timeout: patience }).toBe(true);

/** somewhere fails if nothing has the focus: then keys go nowhere. */
export async function somewhere(page: Page): Promise<void> {
  await expect.poll(() => page.evaluate(() => document.activeElement !== document.body), { timeout: patience }).toBe(true);
}

/** follow goes to something and presses Enter. */
export async function follow(page: Page, what: Locator, key = "Tab"): Promise<void> {
  await reach(page, what, key);
  await page.keyboard.press("Enter");
}
