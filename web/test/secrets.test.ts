import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { accessible, call, ended, pictured, signedIn, signedInAs, start, tool } from "./bed";

interface Secret {
  version: number;
  etag: string;
  tools?: string[];
}
const read = (name: string) => call<Secret>("GET", `/projects/default/secrets/${name}`);
const set = (name: string, value: string, tools?: string[]) =>
  call<Secret>("PUT", `/projects/default/secrets/${name}`, { value: btoa(value), ...(tools ? { tools } : {}) });

beforeAll(async () => {
  await tool(
    "show",
    'printf "%s" "$KEY" | wc -c; printf "%s" "$KEY" | md5sum\n',
    "args: [{name: word, default: x}]\nenvironment: {KEY: /secrets/api-key}\n",
  );
  await tool("other", "exit 0\n");
});

test("somebody sets a secret that a tool needs, rotates it, and sees who used it", async () => {
  const value = "tr0ub4dor & 3 ünï";
  const { page, wrong } = await signedIn({}, "/projects/default/tools/show");
  await page.getByLabel("word", { exact: true }).fill("typed before");
  await page.getByRole("button", { name: "Set it" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("heading", { name: "Set a secret" }).waitFor();
  expect(await dialog.getByLabel("Name", { exact: true }).inputValue()).toBe("api-key");
  await dialog.getByRole("button", { name: "Set", exact: true }).click();
  await dialog.getByText("A value is needed.").waitFor();
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("TEXTAREA");
  await dialog.getByRole("textbox", { name: "Value" }).fill(value);
  expect(await dialog.getByRole("checkbox", { name: "show", exact: true }).isChecked()).toBe(true); // the tool that asked for it
  await pictured(page, "secret-set");
  await dialog.getByRole("button", { name: "Set", exact: true }).click();
  await page.locator('[data-secret="api-key"][data-state="has"]').waitFor();
  expect(await page.getByLabel("word", { exact: true }).inputValue()).toBe("typed before");
  expect((await read("api-key")).tools).toEqual(["show"]);

  // The value is nowhere any longer.
  const kept = await page.evaluate(() =>
    JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href, history.state, document.documentElement.outerHTML]),
  );
  expect(kept).not.toContain("tr0ub4dor");
  expect(await page.locator("textarea").count()).toBe(0);

  // Another one may be there, and not be for this tool.
  await set("db", "x", ["other"]);
  await tool("reads", "echo x\n", "environment: {DB: /secrets/db}\n");
  await page.goto("/projects/default/tools/reads");
  await page.getByRole("button", { name: "Allow it" }).click();
  await pictured(page, "secret-allow");
  await dialog.getByRole("button", { name: "Save", exact: true }).click();
  await page.locator('[data-secret="db"][data-state="has"]').waitFor();
  expect((await read("db")).tools).toEqual(["other", "reads"]);
  await call("DELETE", "/projects/default/secrets/db");
  await page.goto("/projects/default/secrets");

  // A run gets it, and the page says so by itself.
  const run = await start("show");
  await ended(run);
  const row = page.getByRole("row", { name: /api-key/ });
  await row.locator(`a[href$="${run}"]`).waitFor();
  await pictured(page, "secrets");

  await row.getByRole("button", { name: "Rotate api-key" }).click();
  await dialog.getByRole("radio", { name: "From a file" }).check();
  const file = join(process.env.MAYFLY_DIR!, "key.bin");
  await writeFile(file, new Uint8Array([0x61, 0x62, 0x63, 0x64, 0x65]));
  await dialog.getByLabel("File with the value").setInputFiles(file);
  await dialog.getByRole("button", { name: "Rotate", exact: true }).click();
  await page.getByText("api-key is rotated; it has version 2.").waitFor();
  const next = await start("show");
  await ended(next);

  await row.getByRole("link", { name: "api-key" }).click();
  await page.locator(`td a[href$="${next}"]`).waitFor();
  await page.locator(`td a[href$="${run}"]`).waitFor();
  expect((await read("api-key")).tools).toEqual(["show"]); // which a new value leaves as they are
  await pictured(page, "secret");
  await page.locator(`td a[href$="${next}"]`).click();
  await page.getByText("ab56b4d92b40713acc5af89985d4b786").waitFor(); // of abcde
  expect(wrong).toEqual([]);
});

test("of two people who change a secret, the second one sees what the first has done", async () => {
  await set("shared", "one");
  const { page, wrong } = await signedIn({}, "/projects/default/secrets/shared");
  await page.getByRole("button", { name: "Rotate" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Value" }).fill("three");
  await set("shared", "two", ["other"]);
  await dialog.getByRole("button", { name: "Rotate", exact: true }).click();
  await dialog.getByText("Somebody else was faster").waitFor();
  await dialog.getByText("It now has version 2, set by admin").waitFor();
  await dialog.getByText("for other").waitFor();
  expect((await read("shared")).version).toBe(2);
  await pictured(page, "secret-conflict");
  await dialog.getByRole("button", { name: "Replace version 2" }).click();
  await page.getByText("shared is rotated; it has version 3.").waitFor();

  // Who may use it is changed on the same condition.
  await page.getByRole("button", { name: "Who may use it" }).click();
  await dialog.getByRole("checkbox", { name: "show", exact: true }).check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByText("It is changed which tools may use shared.").waitFor();
  expect((await read("shared")).tools?.sort()).toEqual(["other", "show"]);
  expect((await read("shared")).version).toBe(3);
  await page.getByRole("button", { name: "Who may use it" }).click();
  await call("DELETE", "/projects/default/secrets/shared");
  await dialog.getByRole("radio", { name: "All tools of the project" }).check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("It was removed meanwhile, so there is nothing to change.").waitFor();
  await page.keyboard.press("Escape");

  // What was set anew isn't removed by who hasn't seen it.
  await set("going", "one");
  await page.goto("/projects/default/secrets/going");
  await page.getByRole("button", { name: "Remove" }).click();
  await set("going", "two");
  await dialog.getByLabel("Type its name to confirm").fill("going");
  await dialog.getByRole("button", { name: "Remove" }).click();
  await dialog.getByText("It now has version 2").waitFor();
  expect((await read("going")).version).toBe(2);
  await dialog.getByRole("button", { name: "Remove" }).click();
  await page.waitForURL("**/projects/default/secrets");

  // A new one doesn't overwrite one that is there.
  await set("taken", "one");
  await page.goto("/projects/default/secrets?set=taken");
  await dialog.getByRole("textbox", { name: "Value" }).fill("two");
  await dialog.getByRole("button", { name: "Set", exact: true }).click();
  await dialog.getByText("There is a secret taken already").waitFor();
  expect((await read("taken")).version).toBe(1);
  expect(wrong).toEqual([]);
});

test("a secret is set and removed with the keyboard alone", async () => {
  const { page, wrong } = await signedIn({}, "/projects/default/secrets");
  const opener = page.getByRole("button", { name: "Set a secret" });
  await opener.focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await page.keyboard.type(".wrong name");
  await page.keyboard.press("Enter");
  await dialog.getByText("A name has letters, digits, dots, - and _").waitFor();
  await page.keyboard.press("Control+A");
  await page.keyboard.type("by.keys");
  await page.keyboard.press("Tab"); // how the value is given
  await page.keyboard.press("Tab");
  await page.keyboard.type("typed value");
  await dialog.getByRole("button", { name: "Set", exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.getByText("by.keys is set").waitFor();
  expect(await page.evaluate(() => document.activeElement?.textContent?.trim())).toBe("Set a secret"); // the focus is where it was
  await page.getByRole("button", { name: "Remove by.keys" }).focus();
  await page.keyboard.press("Enter");
  await dialog.getByRole("heading", { name: "Remove by.keys?" }).waitFor();
  await pictured(page, "secret-remove");
  await page.keyboard.press("Enter"); // nothing is typed yet
  await page.keyboard.press("Escape");
  expect((await read("by.keys")).version).toBe(1);
  await page.getByRole("button", { name: "Remove by.keys" }).focus();
  await page.keyboard.press("Enter");
  await dialog.getByLabel("Type its name to confirm").focus();
  await page.keyboard.type("by.keys");
  await page.keyboard.press("Enter");
  await page.getByText("by.keys is removed.").waitFor();
  expect((await call<{ secrets: { name: string }[] }>("GET", "/projects/default/secrets")).secrets.map((s) => s.name)).not.toContain(
    "by.keys",
  );
  await page.getByRole("row", { name: /by\.keys/ }).waitFor({ state: "detached" });
  expect(wrong).toEqual([]);
});

test("a viewer sees names and uses, and isn't offered to change them", async () => {
  await set("seen", "value");
  const { page, wrong } = await signedInAs("viewer", "/projects/default/secrets?text=SEEN");
  const row = page.getByRole("row", { name: /seen/ });
  await row.waitFor();
  await page.getByText("1 secret found").waitFor();
  expect(await page.getByRole("button", { name: /Set a secret|Rotate|Remove/ }).count()).toBe(0);
  await row.getByRole("link", { name: "seen" }).click();
  await page.getByText("No run has had it yet.").waitFor();
  expect(await page.getByRole("button", { name: /Rotate|Remove|Who may/ }).count()).toBe(0);
  await page.goto("/projects/default/secrets?set=seen"); // by a link
  await row.waitFor();
  expect(await page.getByRole("dialog").count()).toBe(0);
  await page.goto("/projects/default/secrets/no-such-secret");
  await page.getByRole("alert").waitFor();
  expect(wrong).toEqual([]);
});

test("hostile names stay text, and an empty list says what to do", async () => {
  const canary = '<img src=x onerror="window.canary=1">\u202e';
  const name = "hostile.-_";
  await call("PUT", `/projects/default/secrets/${name}`, { value: btoa("x"), tools: [canary] });
  await call("PUT", "/policies/default", { text: `secrets: {"*": ["*"]} # ${canary.replace("\u202e", "\\u202e")}\n` });
  const { page, wrong } = await signedIn({}, `/projects/default/secrets?text=${encodeURIComponent("<img")}`);
  await page.getByText("onerror=").first().waitFor();
  await page.goto(`/projects/default/secrets/${name}`);
  await page.getByText("The project's policy has rules for secrets, too").waitFor();
  await page.getByRole("button", { name: "Who may use it" }).click();
  await page.getByRole("dialog").getByText("onerror=").waitFor();
  await accessible(page);
  expect(await page.evaluate(() => document.body.innerText)).not.toMatch(/[\u202a-\u202e]/);
  expect(await page.evaluate(() => [(window as { canary?: unknown }).canary, document.querySelectorAll("main img").length])).toEqual([
    undefined,
    0,
  ]);
  await pictured(page, "secret-hostile");
  await call("DELETE", "/policies/default");

  await page.goto("/projects/empty/secrets");
  await page.getByText("No secrets yet").waitFor();
  await pictured(page, "secrets-empty");
  expect(wrong).toEqual([]);
});

test("of many secrets there are pages, and the search finds those of all", async () => {
  for (let i = 100; i < 160; i++) await call("PUT", `/projects/many/secrets/s${i}`, { value: btoa("x") });
  const { page, wrong } = await signedIn({}, "/projects/many/secrets");
  await page.getByRole("link", { name: "s149" }).waitFor();
  await page.getByRole("button", { name: "More secrets" }).click();
  await page.getByRole("link", { name: "s159" }).waitFor();
  expect(await page.getByRole("link", { name: "s149" }).count()).toBe(0);
  await page.getByLabel("Name or tool").fill("S11");
  await page.getByText("10 secrets found").waitFor();
  expect(wrong).toEqual([]);
});
