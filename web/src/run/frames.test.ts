import { describe, expect, it } from "vitest";
import { exitIn, pieces } from "./frames";

describe("exitIn", () => {
  it("reads how a shell has ended, and nothing else", () => {
    expect(exitIn('{"exit":{"code":3}}')).toEqual({ code: 3 });
    expect(exitIn('{"exit":{"code":125,"reason":"gone"}}')).toEqual({ code: 125, reason: "gone" });
    for (const text of ["", "null", "[]", '{"exit":null}', '{"exit":{"code":"3"}}', '{"resize":{"cols":1,"rows":1}}'])
      expect(exitIn(text)).toBeUndefined();
  });
});

describe("pieces", () => {
  it("cuts what is typed, and loses nothing", () => {
    const all = pieces(new Uint8Array([1, 2, 3, 4, 5]), 2);
    expect(all.map((p) => [...p])).toEqual([[1, 2], [3, 4], [5]]);
    expect(pieces(new Uint8Array(0))).toEqual([]);
  });
});
