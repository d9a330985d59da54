import { expect, test } from "vitest";
import type { Schemas } from "../api/client";
import { bar, skippedBy, tally, ticks, view } from "./view";

const run = (step: string, status: string) => ({ id: step, step, status }) as Schemas["Run"];

test("a step has what is defined, how it goes, and its runs", () => {
  const steps = view(
    {
      name: "f",
      inputs: [],
      steps: [
        { name: "build", tool: "b", after: [] },
        { name: "check", after: [{ step: "build" }], repeated: true },
        { name: "last", after: [] },
      ],
    },
    {
      steps: [
        { step: "build", status: "running", exit_code: 0 },
        { step: "check", status: "running", exit_code: 0, items: 3 },
        { step: "last", status: "", exit_code: 0 },
      ],
      runs: [run("build", "queued"), run("check[0]", "succeeded"), run("check[1]", "failed"), run("check[2]", "succeeded")],
    },
  );
  expect(steps.map((s) => [s.name, s.status, s.runs.length])).toEqual([
    ["build", "queued", 1],
    ["check", "running", 3],
    ["last", "waiting", 0],
  ]);
  expect(tally(steps[1]!)).toEqual([
    { status: "failed", n: 1 },
    { status: "succeeded", n: 2 },
  ]);
});

test("a condition that is false comes with the values that it looked at", () => {
  const condition = '${a.N} == "x; y"   || ${a.status} == "failed"';
  const reason = 'its condition is false: ${a.N} == "x; y" || ${a.status} == "failed"; ${a.status} is "succeeded"; ${inputs.n} is "5; and"';
  expect(skippedBy(reason, condition)).toEqual({
    condition: '${a.N} == "x; y" || ${a.status} == "failed"',
    values: [
      { name: "${a.status}", value: '"succeeded"' },
      { name: "${inputs.n}", value: '"5; and"' },
    ],
  });
  expect(skippedBy(reason, undefined)!.values).toHaveLength(2);
  expect(skippedBy("step bad failed", condition)).toBeUndefined();
});

test("bars stay in the timeline, and can be seen", () => {
  expect(bar(new Date(500).toISOString(), new Date(750).toISOString(), 0, 1000)).toEqual({ left: 50, width: 25 });
  const short = bar(new Date(1000).toISOString(), new Date(1000).toISOString(), 0, 1000)!;
  expect(short.left + short.width).toBeLessThanOrEqual(100);
  expect(bar(undefined, undefined, 0, 1)).toBeUndefined();
  expect(ticks(11_200, 6)).toEqual([0, 2000, 4000, 6000, 8000, 10_000]);
});
