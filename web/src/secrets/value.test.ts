import { expect, test } from "vitest";
import { base64, rulesOf } from "./value";

test("bytes of any kind and number become base64", () => {
  expect(base64(new TextEncoder().encode("grüße"))).toBe("Z3LDvMOfZQ==");
  expect(base64(new Uint8Array())).toBe("");
  const many = Uint8Array.from({ length: 100_001 }, (_, i) => i % 256);
  expect(Uint8Array.from(atob(base64(many)), (c) => c.charCodeAt(0))).toEqual(many);
});

test("the rules of a policy for secrets", () => {
  expect(rulesOf('max: {memory: 2Gi}\nsecrets:\n  backup: [db]\n  "*": [ca-*]\nimages: [a]\n')).toBe(
    'secrets:\n  backup: [db]\n  "*": [ca-*]',
  );
  expect(rulesOf("secrets: {backup: [db]}\n")).toBe("secrets: {backup: [db]}");
  expect(rulesOf("# secrets: none\nmax: {}\n")).toBe("");
});
