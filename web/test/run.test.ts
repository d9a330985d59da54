import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { call, control, ended, mayfly, open, patience, pictured, signedIn, start, tool } from "./bed";

beforeAll(async () => {
  await tool(
    "greet",
    'echo "hello $WHO"; echo careful >&2; exit $CODE\n',
    "args: [{name: who, default: you}, {name: code, type: integer, default: 0}]\n",
  );
  await tool("slow", 'for i in $(seq 1 $N); do echo "step $i"; sleep 0.2; done\n', "args: [{name: n, type: integer, default: 10}]\n");
  await tool("many", 'seq 1 $N | sed "s/^/this is line /"\n', "args: [{name: n, type: integer, default: 1000}]\n");
});

test("somebody signs in, sees the runs, and reads the log of one", async () => {
  const id = await start("greet", { who: "team", code: 3 });
  await ended(id);
  const { page, wrong } = await open();
  await page.goto("/projects/default/runs");
  await pictured(page, "sign-in");
  await page.getByLabel("Token").fill("not-a-token");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This token isn't valid").waitFor();
  expect(await page.getByRole("alert").innerText()).not.toContain("mayfly login");
  await page.getByLabel("Token").fill((await control()).token);
  await page.getByLabel("Token").press("Enter");
  const row = page.getByRole("row", { name: /greet/ }).first();
  await row.waitFor();
  expect(await row.innerText()).toContain("failed");
  await pictured(page, "runs");
  await row.getByRole("link", { name: "greet" }).click();
  await page.waitForURL(`**/runs/${id}`);
  await page.getByText("hello team").waitFor();
  expect(await page.locator(".stderr").innerText()).toBe("careful");
  expect(await page.locator("[data-exit]").innerText()).toBe("3");
  // Nothing that a script can read has the token.
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
  expect(kept).not.toContain((await control()).token);
  await pictured(page, "run");
  expect(wrong).toEqual([]);
});

test("a log appears while the tool prints it, and the list has the run's end", async () => {
  const list = await signedIn({}, "/projects/default/runs");
  const id = await start("slow", { n: 15 });
  await list.page.locator(`a[href$="${id}"]`).waitFor(); // the list is live
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  await page.getByText("step 3", { exact: true }).waitFor();
  expect(await page.locator('h1 ~ [data-status="running"]').count()).toBe(1);
  await page.locator('h1 ~ [data-status="succeeded"]').waitFor();
  await page.getByText("step 15", { exact: true }).waitFor();
  expect(await page.locator("[data-lines]").getAttribute("data-lines")).toBe("15");
  await list.page
    .locator("tr", { has: list.page.locator(`a[href$="${id}"]`) })
    .locator('[data-status="succeeded"]')
    .waitFor();
  expect(wrong).toEqual([]);
});

test("a long log has the rest of the screen, whatever is above it", async () => {
  const id = await start("many");
  await ended(id);
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  const log = page.getByRole("log");
  await page.getByText("this is line 1000", { exact: true }).waitFor();
  const fits = async (height: number) => {
    await page.setViewportSize({ width: 1280, height });
    await expect.poll(() => page.evaluate(() => document.documentElement.scrollHeight - innerHeight), { timeout: patience }).toBe(0);
    const { y, height: tall } = (await log.boundingBox())!;
    expect(y + tall).toBeGreaterThan(height - 60);
  };
  await fits(800);
  await fits(1100);
  await page.keyboard.press("/");
  await page.keyboard.type("line 500");
  await page.getByText("1 of 1").waitFor();
  await fits(800);
  // Where there is no rest, it has room for some lines.
  await page.setViewportSize({ width: 360, height: 640 });
  await expect.poll(async () => (await log.boundingBox())!.height, { timeout: patience }).toBeGreaterThan(200);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  await pictured(page, "run-long");
  expect(wrong).toEqual([]);
});

test("the list of runs fits a narrow page, and its filters are behind a button", async () => {
  await ended(await start("greet", { code: 4 }));
  const { page, wrong } = await signedIn({ viewport: { width: 360, height: 800 } }, "/projects/default/runs?status=failed&tool=greet");
  const row = page.getByRole("row", { name: /greet/ }).first();
  await row.waitFor();
  expect(await page.locator(".scroll-x").evaluate((el) => el.scrollWidth - el.clientWidth)).toBe(0);
  expect(await row.innerText()).toMatch(/exit status 4\n.* ago|just now/);
  const status = page.getByRole("button", { name: "Status: failed" });
  expect(await status.isVisible()).toBe(false);
  await page.getByRole("button", { name: "Filters (2)" }).click();
  await status.click();
  await page.getByLabel("lost", { exact: true }).check();
  await page.getByLabel("failed", { exact: true }).uncheck();
  await page.getByText("No run matches").waitFor();
  await pictured(page, "runs-filters");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Remove all filters" }).click();
  await row.waitFor();
  await page.getByRole("button", { name: "Filters", exact: true }).waitFor();
  expect(wrong).toEqual([]);
});

test("if the browser doesn't let the page copy, it says so", async () => {
  const id = await start("greet");
  await ended(id);
  const { page, context, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  const copy = page.getByRole("button", { name: "Copy" });
  await copy.waitFor();
  await context.grantPermissions(["geolocation"]); // and nothing else
  await copy.click();
  await page.getByText("Select the text, and copy it yourself.").waitFor();
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await copy.click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  expect(await page.getByText("Select the text, and copy it yourself.").count()).toBe(0);
  expect(wrong).toEqual([]);
});

test("the failed runs of one tool in the last hour are chosen with the filters", async () => {
  const good = await start("greet");
  const bad = await start("greet", { code: 4 });
  const other = await start("many", { n: 1 });
  for (const id of [good, bad, other]) await ended(id);
  const { page, wrong } = await signedIn({}, "/projects/default/runs");
  await page.getByRole("button", { name: "Status: Any status" }).click();
  await page.getByLabel("Any failure").check();
  await page.waitForURL("**/runs?status=failed%2Ctimed_out%2Cout_of_memory%2Cdenied%2Cerror%2Clost");
  expect(await page.getByLabel("timed out").isChecked()).toBe(true);
  await pictured(page, "runs-states");
  await page.getByLabel("timed out").uncheck();
  await page.getByLabel("queued").check();
  await page.getByText("Any failure").and(page.locator("label")).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Status: queued, failed, out of memory" }).and(page.locator(":focus")).waitFor();
  await page.getByLabel("Since").selectOption("1h");
  const tool = page.getByRole("combobox", { name: "Tool" });
  await tool.focus();
  await page.locator('datalist#tools option[value="greet"]').waitFor({ state: "attached" });
  await tool.fill("greet"); // a suggestion that is taken needs no Enter
  await page.waitForURL("**tool=greet**");
  await page.locator(`a[href$="${bad}"]`).waitFor();
  await page.locator(`a[href$="${good}"]`).waitFor({ state: "detached" });
  await page.locator(`a[href$="${other}"]`).waitFor({ state: "detached" });
  expect(wrong).toEqual([]);
});

test("several runs are cancelled after a question, and their rows say so until they have ended", async () => {
  await tool("stubborn", 'trap "" TERM\necho up\nwhile :; do sleep 0.1; done\n');
  const ids = [await start("stubborn"), await start("stubborn")];
  const over = await start("greet");
  await ended(over);
  const { page, wrong } = await signedIn({}, "/projects/default/runs");
  const row = (id: string) => page.locator("tr", { has: page.locator(`a[href$="${id}"]`) });
  for (const id of ids) await row(id).locator('[data-status="running"]').waitFor();
  for (const id of [...ids, over]) await row(id).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("dialog", { name: "Cancel 2 runs?" }).waitFor();
  await pictured(page, "runs-cancel");
  await page.getByRole("button", { name: "Let them run" }).click();
  expect(await row(ids[0]!).innerText()).not.toContain("Ending…");
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel 2 runs" }).click();
  await page.getByText("The end of 2 runs was asked for").waitFor();
  for (const id of ids) await row(id).getByText("Ending…").waitFor(); // they don't heed TERM, and have ten seconds
  await pictured(page, "runs-ending");
  for (const id of ids) await row(id).locator('[data-status="cancelled"]').waitFor();
  await page.locator(`a[href$="${ids[0]}"]`).click();
  await page.getByRole("link", { name: "Who asked for it" }).click();
  await page.getByRole("listitem").filter({ hasText: "admin asked for the end of the run" }).waitFor();
  expect(wrong).toEqual([]);
});

test("a run of tests is told from the tool's own runs", async () => {
  const dir = join(process.env.MAYFLY_DIR!, "tools", "proved");
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, "tool.yaml"), "name: proved\nimage: busybox\ncommand: [echo, proved]\n");
  await writeFile(join(dir, "proved_test.yaml"), "tool: ./tool.yaml\ntests:\n  - {name: prints, expect: {exit_code: 0}}\n");
  await mayfly(["tool", "push", dir]);
  const own = await start("proved");
  const { id } = await call<{ id: string }>("POST", "/projects/default/runs", { tool: "proved", test: { file: "proved_test.yaml" } });
  await ended(own);
  await ended(id);
  const { page, wrong } = await signedIn({}, "/projects/default/runs?tool=proved");
  const mark = (of: string) => page.locator("tr", { has: page.locator(`a[href$="${of}"]`) }).getByText("test", { exact: true });
  await mark(id).waitFor();
  expect(await mark(own).count()).toBe(0);
  await pictured(page, "runs-test");
  await page.locator(`a[href$="${id}"]`).click();
  await page.locator(".head").getByText("test", { exact: true }).waitFor();
  expect(await page.getByRole("button", { name: "Run again with changes" }).count()).toBe(0); // tests have their own inputs
  expect(wrong).toEqual([]);
});
