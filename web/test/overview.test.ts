import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, test, vi } from "vitest";
import { call, mayfly, patience, pictured, signedIn, tool } from "./bed";
import { signedInWith, token } from "./people";

const canary = "<img src=x onerror=window.canary=1>";

test("an empty project shows the first steps", async () => {
  const { page, wrong } = await signedIn({}, "/projects/fresh");
  await page.getByRole("heading", { name: "Nothing has run here yet" }).waitFor();
  await page.getByText("mayfly tool push FOLDER --project fresh").waitFor();
  expect(await page.locator("figure").count()).toBe(0);
  await pictured(page, "overview-empty");
  await page.getByRole("link", { name: "Open the builder" }).click();
  await page.waitForURL("**/projects/fresh/build");
  expect(wrong).toEqual([]);
});

test("the commands of the first steps work as they are written, for somebody who has never logged in", async () => {
  const { page } = await signedIn({}, "/projects/newcomers");
  await page.getByText("mayfly login").waitFor();
  const dir = process.env.MAYFLY_DIR!;
  const folder = join(dir, "newcomer");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "tool.yaml"), "name: first\nimage: busybox\ncommand: [echo, it, works]\n");
  const commands = (await page.locator("section ol code").allInnerTexts()).join("\n");
  const script = commands
    .replace("FILE", join(dir, "data", "admin-token"))
    .replace("FOLDER", folder)
    .replace("NAME", "first");
  const env = { ...process.env, MAYFLY_HOME: join(folder, "home"), PATH: `${process.env.MAYFLY_BIN!}:${process.env.PATH}` };
  const { stdout } = await promisify(execFile)("sh", ["-ec", script], { env });
  expect(stdout).toContain("it works");
});

/** The tests look at a project of their own: others may run things meanwhile. */
const at = "/projects/watch";
const wide = { viewport: { width: 1280, height: 1300 } };

async function begin(name: string, inputs: Record<string, unknown> = {}, more: Record<string, unknown> = {}): Promise<string> {
  return (await call<{ id: string }>("POST", `${at}/runs`, { tool: name, inputs, ...more })).id;
}

async function over(id: string): Promise<void> {
  const check = async () => {
    const { status } = await call<{ status: string }>("GET", `${at}/runs/${id}`);
    expect(["succeeded", "failed", "cancelled"]).toContain(status);
  };
  await vi.waitFor(check, { timeout: patience, interval: 100 });
}

let failed = "";
beforeAll(async () => {
  await tool("greet", "exit $CODE\n", "args: [{name: code, type: integer, default: 0}]\n");
  await tool("nap", "sleep $N\n", "args: [{name: n, type: integer, default: 1}]\n");
  for (const name of ["greet", "nap"])
    await mayfly(["tool", "push", join(process.env.MAYFLY_DIR!, "tools", name, "tool.yaml"), "--project", "watch"]);
  const ids = [await begin("greet"), await begin("greet"), await begin("nap"), (failed = await begin("greet", { code: 3 }))];
  for (const id of ids) await over(id);
});

test("somebody looks what goes on, finds what failed, and comes to its run", async () => {
  const { page, wrong } = await signedIn(wide, at);
  const sick = page.getByRole("region", { name: "Failed lately" });
  await sick.getByRole("link", { name: "greet" }).first().waitFor();
  const row = page.locator('tr[data-tool="greet"]');
  await row.locator("svg rect.bad").first().waitFor({ state: "attached" });
  expect(await row.innerText()).toMatch(/greet\s+3\s+1\s+67 %/);

  // What begins and ends is there without a reload.
  const running = page.locator("[data-running]");
  const before = Number(await running.innerText());
  const id = await begin("nap", { n: 20 });
  await page.getByRole("region", { name: "Runs now" }).locator(`a[href$="${id}"]`).waitFor();
  await expect.poll(async () => Number(await running.innerText()), { timeout: patience }).toBe(before + 1);
  await pictured(page, "overview");
  await call("POST", `${at}/runs/${id}/cancel`);
  await page.getByText("Nothing runs or waits.").waitFor();

  // Each figure leads to the runs that it counts.
  await row.getByRole("link", { name: "1", exact: true }).click();
  await page.waitForURL(/\/runs\?tool=greet&status=failed.*&since=24h$/);
  const only = page.locator("tbody tr");
  await only.first().waitFor();
  expect(await only.count()).toBe(1);
  await page.goBack();
  await sick.getByRole("link", { name: "greet" }).first().click();
  await page.waitForURL(`**/runs/${failed}`);
  expect(wrong).toEqual([]);
});

test("the time and the tool of the charts stand in the address", async () => {
  const { page, wrong } = await signedIn(wide, at);
  await page.getByRole("button", { name: "Show nap in the charts" }).click();
  await page.getByRole("heading", { name: "Over time: nap" }).waitFor();
  await page.getByRole("link", { name: "7 days" }).click();
  await page.waitForURL("**/projects/watch?range=7d&tool=nap");
  const bars = page.getByRole("group", { name: /^Runs by how they ended/ });
  await expect.poll(() => bars.getByRole("link").count(), { timeout: patience }).toBe(7);
  await page.reload();
  await page.getByRole("heading", { name: "Over time: nap" }).waitFor();
  await page.getByText("The numbers as a table").click();
  await pictured(page, "overview-tool");
  const link = await bars.getByRole("link").last().getAttribute("href");
  expect(link).toMatch(/tool=nap&since=.*&until=/);
  expect(wrong).toEqual([]);
});

test("the keyboard goes through a chart, with one stop of Tab", async () => {
  const { page, wrong } = await signedIn(wide, at);
  const bars = page.getByRole("group", { name: /^Runs by how they ended/ });
  await bars.getByRole("link").first().waitFor();
  expect(await bars.locator('a[tabindex="0"]').count()).toBe(1);
  await bars.locator('a[tabindex="0"]').focus();
  await page.keyboard.press("End");
  const last = bars.getByRole("link").last();
  await expect.poll(() => last.evaluate((e) => e === document.activeElement), { timeout: patience }).toBe(true);
  const label = (await last.getAttribute("aria-label"))!;
  expect(label).toMatch(/succeeded/);
  await page.locator(".readout", { hasText: label }).waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/runs\?since=.*&until=/);
  expect(wrong).toEqual([]);
});

test("a pool that no runner serves, and a hostile name, are only text", async () => {
  const id = await begin("greet", {}, { pool: "gone", labels: { note: canary } });
  const { page, wrong } = await signedInWith(
    (await token("viewer", "watch")).token,
    `${at}?tool=` + encodeURIComponent(canary) + "&range=nonsense",
  );
  await page.getByRole("heading", { name: `Over time: ${canary}` }).waitFor();
  const pool = page.getByRole("row", { name: /gone/ });
  await pool.waitFor();
  expect(await pool.innerText()).toContain("no runner serves it");
  const waits = page.getByRole("region", { name: "Runs now" }).locator("li", { has: page.locator(`a[href$="${id}"]`) });
  await waits.getByText(/the pool gone|pool "?gone/).waitFor();
  await pictured(page, "overview-waiting");
  expect(await page.evaluate(() => "canary" in window)).toBe(false);
  await call("POST", `${at}/runs/${id}/cancel`);
  expect(wrong).toEqual([]);
});
