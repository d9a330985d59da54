import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { afterAll, expect, onTestFailed } from "vitest";

/** pictures is the folder for what the pages look like, if somebody wants to look, and for what was seen last when a test fails. */
const pictures = process.env.MAYFLY_PICTURES ?? join(process.env.MAYFLY_DIR ?? ".", "pictures");

/** patience is how long a test waits for what should happen at once. Machines differ. */
export const patience = Number(process.env.MAYFLY_PATIENCE ?? 120_000);

interface Site {
  url: string;
  token: string;
}

/** control asks for the server: where it is, or that it is started, stopped or killed. */
export async function control(what: "" | "start" | "stop" | "kill" = ""): Promise<Site> {
  const answer = await fetch(`${process.env.MAYFLY_CONTROL}/${what}`, { method: what ? "POST" : "GET" });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as Site;
}

const execute = promisify(execFile);
let loggedIn = false;

/** mayfly runs the command, logged in at the server, and returns its output. A status other than 0 is an error unless it is expected. */
export async function mayfly(args: string[], status = 0): Promise<string> {
  const site = await control();
  const bin = join(process.env.MAYFLY_BIN!, "mayfly");
  const o = { cwd: process.env.MAYFLY_DIR!, env: process.env, maxBuffer: 1 << 28 };
  if (!loggedIn) {
    await execute(bin, ["login", site.url, "--token-file", join(process.env.MAYFLY_DIR!, "data", "admin-token")], o);
    await execute(bin, ["context", "use", site.url.replace("https://", "")], o);
    loggedIn = true;
  }
  try {
    return (await execute(bin, args, o)).stdout;
  } catch (error) {
    const e = error as { code?: number; stdout: string; stderr: string };
    if (e.code === status) return e.stdout;
    throw new Error(`mayfly ${args.join(" ")}: status ${e.code}\n${e.stdout}${e.stderr}`);
  }
}

/** tool pushes a tool made of a script. */
export async function tool(name: string, script: string, more = ""): Promise<void> {
  const dir = join(process.env.MAYFLY_DIR!, "tools", name);
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, "tool.yaml"), `name: ${name}\nimage: busybox\nscript: {file: script.sh}\n${more}`);
  await writeFile(join(dir, "script.sh"), `#!/bin/sh\n${script}`, { mode: 0o755 });
  await mayfly(["tool", "push", join(dir, "tool.yaml")]);
}

/** call sends a request to the API, with the administrator's token. */
export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const site = await control();
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0"; // the server made its certificate itself
  const answer = await fetch(`${site.url}/api/v1${path}`, {
    method,
    headers: { Authorization: `Bearer ${site.token}`, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return (text ? JSON.parse(text) : undefined) as T;
}

/** start begins a run, and returns its id. */
export async function start(name: string, inputs: Record<string, unknown> = {}): Promise<string> {
  return (await call<{ id: string }>("POST", "/projects/default/runs", { tool: name, inputs })).id;
}

/** ended waits until a run is over. */
export async function ended(id: string): Promise<{ status: string; lines: number }> {
  for (const until = Date.now() + patience; Date.now() < until; await new Promise((done) => setTimeout(done, 100))) {
    const run = await call<{ status: string; lines: number }>("GET", `/projects/default/runs/${id}`);
    if (!["queued", "pulling", "creating", "running"].includes(run.status)) return run;
  }
  throw new Error(`run ${id} doesn't end`);
}

let browser: Browser | undefined;
let windows = 0;

/** The flags keep Chromium from looking for servers elsewhere. */
const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface Tab {
  page: Page;
  context: BrowserContext;
  /** What went wrong in the page: errors of scripts, and what its policy refused. */
  wrong: string[];
}

/** open returns a new window, of a browser with nothing of earlier ones. */
export async function open(options: BrowserContextOptions = {}): Promise<Tab> {
  browser ??= await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    viewport: { width: 1280, height: 800 },
    baseURL: (await control()).url,
    ...options,
  });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  const wrong: string[] = [];
  const n = ++windows;
  onTestFailed(async ({ task }) => {
    await mkdir(pictures, { recursive: true });
    await page.screenshot({ path: join(pictures, `failed-${task.name.replace(/\W+/g, "-")}-${n}.png`) }).catch(() => {});
  });
  page.on("pageerror", (e) => wrong.push(`error: ${e.message}`));
  // What the policy of the page refuses is told to the page, with the place that did it.
  await page.exposeFunction("tellWrong", (what: string) => void wrong.push(what));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (e) => {
      const tell = (globalThis as unknown as { tellWrong(what: string): void }).tellWrong;
      tell(
        `policy: ${e.effectiveDirective} ${e.blockedURI} at ${e.sourceFile}:${e.lineNumber}:${e.columnNumber} ${e.sample} ${(e.target as Element | null)?.outerHTML?.slice(0, 200)}`,
      );
    });
  });
  return { page, context, wrong };
}

afterAll(async () => {
  await browser?.close();
  browser = undefined;
});

/** signedIn returns a window with a session. */
export async function signedIn(options: BrowserContextOptions = {}, at = "/"): Promise<Tab> {
  return signedInWith((await control()).token, options, at);
}

/** signedInAs returns a window with a session of a token of the project default that has another role than the administrator's. */
export async function signedInAs(role: string, at = "/"): Promise<Tab> {
  const made = await call<{ token: string }>("POST", "/projects/default/tokens", { name: `${role}-${crypto.randomUUID()}`, role });
  return signedInWith(made.token, {}, at);
}

async function signedInWith(token: string, options: BrowserContextOptions, at: string): Promise<Tab> {
  const tab = await open(options);
  const answer = await tab.context.request.post(`${(await control()).url}/api/v1/session`, {
    headers: { Authorization: `Bearer ${token}`, "X-Mayfly-Session": "1", "Idempotency-Key": crypto.randomUUID() },
  });
  expect(answer.status(), await answer.text()).toBeLessThan(300);
  await tab.page.goto(at);
  return tab;
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe-core looks at: everything, only the contrast of colours, or everything else. */
type Look = "all" | "contrast" | "no contrast";

/** accessible fails if axe-core finds a violation of WCAG 2.2 AA, or of best practice. */
export async function accessible(page: Page, look: Look = "all"): Promise<void> {
  // The page's policy refuses scripts that aren't the server's; the debugger may still run this one.
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe);
  const contrast = "color-contrast";
  const options = look === "all" ? {} : look === "contrast" ? { runOnly: [contrast] } : { rules: { [contrast]: { enabled: false } } };
  const found = await page.evaluate(async (options) => {
    const run = (
      globalThis as unknown as {
        axe: { run(o: object): Promise<{ violations: { id: string; help: string; nodes: { html: string; failureSummary: string }[] }[] }> };
      }
    ).axe;
    return (await run.run(options)).violations.map(
      (v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `  ${n.html}\n  ${n.failureSummary}`).join("\n")}`,
    );
  }, options);
  expect(found, found.join("\n")).toEqual([]);
}

/**
 * pictured lets axe-core look at a page: light, dark, and as wide as a phone. Dark has other colours and nothing else, and narrow has no other colours. If somebody
 * wants to look too (MAYFLY_PICTURES), it takes a picture of each.
 */
export async function pictured(page: Page, name: string): Promise<void> {
  await mkdir(pictures, { recursive: true });
  const size = page.viewportSize()!;
  for (const [kind, scheme, width, look] of [
    ["light", "light", size.width, "all"],
    ["dark", "dark", size.width, "contrast"],
    ["narrow", "light", 360, "no contrast"],
  ] as const) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: size.height });
    await page.waitForTimeout(150);
    if (process.env.MAYFLY_PICTURES) await page.screenshot({ path: join(pictures, `${name}-${kind}.png`) });
    await accessible(page, look);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(size);
}
