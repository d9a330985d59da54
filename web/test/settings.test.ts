import type { Locator } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import { call, control, ended, mayfly, patience, pictured, signedIn, start, tool } from "./bed";
import { signedInWith, token } from "./people";

const canary = "<img src=x onerror=window.canary=1>";

/** write types a text into an editor, instead of what it has. Filled in at once, the browser itself adds styles, which the page's policy refuses. */
async function write(field: Locator, text: string) {
  await field.press("Control+a");
  await field.press("Delete");
  await field.pressSequentially(text);
}

beforeAll(async () => {
  await tool("greet", "exit 0\n");
  await ended(await start("greet"));
});

test("an administrator makes a token, which is shown once, and ends it", async () => {
  const { page, wrong } = await signedIn({}, "/projects/default/settings");
  await page.locator('[data-project="default"]').waitFor();
  await pictured(page, "settings-projects");
  await page.getByRole("link", { name: "Members" }).click();
  await page.waitForURL("**/settings/members");
  await page.getByRole("button", { name: "New token" }).click();
  await page.getByRole("textbox", { name: /^Name/ }).fill("ada");
  await page.getByRole("radio", { name: /^operator/ }).check();
  await page.getByLabel("Lasts").selectOption({ label: "30 days" });
  await pictured(page, "settings-new-token");
  await page.getByRole("button", { name: "Make it" }).click();
  const shown = page.locator("[data-new-token]");
  await shown.waitFor();
  const made = await shown.innerText();
  await pictured(page, "settings-token-once");
  await page.keyboard.press("Escape"); // it doesn't go by accident
  expect(await shown.isVisible()).toBe(true);

  // It is good for what was chosen.
  const ada = await signedInWith(made, "/projects/default/settings/members");
  await ada.page.getByText("You are signed in with the token ada: operator of default.").waitFor();
  await ada.page.getByText("An administrator of the project can list, make and end tokens.").waitFor();
  expect(await ada.page.getByRole("button", { name: "New token" }).count()).toBe(0);

  await page.getByRole("button", { name: "I have it" }).click();
  await shown.waitFor({ state: "detached" });
  expect(await page.content()).not.toContain(made);
  const row = page.locator('[data-token="ada"]');
  expect(await row.innerText()).toMatch(/operator/);
  await pictured(page, "settings-members");
  await row.getByRole("button", { name: "End the token ada" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End" }).click();
  await page.getByText("The token ada has ended.").waitFor();
  expect(await row.count()).toBe(0);
  await ada.page.reload();
  await ada.page.getByRole("button", { name: "Sign in" }).waitFor();
  expect([...wrong, ...ada.wrong]).toEqual([]);
});

test("a runner's token has a pool, and is made with the keyboard alone", async () => {
  const { page, wrong } = await signedIn({}, "/projects/default/settings/members");
  const open = page.getByRole("button", { name: "New token" });
  await open.focus();
  await page.keyboard.press("Enter");
  await page.keyboard.type("farm");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowDown"); // all projects
  await page.keyboard.press("Tab");
  for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowDown"); // from operator to runner
  await page.keyboard.press("Tab");
  await page.keyboard.type("build");
  await page.keyboard.press("Enter");
  await page.locator("[data-new-token]").waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const row = page.locator('[data-token="farm"]');
  await row.waitFor();
  expect(await row.innerText()).toMatch(/runner\s+build/);
  expect(await open.evaluate((e) => e === document.activeElement)).toBe(true);
  expect(wrong).toEqual([]);
});

test("a mistake in a policy is shown at its line, and the corrected one holds", async () => {
  const { page, wrong } = await signedIn({}, "/projects/rules/settings/policy");
  await page.getByRole("button", { name: "Write one" }).click();
  const editor = page.getByRole("textbox", { name: "Policy of rules, in YAML" });
  await editor.waitFor();
  await write(editor, "max: {memory: 2Gi}\nimagez: 3\nnetworks: [none, bogus]\n");
  await page.getByRole("button", { name: "Set the policy" }).click();
  await page.getByText("2 mistakes. It isn't set.").waitFor();
  await page.getByText(/unknown key "imagez"/).waitFor();
  await page.locator(".cm-lint-marker-error").first().waitFor();
  await pictured(page, "settings-policy-wrong");
  await page.getByRole("button", { name: "Line 3" }).click();
  expect(await editor.evaluate((e) => e === document.activeElement)).toBe(true);
  await write(editor, "max: {memory: 2Gi}\nnetworks: [none, list]\n");
  await page.getByRole("button", { name: "Set the policy" }).click();
  await page.getByText("Version 1 is set. It holds for runs that are accepted from now on.").waitFor();
  await page.getByText("There is no tool, run, secret or token of this project yet. Is its name right?").waitFor();
  expect(await page.getByText("mistakes").count()).toBe(0);
  expect((await call<{ text: string }>("GET", "/projects/rules/policy")).text).toContain("networks: [none, list]");

  // Changes that aren't set aren't lost without a question.
  await write(editor, "max: {memory: 1Gi}\n");
  let question = "";
  page.once("dialog", (d) => ((question = d.message()), void d.dismiss()));
  await page.getByRole("link", { name: "Limits" }).click();
  await expect.poll(() => question, { timeout: patience }).toMatch(/aren't set/);
  expect(page.url()).toMatch(/policy$/);
  await page.getByRole("button", { name: "Undo my changes" }).click();
  expect(await editor.innerText()).toContain("2Gi");
  await page.getByRole("button", { name: "Remove", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await page.getByText("This project has no policy").waitFor();
  expect(wrong).toEqual([]);
});

test("of two people who edit a policy, the second one sees both, and overwrites nothing unseen", async () => {
  await call("PUT", "/policies/shared", { text: "max: {memory: 1Gi}\nread_only: true\n" });
  const ada = await signedIn({}, "/projects/shared/settings/policy");
  const bob = await signedInWith((await token("admin")).token, "/projects/shared/settings/policy");
  const field = (tab: typeof ada) => tab.page.getByRole("textbox", { name: "Policy of shared, in YAML" });
  await write(field(ada), "max: {memory: 2Gi}\nread_only: true\n");
  await write(field(bob), `max: {memory: 1Gi}\nread_only: true\n# ${canary}\n`);
  await bob.page.getByRole("button", { name: "Set the policy" }).click();
  await bob.page.getByText("Version 2 is set.").waitFor();
  await ada.page.getByRole("button", { name: "Set the policy" }).click();
  await ada.page.getByText(/^admin-.* has set version 2 meanwhile$/).waitFor();
  await ada.page.locator(".cm-deletedChunk", { hasText: "1Gi" }).waitFor();
  await ada.page.locator(".cm-changedLine", { hasText: "2Gi" }).waitFor();
  expect((await call<{ version: number }>("GET", "/projects/shared/policy")).version).toBe(2);
  await pictured(ada.page, "settings-policy-conflict");
  await ada.page.getByRole("button", { name: "Set mine over theirs" }).click();
  await ada.page.getByText("Version 3 is set.").waitFor();
  expect((await call<{ text: string }>("GET", "/projects/shared/policy")).text).toContain("2Gi");

  // The other one takes what is there.
  await write(field(bob), "max: {memory: 8Gi}\n");
  await bob.page.getByRole("button", { name: "Set the policy" }).click();
  await bob.page.getByText("admin has set version 3 meanwhile").waitFor();
  await bob.page.getByRole("button", { name: "Use theirs" }).click();
  expect(await field(bob).innerText()).toContain("2Gi");
  expect(await bob.page.getByRole("button", { name: "Set the policy" }).isDisabled()).toBe(true);

  // Removing is an edit too: not of what nobody has seen, and it isn't undone unseen.
  await write(field(ada), "max: {memory: 3Gi}\n");
  await ada.page.getByRole("button", { name: "Set the policy" }).click();
  await ada.page.getByText("Version 4 is set.").waitFor();
  const remove = async () => {
    await bob.page.getByRole("button", { name: "Remove", exact: true }).click();
    await bob.page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  };
  await remove();
  await bob.page.getByText("admin has set version 4 meanwhile").waitFor();
  await bob.page.getByRole("button", { name: "Use theirs" }).click();
  await remove();
  await bob.page.getByText("This project has no policy").waitFor();
  await write(field(ada), "max: {memory: 4Gi}\n");
  await ada.page.getByRole("button", { name: "Set the policy" }).click();
  await ada.page.getByText("Somebody has removed the policy meanwhile").waitFor();
  await ada.page.getByRole("button", { name: "Set the policy" }).click();
  await ada.page.getByText(/^Version \d is set\./).waitFor();
  expect((await call<{ text: string }>("GET", "/projects/shared/policy")).text).toContain("4Gi");
  expect(await ada.page.evaluate(() => "canary" in window)).toBe(false);
  expect([...ada.wrong, ...bob.wrong]).toEqual([]);
});

test("the audit log says who did what, and is filtered by the address", async () => {
  const { url } = await control();
  await call("PUT", "/projects/default/secrets/db", { value: btoa("x") });
  // Anybody's name in an address is text.
  const viewer = await token("viewer", "default");
  const refused = await fetch(`${url}/api/v1/projects/default/secrets/${encodeURIComponent(canary)}`, {
    method: "DELETE",
    headers: { Authorization: `Bearer ${viewer.token}` },
  });
  expect(refused.status).toBeGreaterThanOrEqual(400);
  const { page, wrong } = await signedIn({}, "/projects/default/settings/audit");
  const set = page.locator("[data-entry]", { hasText: "admin set the secret db" });
  await set.first().waitFor();
  await page.locator("[data-entry]", { hasText: `tried to remove the secret ${canary}` }).waitFor();
  await page.locator("[data-entry]", { hasText: "started the run" }).first().waitFor();
  await pictured(page, "settings-audit");
  await page.getByRole("combobox", { name: "Action" }).selectOption("set-secret");
  await page.waitForURL("**/audit?action=set-secret");
  await expect.poll(() => page.locator("[data-entry]", { hasNotText: "the secret" }).count(), { timeout: patience }).toBe(0);
  const more = set.first().getByRole("button");
  await more.focus();
  await page.keyboard.press("Enter");
  await set.first().getByText("Hash before").waitFor();
  await pictured(page, "settings-audit-entry");
  await page.getByRole("combobox", { name: "Of" }).selectOption({ label: "the whole server" });
  await page.getByText(/^The head of the chain is entry/).waitFor();
  const head = await page.locator(".head-of code").innerText();
  expect(await mayfly(["audit", "verify", "--head", head])).toContain("are as they were written");
  await page.getByRole("button", { name: "Remove all filters" }).click();
  const everywhere = await token("viewer"); // of no project
  await page.locator("[data-entry]", { hasText: `admin made the token ${everywhere.name}` }).waitFor();
  expect(await page.evaluate(() => "canary" in window)).toBe(false);
  expect(wrong).toEqual([]);
});

test("a viewer reads what there is, is offered nothing that is refused, and told who may", async () => {
  await call("PUT", "/policies/default", { text: "max: {memory: 2Gi}\n" });
  const { page, wrong } = await signedInWith((await token("viewer", "default")).token, "/projects/default/settings");
  await expect.poll(() => page.locator("[data-project]").count(), { timeout: patience }).toBe(1);
  await page.getByText("Your token is for this project only.").waitFor();
  await page.getByRole("link", { name: "Policy" }).click();
  await page.getByText("An administrator of all projects can change it.").waitFor();
  const editor = page.getByRole("textbox", { name: "Policy of default, in YAML" });
  await editor.waitFor();
  expect(await editor.getAttribute("contenteditable")).toBe("false");
  expect(await page.getByRole("button", { name: /Set|Remove|Write/ }).count()).toBe(0);
  await pictured(page, "settings-policy-viewer");
  await page.getByRole("link", { name: "Audit log" }).click();
  await page.getByText("An administrator of the project can read its audit log.").waitFor();
  expect(await page.locator("form").count()).toBe(0);
  await page.getByRole("link", { name: "Limits" }).click();
  await page.getByText("Runs of a project that wait").waitFor();
  await pictured(page, "settings-limits");
  await call("DELETE", "/policies/default");
  expect(wrong).toEqual([]);
});

test("the keys of a policy are listed, and are those that the server takes", async () => {
  const { page, wrong } = await signedIn({}, "/projects/listed/settings/policy");
  await page.getByRole("button", { name: "Write one" }).click();
  await page.getByText("All keys, each of which is optional").click();
  const keys = await page.locator("pre.keys").innerText();
  await pictured(page, "settings-policy-keys");
  await call("PUT", "/policies/listed", { text: keys });
  expect(keys).toContain("concurrency:");
  expect(wrong).toEqual([]);
});
