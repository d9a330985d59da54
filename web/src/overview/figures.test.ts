import { expect, test } from "vitest";
import { ceiling, parts, percent, rangeOf, scale, since } from "./figures";

test("a rate is 100 % only for all, and 0 % only for none", () => {
  expect([1, 0.9999, 0.995, 0.5, 0.001, 0.00001, 0].map(percent)).toEqual(["100 %", "99.9 %", "99.5 %", "50 %", "0.1 %", "0.1 %", "0 %"]);
});

test("what neither succeeded nor was cancelled has failed", () => {
  expect(parts({ runs: 10, status: { succeeded: 4, cancelled: 1, lost: 2, failed: 3 } })).toEqual({ good: 4, bad: 5, cancelled: 1 });
});

test("an axis of durations has what it shows inside", () => {
  const { at, ticks } = scale([0.05, 0.4, 70]);
  expect(ticks).toEqual([0.01, 0.1, 1, 10, 60, 600]);
  expect(at(0.01)).toBe(0);
  expect(at(600)).toBe(1);
  expect(at(0.4)).toBeGreaterThan(at(0.05));
  expect(scale([]).ticks).toEqual([]);
  expect(scale([1]).ticks).toEqual([1, 10]);
  expect(scale([1e9]).at(1e9)).toBe(1);
});

test("an axis of numbers ends at a round one", () => {
  expect([0, 3, 7, 11, 99, 410].map(ceiling)).toEqual([1, 3, 8, 20, 100, 500]);
});

test("a range that isn't known is a day", () => {
  expect(["7d", "x", "toString", null].map(rangeOf)).toEqual(["7d", "24h", "24h", "24h"]);
  expect(since("7d", Date.UTC(2026, 0, 31, 12))).toBe("2026-01-25T12:00:00.000Z");
});
