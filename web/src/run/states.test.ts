import { expect, test } from "vitest";
import { failures } from "../overview/figures";
import { called, toggled } from "./states";

test("states are chosen one by one and in groups, and an address has them in one order", () => {
  expect(toggled("", ["lost"], true)).toBe("lost");
  expect(toggled("lost", ["failed"], true)).toBe("failed,lost");
  expect(toggled("failed,lost", ["failed"], false)).toBe("lost");
  expect(toggled("succeeded", failures, true)).toBe([...failures, "succeeded"].join(","));
  expect(toggled("strange", ["failed"], true)).toBe("failed,strange");
});

test("a group has a name, however its states are ordered", () => {
  expect(called("")).toBe("Any status");
  expect(called([...failures].reverse().join(","))).toBe("Any failure");
  expect(called("failed,timed_out")).toBe("failed, timed out");
  expect(called("strange")).toBe("strange");
});
