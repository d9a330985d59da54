import { expect, test } from "vitest";
import { ended, patience, signedIn, start, tool } from "./bed";

/** Counts the streams of events that a page has begun and not given up, and the requests that have no answer yet. */
function countRequests() {
  const real = window.fetch;
  const begun: AbortSignal[] = [];
  let waiting = 0;
  window.fetch = async (input, init) => {
    if (input instanceof Request && input.headers.get("Accept") === "text/event-stream") begun.push(input.signal);
    waiting++;
    try {
      return await real(input, init);
    } finally {
      setTimeout(() => waiting--, 100); // whoever asked may go on with another
    }
  };
  (window as unknown as { open(): number[] }).open = () => [waiting, begun.filter((s) => !s.aborted).length];
}

test("a page that was left follows nothing, and keeps no listeners", { timeout: 3 * patience }, async () => {
  await tool("kept", "echo kept\n");
  const id = await start("kept");
  await ended(id);
  const { page, context, wrong } = await signedIn({}, "/projects/default/settings/limits");
  await page.addInitScript(countRequests);
  await page.reload();
  const cdp = await context.newCDPSession(page);
  await cdp.send("HeapProfiler.enable");
  await cdp.send("Performance.enable");
  const measured = async () => {
    for (let i = 0; i < 3; i++) await cdp.send("HeapProfiler.collectGarbage");
    const { metrics } = await cdp.send("Performance.getMetrics");
    const of = (name: string) => metrics.find((m) => m.name === name)!.value;
    return { listeners: of("JSEventListeners"), heap: of("JSHeapUsedSize") };
  };
  const go = (path: string) =>
    page.evaluate((p) => {
      history.pushState(null, "", `/projects/default${p}`);
      dispatchEvent(new PopStateEvent("popstate"));
    }, path);
  const places = [
    "",
    "/runs",
    `/runs/${id}`,
    `/runs/${id}?tab=usage`,
    "/tools",
    "/tools/kept?tab=files",
    "/build",
    "/build/kept",
    "/secrets",
  ];
  const round = async () => {
    for (const place of [...places, "/runners", "/settings/policy", "/settings/limits"]) {
      await go(place);
      await page.locator("#content h1").waitFor();
      if (place.includes("kept") || place === "/runs" || place === "/tools")
        await page.locator("#content").getByText("kept").first().waitFor();
    }
  };
  const ends = async () => {
    await go("/settings/limits");
    await page.getByRole("heading", { name: "Settings" }).waitFor();
    const open = () => page.evaluate(() => (window as unknown as { open(): number[] }).open());
    await expect.poll(open, { timeout: patience }).toEqual([0, 0]);
  };
  // Some pages are left at once, without waiting for what they ask for.
  const visit = async () => {
    await round();
    await round();
    for (const place of [...places, ...places]) await go(place);
    await ends();
  };
  await visit();
  await visit();
  const before = await measured();
  await visit();
  await visit();
  const after = await measured();
  expect(after.listeners).toBeLessThan(1.2 * before.listeners + 20);
  expect(after.heap).toBeLessThan(1.3 * before.heap + 2e6);
  expect(wrong).toEqual([]);
});
