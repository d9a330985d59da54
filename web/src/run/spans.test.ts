import { expect, test } from "vitest";
import { moved, shares, spans } from "./spans";

const at = (s: number) => new Date(1_700_000_000_000 + 1000 * s).toISOString();

test("each state lasts until the next one begins", () => {
  const all = spans({ queued: at(0), pulling: at(1), creating: at(5), started: at(6), finished: at(20) }, true);
  expect(all.map((s) => [s.state, (s.to! - s.from) / 1000])).toEqual([
    ["queued", 1],
    ["pulling", 4],
    ["creating", 1],
    ["running", 14],
  ]);
});

test("the state of now has no end, and that of a run which ended early has none to show", () => {
  expect(spans({ queued: at(0), creating: at(2) }, false).at(-1)).toMatchObject({ state: "creating", to: undefined });
  expect(spans({ queued: at(0), finished: at(3) }, true)).toEqual([{ state: "queued", from: Date.parse(at(0)), to: Date.parse(at(3)) }]);
});

test("another attempt begins again", () => {
  let t = moved({ queued: at(0) }, "creating", at(1));
  t = moved(t, "running", at(2));
  t = moved(t, "creating", at(5));
  expect(t).toEqual({ queued: at(0), creating: at(5) });
  expect(moved(moved(t, "running", at(6)), "queued", at(7))).toEqual({ queued: at(7) });
});

test("a short state can be seen", () => {
  const w = shares(spans({ queued: at(0), creating: at(0.001), started: at(0.002), finished: at(100) }, true), 0);
  expect(w.reduce((a, b) => a + b, 0)).toBeCloseTo(100);
  expect(Math.min(...w)).toBeGreaterThan(1);
});
