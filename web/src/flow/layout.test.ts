import { expect, test } from "vitest";
import { layout, nodeHeight } from "./layout";

test("steps are below those that they wait for, and those of finally last", () => {
  const l = layout([
    { name: "build", after: [] },
    { name: "check", after: [{ step: "build", carries: ["N", "app"] }] },
    { name: "other", after: [] },
    { name: "report", after: [], finally: true },
    { name: "clean", after: [], finally: true },
  ]);
  const y = Object.fromEntries(l.nodes.map((n) => [n.name, n.y]));
  expect(y.check).toBeGreaterThanOrEqual(y.build! + nodeHeight);
  expect(y.report).toBeGreaterThan(Math.max(y.check!, y.other!));
  expect(y.clean).toBeGreaterThan(y.report!);
  expect(l.lines.find((e) => e.to === "check")).toMatchObject({ from: "build", carries: ["N", "app"] });
  expect(l.width).toBeGreaterThan(0);
});

test("an edge from what isn't there is left out", () => {
  expect(layout([{ name: "a", after: [{ step: "gone" }] }]).lines).toEqual([]);
});
