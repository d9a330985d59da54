import { expect, test } from "vitest";
import { call, patience, pictured, signedIn } from "./bed";
import { signedInWith, token } from "./people";

const long = "team-with-a-very-long-name-that-goes-on-for-sixty-three-letters";

test("each of many projects can be chosen, also those with long names", async () => {
  for (let i = 0; i < 60; i++) await call("PUT", `/policies/project-${String(i).padStart(2, "0")}`, { text: "read_only: true\n" });
  await call("PUT", `/policies/${long}`, { text: "read_only: true\n" });
  const { page, wrong } = await signedIn({}, "/projects/default/settings");
  const select = page.getByRole("combobox", { name: "Project" });
  await expect.poll(() => select.locator("option").count(), { timeout: patience }).toBeGreaterThan(61);
  await select.selectOption(long);
  await page.waitForURL(`**/projects/${long}/settings`);
  await pictured(page, "frame-many");
  await page.setViewportSize({ width: 360, height: 800 });
  await page.getByRole("button", { name: "Menu" }).click();
  const sizes = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  expect(sizes[0]).toBeLessThanOrEqual(sizes[1]!);
  await pictured(page, "frame-menu");
  expect(wrong).toEqual([]);
});

test("keys lead to the pages, are listed, and can be turned off", async () => {
  const { page, wrong } = await signedIn({}, "/projects/default");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("u");
  await page.waitForURL("**/projects/default/runners");
  await page.keyboard.press("?");
  const dialog = page.getByRole("dialog", { name: "Keys" });
  await dialog.getByText("Find in all lines").waitFor();
  await pictured(page, "frame-keys");
  await page.keyboard.press("g"); // not below a dialog
  await page.keyboard.press("r");
  await dialog.getByLabel("Keys without Ctrl do this").uncheck();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await page.keyboard.press("?");
  expect(page.url()).toMatch(/runners$/);
  expect(await dialog.count()).toBe(0);
  await page.getByRole("button", { name: "Keys (?)" }).click();
  await dialog.getByLabel("Keys without Ctrl do this").check();
  await dialog.getByRole("button", { name: "Close" }).click();
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await page.waitForURL("**/projects/default/runs");
  // In a field they are text.
  await page.getByRole("searchbox").focus();
  await page.keyboard.type("gt?");
  await page.waitForURL("**/runs?text=gt*");
  expect(await dialog.count()).toBe(0);
  expect(wrong).toEqual([]);
});

test("the frame says whose session it is, and for what", async () => {
  const { name, token: text } = await token("viewer", "default");
  const { page, wrong } = await signedInWith(text, "/projects/default/runners");
  await page.getByText(name).waitFor();
  await page.getByText("viewer of default").waitFor();
  expect(wrong).toEqual([]);
});
