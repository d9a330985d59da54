import { afterAll, beforeAll, expect, test } from "vitest";
import { call, pictured, signedIn, start, tool } from "./bed";
import { signedInWith, token } from "./people";
import { Wild } from "./wild";

const canary = "<img src=x onerror=window.canary=1>";

const wild = new Wild();
beforeAll(async () => {
  await tool("nap", "sleep $N\n", "args: [{name: n, type: integer, default: 1}]\n");
  await wild.connect("wild-1", { version: canary, labels: [canary, "gpu"], capacity: { cpu: 8, memory: 17179869184 } });
});
afterAll(() => wild.leave());

test("an administrator looks what a runner has and does, and drains it", async () => {
  const { page, wrong } = await signedIn({}, "/projects/default/runners");
  const here = page.locator('[data-runner="here"]');
  await here.getByText("ready").waitFor();
  await here.getByRole("img", { name: "Slots: 0 of 4 in use" }).waitFor();
  // What it takes, and what that needs, is there without a reload.
  const { id } = await call<{ id: string }>("POST", "/projects/default/runs", {
    tool: "nap",
    inputs: { n: 120 },
    set: { memory: "64Mi", cpu: "0.5" },
  });
  await here.locator(`a[href$="${id}"]`, { hasText: "nap" }).waitFor();
  await here.getByRole("img", { name: "Slots: 1 of 4 in use" }).waitFor();
  await here.getByRole("img", { name: /^Memory: 64 MiB of/ }).waitFor();
  // What runners say is text.
  const other = page.locator('[data-runner="wild-1"]');
  await other.locator(".label", { hasText: canary }).waitFor();
  await other.getByText(`mayfly ${canary}`).waitFor();
  await call("POST", "/projects/default/runs", { tool: "nap", pool: "wild" });
  await other.getByRole("link", { name: "nap", exact: true }).waitFor();
  await pictured(page, "runners");

  // Escape does nothing, and the focus is where it was.
  const drain = other.getByRole("button", { name: "Drain wild-1" });
  await drain.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Drain wild-1?" }).waitFor();
  await page.getByText("No other runner serves the pool wild: its runs wait until one does.").waitFor();
  await pictured(page, "runners-drain");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  expect(await drain.evaluate((e) => e === document.activeElement)).toBe(true);
  expect(await other.locator(".state").innerText()).toBe("ready");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByRole("button", { name: "Drain", exact: true }).click();
  await other.locator(".state", { hasText: "draining" }).waitFor();
  expect(await drain.count()).toBe(0);
  await page.getByText("wild-1 drains.").waitFor();
  await wild.end();
  await page.getByText("wild-1 has drained, and ended.").waitFor();
  expect(await other.count()).toBe(0);
  await here.getByRole("link", { name: "nap", exact: true }).click();
  await page.waitForURL(`**/runs/${id}`);
  await call("POST", `/projects/default/runs/${id}/cancel`);
  expect(await page.evaluate(() => "canary" in window)).toBe(false);
  expect(wrong).toEqual([]);
});

test("a viewer of another project sees how busy runners are, and no run of others", async () => {
  const id = await start("nap", { n: 120 });
  const { page, wrong } = await signedInWith((await token("viewer", "elsewhere")).token, "/projects/elsewhere/runners");
  const here = page.locator('[data-runner="here"]');
  await here.getByText("1 run of another project").waitFor();
  expect(await page.locator(`a[href$="${id}"]`).count()).toBe(0);
  expect(await page.getByRole("button", { name: /Drain/ }).count()).toBe(0);
  await page.getByText("An administrator of all projects can drain runners.").waitFor();
  await call("POST", `/projects/default/runs/${id}/cancel`);
  await here.getByText("idle").waitFor();
  expect(wrong).toEqual([]);
});

test("a pool without a runner says so, and how to add one", async () => {
  const { page, wrong } = await signedIn({}, "/projects/default/runners?pool=none");
  await page.getByText("No runner serves the pool none").waitFor();
  await page.getByText("Add a runner", { exact: true }).click();
  await page.getByText(/^mayfly runner --server https:/).waitFor();
  await pictured(page, "runners-pool");
  await page.getByRole("link", { name: "Show all pools" }).click();
  await page.locator('[data-runner="here"]').waitFor();
  expect(wrong).toEqual([]);
});
