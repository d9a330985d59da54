import { expect, test } from "vitest";
import { meaning, rate, setting, span } from "./exits";

test.each([
  ["failed", 127, "tool_failed", /by itself/],
  ["error", 127, "command_not_found", /isn't in the image/],
  ["error", 126, "command_not_executable", /can't be executed/],
  ["error", 125, "image_not_found", /couldn't run it/],
  ["failed", 139, "killed", /SIGSEGV/],
  ["failed", 137, "killed", /SIGKILL/],
  ["out_of_memory", 137, "out_of_memory", /memory/],
  ["timed_out", 124, "timed_out", /timeout/],
  ["cancelled", 130, "cancelled", /asked for/],
  ["failed", 3, "tool_failed", /own exit status 3/],
] as const)("%s %d %s", (status, exit_code, code, says) => {
  expect(meaning({ status, exit_code, code })).toMatch(says);
});

test("a success has nothing to explain", () => {
  expect(meaning({ status: "succeeded", exit_code: 0 })).toBe("");
});

test("limits are written as definitions have them", () => {
  expect([rate(10e6), rate(2.5e6), rate(1e9), rate(8001)]).toEqual(["10Mbps", "2500kbps", "1Gbps", "8001bps"]);
  expect([setting(64 * 2 ** 20), setting(2 ** 31), setting(1000), span(600), span(90), span(7200)]).toEqual([
    "64Mi",
    "2Gi",
    "1000",
    "10m",
    "90s",
    "2h",
  ]);
});
