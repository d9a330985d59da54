import { expect, test } from "vitest";
import { call, signedIn } from "./bed";
import { keeps, reach } from "./keys";

test("a tool is written, run, tested, saved and published by keys alone", async () => {
  const { page, wrong } = await signedIn({ viewport: { width: 1280, height: 800 } }, "/projects/default/build");
  const button = (name: string) => page.getByRole("button", { name, exact: true });
  const editor = (name: string) => page.getByRole("textbox", { name, exact: true });

  // A dialog gives the focus back.
  await reach(page, button("New tool"));
  await page.keyboard.press("Enter");
  await keeps(page.getByLabel("Name"));
  await page.keyboard.press("Escape");
  await keeps(button("New tool"));
  await page.keyboard.press("Enter");
  await page.keyboard.type("bykeys");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/build/bykeys**");

  // The editor is left by Tab, and has a search of its own.
  await reach(page, editor("Definition"));
  const text = await editor("Definition").innerText();
  await page.keyboard.press("Control+f");
  await page.locator(".cm-search input").first().waitFor();
  expect(await page.getByRole("search").count()).toBe(0);
  await page.keyboard.press("Escape");
  await keeps(editor("Definition"));

  // It runs, and what it says is seen without scrolling.
  await page.keyboard.press("Control+Enter");
  await page.getByText("hello world").waitFor();
  await page.locator('[data-exit="0"]').waitFor();
  await keeps(editor("Definition"));
  expect(await editor("Definition").innerText()).toBe(text);
  const box = (await page.getByText("hello world").boundingBox())!;
  expect(box.y + box.height).toBeLessThan(800);
  expect(await page.evaluate(() => [scrollY, document.documentElement.scrollHeight])).toEqual([0, 800]);
  await reach(page, page.getByRole("separator"));
  await page.keyboard.press("ArrowUp");
  expect(await page.getByRole("separator").getAttribute("aria-valuenow")).toBe("40");
  await reach(page, button("Run").last());
  await page.keyboard.press("Enter");
  await keeps(button("Run").last());

  // What is typed into the form is saved, also if its field has the focus still.
  await reach(page, button("Form"));
  await page.keyboard.press("Enter");
  await reach(page, page.getByLabel("Description").first());
  await page.keyboard.press("Control+a");
  await page.keyboard.type("Made by keys");
  await page.keyboard.press("Control+s");
  await page.getByText("Saved", { exact: true }).waitFor();
  const definition = () => page.evaluate(async () => (await fetch("/api/v1/projects/default/drafts/bykeys/files/tool.yaml")).text());
  const saved = await definition();
  expect(saved).toContain("description: Made by keys\n");
  await reach(page, button("Add a variable"));
  await page.keyboard.press("Enter");
  await reach(page, page.getByLabel("Name", { exact: true }).last());
  await page.keyboard.press("Control+a");
  await page.keyboard.type("TOKEN");
  await page.keyboard.press("Tab");
  await keeps(page.getByLabel("Value", { exact: true }));
  await reach(page, button("Remove TOKEN"));
  await page.keyboard.press("Enter");
  await reach(page, button("YAML"));
  await page.keyboard.press("Enter");
  await editor("Definition").getByText("description: Made by keys").waitFor();

  await reach(page, button("Test"));
  await page.keyboard.press("Enter");
  await reach(page, button("Write a test"));
  await page.keyboard.press("Enter");
  await keeps(editor("bykeys_test.yaml"));
  await reach(page, button("Run the tests"));
  await page.keyboard.press("Enter");
  await page.getByText("1 passed", { exact: true }).waitFor();
  await keeps(button("Run the tests"));
  await reach(page, button("Remove bykeys_test.yaml"));
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await keeps(button("Remove bykeys_test.yaml"));

  await reach(page, button("Save"));
  await page.keyboard.press("Enter");
  await page.getByText("Saved", { exact: true }).waitFor();
  await keeps(button("Save"));
  expect(await definition()).toBe(saved);
  const again = await call<{ files: { path: string }[] }>("GET", "/projects/default/drafts/bykeys");
  expect(again.files.map((f) => f.path)).toContain("bykeys_test.yaml");

  await reach(page, button("Publish"));
  await page.keyboard.press("Enter");
  await reach(page, page.getByLabel("What changes"));
  await page.keyboard.type("By keys");
  await reach(page, page.locator(".publish").getByRole("button", { name: "Publish" }));
  await page.keyboard.press("Enter");
  await page.getByText("Version 1 is published.").waitFor();
  await keeps(page.locator(".publish").getByRole("button", { name: "Publish" }));
  expect(wrong).toEqual([]);
});
