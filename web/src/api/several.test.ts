import { expect, test } from "vitest";
import { several } from "./several";

test("many things come a few at once, in their order", async () => {
  let now = 0;
  let most = 0;
  const get = async (n: number) => {
    most = Math.max(most, ++now);
    await Promise.resolve();
    now--;
    return 2 * n;
  };
  const of = Array.from({ length: 10_000 }, (_, i) => i);
  expect(await several(of, get)).toEqual(of.map((n) => 2 * n));
  expect(most).toBe(16);
  expect(await several([], get)).toEqual([]);
  await expect(several([1], () => Promise.reject(new Error("gone")))).rejects.toThrow("gone");
});
