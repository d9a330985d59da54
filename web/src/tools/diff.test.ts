import { expect, test } from "vitest";
import { linesOf, tally } from "./diff";

test("a difference has the numbers of its lines", () => {
  const lines = linesOf(
    "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n one\n--- two\n+++ zwei\n three\n@@ -9 +9,2 @@\n-nine\n+neun\n+zehn\n\\ No newline at end of file\n",
  );
  expect(lines).toEqual([
    { kind: "hunk", before: 0, after: 0, text: "@@ -1,3 +1,3 @@" },
    { kind: "same", before: 1, after: 1, text: "one" },
    { kind: "removed", before: 2, after: 0, text: "-- two" },
    { kind: "added", before: 0, after: 2, text: "++ zwei" },
    { kind: "same", before: 3, after: 3, text: "three" },
    { kind: "hunk", before: 0, after: 0, text: "@@ -9 +9,2 @@" },
    { kind: "removed", before: 9, after: 0, text: "nine" },
    { kind: "added", before: 0, after: 9, text: "neun" },
    { kind: "added", before: 0, after: 10, text: "zehn" },
    { kind: "note", before: 0, after: 0, text: "No newline at end of file" },
  ]);
  expect(tally(lines)).toEqual({ added: 3, removed: 2 });
});

test("a file that is new or gone", () => {
  expect(linesOf("--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n").map((l) => [l.kind, l.after])).toEqual([
    ["hunk", 0],
    ["added", 1],
  ]);
  expect(linesOf("")).toEqual([]);
});
