import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { accessible, call, ended, mayfly, pictured, signedIn, signedInAs, start, tool } from "./bed";

const canary = '<img src=x onerror="window.canary=1"><script>window.canary=1</script>';
const bidi = "\u202egnp.exe\u2066";

/** folder pushes a folder, whose files it has, or of it the definition that is named. */
async function folder(name: string, files: Record<string, string | Uint8Array>, note = "", definition = ""): Promise<void> {
  const dir = join(process.env.MAYFLY_DIR!, "folders", name);
  await mkdir(dir, { recursive: true });
  for (const [path, content] of Object.entries(files)) await writeFile(join(dir, path), content);
  await mayfly(["tool", "push", join(dir, definition), ...(note ? ["--note", note] : [])]);
}

const deploy = `args:
- {name: service, required: true, description: Which service is deployed, options: [api, web, worker]}
- {name: replicas, type: integer, default: 2, description: How many of it run}
- {name: ratio, type: number, default: 0.5}
- {name: dry_run, type: boolean, default: true}
- {name: hosts, type: array, description: Where it is deployed to}
- {name: extra, type: object, default: {a: 1}}
- {name: message, description: What the log of changes says about it}
environment: {REGION: eu-west, API_KEY: /secrets/deploy_key}
labels: {team: platform}
timeout: 5m
description: Rolls out a service to its hosts, one after another, and waits until each is healthy
network: {egress: [{host: "*.example.com", ports: [443]}]}
`;

beforeAll(async () => {
  await tool(
    "deploy",
    'echo "$SERVICE $REPLICAS $DRY_RUN $HOSTS"; printf "%s" "$MESSAGE" | wc -l\n',
    deploy.replace("API_KEY: /secrets/deploy_key", "B: c"),
  );
  await tool("nightly", "exit $CODE\n", "args: [{name: code, type: integer, default: 0}]\ndescription: Backs up the database\n");
  await tool("free", 'echo "got $WHO"\n');
});

test("somebody finds a tool, sees how it fares, and runs it with inputs", async () => {
  for (const code of [0, 0, 3, 0]) await ended(await start("nightly", { code }));
  await start("deploy", { service: "api" }).then(ended);
  const { page, wrong } = await signedIn({}, "/projects/default/tools");
  const row = page.getByRole("row", { name: /nightly/ });
  await row.locator('a[aria-label^="failed"]').waitFor();
  expect(await row.locator("[data-run]").count()).toBe(4);
  await row.getByText("75 %").waitFor();
  await pictured(page, "tools");
  await page.getByLabel("Name or description").fill("DATABASE");
  await page.getByText("1 tool found").waitFor();
  expect(new URL(page.url()).searchParams.get("text")).toBe("DATABASE");
  await page.getByLabel("Name or description").fill("nothing-has-this");
  await page.getByText("No tool matches").waitFor();
  await page.getByLabel("Name or description").fill("");
  await page.getByRole("link", { name: "deploy", exact: false }).first().click();
  const form = page.getByRole("form", { name: "Run it" });
  await form.waitFor();
  await pictured(page, "tool-run");

  // What is wrong is said at its field, and nothing is sent.
  await form.getByLabel("replicas", { exact: true }).fill("two");
  await form.getByLabel("hosts", { exact: true }).fill('["a",');
  await form.getByRole("button", { name: "Run", exact: true }).click();
  await form.getByText("A value is needed.").waitFor();
  await form.getByText("This isn't an integer.").waitFor();
  await form.getByText(/This isn't JSON/).waitFor();
  await form.getByText("3 fields have to be corrected.").waitFor();
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("SELECT");
  await pictured(page, "tool-run-wrong");

  // What only the server finds wrong is at its field, too.
  await form.getByLabel("service", { exact: true }).selectOption("web");
  await form.getByLabel("hosts", { exact: true }).fill('["a", "b"]');
  await form.getByLabel("replicas", { exact: true }).fill("0x1F");
  await form.getByRole("button", { name: "Run", exact: true }).click();
  const field = form.locator('[data-place="body.inputs.replicas"]');
  await field.getByText(/"0x1F" is not a whole number/).waitFor();
  expect(await field.locator("input").getAttribute("aria-invalid")).toBe("true");
  await form.getByLabel("replicas", { exact: true }).fill("3");
  await form.getByText("Environment, limits and more").click();
  await form.getByLabel("Time limit").fill("soon");
  await form.getByRole("button", { name: "Run", exact: true }).click();
  await form.locator('input[aria-invalid="true"][placeholder="5m"]').waitFor();
  await pictured(page, "tool-run-more");
  await form.getByLabel("Time limit").fill("1m");
  await form.getByRole("button", { name: "Labels: Add" }).click();
  await page.keyboard.type("why");
  await form.getByLabel("Labels: Value").fill("test");

  // A text of several lines is kept as it is.
  await form.getByLabel("Several lines for message").click();
  await form.getByLabel("message", { exact: true }).fill("one\ntwo\nthree");
  await page.keyboard.press("Control+Enter");
  await page.waitForURL(/\/runs\/[^/]+$/);
  const id = page.url().split("/").at(-1)!;
  await ended(id);
  await page.getByText(/web 3 true \["a", ?"b"\]/).waitFor();
  const asked = await call<{ inputs: object; set: object; labels: object }>("GET", `/projects/default/runs/${id}/request`);
  expect(asked).toMatchObject({
    inputs: { service: "web", replicas: "3", hosts: '["a", "b"]', message: "one\ntwo\nthree" },
    set: { timeout: "1m" },
    labels: { why: "test" },
  });
  expect(asked.inputs).not.toHaveProperty("dry_run");

  // The next one begins with what the last one had.
  await page.goto("/projects/default/tools/deploy");
  await page.getByRole("button", { name: `Use the inputs of the run ${id.slice(-12)}` }).click();
  await page.getByText("The inputs are those of the run").waitFor();
  expect(new URL(page.url()).searchParams.get("inputs")).toBe(id);
  expect(await form.getByLabel("service", { exact: true }).inputValue()).toBe("web");
  expect(await form.getByLabel("message", { exact: true }).inputValue()).toBe("one\ntwo\nthree");
  expect(await form.getByLabel("Time limit").inputValue()).toBe("1m");
  expect(wrong).toEqual([]);
});

test("a tool is run with the keyboard alone", async () => {
  const { page, wrong } = await signedIn({}, "/projects/default/tools");
  await page.getByRole("link", { name: /^deploy/ }).waitFor();
  const press = async (until: () => Promise<boolean>) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press("Tab");
      if (await until()) return;
    }
    throw new Error("the tab key doesn't reach it");
  };
  const active = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
  const label = () => page.evaluate(() => (document.activeElement as HTMLInputElement | null)?.labels?.[0]?.textContent?.trim() ?? "");
  await press(async () => (await active()).startsWith("nightly"));
  await page.keyboard.press("Tab"); // the strip is one stop
  expect(await page.evaluate(() => document.activeElement?.hasAttribute("data-run"))).toBe(true);
  const newest = await page.evaluate(() => (document.activeElement as HTMLElement).dataset.run);
  await page.keyboard.press("ArrowLeft");
  expect(await page.evaluate(() => (document.activeElement as HTMLElement).dataset.run)).not.toBe(newest);
  await page.goto("/projects/default/tools");
  await page.getByRole("link", { name: /^deploy/ }).waitFor();
  await press(async () => (await active()).startsWith("deploy"));
  await page.keyboard.press("Enter");
  await page.getByRole("form", { name: "Run it" }).waitFor();
  await press(async () => (await label()) === "service");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Control+Enter");
  await page.waitForURL(/\/runs\/[^/]+$/);
  await page.getByText("api 2 true").waitFor();
  expect(wrong).toEqual([]);
});

test("a tool without args takes variables, and a missing secret is named before the run", async () => {
  const { page, wrong } = await signedIn({}, "/projects/default/tools/free");
  const form = page.getByRole("form", { name: "Run it" });
  await form.getByRole("button", { name: "Inputs: Add" }).click();
  await form.getByLabel("Inputs: Name").fill("WHO");
  await form.getByLabel("Inputs: Value").fill("me");
  await form.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByText("got me").waitFor();

  await tool("keyed", "echo $KEY\n", "environment: {KEY: /secrets/no_such_key}\n");
  await page.goto("/projects/default/tools/keyed");
  await page.locator('[data-secret="no_such_key"][data-state="missing"]').waitFor();
  await pictured(page, "tool-secret");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByText("the project default has no secret no_such_key").waitFor();
  await call("PUT", "/projects/default/secrets/no_such_key", { value: btoa("geheim123") });
  await page.locator('[data-secret="no_such_key"][data-state="has"]').waitFor(); // it looks again by itself
  expect(wrong).toEqual([]);
});

test("what is filled in stays while another part is looked at, and when there is a new version", async () => {
  const args = "args: [{name: who}]\n";
  await tool("moving", "echo $WHO one\n", args);
  const { page, wrong } = await signedIn({}, "/projects/default/tools/moving");
  await page.getByLabel("who", { exact: true }).fill("me");
  await page.getByRole("link", { name: "Definition" }).click();
  await page.getByRole("heading", { name: "What runs" }).waitFor();
  expect(await page.getByRole("form", { name: "Run it" }).count()).toBe(0);
  await page.goBack();
  expect(await page.getByLabel("who", { exact: true }).inputValue()).toBe("me");
  await tool("moving", "echo $WHO two\n", args);
  await page.getByText("This is version 1; the latest one is 2.").waitFor();
  expect(await page.getByLabel("who", { exact: true }).inputValue()).toBe("me");
  await page.getByRole("button", { name: "Run version 1" }).click(); // what is seen is what runs
  await page.getByText("me one").waitFor();
  await page.goBack();
  await page.getByRole("button", { name: "Run", exact: true }).waitFor();
  expect(wrong).toEqual([]);
});

test("somebody sees what changed between versions, and reads the files", async () => {
  const yaml = "name: site\nimage: busybox\nscript: {file: run.sh}\ndescription: Builds the site\n";
  const script = Array.from({ length: 60 }, (_, i) => `echo step ${i + 1}`).join("\n");
  await folder("site", { "tool.yaml": yaml, "run.sh": `#!/bin/sh\n${script}\n`, "old.txt": "old\n" }, "the first");
  await folder(
    "site",
    { "tool.yaml": yaml, "run.sh": `#!/bin/sh\n${script.replace("step 30", "step thirty")}\n`, "logo.bin": new Uint8Array([1, 0, 2]) },
    "with a logo",
  );
  await chmod(join(process.env.MAYFLY_DIR!, "folders", "site", "run.sh"), 0o755);
  await folder(
    "site",
    { "tool.yaml": `${yaml}timeout: 1m\n`, "logo.bin": new Uint8Array([1, 0, 3]), "page.py": "def f():\n    return 'x'  # a comment\n" },
    "with a page",
  );
  const { page, wrong } = await signedIn({}, "/projects/default/tools/site?tab=versions");
  await page.getByText("with a logo").waitFor();
  await page.getByRole("link", { name: "Changes of version 2" }).click();
  const changed = page.locator('[data-file="run.sh"]');
  await changed.getByText("echo step thirty").waitFor();
  expect(await changed.locator("tr.added").allInnerTexts()).toHaveLength(1);
  expect(await changed.locator("tr.added .no").allInnerTexts()).toEqual(["", "31"]);
  await page.locator('[data-file="logo.bin"]').getByText("The contents differ").waitFor();
  await pictured(page, "tool-versions");
  // Any two can be compared, and the address says which.
  await page.getByLabel("to version").selectOption("3");
  await page.locator('[data-file="page.py"]').getByText("return 'x'").waitFor();
  await page.locator('[data-file="run.sh"]').getByText("is now executable").waitFor();
  expect(page.url()).toContain("before=1&to=3");

  await page.goto("/projects/default/tools/site?tab=files");
  await page.getByText("timeout: 1m").waitFor();
  await page.getByRole("link", { name: /page.py/ }).click();
  await page.locator(".cm-content").getByText("return").waitFor();
  await pictured(page, "tool-files");
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download page.py" }).click();
  expect((await download).suggestedFilename()).toBe("page.py");
  await page.getByRole("link", { name: /logo.bin/ }).click();
  await page.getByText("This file isn't text.").waitFor();

  await page.goto("/projects/default/tools/site?tab=files&version=1");
  await page.getByText("This is version 1; the latest one is 3.").waitFor();
  await page.goto("/projects/default/tools/deploy?tab=definition");
  await page.getByText("*.example.com").waitFor();
  await pictured(page, "tool-definition");
  expect(wrong).toEqual([]);
});

test("a workflow has its inputs and its steps", async () => {
  const flow =
    "name: release\ndescription: Builds and ships\ninputs: [{name: env, type: string, options: [test, live], default: test}]\n" +
    "workflow:\n- {name: back, tool: nightly}\n- {name: again, tool: nightly, needs: [back], condition: '${inputs.env} == \"live\"'}\n";
  await folder("release", { "release.yaml": flow }, "", "release.yaml");
  const { page, wrong } = await signedIn({}, "/projects/default/tools/release?tab=definition");
  await page.getByRole("link", { name: "nightly" }).first().waitFor();
  await pictured(page, "tool-workflow");
  await page.getByRole("link", { name: "Run", exact: true }).click();
  await page.getByLabel("env", { exact: true }).selectOption("live");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForURL(/\/runs\/[^/]+$/);
  await ended(page.url().split("/").at(-1)!);
  expect(wrong).toEqual([]);
});

test("hostile names and texts stay text", async () => {
  const line = JSON.stringify(`${canary} ${bidi}`);
  await folder(
    "hostile",
    {
      "tool.yaml":
        `name: hostile\nimage: busybox\nscript: {file: run.sh}\ndescription: ${line}\nargs:\n- {name: a, description: ${line}, default: ${line}}\n` +
        `- {name: b, options: [${line}, x]}\nenvironment: {X: ${line}}\n`,
      "run.sh": `#!/bin/sh\n# ${canary} ${bidi}\n`,
      "<img src=x onerror=window.canary=1>.html": canary,
    },
    `${canary} ${bidi}`,
  );
  await folder("hostile", { "run.sh": `#!/bin/sh\necho '${canary}' ${bidi}\n` }, canary);
  const { page, wrong } = await signedIn({}, "/projects/default/tools?text=hostile");
  await page.getByText("<img src=x", { exact: false }).first().waitFor();
  for (const at of ["", "?tab=runs", "?tab=versions&before=1&to=2", "?tab=files&file=run.sh", "?tab=definition"]) {
    await page.goto(`/projects/default/tools/hostile${at}`);
    await page.getByText("onerror=", { exact: false }).first().waitFor();
    if (at.includes("before")) await page.locator("tr.added").first().waitFor();
    if (at.includes("files")) await page.locator(".cm-content").getByText("echo").waitFor();
    await accessible(page);
    const shown = await page.evaluate(() => document.body.innerText);
    expect(shown).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/);
    expect(
      await page.evaluate(() => [
        (window as { canary?: unknown }).canary,
        document.querySelectorAll("main img:not(.cm-widgetBuffer), main script").length,
      ]),
    ).toEqual([undefined, 0]);
  }
  await page.goto("/projects/default/tools/hostile?tab=versions&before=1&to=2");
  await page.locator("tr.added").first().waitFor();
  await pictured(page, "tool-hostile");
  expect(wrong).toEqual([]);
});

test("a viewer isn't offered what it may not do", async () => {
  const { page, wrong } = await signedInAs("viewer", "/projects/default/tools");
  await page.getByRole("link", { name: /^deploy/ }).waitFor();
  expect(await page.getByRole("link", { name: "Write a tool" }).count()).toBe(0);
  await page.getByRole("link", { name: /^deploy/ }).click();
  await page.getByText("Your token may read this tool, and not run it.").waitFor();
  expect(await page.getByRole("form", { name: "Run it" }).count()).toBe(0);
  expect(await page.getByRole("link", { name: "Edit" }).count()).toBe(0);
  expect(await page.getByRole("navigation", { name: "Parts of the tool" }).getByRole("link").allInnerTexts()).toEqual([
    "Runs",
    "Versions",
    "Files",
    "Definition",
  ]);
  await page.goto("/projects/default/tools/deploy?tab=run"); // by an old link
  await page.getByText("All runs of this tool").waitFor();
  await page.goto("/projects/default/tools/no-such-tool");
  await page.getByRole("alert").waitFor();
  expect(wrong).toEqual([]);

  const operator = await signedInAs("operator", "/projects/default/tools/free");
  await operator.page.getByRole("form", { name: "Run it" }).waitFor();
  expect(await operator.page.getByRole("link", { name: "Edit" }).count()).toBe(0);
  expect(operator.wrong).toEqual([]);
});

test("a project without tools says how the first is made", async () => {
  const { page, wrong } = await signedIn({}, "/projects/empty/tools");
  await page.getByText("No tools yet").waitFor();
  await page.getByText("mayfly tool push").waitFor();
  await pictured(page, "tools-empty");
  expect(wrong).toEqual([]);
});

test("of many tools there are pages, and the search finds those of all", async () => {
  await mayfly(["tool", "push", join("tools", "free", "tool.yaml"), "--project", "many", "--name", "t100"]);
  const { definition, files } = await call<{ definition: string; files: object[] }>("GET", "/projects/many/tools/t100/versions/0/files");
  for (let i = 101; i < 160; i++) await call("POST", `/projects/many/tools/t${i}/versions`, { definition, files });
  const { page, wrong } = await signedIn({}, "/projects/many/tools");
  await page.getByRole("link", { name: /^t149/ }).waitFor();
  expect(await page.getByRole("link", { name: /^t150/ }).count()).toBe(0);
  await page.getByRole("button", { name: "More tools" }).click();
  await page.getByRole("link", { name: /^t159/ }).waitFor();
  expect(await page.getByRole("link", { name: /^t149/ }).count()).toBe(0);
  await page.goBack();
  await page.getByRole("link", { name: /^t149/ }).waitFor();
  await page.getByLabel("Name or description").fill("T15");
  await page.getByText("10 tools found").waitFor();
  await page.getByRole("link", { name: "Tools", exact: true }).click();
  await page.getByRole("button", { name: "More tools" }).waitFor();
  expect(await page.getByLabel("Name or description").inputValue()).toBe("");
  expect(wrong).toEqual([]);
});

test("a long difference is shown in parts", async () => {
  const lines = (word: string) => Array.from({ length: 2500 }, (_, i) => `${word} ${i}`).join("\n") + "\n";
  const yaml = "name: long\nimage: busybox\nscript: {file: run.sh}\n";
  await folder("long", { "tool.yaml": yaml, "run.sh": "#!/bin/sh\n", "data.txt": lines("a") });
  await folder("long", { "data.txt": lines("b") });
  const { page, wrong } = await signedIn({}, "/projects/default/tools/long?tab=versions&before=1&to=2");
  const file = page.locator('[data-file="data.txt"]');
  await file.getByRole("img", { name: "2500 lines added, 2500 removed" }).waitFor();
  expect(await file.locator("tbody tr").count()).toBe(1000);
  await file.getByRole("button", { name: "Show 4,001 more lines" }).click();
  await file.getByText("b 2499").waitFor();
  expect(wrong).toEqual([]);
});

test("limits are typed as the fields show them, and the network is chosen", async () => {
  await tool("limited", "echo within\n", "timeout: 90s\nresources: {memory: 96Mi, disk: 64Mi, bandwidth: 2500kbps}\n");
  const { page, wrong } = await signedIn({}, "/projects/default/tools/limited");
  const form = page.getByRole("form", { name: "Run it" });
  await form.getByText("Environment, limits and more").click();
  const set: Record<string, string> = {};
  for (const [label, name] of [
    ["Time limit", "timeout"],
    ["CPU", "cpu"],
    ["Memory", "memory"],
    ["Disk", "disk"],
    ["Processes", "pids"],
    ["Open files", "nofile"],
    ["Bandwidth", "bandwidth"],
  ] as const) {
    const field = form.getByLabel(label, { exact: true });
    await field.fill((set[name] = (await field.getAttribute("placeholder"))!));
  }
  expect(set).toMatchObject({ timeout: "90s", memory: "96Mi", disk: "64Mi", bandwidth: "2500kbps" });
  await form.getByRole("combobox", { name: "Network" }).selectOption("none");
  await pictured(page, "tool-limits");
  await page.keyboard.press("Control+Enter");
  await page.waitForURL(/\/runs\/[^/]+$/);
  const id = page.url().split("/").at(-1)!;
  expect(await call("GET", `/projects/default/runs/${id}/request`)).toMatchObject({ set: { ...set, network: "none" } });
  expect(wrong).toEqual([]);
});
