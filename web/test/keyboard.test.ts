import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { call, control, mayfly, open, patience, signedIn } from "./bed";
import { follow, keeps, reach, somewhere } from "./keys";
import { Wild } from "./wild";

/** Nobody here has a pointer: each test is a page's main task, by keys alone. The project is their own, so that nothing else changes its lists. */
const at = "/projects/keys";

async function push(name: string, definition: string, script = ""): Promise<void> {
  const dir = join(process.env.MAYFLY_DIR!, "keys", name);
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, `${name}.yaml`), `name: ${name}\n${definition}`);
  if (script) await writeFile(join(dir, "script.sh"), `#!/bin/sh\n${script}`, { mode: 0o755 });
  await mayfly(["tool", "push", join(dir, `${name}.yaml`), "--project", "keys"]);
}

let begun: string[] = [];
async function begin(tool: string, inputs: Record<string, unknown> = {}): Promise<string> {
  const { id } = await call<{ id: string }>("POST", `${at}/runs`, { tool, inputs });
  begun.push(id);
  return id;
}
// What a test that failed has left running would be in the lists of the next ones.
afterEach(async () => {
  for (const id of begun) await call("POST", `${at}/runs/${id}/cancel`).catch(() => {});
  begun = [];
});
const state = async (id: string) => (await call<{ status: string }>("GET", `${at}/runs/${id}`)).status;
const becomes = (id: string, status: string) =>
  vi.waitFor(async () => expect(await state(id)).toBe(status), { timeout: patience, interval: 100 });

const wild = new Wild();
beforeAll(async () => {
  const script = "image: busybox\nscript: {file: script.sh}\n";
  const deploy = `${script}args:
- {name: service, required: true, options: [api, web]}
- {name: replicas, type: integer, default: 2}
- {name: dry_run, type: boolean, default: true}
- {name: hosts, type: array}
`;
  await push("deploy", deploy, 'echo "$SERVICE $REPLICAS $DRY_RUN $HOSTS"\n');
  await push("deploy", deploy + "timeout: 5m\n", 'echo "$SERVICE $REPLICAS $DRY_RUN $HOSTS"\n');
  await push("lines", `${script}args: [{name: n, type: integer, default: 3}]\n`, 'seq 1 $N | sed "s/^/this is line /"\n');
  await push("nap", `${script}args: [{name: n, type: integer, default: 120}]\n`, "sleep $N\n");
  await push(
    "release",
    `workflow:
  - {name: build, tool: lines, inputs: {n: 1}}
  - {name: ship, needs: [build], tool: {image: busybox, script: exit 3}}
`,
  );
  await becomes(await begin("lines"), "succeeded");
  await call("PUT", "/policies/keys-two", { text: "read_only: true\n" });
  await wild.connect("keys-1", { version: "0" });
});
afterAll(() => wild.leave());

test("somebody signs in, goes through the menu, and signs out", async () => {
  const { page, wrong } = await open();
  await page.goto(`${at}/runs`);
  const token = page.getByLabel("Token");
  await keeps(token);
  await page.keyboard.type("not-a-token");
  await follow(page, page.getByRole("button", { name: "Sign in" }));
  await page.getByText("This token isn't valid").waitFor();
  await keeps(page.getByRole("button", { name: "Sign in" }));
  await reach(page, token, "Shift+Tab");
  await page.keyboard.type((await control()).token);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Runs" }).waitFor();
  await somewhere(page);

  // The keys of the page are listed, and what had the focus has it again.
  await follow(page, page.getByRole("link", { name: "Tools", exact: true }), "Shift+Tab");
  await page.waitForURL(`**${at}/tools`);
  await keeps(page.getByRole("link", { name: "Tools", exact: true }));
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await follow(page, page.getByRole("button", { name: "Close" }));
  await keeps(page.getByRole("link", { name: "Tools", exact: true }));
  for (const [key, path] of Object.entries({ o: "", r: "/runs", b: "/build", c: "/secrets", u: "/runners", s: "/settings" })) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await page.waitForURL(`**${at}${path}`);
  }
  const project = page.getByRole("combobox", { name: "Project" });
  await reach(page, project, "Shift+Tab");
  await page.keyboard.press("ArrowDown");
  await page.waitForURL(`**${at}-two/settings`);
  await keeps(project);
  await page.keyboard.press("ArrowUp");
  await page.waitForURL(`**${at}/settings`);

  // The menu of a narrow page is gone with the focus that was in it.
  await page.setViewportSize({ width: 360, height: 800 });
  await follow(page, page.getByRole("button", { name: "Menu" }), "Shift+Tab");
  await follow(page, page.getByRole("link", { name: "Secrets", exact: true }));
  await page.waitForURL(`**${at}/secrets`);
  await page.getByRole("navigation", { name: "Mayfly" }).waitFor({ state: "hidden" });
  await somewhere(page);
  await reach(page, page.getByRole("button", { name: "Set a secret" }));
  await page.setViewportSize({ width: 1280, height: 800 });

  // The session ends, and the page behind the form is as it was.
  await page.evaluate(() => fetch("/api/v1/session", { method: "DELETE", headers: { "X-Mayfly-Session": "1" } }));
  await keeps(token);
  await page.keyboard.type((await control()).token);
  await page.keyboard.press("Enter");
  await token.waitFor({ state: "detached" });
  await keeps(page.getByRole("button", { name: "Set a secret" }));
  await follow(page, page.getByRole("button", { name: "Sign out" }));
  await keeps(token);
  expect(wrong).toEqual([]);
});

test("somebody sees in the overview what goes on, and comes to it", async () => {
  const naps = [await begin("nap"), await begin("nap")];
  for (const id of naps) await becomes(id, "running");
  const { page, wrong } = await signedIn({ viewport: { width: 1280, height: 1300 } }, at);
  const now = page.getByRole("region", { name: "Runs now" });
  const run = (id: string) => now.locator(`a[href$="${id}"]`);
  // The row with the focus goes; the next one has it.
  await reach(page, run(naps[1]!));
  await call("POST", `${at}/runs/${naps[1]}/cancel`);
  await keeps(run(naps[0]!));
  await call("POST", `${at}/runs/${naps[0]}/cancel`);
  await now.getByText("Nothing runs or waits.").waitFor();
  await somewhere(page);

  const bars = page.getByRole("group", { name: /^Runs by how they ended/ });
  await reach(page, bars.locator('a[tabindex="0"]'));
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/runs\?since=.*&until=/);
  await somewhere(page);
  await page.keyboard.press("g");
  await page.keyboard.press("o");
  await page.locator('tr[data-tool="lines"]').waitFor();
  await follow(page, page.getByRole("link", { name: "7 days" }));
  await page.waitForURL("**range=7d");
  await follow(page, page.getByRole("button", { name: "Show lines in the charts" }));
  await page.getByRole("heading", { name: "Over time: lines" }).waitFor();
  await follow(page, page.getByRole("button", { name: "Show all tools" }), "Shift+Tab");
  await page.getByRole("heading", { name: "Over time", exact: true }).waitFor();
  await somewhere(page);
  await follow(page, page.locator('tr[data-tool="lines"]').getByRole("link", { name: "lines" }));
  await page.waitForURL(/\/runs\?tool=lines&since=7d/);
  expect(wrong).toEqual([]);
});

test("somebody finds runs, cancels two, and opens one", async () => {
  const naps = [await begin("nap"), await begin("nap"), await begin("nap")];
  for (const id of naps) await becomes(id, "running");
  const { page, wrong } = await signedIn({}, `${at}/runs`);
  const rows = page.locator("tbody tr");
  const tick = (id: string) => page.locator("tr", { has: page.locator(`a[href$="${id}"]`) }).getByRole("checkbox");
  await reach(page, page.getByRole("combobox", { name: "Tool" }));
  await page.keyboard.type("nap");
  await page.keyboard.press("Enter");
  await page.waitForURL(/tool=nap/);
  await follow(page, page.getByRole("button", { name: /^Status:/ }), "Shift+Tab");
  await reach(page, page.getByLabel("running", { exact: true }));
  await page.keyboard.press("Space");
  await page.waitForURL(/status=running/);
  await page.keyboard.press("Escape");
  await expect.poll(() => rows.count(), { timeout: patience }).toBe(3);

  await reach(page, tick(naps[1]!));
  await page.keyboard.press("Space");
  await reach(page, tick(naps[0]!));
  await page.keyboard.press("Space");
  await page.getByText("2 runs selected").waitFor();
  await follow(page, page.getByRole("button", { name: "Cancel" }), "Shift+Tab");
  await follow(page, page.getByRole("dialog").getByRole("button", { name: "Cancel 2 runs" }));
  await page.getByText("The end of 2 runs was asked for").waitFor();
  await somewhere(page);
  for (const id of naps.slice(0, 2)) await becomes(id, "cancelled");
  await expect.poll(() => rows.count(), { timeout: patience }).toBe(1);

  // What has ended isn't in this list any longer, also if its row has the focus.
  await reach(page, tick(naps[2]!));
  await call("POST", `${at}/runs/${naps[2]}/cancel`);
  await page.getByText("No run matches").waitFor();
  await somewhere(page);
  await follow(page, page.getByRole("button", { name: "Remove all filters" }), "Shift+Tab");
  await page.waitForURL(`**${at}/runs`);
  await somewhere(page);
  await follow(page, page.locator(`a[href$="${naps[2]}"]`));
  await page.waitForURL(`**/runs/${naps[2]}`);
  await somewhere(page);
  expect(wrong).toEqual([]);
});

test("somebody reads a run, runs it again, and cancels that", async () => {
  const id = await begin("lines", { n: 3000 });
  await becomes(id, "succeeded");
  const { page, wrong } = await signedIn({}, `${at}/runs/${id}`);
  const log = page.getByRole("log");
  const line = (n: number) => page.getByText(`this is line ${n}`, { exact: true });
  await reach(page, log);
  await line(3000).waitFor();
  await page.keyboard.press("Home");
  await line(1).waitFor();
  await page.keyboard.press("PageDown");
  await line(1).waitFor({ state: "detached" });
  await page.keyboard.press("/");
  await page.keyboard.type("line 2345");
  await line(2345).waitFor();
  await page.keyboard.press("Escape");
  await keeps(log);
  await page.keyboard.press("f");
  await line(3000).waitFor();
  await reach(page, page.getByRole("tab", { name: "Log" }), "Shift+Tab");
  for (let i = 0; i < 4; i++) await page.keyboard.press("ArrowRight");
  await page.waitForURL(/tab=inputs/);
  await page.getByRole("row", { name: "n integer 3000" }).waitFor();
  await follow(page, page.getByRole("button", { name: "Run again", exact: true }), "Shift+Tab");
  await page.waitForURL((u) => !u.pathname.endsWith(id));
  await page.locator('h1 ~ [data-status="succeeded"]').waitFor();
  await somewhere(page);

  const nap = await begin("nap");
  await becomes(nap, "running");
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await follow(page, page.locator(`a[href$="${nap}"]`));
  await follow(page, page.getByRole("button", { name: "Cancel" }));
  await page.locator('h1 ~ [data-status="cancelled"]').waitFor();
  await somewhere(page);
  expect(wrong).toEqual([]);
});

test("somebody finds the step that failed, and retries from it", async () => {
  const id = await begin("release");
  await becomes(id, "failed");
  const { page, wrong } = await signedIn({}, `${at}/runs/${id}`);
  await follow(page, page.locator('.node[data-step="ship"]'));
  await page.waitForURL((u) => !u.pathname.endsWith(id));
  await somewhere(page);
  await follow(page, page.getByRole("link", { name: "ship" }));
  await page.waitForURL(`**/runs/${id}?step=ship`);
  const step = page.locator('li[data-step="ship"]');
  await follow(page, step.getByRole("button", { name: "Retry from here" }));
  await page.waitForURL((u) => !u.pathname.endsWith(id));
  const next = page.url().split("/").at(-1)!;
  await becomes(next, "failed");
  expect(await call("GET", `${at}/runs/${next}`)).toMatchObject({ resumes: id });
  await somewhere(page);
  expect(wrong).toEqual([]);
});

test("somebody fills in the form of a tool, runs it, and compares its versions", async () => {
  const { page, wrong } = await signedIn({}, `${at}/tools`);
  await follow(page, page.getByRole("link", { name: /^deploy/ }));
  const form = page.getByRole("form", { name: "Run it" });
  await reach(page, form.getByLabel("replicas", { exact: true }));
  await page.keyboard.press("Control+a");
  await page.keyboard.type("many");
  await follow(page, form.getByRole("button", { name: "Run", exact: true }));
  // The first of two that are wrong.
  await keeps(form.getByLabel("service", { exact: true }));
  await page.keyboard.press("ArrowDown");
  await reach(page, form.getByLabel("replicas", { exact: true }));
  await page.keyboard.press("Control+a");
  await page.keyboard.type("3");
  await reach(page, form.getByLabel("dry_run", { exact: true }));
  await page.keyboard.press("ArrowDown");
  await reach(page, form.getByLabel("hosts", { exact: true }));
  await page.keyboard.type('["a","b"]');
  await follow(page, form.getByRole("button", { name: "Run", exact: true }));
  await page.getByText('api 3 false ["a","b"]').waitFor();
  await somewhere(page);

  await follow(page, page.getByRole("link", { name: "deploy" }));
  await follow(page, page.getByRole("link", { name: "Versions" }));
  await follow(page, page.getByRole("link", { name: "Changes of version 2" }));
  await page.getByRole("heading", { name: "From version 1 to 2" }).waitFor();
  await reach(page, page.getByRole("combobox", { name: "From version", exact: true }));
  await page.keyboard.press("ArrowUp");
  await page.getByRole("heading", { name: "From version 2 to 2" }).waitFor();
  await follow(page, page.getByRole("link", { name: "Close the comparison" }));
  await page.getByRole("heading", { name: /From version/ }).waitFor({ state: "detached" });
  await somewhere(page);
  expect(wrong).toEqual([]);
});

test("somebody sets secrets, rotates one, and removes one", async () => {
  const { page, wrong } = await signedIn({}, `${at}/secrets`);
  const dialog = page.getByRole("dialog");
  const opener = page.getByRole("button", { name: "Set a secret" });
  for (const name of ["first", "second"]) {
    await follow(page, opener);
    await keeps(dialog.getByLabel("Name"));
    await page.keyboard.type(name);
    await reach(page, dialog.getByRole("textbox", { name: "Value" }));
    await page.keyboard.type("a value");
    await follow(page, dialog.getByRole("button", { name: "Set", exact: true }));
    await page.getByText(`${name} is set; it has version 1.`).waitFor();
    await keeps(opener);
  }
  await follow(page, page.getByRole("button", { name: "Rotate first" }));
  await reach(page, dialog.getByRole("textbox", { name: "Value" }));
  await page.keyboard.type("another");
  await follow(page, dialog.getByRole("button", { name: "Rotate", exact: true }));
  await page.getByText("first is rotated; it has version 2.").waitFor();
  await keeps(page.getByRole("button", { name: "Rotate first" }));
  await follow(page, page.getByRole("button", { name: "Remove first" }));
  await reach(page, dialog.getByLabel("Type its name to confirm"));
  await page.keyboard.type("first");
  await page.keyboard.press("Enter");
  await page.getByText("first is removed.").waitFor();
  await keeps(page.getByRole("button", { name: "Remove second" })); // of the row that took its place
  expect(wrong).toEqual([]);
});

test("somebody looks at a runner, and drains it", async () => {
  const { page, wrong } = await signedIn({}, `${at}/runners`);
  const runner = page.locator('[data-runner="keys-1"]');
  await follow(page, runner.getByRole("link", { name: "All runs of keys-1" }));
  await page.waitForURL(/runs\?runner=keys-1/);
  await page.keyboard.press("g");
  await page.keyboard.press("u");
  await follow(page, runner.getByRole("button", { name: "Drain keys-1" }));
  await follow(page, page.getByRole("dialog").getByRole("button", { name: "Drain", exact: true }));
  await page.getByText("keys-1 drains.").waitFor();
  await runner.getByText("draining", { exact: true }).waitFor();
  await expect.poll(() => runner.evaluate((el) => el.contains(document.activeElement)), { timeout: patience }).toBe(true);
  await reach(page, runner.getByRole("link", { name: "All runs of keys-1" }));
  expect(wrong).toEqual([]);
});

test("somebody makes and ends a token, sets a policy, and looks into the audit log", async () => {
  const { page, wrong } = await signedIn({}, `${at}/settings`);
  await follow(page, page.getByRole("link", { name: "Members" }));
  const opener = page.getByRole("button", { name: "New token" });
  const dialog = page.getByRole("dialog");
  for (const name of ["one", "two"]) {
    await follow(page, opener);
    await keeps(dialog.getByRole("textbox", { name: /^Name/ }));
    await page.keyboard.type(name);
    await reach(page, dialog.getByRole("radio", { name: /^operator/ }));
    await page.keyboard.press("ArrowUp"); // viewer
    await follow(page, dialog.getByRole("button", { name: "Make it" }));
    await page.locator("[data-new-token]").waitFor();
    await somewhere(page);
    await follow(page, dialog.getByRole("button", { name: "I have it" }));
    await keeps(opener);
  }
  expect(await page.locator('[data-token="one"]').innerText()).toMatch(/viewer/);
  await follow(page, page.getByRole("button", { name: "End the token one" }));
  await follow(page, dialog.getByRole("button", { name: "End", exact: true }));
  await page.getByText("The token one has ended.").waitFor();
  await keeps(page.getByRole("button", { name: "End the token two" }));

  await follow(page, page.getByRole("link", { name: "Policy" }), "Shift+Tab");
  await follow(page, page.getByRole("button", { name: "Write one" }));
  await keeps(page.getByRole("textbox", { name: "Policy of keys, in YAML" }));
  await page.keyboard.press("Control+a");
  await page.keyboard.press("Delete"); // text that replaces text has styles of the browser, which the page's policy refuses
  await page.keyboard.type("max: {memory: 2Gi}");
  await follow(page, page.getByRole("button", { name: "Set the policy" }));
  await page.getByText(/Version 1 is set/).waitFor();
  await keeps(page.getByRole("button", { name: "Set the policy" }));
  await follow(page, page.getByRole("button", { name: "Remove" }));
  await follow(page, dialog.getByRole("button", { name: "Remove" }));
  await page.getByText("The policy is removed.").waitFor();
  await somewhere(page);

  await follow(page, page.getByRole("link", { name: "Audit log" }), "Shift+Tab");
  await reach(page, page.getByRole("combobox", { name: "Action" }));
  await page.keyboard.type("create-project");
  await page.waitForURL(/action=create-project-token/);
  const entry = page.locator("li[data-entry]");
  await expect.poll(() => entry.count(), { timeout: patience }).toBe(2);
  await follow(page, entry.first().getByRole("button"));
  await entry.first().locator("dl").waitFor();
  await follow(page, page.getByRole("button", { name: "Remove all filters" }), "Shift+Tab");
  await page.waitForURL((u) => !u.search.includes("action"));
  await somewhere(page);
  expect(wrong).toEqual([]);
});
