import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { call, control, patience, pictured, signedIn, signedInAs } from "./bed";

/** write replaces the text of an editor. */
async function write(page: Page, label: string, text: string): Promise<void> {
  const editor = page.getByRole("textbox", { name: label, exact: true });
  await editor.focus();
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText(text);
}
const shows = (page: Page, label: string) => page.getByRole("textbox", { name: label, exact: true });

test("from an empty page to a published tool", async () => {
  const { page, wrong } = await signedIn({ viewport: { width: 1400, height: 1000 } }, "/projects/default/build");
  await page.getByRole("button", { name: "New tool" }).click();
  await pictured(page, "builder-new");
  await page.getByLabel("Name").fill("no such name");
  await page.getByText("A name has letters").waitFor();
  await page.getByLabel("Name").fill("welcome");
  await page.getByRole("button", { name: "Create" }).click();
  await page.waitForURL("**/build/welcome**");
  await shows(page, "Definition").waitFor();
  await page.getByRole("button", { name: "No problems" }).waitFor();
  await pictured(page, "builder-begun");

  // It runs as it stands, without being saved.
  await page.getByLabel("who", { exact: true }).fill("builder");
  await page.keyboard.press("Control+Enter");
  await page.getByText("hello builder").waitFor();
  await page.locator("[data-exit]").waitFor();
  await page.getByRole("tab", { name: "Outputs" }).click();
  await page.getByText("GREETING", { exact: true }).waitFor();
  await page.getByRole("tab", { name: "Log", exact: true }).click();
  await pictured(page, "builder-ran");

  // A mistake is marked where it is, with the parser's own words.
  const definition = await shows(page, "Definition").innerText();
  await write(page, "Definition", "name: welcome\nimage: busybox\nscirpt: echo\n");
  await page.getByRole("button", { name: "1 error" }).click();
  await page.getByText("tool.yaml:3:1").waitFor();
  await page.locator(".cm-lint-marker-error").waitFor();
  await pictured(page, "builder-error");
  await write(page, "Definition", definition.replaceAll("\u00a0", " "));
  await page.getByRole("button", { name: "No problems" }).waitFor();

  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved", { exact: true }).waitFor();
  const saved = await call<{ files: { path: string }[] }>("GET", "/projects/default/drafts/welcome");
  expect(saved.files.map((f) => f.path)).toEqual(["script.sh", "tool.yaml"]);

  await page.getByRole("button", { name: "Publish" }).first().click();
  await page.getByLabel("What changes").fill("It says hello");
  await page.locator(".publish").getByRole("button", { name: "Publish" }).click();
  await page.getByText("Version 1 is published.").waitFor();
  const tools = await call<{ tools: { tool: string; version: number; note: string }[] }>("GET", "/projects/default/tools");
  expect(tools.tools.find((v) => v.tool === "welcome")).toMatchObject({ version: 1, note: "It says hello" });

  await write(page, "script.sh", '#!/bin/sh\necho "good evening $WHO"\necho "GREETING=x" >>"$MAYFLY_OUTPUT"\n');
  await page.getByRole("heading", { name: "Difference to version 1" }).waitFor();
  await pictured(page, "builder-publish");
  expect(wrong).toEqual([]);
});

test("the form and the text are the same document", async () => {
  const { page, wrong } = await signedIn({ viewport: { width: 1400, height: 1000 } }, "/projects/default/build/formed?template=shell");
  await write(
    page,
    "Definition",
    "# keep this\nname: formed   # and this\nimage: busybox\nscript: {file: script.sh}\nargs:\n  - name: who\n",
  );
  await page.getByRole("button", { name: "Form", exact: true }).click();
  expect(await page.getByLabel("Image").inputValue()).toBe("busybox");
  await page.getByLabel("Image").fill("alpine:3");
  await page.getByLabel("Memory").fill("64Mi");
  await page.getByRole("button", { name: "Add a variable" }).click();
  await page.getByRole("button", { name: "Add an argument" }).click();
  // What isn't written is what the server makes of it.
  const network = page.getByRole("combobox", { name: "Network" });
  await network.getByText("Not set: everything").waitFor({ state: "attached" });
  expect(await network.inputValue()).toBe("");
  await network.selectOption("list");
  await page.getByLabel("Host or range").fill("api.example.com");
  await page.getByLabel("Host or range").blur();
  await pictured(page, "builder-form");
  await page.getByRole("button", { name: "YAML", exact: true }).click();
  const text = (await shows(page, "Definition").locator(".cm-line").allInnerTexts()).join("\n").replaceAll("\u00a0", " ");
  expect(text).toContain("# keep this\nname: formed   # and this\nimage: alpine:3\nscript: {file: script.sh}\n");
  expect(text).toContain("resources:\n  memory: 64Mi\n");
  expect(text).toContain("- {host: api.example.com, ports: [443]}");
  await page.getByRole("button", { name: "No problems" }).waitFor();
  expect(wrong).toEqual([]);
});

test("keys and values are completed, and explained", async () => {
  const { page, wrong } = await signedIn({}, "/projects/default/build/completed?template=command");
  await write(page, "Definition", "name: completed\nimage: busybox\n");
  await page.keyboard.type("net");
  await page.locator(".cm-tooltip-autocomplete").getByText("network").first().waitFor();
  await pictured(page, "builder-complete");
  await page.locator(".cm-tooltip-autocomplete").getByText("network").first().click();
  await page.keyboard.type("pub");
  // The editor takes no key for a list that has just appeared, so that nobody chooses by accident.
  await page.locator(".cm-tooltip-autocomplete").getByText("public").first().click();
  await shows(page, "Definition").getByText("network: public").waitFor();
  await page.getByRole("textbox", { name: "Definition" }).getByText("network").hover();
  await page.locator(".about-key").waitFor();
  await page.getByRole("button", { name: "No problems" }).waitFor();
  expect(wrong).toEqual([]);
});

describe("what else happens meanwhile", () => {
  test("two people write the same tool", async () => {
    const first = await signedIn({ viewport: { width: 1400, height: 1000 } }, "/projects/default/build/shared?template=command");
    await first.page.getByRole("button", { name: "Save" }).click();
    await first.page.getByText("Saved", { exact: true }).waitFor();
    const second = await signedIn({ viewport: { width: 1400, height: 1000 } }, "/projects/default/build/shared");
    await shows(second.page, "Definition").waitFor();
    const text = (what: string) => `name: shared\ndescription: ${what}\nimage: busybox\ncommand: [ls]\n`;

    // Who hasn't changed anything sees the change at once.
    await write(first.page, "Definition", text("by the first"));
    await first.page.keyboard.press("Control+s");
    await second.page.getByText("by the first").waitFor();

    // Who has is asked, and nothing is lost.
    await write(second.page, "Definition", text("by the second"));
    await write(first.page, "Definition", text("again by the first"));
    await first.page.keyboard.press("Control+s");
    await second.page.getByText("has saved this draft meanwhile").waitFor();
    await second.page.locator(".conflict").getByText("again by the first").waitFor();
    await second.page.locator(".conflict").getByText("by the second").waitFor();
    await pictured(second.page, "builder-conflict");
    await second.page.getByRole("button", { name: "Save mine" }).click();
    await second.page.getByText("Saved", { exact: true }).waitFor();
    await first.page.getByText("by the second").waitFor();
    expect([...first.wrong, ...second.wrong]).toEqual([]);
  });

  test("a server that is away, and is back", async () => {
    const { page, wrong } = await signedIn({}, "/projects/default/build/waits?template=command");
    await page.getByRole("button", { name: "No problems" }).waitFor();
    await control("stop");
    await page.getByRole("alert").waitFor();
    await write(page, "Definition", "name: waits\nimage: busybox\ncomand: [ls]\n");
    await page.getByText("The server can't be reached").waitFor();
    await control("start");
    // Nobody has to type for it.
    await page.getByRole("button", { name: "1 error" }).waitFor();
    await expect.poll(() => page.getByRole("alert").count(), { timeout: patience }).toBe(0);
    expect(wrong).toEqual([]);
  });

  test("who may only look sees the files, and asks for nothing else", async () => {
    const author = await signedIn({}, "/projects/default/build/looked?template=shell");
    await author.page.getByRole("button", { name: "Save" }).click();
    await author.page.getByText("Saved", { exact: true }).waitFor();
    const { page, wrong } = await signedInAs("operator", "/projects/default/build/looked");
    await shows(page, "Definition").getByText("name: looked").waitFor();
    await page.getByText("takes the role author").waitFor();
    await shows(page, "script.sh").waitFor();
    for (const name of ["Save", "Run", "Publish", "No problems"])
      expect(await page.getByRole("button", { name, exact: true }).count()).toBe(0);
    await pictured(page, "builder-readonly");
    const audit = await call<{ entries: { outcome?: string; operation?: string }[] }>("GET", "/audit?project=default&limit=50");
    expect(JSON.stringify(audit)).not.toContain("validate");
    expect(wrong).toEqual([]);
  });

  test("hostile files and names", async () => {
    const { page, wrong } = await signedIn({}, "/projects/default/build/hostile-draft?template=shell");
    const canary = '<img src=x onerror="window.canary=1"><script>window.canary=1</script>';
    await write(
      page,
      "Definition",
      `name: hostile-draft\ndescription: ${JSON.stringify(canary)}\nimage: ${JSON.stringify(canary)}\nscript: {file: script.sh}\nargs: [{name: who, description: ${JSON.stringify(canary)}, default: ${JSON.stringify(canary)}}]\n`,
    );
    await page.getByRole("button", { name: /error/ }).click();
    await write(page, "script.sh", `#!/bin/sh\necho '${canary}' "\u202e"\n`);
    await page.getByRole("button", { name: "Form", exact: true }).click();
    await page.getByRole("button", { name: "YAML", exact: true }).click();
    expect(await page.evaluate(() => (window as { canary?: number }).canary)).toBeUndefined();
    expect(wrong).toEqual([]);
  });

  test("what isn't saved isn't left unasked", async () => {
    const { page } = await signedIn({}, "/projects/default/build/left?template=command");
    await write(page, "Definition", "name: left\nimage: busybox\n");
    page.once("dialog", (d) => void d.dismiss());
    await page.getByRole("link", { name: "Runs" }).click();
    await shows(page, "Definition").waitFor();
    page.once("dialog", (d) => void d.accept());
    await page.getByRole("link", { name: "Runs" }).click();
    await page.waitForURL("**/runs");

    // Nor by Back, which is asked about once, and not on later pages.
    await page.goto("/projects/default/build");
    await page.evaluate(() => history.pushState(null, "", "/projects/default/build/left?template=command"));
    await page.evaluate(() => dispatchEvent(new PopStateEvent("popstate")));
    await write(page, "Definition", "name: left\nimage: busybox\n");
    let asked = 0;
    page.on("dialog", (d) => void (++asked === 1 ? d.dismiss() : d.accept()));
    await page.evaluate(() => history.back());
    await expect.poll(() => asked, { timeout: patience }).toBe(1);
    await page.waitForURL("**/build/left?template=command");
    await shows(page, "Definition").getByText("left").waitFor();
    await page.evaluate(() => history.back());
    await page.getByRole("button", { name: "New tool" }).waitFor();
    await page.getByRole("link", { name: "Runs" }).click();
    await page.waitForURL("**/runs");
    expect(asked).toBe(2);
  });
});

test("a limit that was too low and a refused connection have their remedy as a button", async () => {
  const { page, wrong } = await signedIn({ viewport: { width: 1400, height: 1000 } }, "/projects/default/build/remedied?template=command");
  await write(
    page,
    "Definition",
    "name: remedied\nimage: busybox\ncommand: wget -q -O - http://192.0.2.9:8080/\nnetwork: {egress: [{host: other.example.com}]}\n",
  );
  await page.getByRole("button", { name: "No problems" }).waitFor();
  await page.keyboard.press("Control+Enter");
  await page
    .getByRole("button", { name: /^Allow .*192.0.2.9/ })
    .first()
    .waitFor();
  await pictured(page, "builder-refused");
  await page
    .getByRole("button", { name: /^Allow .*192.0.2.9/ })
    .first()
    .click();
  await shows(page, "Definition").getByText("cidr").last().waitFor();
  await page.getByText("is in the definition now").waitFor();
  expect(await page.getByRole("button", { name: /^Allow .*192.0.2.9/ }).count()).toBe(0);
  await page.getByRole("button", { name: "No problems" }).waitFor();
  await write(page, "Definition", "name: remedied\nimage: busybox\ncommand: sleep 30\ntimeout: 1s\n");
  await page.getByRole("button", { name: "No problems" }).waitFor();
  await page.keyboard.press("Control+Enter");
  await page.getByText("It took longer than its timeout, so it was ended.").waitFor();
  await page.getByRole("button", { name: "Set timeout to 2.0 s" }).click();
  await shows(page, "Definition").getByText("timeout: 2s").waitFor();
  expect(wrong).toEqual([]);
});

test("a workflow has its graph beside the text, and the states of its run", async () => {
  const { page, wrong } = await signedIn({ viewport: { width: 1400, height: 1000 } }, "/projects/default/build/chain?template=workflow");
  await page.getByRole("button", { name: "No problems" }).waitFor();
  const graph = page.getByRole("group", { name: "Graph" });
  await graph.getByText("report").waitFor();
  await page.keyboard.press("Control+Enter");
  await page.getByText("found 42").waitFor();
  await graph.locator('[data-status="succeeded"]').nth(1).waitFor();
  await page.getByRole("tab", { name: "Steps" }).click();
  await pictured(page, "builder-workflow");
  await write(
    page,
    "Definition",
    "name: chain\nworkflow:\n  - name: first\n    tool: {image: busybox, command: [ls]}\n  - name: second\n    tool: {image: busybox, command: [ls]}\n  - name: third\n    tool: {image: busybox, command: [ls]}\n",
  );
  await graph.getByText("third").waitFor();
  await graph.getByRole("link", { name: /second/ }).click();
  await page.locator(".cm-activeLine", { hasText: "second" }).waitFor();
  expect(wrong).toEqual([]);
});

test("tests: one is written, fails for a request without an answer, gets the mock, and passes", async () => {
  const { page, wrong } = await signedIn({ viewport: { width: 1400, height: 1100 } }, "/projects/default/build/asked?template=command");
  await write(
    page,
    "Definition",
    "name: asked\nimage: busybox\ncommand: wget -q -O - http://192.0.2.7/health\nnetwork: {egress: [{cidr: 192.0.2.0/24}]}\n",
  );
  await page.getByRole("button", { name: "No problems" }).waitFor();
  await page.getByRole("button", { name: "Test", exact: true }).click();
  await page.getByRole("button", { name: "Write a test" }).click();
  await shows(page, "asked_test.yaml").waitFor();
  await page.getByRole("button", { name: "Run the tests" }).click();
  await page.getByText("1 of 1 failed").waitFor();
  await pictured(page, "builder-test-failed");
  await page.getByRole("button", { name: "Make a mock of it" }).click();
  await shows(page, "asked_test.yaml").getByText("http://192.0.2.7/health").waitFor();
  await page.getByRole("button", { name: "Run the test it works" }).click();
  await page.getByText("1 passed", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved", { exact: true }).waitFor();
  await pictured(page, "builder-test-passed");
  // What the tests said is of what stood there.
  expect(await page.getByText("before your latest changes").count()).toBe(0);
  await shows(page, "Definition").focus();
  await page.keyboard.press("Control+End");
  await page.keyboard.type("timeout: 1m\n");
  await page.getByText("before your latest changes").waitFor();
  expect(wrong).toEqual([]);
});

test("a run with a real connection becomes a test with its answer", async () => {
  const { createServer } = await import("node:http");
  const server = createServer((_, answer) => answer.end("all is well"));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const port = (server.address() as { port: number }).port;
  const { page, wrong } = await signedIn({ viewport: { width: 1400, height: 1100 } }, "/projects/default/build/recording?template=command");
  await write(
    page,
    "Definition",
    // busybox's wget looks up no names here.
    `name: recording\nimage: busybox\nscript: |\n  ip=$(nslookup host.mayfly.internal | awk '/^Address/ {a=$NF} END {print a}')\n  wget -q -O - "http://$ip:${port}/health"\nnetwork: {egress: [{host: host.mayfly.internal}]}\n`,
  );
  await page.getByRole("button", { name: "No problems" }).waitFor();
  await page.keyboard.press("Control+Enter");
  await page.getByText("all is well").waitFor();
  await page.getByRole("button", { name: "Record a test of it" }).click();
  await shows(page, "recording.mocks.yaml").getByText("all is well").waitFor();
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  // The service is gone, and a mock of the connection that the run had answers instead.
  await page.getByRole("button", { name: "Run", exact: true }).first().click();
  await page.getByRole("tab", { name: /Connections/ }).click();
  await pictured(page, "builder-connections");
  await page.getByRole("button", { name: "Make a mock" }).click();
  await shows(page, "recording_test.yaml").getByText("host: host.mayfly.internal").waitFor();
  await page.getByRole("listitem").filter({ hasText: "mocked 2" }).getByText("passed").waitFor();
  await page.getByRole("button", { name: "Run the test recorded 1" }).click();
  await page
    .getByText(/passed/)
    .first()
    .waitFor();
  await pictured(page, "builder-recorded");
  expect(wrong).toEqual([]);
});

test("a secret is given for a try, and masked", async () => {
  const { page, wrong } = await signedIn({}, "/projects/default/build/given?template=command");
  await write(
    page,
    "Definition",
    "name: given\nimage: busybox\ncommand: echo the key is $API_KEY\nenvironment: {API_KEY: /secrets/token-of-nobody}\n",
  );
  await call("PUT", "/projects/default/secrets/token-of-nobody", { value: btoa("of-the-project"), tools: ["another"] });
  await page.reload();
  await write(
    page,
    "Definition",
    "name: given\nimage: busybox\ncommand: echo the key is $API_KEY\nenvironment: {API_KEY: /secrets/token-of-nobody}\n",
  );
  await page.getByText("The project's is only for published tools").waitFor();
  await page.getByRole("button", { name: "Run", exact: true }).last().click();
  await page.getByText("give a value at the left").waitFor();
  await page.getByLabel("token-of-nobody").fill("s3cr3t-of-a-try");
  await page.keyboard.press("Control+Enter");
  await page.getByText("the key is ***").waitFor();
  expect(await page.content()).not.toContain("s3cr3t-of-a-try");
  expect(wrong).toEqual([]);
});
