import { expect, test } from "vitest";
import { textOf, wrong } from "./fields";

test.each([
  ["integer", "12345678901234567890123", undefined],
  ["integer", "1e3", undefined],
  ["integer", "1.5", "integer"],
  ["integer", "", "missing"],
  ["number", ".5", undefined],
  ["number", "1,5", "number"],
  ["boolean", "yes", "boolean"],
  ["array", "[1]", undefined],
  ["array", "{}", "array"],
  ["object", "{", "object"],
  ["object", "{}", undefined],
  ["string", "", undefined],
] as const)("%s %s", (type, text, what) => {
  expect(wrong({ type }, text)).toBe(what);
});

test("a required text is missing if it is empty", () => {
  expect(wrong({ type: "string", required: true }, "")).toBe("missing");
  expect(textOf(["a", 1])).toBe('["a",1]');
  expect(textOf("1.20")).toBe("1.20");
});
