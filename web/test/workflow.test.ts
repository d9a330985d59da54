import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { call, ended, mayfly, patience, pictured, signedIn, start, tool } from "./bed";

const arg = (name: string, more = "") => `{name: ${name}${more}}`;

async function workflow(name: string, text: string): Promise<void> {
  const dir = join(process.env.MAYFLY_DIR!, "tools", `of-${name}`);
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, `${name}.yaml`), `name: ${name}\n${text}`);
  await mayfly(["tool", "push", join(dir, `${name}.yaml`)]);
}

beforeAll(async () => {
  await tool(
    "part",
    'echo "part of $WHO begins"; sleep $WAIT; echo "N=v-$WHO" >> $MAYFLY_OUTPUT; mkdir -p /artifacts/app 2>/dev/null && echo x > /artifacts/app/x || true; exit $CODE\n',
    `args: [${arg("who", ", default: you")}, ${arg("code", ", type: integer, default: 0")}, ${arg("wait", ", type: number, default: 0.2")}]\noutputs: [N]\n`,
  );
  await workflow(
    "release",
    `description: Builds, checks and deploys
inputs: [{name: regions, type: array, default: [eu, us, asia]}, {name: code, type: integer, default: 3}, {name: wait, type: number, default: 0.2}]
workflow:
  - {name: build, tool: part, inputs: {wait: "\${inputs.wait}"}, outputs: [N], artifacts: [{name: app}]}
  - {name: check, needs: [build], tool: part, inputs: {who: "\${build.N}"}, artifacts: [{name: app, from: build}]}
  - {name: lint, needs: [build], tool: part, inputs: {wait: "\${inputs.wait}"}}
  - {name: deploy, needs: [check, lint], tool: part, inputs: {who: "\${item}"}, for_each: "\${inputs.regions}"}
  - {name: rollback, needs: [check], tool: part, condition: '\${check.status} == "failed" || \${inputs.code} > 10'}
  - {name: announce, needs: [deploy], tool: part, inputs: {code: "\${inputs.code}"}}
  - {name: archive, needs: [announce], tool: part}
finally:
  - {name: report, tool: part, inputs: {who: "\${deploy.status}"}}
`,
  );
  await tool("reach", "nc -w 1 198.51.100.7 5432 </dev/null || true\n", "network: {egress: [{host: api.example.com}]}\n");
  await workflow("far", "workflow:\n  - {name: first, tool: reach}\n");
  await workflow(
    "wide",
    `workflow:
  - {name: each, tool: part, inputs: {who: "\${item}", wait: 0}, for_each: [${Array.from({ length: 70 }, (_, i) => i).join(", ")}]}
`,
  );
});

const status = (name: string) => `.node[data-step="${name}"]`;

test("somebody sees why a release failed, and retries it from that step", async () => {
  const id = await start("release");
  expect((await ended(id)).status).toBe("failed");
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  await page.locator(status("announce")).waitFor();
  expect(await page.locator(status("announce")).getAttribute("data-status")).toBe("failed");
  expect(await page.locator(status("archive")).getAttribute("data-status")).toBe("skipped");
  expect(await page.locator(status("deploy")).innerText()).toMatch(/3 succeeded/);
  const rollback = page.locator('li[data-step="rollback"]');
  expect(await rollback.innerText()).toMatch(/its condition is false/);
  expect(await rollback.innerText()).toMatch(/\$\{check\.status\} = "succeeded"/);
  expect(await rollback.innerText()).toMatch(/\$\{inputs\.code\} = 3/);
  await page.getByRole("list", { name: "Timeline of the steps" }).getByText("report").waitFor();
  await pictured(page, "workflow");
  await page.getByRole("list", { name: "Timeline of the steps" }).scrollIntoViewIfNeeded();
  await pictured(page, "workflow-gantt");

  // An edge says what it carries.
  await page.getByRole("img", { name: "build gives check: N, app" }).focus();
  expect(await page.locator(".graph [role=status]").innerText()).toBe("N, app");
  await pictured(page, "workflow-edge");

  // The items of a step are in the list.
  await page.locator(status("deploy")).click();
  await page.waitForURL(/step=deploy/);
  await page.getByRole("link", { name: "deploy[2]" }).waitFor();
  await pictured(page, "workflow-items");

  await page.getByRole("tab", { name: "Log" }).click();
  await page.getByText("part of eu begins").waitFor();
  await pictured(page, "workflow-log");
  await page.getByRole("tab", { name: /Outputs/ }).click();
  await page.getByRole("row", { name: /app.*build/ }).waitFor();
  await pictured(page, "workflow-outputs");
  await page.getByRole("tab", { name: "Definition" }).click();
  await page.getByRole("link", { name: "part, version 1" }).waitFor();
  await page.getByRole("tab", { name: "Steps" }).click();

  // A step opens its run, and that leads back.
  await page.locator(status("announce")).click();
  await page.getByRole("heading", { name: /part/ }).waitFor();
  await page.getByText("exit status 3", { exact: true }).waitFor();
  expect(await page.locator(".facts div", { hasText: "Workflow" }).getByRole("link", { name: "release", exact: true }).count()).toBe(1);
  await page.locator(".facts div", { hasText: "Step" }).getByRole("link", { name: "announce" }).click();
  await page.waitForURL(/step=announce/);

  await page.locator('li[data-step="announce"]').getByRole("button", { name: "Retry from here" }).click();
  await page.waitForURL((u) => !u.pathname.endsWith(id));
  const next = page.url().split("/").at(-1)!;
  await ended(next);
  expect(await call("GET", `/projects/default/runs/${next}`)).toMatchObject({ resumes: id });
  await page.locator('li[data-step="build"]').getByText("kept from the run before").waitFor();
  await page.locator('h1 ~ [data-status="failed"]').waitFor();
  await pictured(page, "workflow-resumed");
  await page.getByRole("button", { name: "Resume" }).click();
  await page.waitForURL((u) => !u.pathname.endsWith(next));
  await ended(page.url().split("/").at(-1)!);

  // What was wrong is an input.
  await page.getByRole("button", { name: "Run again with changes" }).click();
  await page.getByLabel("code", { exact: true }).fill("0");
  await pictured(page, "workflow-again");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.locator('h1 ~ [data-status="succeeded"]').waitFor();
  expect(wrong).toEqual([]);
});

test("the graph is live", async () => {
  const id = await start("release", { wait: 4, code: 0 });
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  await page.locator(`${status("build")}[data-status="running"]`).waitFor();
  expect(await page.locator(status("deploy")).getAttribute("data-status")).toBe("waiting");
  await pictured(page, "workflow-live");
  await page.locator(`${status("lint")}[data-status="running"]`).waitFor();
  await page.locator(`${status("report")}[data-status="succeeded"]`).waitFor({ timeout: patience });
  await page.locator('h1 ~ [data-status="succeeded"]').waitFor();
  expect(await page.getByRole("button", { name: "Resume" }).count()).toBe(0);
  expect(wrong).toEqual([]);
});

test("what a step was refused is allowed to its tool", async () => {
  const id = await start("far");
  await ended(id);
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  await page.getByRole("tab", { name: /1 refused/ }).click();
  await pictured(page, "workflow-connections");
  await page
    .getByRole("row", { name: /198\.51\.100\.7:5432.*first/ })
    .getByRole("button", { name: "Allow this…" })
    .click();
  const link = page.getByRole("link", { name: "Add it in the builder" });
  expect(new URL((await link.getAttribute("href"))!, page.url()).pathname).toBe("/projects/default/build/reach");
  expect(wrong).toEqual([]);
});

test("many items are bounded", async () => {
  const id = await start("wide");
  await ended(id);
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}?step=each`);
  const items = page.locator('li[data-step="each"] .items li');
  await items.first().waitFor();
  expect(await items.count()).toBe(50);
  await page.getByRole("button", { name: /Show more/ }).click();
  await expect.poll(() => items.count()).toBe(70);
  expect(wrong).toEqual([]);
});

test("with the keyboard alone, somebody goes from the graph to a step's run", async () => {
  const id = await start("release", { code: 0 });
  await ended(id);
  const { page, wrong } = await signedIn({}, `/projects/default/runs/${id}`);
  await page.locator(status("build")).waitFor();
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement!.matches('.node[data-step="lint"]'))) break;
  }
  await page.keyboard.press("Enter");
  await page.waitForURL((u) => !u.pathname.endsWith(id));
  await page.getByText("part of you begins").waitFor();
  expect(wrong).toEqual([]);
});
