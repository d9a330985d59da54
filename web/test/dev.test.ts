import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { open, patience, pictured } from "./bed";

const dir = join(process.env.MAYFLY_DIR!, "own");
let process_: ChildProcess;
let address = "";

const definition = (image = "busybox") =>
  `# checks a service\nname: check\nimage: ${image}\nscript: {file: check.sh}\nargs:\n  - {name: who, default: folder}\n`;

beforeAll(async () => {
  await mkdir(join(dir, "check"), { recursive: true });
  await writeFile(join(dir, "check", "tool.yaml"), definition());
  await writeFile(join(dir, "check", "check.sh"), '#!/bin/sh\necho "hello $WHO"\n', { mode: 0o755 });
  await writeFile(
    join(dir, "check", "check_test.yaml"),
    "tool: tool.yaml\ntests:\n  - name: it greets\n    expect: {stdout: hello folder}\n  - name: it greets others\n    inputs: {who: you}\n    expect: {stdout: hello you}\n",
  );
  await mkdir(join(dir, "chain"), { recursive: true });
  await writeFile(
    join(dir, "chain", "chain.yaml"),
    'name: chain\nworkflow:\n  - {name: ask, tool: ask}\n  - {name: look, tool: {image: busybox, command: wget -q -O - http://192.0.2.7/health, network: open}}\n  - {name: never, condition: "false", tool: {image: busybox, command: [ls]}}\n',
  );
  await mkdir(join(dir, "chain", "tools"));
  await writeFile(
    join(dir, "chain", "tools", "ask.yaml"),
    "image: busybox\nvolumes: [{name: q, file: question.txt, mount_path: /q}]\ncommand: cat /q\n",
  );
  await writeFile(join(dir, "chain", "tools", "question.txt"), "how are you");
  process_ = spawn(join(process.env.MAYFLY_BIN!, "mayfly"), ["dev", dir, "--no-open", "--port", "0"], { env: process.env });
  process_.stderr!.pipe(process.stderr);
  createInterface(process_.stdout!).on("line", (line) => (address = /http:\S+/.exec(line)?.[0] ?? address));
  await until(() => Promise.resolve(address !== ""));
});

afterAll(async () => {
  const ended = new Promise((done) => process_.once("exit", done));
  process_.kill("SIGINT");
  await ended;
});

const shows = (page: Page, label: string) => page.getByRole("textbox", { name: label, exact: true });
async function until(what: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + patience; !(await what()); await new Promise((done) => setTimeout(done, 50))) {
    if (Date.now() > end) throw new Error("it doesn't come");
  }
}

test("the tools of a folder are written, run and tested in the browser", async () => {
  const { page, wrong } = await open({ viewport: { width: 1400, height: 1000 } });
  await page.goto(address);
  await page.getByRole("link", { name: "check/tool.yaml" }).waitFor();
  expect(page.url()).not.toContain("code");
  await pictured(page, "dev");
  await page.getByRole("link", { name: "check/tool.yaml" }).click();
  await shows(page, "Definition").getByText("busybox").waitFor();
  await page.getByRole("button", { name: "No problems" }).waitFor();
  await page.keyboard.press("Control+Enter");
  await page.getByText("hello folder").waitFor();

  // Tests run from the page.
  await page.getByRole("button", { name: "Test", exact: true }).click();
  await page.getByRole("button", { name: "Run the tests" }).click();
  await page.getByText("All 2 passed").waitFor();
  await pictured(page, "dev-tests");

  // What another editor saves is there at once.
  await writeFile(join(dir, "check", "check.sh"), '#!/bin/sh\necho "good evening $WHO"\n');
  await page.getByText("good evening").first().waitFor();

  // What is changed here is in the file, and the tests run on save.
  await page.getByLabel("Test on save").check();
  const file = await readFile(join(dir, "check", "tool.yaml"), "utf8");
  await shows(page, "Definition").focus();
  await page.keyboard.press("Control+End");
  await page.keyboard.type("timeout: 1m\n");
  await page.keyboard.press("Control+s");
  await until(async () => (await readFile(join(dir, "check", "tool.yaml"), "utf8")) === file + "timeout: 1m\n");
  await page.getByText("2 of 2 failed").waitFor();
  await page.getByText("good evening").nth(1).waitFor();
  await pictured(page, "dev-failed");

  // So they do when another editor saves.
  await writeFile(join(dir, "check", "check.sh"), '#!/bin/sh\necho "hello $WHO"\n');
  await page.getByText("All 2 passed").waitFor();
  expect(wrong).toEqual([]);
});

test("a workflow of a folder is tested in the browser", async () => {
  const { page, wrong } = await open({ viewport: { width: 1400, height: 1000 } });
  const used = address; // it works once
  process_.stdin!.write("\n");
  await until(() => Promise.resolve(address !== used));
  await page.goto(address);
  await page.getByRole("link", { name: "chain/chain.yaml" }).click();
  await shows(page, "Definition").getByText("name: chain").waitFor();
  await page.getByRole("button", { name: "No problems" }).waitFor();
  await page.getByRole("button", { name: "Test", exact: true }).click();
  await page.getByRole("button", { name: "Write a test" }).click();
  await shows(page, "chain_test.yaml").getByText("workflow: chain.yaml").waitFor();
  await page.getByRole("button", { name: "Run the tests" }).click();
  await page.getByText("1 of 1 failed").waitFor();
  await page.getByText("how are you").first().waitFor(); // a tool that the workflow names, with its file
  await page.getByRole("button", { name: "Make a mock of it" }).click();
  await page.getByRole("button", { name: "Run the test it works" }).click();
  await page.getByText("1 passed", { exact: true }).waitFor();
  await pictured(page, "dev-workflow");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved", { exact: true }).waitFor();

  // Which files go with a definition is said before.
  await page.getByRole("link", { name: "Builder" }).first().click();
  await page.getByRole("button", { name: "Delete: chain/chain.yaml" }).click();
  const dialog = page.getByRole("dialog");
  await expect
    .poll(() => dialog.getByRole("listitem").allInnerTexts(), { timeout: patience })
    .toEqual(["chain/chain.yaml", "chain/chain_test.yaml"]);
  await pictured(page, "dev-delete");
  await dialog.getByRole("button", { name: "Delete 2 files" }).click();
  await page.getByRole("link", { name: "chain/chain.yaml" }).waitFor({ state: "detached" });
  await expect(readFile(join(dir, "chain", "chain.yaml"), "utf8")).rejects.toThrow();
  await page.getByRole("link", { name: "chain/tools/ask.yaml" }).waitFor(); // which is a definition of its own
  expect(wrong).toEqual([]);
});
