import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { call, mayfly, pictured, signedIn, signedInAs, ended, tool } from "./bed";

async function write(page: Page, label: string, text: string): Promise<void> {
  const editor = page.getByRole("textbox", { name: label, exact: true });
  await editor.focus();
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText(text);
}
const screen = (page: Page) => page.locator(".xterm-rows");
const kept = async () => (JSON.parse(await mayfly(["shell", "--json"])) as { id: string }[]).map((k) => k.id);

test("a look into the sandbox of a run that failed", async () => {
  const { page, wrong } = await signedIn({ viewport: { width: 1400, height: 1000 } }, "/projects/default/build/looked?template=shell");
  await write(page, "script.sh", '#!/bin/sh\necho "left in the sandbox" >/tmp/x\nexit 3\n');
  await page.getByLabel("Keep the sandbox if it fails").check();
  await page.keyboard.press("Control+Enter");
  await page.locator('[data-exit="3"]').waitFor();
  await page.getByRole("tab", { name: "Terminal" }).click();
  await page.getByText("The sandbox is kept until").waitFor();
  await page.getByRole("button", { name: "Close the shell" }).waitFor();
  // The focus is in the terminal.
  await page.keyboard.type("cat /tmp/x\n");
  await screen(page).getByText("left in the sandbox", { exact: true }).waitFor();
  // Colours of 24 bits, which xterm sets by attributes that the page's policy refuses; and what a hostile tool might print.
  await page.keyboard.type(
    "printf '\\033[38;2;200;60;20mcoloured\\033[0m \\033]0;taken\\007\\033]8;;https://elsewhere.example\\007link\\033]8;;\\007 \\033]52;c;eA==\\007done\\n'\n",
  );
  const coloured = screen(page).getByText("coloured", { exact: true });
  await coloured.waitFor();
  expect(await coloured.evaluate((e) => getComputedStyle(e).color)).toBe("rgb(200, 60, 20)");
  expect(await page.title()).not.toContain("taken");
  await screen(page).getByText("link done").click({ force: true });
  expect(page.context().pages()).toHaveLength(1);
  expect(await page.locator(".xterm-underline-5, .xterm-rows span[style*=underline]").count()).toBe(0);
  await pictured(page, "terminal-builder");

  // By the keyboard alone: out of it, and back.
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.press("Tab"); // is the shell's
  await page.keyboard.press("Control+Shift+L");
  await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe("Close the shell");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Open a shell" }).waitFor();
  await page.getByRole("button", { name: "Open a shell" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Close the shell" }).waitFor();
  await page.keyboard.type("stty size; exit 4\n");
  await page.getByText("The shell has ended with status 4.").waitFor();
  await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe("Open a shell");

  // The page of the run has it, too. There it is removed, with the shell that is open.
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved", { exact: true }).waitFor();
  const opened = page.waitForEvent("popup");
  await page.getByRole("link", { name: "Open the run" }).click();
  const its = await opened;
  await its.getByRole("tab", { name: "Terminal" }).click();
  await its.getByRole("button", { name: "Close the shell" }).waitFor();
  await its.keyboard.type("echo he''re\n");
  await screen(its).getByText("here", { exact: true }).waitFor();
  await pictured(its, "terminal-run");
  await its.getByRole("button", { name: "Remove the sandbox" }).click();
  await its.getByText("The sandbox is gone").waitFor();
  await its.getByText("The shell is ended: the sandbox is removed. The sandbox is gone").waitFor();
  expect(await kept()).not.toContain(new URL(its.url()).pathname.split("/").pop());
  await pictured(its, "terminal-removed");
  expect(wrong).toEqual([]);
});

test("who may not open a shell isn't offered one", async () => {
  await tool("kept-failing", "exit 3\n");
  const { id } = await call<{ id: string }>("POST", "/projects/default/runs", { tool: "kept-failing", keep_on_failure: true });
  await ended(id);
  const { page, wrong } = await signedInAs("operator", `/projects/default/runs/${id}`);
  await page.locator('[data-exit="3"]').waitFor();
  await page.getByRole("tab", { name: "Outputs" }).waitFor();
  expect(await page.getByRole("tab", { name: "Terminal" }).count()).toBe(0);
  expect(wrong).toEqual([]);
  await call("DELETE", `/projects/default/runs/${id}/kept`);
});

test("a tool's form keeps a sandbox for one run, and running it again says whether", async () => {
  await tool("kept-here", "exit 4\n");
  await tool("kept-not", "exit 4\n");
  const { page, wrong } = await signedIn({}, "/projects/default/tools/kept-here");
  const keep = page.getByLabel("Keep the sandbox if it fails");
  await keep.check();
  await pictured(page, "tool-keep");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByRole("tab", { name: "Terminal" }).waitFor();
  await page.getByRole("button", { name: "Run again with changes" }).click();
  expect(await keep.isChecked()).toBe(true);
  await keep.uncheck();
  await page.getByText("1 change").waitFor();
  await pictured(page, "again-keep");
  const first = page.url();
  await page.getByRole("dialog").getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForURL((u) => u.href !== first && u.pathname.includes("/runs/"));
  expect(await call("GET", `/projects/default/runs/${page.url().split("/").at(-1)!}/request`)).not.toHaveProperty("keep_on_failure");
  await page.goto("/projects/default/tools/kept-not");
  await page.getByRole("button", { name: "Run", exact: true }).waitFor();
  expect(await keep.isChecked()).toBe(false);
  const operator = await signedInAs("operator", "/projects/default/tools/kept-here");
  await operator.page.getByRole("button", { name: "Run", exact: true }).waitFor();
  expect(await operator.page.getByLabel("Keep the sandbox if it fails").count()).toBe(0);
  expect(wrong).toEqual([]);
});
