import { expect, test } from "vitest";
import { read } from "./edit";
import { firstTest, noTest } from "./templates";

test("the first test names its definition, whatever that is called", () => {
  for (const name of [
    "tool.yaml",
    "a: b.yaml",
    "*x.yaml",
    "[x].yaml",
    "- a.yaml",
    "&x.yaml",
    "'x.yaml",
    '"x".yaml',
    "1.yaml",
    "true",
    "a #b.yaml",
    "ü.yaml",
  ]) {
    expect(read(firstTest(name, "tool"), ["tool"])).toBe(name);
    expect(read(firstTest(name, "workflow"), ["workflow"])).toBe(name);
    expect(read(noTest(name), ["tool"])).toBe(name);
  }
});
