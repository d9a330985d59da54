import { createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, control, ended, mayfly, open, patience, pictured, signedIn, start, tool } from "./bed";

let there: Server;
let port = 0;

beforeAll(async () => {
  there = createServer((c) => c.end("hello\n".repeat(500)));
  await new Promise<void>((done) => there.listen(0, "127.0.0.1", done));
  port = (there.address() as { port: number }).port;
  await tool(
    "worker",
    `echo begins
a=$(nslookup host.mayfly.internal 2>/dev/null | sed -n 's/^Address[^:]*: *//p' | tail -1)
for i in 1 2 3; do nc -w 2 $a ${port} </dev/null >/dev/null; done
nc -w 1 198.51.100.7 5432 </dev/null
nslookup -type=txt api.example.com >/dev/null 2>&1
x=""; for i in $(seq 1 $N); do x="$x$(head -c 1500000 /dev/zero | tr '\\0' a)"; head -c 40000000 /dev/zero | md5sum >/dev/null; sleep 0.4; done
echo "size=\${#x}"
printf 'answer=42\\nreport<<END\\n' >> $MAYFLY_OUTPUT
seq 1 400 | sed 's/^/this is line /' >> $MAYFLY_OUTPUT
echo END >> $MAYFLY_OUTPUT
printf 'markup=<img src=x onerror="window.canary=1"><script>window.canary=1</script>\\n' >> $MAYFLY_OUTPUT
`,
    `description: Works for a while
args:
  - {name: n, type: integer, default: 6, description: How often}
  - {name: mode, options: [fast, slow], default: fast}
  - {name: tags, type: array, default: [a, b]}
environment: {COLOUR: blue}
volumes: [{name: scratch, size: 16Mi, mount_path: /data}]
resources: {memory: 64Mi, cpu: "1"}
network: {egress: [{host: host.mayfly.internal, ports: [${port}]}]}
timeout: 5m
labels: {team: "<b>platform</b>"}
`,
  );
  await tool("hungry", "x=$(head -c 60000000 /dev/zero | tr '\\0' a); echo ${#x}\n", "resources: {memory: 32Mi}\n");
  await tool("stubborn", 'echo "try"; exit 7\n', "retry: {attempts: 3, backoff: 100ms}\n");
  await tool("ticker", 'for i in $(seq 1 $N); do echo "tick $i"; sleep 0.5; done\n', "args: [{name: n, type: integer, default: 20}]\n");
  await tool("late", "sleep 60\n", "timeout: 1s\n");
  await tool("lost", "no-such-command\n");
});
afterAll(() => there?.close());

test("somebody looks at what a run has made, used, asked for and connected to", async () => {
  const id = await start("worker", { mode: "slow" });
  expect((await ended(id)).status).toBe("succeeded");
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  const times = page.getByRole("list", { name: "Timeline" });
  await times.getByText("running").waitFor();
  expect(await times.getByRole("listitem").count()).toBeGreaterThanOrEqual(2);
  await pictured(page, "run-log");

  await page.getByRole("tab", { name: /Outputs/ }).click();
  await page.waitForURL(/tab=outputs/);
  const report = page.getByRole("row", { name: /^report/ });
  expect(await report.innerText()).not.toContain("this is line 400");
  await report.getByRole("button", { name: /Show all/ }).click();
  expect(await report.innerText()).toContain("this is line 400");
  await report.getByRole("button", { name: "Show less" }).click();
  expect(await page.getByRole("row", { name: /^markup/ }).innerText()).toContain("<script>");
  await pictured(page, "run-outputs");

  await page.getByRole("tab", { name: "Usage" }).click();
  await page.getByRole("img", { name: /^CPU over time/ }).waitFor();
  expect(await page.getByRole("img", { name: /over time/ }).count()).toBe(5);
  expect(await page.getByRole("img", { name: /^Memory/ }).getAttribute("aria-label")).toMatch(/Limit: 64 MiB/);
  const memory = page.getByRole("row", { name: /^Memory/ });
  expect(await memory.innerText()).toMatch(/MiB\s+64 MiB\s+\d+ %/);
  await pictured(page, "run-usage");
  await page.getByText(/Samples as a table/).click();
  const samples = page.getByRole("region", { name: "Samples of what the run used" });
  expect(await samples.getByRole("row").count()).toBeGreaterThan(2);
  await samples.scrollIntoViewIfNeeded();
  await pictured(page, "run-usage-tables");

  const connections = page.getByRole("tab", { name: /Connections/ });
  expect(await connections.innerText()).toMatch(/\d refused/);
  await connections.click();
  const refused = page.getByRole("row", { name: /198\.51\.100\.7:5432/ });
  expect(await refused.innerText()).toContain("refused");
  const allowed = page.getByRole("row", { name: new RegExp(`:${port}`) });
  expect(await allowed.innerText()).toMatch(/allowed[\s\S]*3[\s\S]*KiB/);
  await pictured(page, "run-connections");
  await page.getByRole("button", { name: /^Refused/ }).click();
  await page.waitForURL(/connections=refused/);
  await expect.poll(() => allowed.count()).toBe(0);
  await refused.getByRole("button", { name: "Allow this…" }).click();
  const rule = await page.getByRole("dialog").locator("code").first().innerText();
  expect(rule).toContain("198.51.100.7");
  await pictured(page, "run-allow");
  const link = new URL((await page.getByRole("link", { name: "Add it in the builder" }).getAttribute("href"))!, page.url());
  expect(link.pathname).toBe("/projects/default/build/worker");
  expect(link.searchParams.get("allow")).toBe(rule);
  await page.keyboard.press("Escape");
  expect(await refused.getByRole("button", { name: "Allow this…" }).evaluate((e) => e === document.activeElement)).toBe(true);

  await page.getByRole("tab", { name: "Inputs" }).click();
  expect(await page.getByRole("row", { name: /^mode/ }).innerText()).toContain("slow");
  expect(await page.getByRole("row", { name: /^n / }).innerText()).toMatch(/6\s*default/);
  await pictured(page, "run-inputs");

  await page.getByRole("tab", { name: "Definition" }).click();
  await page.getByText(/busybox@sha256:/).waitFor();
  await page.getByRole("link", { name: "worker, version 1" }).waitFor();
  await pictured(page, "run-definition");

  expect(await page.evaluate(() => (globalThis as { canary?: number }).canary)).toBeUndefined();
  expect(wrong).toEqual([]);
});

test("usage and connections come while the run goes on", async () => {
  const id = await start("worker", { n: 12 });
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}?tab=usage`);
  await page.getByText(/Samples as a table/).click();
  const rows = page.getByRole("region", { name: "Samples of what the run used" }).getByRole("row");
  await expect.poll(() => rows.count(), { timeout: patience }).toBeGreaterThan(3);
  const at = await rows.count();
  await expect.poll(() => rows.count(), { timeout: patience }).toBeGreaterThan(at);
  expect(await page.locator('h1 ~ [data-status="running"]').count()).toBe(1);
  await page.getByRole("tab", { name: /refused/ }).waitFor();
  await page.getByRole("list", { name: "Timeline" }).getByText("so far").waitFor();
  await pictured(page, "run-live-usage");
  await page.locator('h1 ~ [data-status="succeeded"]').waitFor();
  await page.getByRole("tab", { name: /Connections/ }).click();
  // What came live is what the server has in the end.
  const all = await call<{ connections: { count: number }[] }>("GET", `/projects/default/runs/${id}/connections`);
  await expect.poll(() => page.locator("[data-allowed]").count()).toBe(all.connections.length);
  expect(wrong).toEqual([]);
});

test("a run without enough memory says so, and is run again with more", async () => {
  const id = await start("hungry");
  await ended(id);
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  await page.getByText("It used 32 MiB of 32 MiB of memory.").waitFor();
  expect(await page.locator("[data-exit]").innerText()).toBe("137");
  await pictured(page, "run-memory");
  await page.getByRole("button", { name: "Run again with 64Mi" }).click();
  expect(await page.getByLabel("Memory").inputValue()).toBe("64Mi");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForURL((u) => !u.pathname.endsWith(id));
  const next = page.url().split("/").at(-1)!;
  expect(await call("GET", `/projects/default/runs/${next}/request`)).toMatchObject({ set: { memory: "64Mi" } });
  await ended(next);
  expect(wrong).toEqual([]);
});

test("a run that no runner can take says what it waits for", async () => {
  const { id } = await call<{ id: string }>("POST", "/projects/default/runs", { tool: "ticker", pool: "nowhere" });
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  await page.locator('h1 ~ [data-status="queued"]').waitFor();
  await page
    .getByText(/pool nowhere/)
    .first()
    .waitFor();
  await page.getByRole("list", { name: "Timeline" }).getByText("queued").waitFor();
  await pictured(page, "run-waiting");
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.locator('h1 ~ [data-status="cancelled"]').waitFor();
  expect(wrong).toEqual([]);
});

test("a status that a shell makes is explained, and so are attempts", async () => {
  const lost = await start("lost");
  const stubborn = await start("stubborn");
  const late = await start("late");
  await ended(late);
  await ended(lost);
  await ended(stubborn);
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${lost}`);
  await page.getByText(/ended with 127 by itself/).waitFor();
  await page.goto(`/projects/default/runs/${late}`);
  await page.getByText(/It ran for .*; its timeout is 1s\./).waitFor();
  await page.getByRole("button", { name: "Run again with 2s" }).waitFor();
  await page.goto(`/projects/default/runs/${stubborn}`);
  const tab = page.getByRole("tab", { name: /Attempts/ });
  expect(await tab.innerText()).toMatch(/3/);
  await tab.click();
  await expect.poll(() => page.getByRole("tabpanel").getByRole("row").count()).toBe(4);
  await pictured(page, "run-attempts");
  expect(wrong).toEqual([]);
});

test("with the keyboard alone, somebody reads the sections and runs it again with changes", async () => {
  const id = await start("worker", { n: 1 });
  await ended(id);
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  const tabTo = async (name: string, role: "button" | "tab") => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press("Tab");
      const here = await page.evaluate(() => {
        const e = document.activeElement!;
        return [e.getAttribute("aria-label") ?? e.textContent!.trim(), e.getAttribute("role") ?? e.tagName.toLowerCase()];
      });
      if (here[0] === name && here[1] === role) return;
    }
    throw new Error(`no ${role} ${name} by the keyboard`);
  };
  await page.getByRole("tab", { name: "Log" }).waitFor();
  await tabTo("Log", "tab");
  await page.keyboard.press("End");
  await page.waitForURL(/tab=attempts/);
  await page.keyboard.press("ArrowLeft");
  await page.waitForURL(/tab=definition/);
  await page.keyboard.press("Home");
  await page.waitForURL((u) => !u.search.includes("tab"));
  expect(await page.evaluate(() => document.activeElement!.id)).toBe("tab-log");
  await page.evaluate(() => document.querySelector<HTMLElement>("#content")!.focus());
  await tabTo("Run again with changes", "button");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.getByRole("dialog").getByLabel("n", { exact: true }).focus();
  await page.keyboard.press("Control+a");
  await page.keyboard.type("many");
  await page.keyboard.press("Enter");
  await page.getByText("This isn't an integer.").waitFor();
  await pictured(page, "run-again");
  expect(await page.getByRole("dialog").getByLabel("n", { exact: true }).getAttribute("aria-invalid")).toBe("true");
  await page.keyboard.press("Control+a");
  await page.keyboard.type("2");
  await page.keyboard.press("Enter");
  await page.waitForURL((u) => !u.pathname.endsWith(id));
  const next = page.url().split("/").at(-1)!;
  expect(await call("GET", `/projects/default/runs/${next}/request`)).toMatchObject({ inputs: { n: "2" } });
  await ended(next);
  expect(wrong).toEqual([]);
});

test("who may only look isn't offered what is refused", async () => {
  const id = await start("stubborn");
  await ended(id);
  const { token } = await call<{ token: string }>("POST", "/projects/default/tokens", { name: "looks-on", role: "viewer" });
  const { page, wrong } = await open();
  await page.goto(`/projects/default/runs/${id}`);
  await page.getByLabel("Token").fill(token);
  await page.getByLabel("Token").press("Enter");
  await page.locator('h1 ~ [data-status="failed"]').waitFor();
  expect(await page.getByRole("button", { name: /Run again/ }).count()).toBe(0);
  await page.getByRole("tab", { name: "Definition" }).click();
  await page.getByText("Digest of the image that ran").waitFor();
  expect(wrong).toEqual([]);
});

test("two browsers look at one run, and one of them ends it", async () => {
  const id = await start("ticker", { n: 600 });
  const a = await signedIn({}, `/projects/default/runs/${id}`);
  const b = await signedIn({}, `/projects/default/runs/${id}`);
  await a.page.getByText("tick 3", { exact: true }).waitFor();
  await b.page.getByText("tick 3", { exact: true }).waitFor();
  await a.page.getByRole("button", { name: "Cancel" }).click();
  for (const { page } of [a, b]) {
    await page.locator('h1 ~ [data-status="cancelled"]').waitFor();
    await page.getByText("Its end was asked for.").waitFor();
    expect(await page.getByRole("button", { name: /Cancel|Ending/ }).count()).toBe(0);
  }
  expect(await a.page.locator("[data-lines]").getAttribute("data-lines")).toBe(
    await b.page.locator("[data-lines]").getAttribute("data-lines"),
  );
  expect([...a.wrong, ...b.wrong]).toEqual([]);
});

test("a session ends while a page is open: it asks to sign in, and goes on", async () => {
  const id = await start("ticker", { n: 120 });
  const { page, context, wrong } = await signedIn({}, `/projects/default/runs/${id}?tab=connections`);
  await page.getByText("No connections").waitFor();
  const { url, token } = await control();
  const gone = await context.request.delete(`${url}/api/v1/session`, { headers: { "X-Mayfly-Session": "1" } });
  expect(gone.ok()).toBe(true);
  await page.getByText("Your session has ended").waitFor();
  await pictured(page, "run-signed-out");
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect.poll(() => page.getByText("Your session has ended").count()).toBe(0);
  expect(page.url()).toMatch(new RegExp(`${id}\\?tab=connections$`));
  // The stream goes on.
  await call("POST", `/projects/default/runs/${id}/cancel`);
  await page.locator('h1 ~ [data-status="cancelled"]').waitFor();
  expect(wrong).toEqual([]);
});

test("the server is restarted under an open page, which says so, and catches up", async () => {
  const id = await start("ticker", { n: 600 });
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}?tab=usage`);
  await page.getByRole("img", { name: /^CPU over time/ }).waitFor();
  await control("kill");
  try {
    await page.getByText("The server can't be reached.").waitFor();
    await pictured(page, "run-away");
  } finally {
    await control("start");
  }
  await expect.poll(() => page.getByText("The server can't be reached.").count(), { timeout: patience }).toBe(0);
  await mayfly(["cancel", id]).catch(() => "it has ended");
  await ended(id);
  const { status } = await call<{ status: string }>("GET", `/projects/default/runs/${id}`);
  await page.locator(`h1 ~ [data-status="${status}"]`).waitFor();
  await page.getByRole("tab", { name: "Log" }).click();
  await page.getByText("tick 1", { exact: true }).waitFor();
  expect(wrong).toEqual([]);
});

test("while the server is away, the page of a run says so once", async () => {
  const { id } = await call<{ id: string }>("POST", "/projects/default/runs", { tool: "ticker", pool: "nobody" });
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  await page.getByText("no runner of the pool nobody").waitFor();
  const asks = page.waitForEvent("requestfailed", (r) => r.url().endsWith(`/runs/${id}`)); // beside the log
  await control("kill");
  try {
    await asks;
    await page.getByText("The server can't be reached.").first().waitFor();
    await page.evaluate(() => new Promise(requestAnimationFrame));
    expect(await page.getByText("The server can't be reached.").count()).toBe(1);
  } finally {
    await control("start");
  }
  await expect.poll(() => page.getByText("The server can't be reached.").count(), { timeout: patience }).toBe(0);
  await mayfly(["cancel", id]);
  expect(wrong).toEqual([]);
});

test("what is wrong with a change is said once, at its field, and without words for programs", async () => {
  await tool("rerun-wrong", "echo x\n");
  const id = await start("rerun-wrong");
  await ended(id);
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  await page.getByRole("button", { name: "Run again with changes" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Timeout").fill("abc");
  await dialog.getByRole("button", { name: "Run", exact: true }).click();
  await dialog.locator('input[aria-invalid="true"]:focus').waitFor();
  await pictured(page, "again-wrong");
  expect((await dialog.innerText()).split("is not a duration")).toHaveLength(2);
  expect(await dialog.innerText()).not.toContain("openapi");
  await dialog.getByLabel("Timeout").fill("2m");
  await dialog.getByRole("button", { name: "Add a variable" }).click();
  await dialog.getByLabel("Name 1").fill("a=b");
  await dialog.getByRole("button", { name: "Run", exact: true }).click();
  await dialog.getByRole("alert").waitFor();
  expect(await dialog.innerText()).not.toContain("openapi");
  expect(wrong).toEqual([]);
});

test("a run that was too short to be measured says what it used in all, and no peak that nobody knows", async () => {
  await tool("blink", "true\n");
  const id = await start("blink");
  await ended(id);
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}?tab=usage`);
  await page.getByText("No samples").waitFor();
  for (const what of ["CPU", "Processes", "Network, received"])
    expect(await page.getByRole("row", { name: what }).getByRole("cell").first().innerText(), what).toBe("–");
  expect(await page.getByRole("row", { name: "Memory" }).getByRole("cell").first().innerText()).toMatch(/B$/);
  await pictured(page, "run-short-usage");
  await page.goto("/projects/default/tools");
  const run = await call<{ started: string; finished: string }>("GET", `/projects/default/runs/${id}`);
  const took = `${Date.parse(run.finished) - Date.parse(run.started)} ms`;
  await page.getByRole("row", { name: /blink/ }).locator("td").nth(3).getByText(took, { exact: true }).waitFor();
  expect(wrong).toEqual([]);
});
