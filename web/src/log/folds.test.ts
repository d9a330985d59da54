import { expect, test } from "vitest";
import { Folds } from "./folds";

test("rows and lines, with and without folds", () => {
  let seed = 3;
  const random = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  for (let round = 0; round < 200; round++) {
    const groups = [];
    let at = 1 + random(4);
    for (let i = 0; i < random(5); i++) {
      const last = at + random(6);
      groups.push({ head: at, last });
      at = last + 1 + random(4);
    }
    const lines = at + random(10);
    const hidden = new Set(groups.flatMap((g) => Array.from({ length: Math.max(0, g.last - g.head) }, (_, i) => g.head + 1 + i)));
    const visible = Array.from({ length: lines }, (_, i) => i + 1).filter((n) => !hidden.has(n));
    const f = new Folds();
    f.set(groups);
    expect(f.rows(lines)).toBe(visible.length);
    visible.forEach((line, row) => {
      expect(f.lineOf(row)).toBe(line);
      expect(f.rowOf(line)).toBe(row);
    });
    for (const g of groups) for (let n = g.head; n <= g.last; n++) expect(f.rowOf(n)).toBe(f.rowOf(g.head));
  }
});

test("a group that goes on hides nothing", () => {
  const f = new Folds();
  f.set([{ head: 3, last: 0 }]);
  expect(f.rows(10)).toBe(10);
});
