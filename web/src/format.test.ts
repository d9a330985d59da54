import { expect, test } from "vitest";
import { ago, bytes, duration, visible } from "./format";

test("durations", () => {
  const cases: [number, string][] = [
    [0, "0 ms"],
    [999, "999 ms"],
    [1000, "1.0 s"],
    [9949, "9.9 s"],
    [9960, "10 s"],
    [59_400, "59 s"],
    [60_000, "1 min"],
    [185_000, "3 min 5 s"],
    [3_600_000, "1 h"],
    [5_400_000, "1 h 30 min"],
    [200 * 3_600_000, "8 d 8 h"],
    [NaN, "–"],
  ];
  for (const [ms, want] of cases) expect(duration(ms)).toBe(want);
});

test("sizes", () => {
  const cases: [number, string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1536, "1.5 KiB"],
    [1_048_575, "1.0 MiB"],
    [64 * 1024 ** 2, "64 MiB"],
    [5 * 1024 ** 4, "5.0 TiB"],
  ];
  for (const [n, want] of cases) expect(bytes(n)).toBe(want);
});

test("times that passed", () => {
  expect([0, 4, 30, 90, 7200, 400_000].map((s) => ago(0, s * 1000))).toEqual([
    "just now",
    "just now",
    "30 s ago",
    "1 min ago",
    "2 h ago",
    "4 d ago",
  ]);
});

test("what can't be seen is shown", () => {
  expect(visible("ok \u202eevil\u2066\u0007\u200b")).toBe("ok \\u202eevil\\u2066\\u0007\\u200b");
});

test("marks upon a letter are bounded", () => {
  expect(visible("a" + "\u0301".repeat(9000) + "b")).toBe("a" + "\u0301".repeat(8) + "…b");
  for (const word of ["ẹ̀kọ́", "Việt", "שָׁלוֹם", "ཧཱུྃ"]) expect(visible(word)).toBe(word);
});
