import { expect, test } from "vitest";
import { typical } from "./typical";

const at = (ms: number) => new Date(Date.UTC(2026, 0, 31) + ms).toISOString();
const lasted = (ms: number, more: object = {}) => ({
  kind: "tool" as const,
  status: "timed_out" as const,
  started: at(0),
  finished: at(ms),
  ...more,
});

test("a typical duration is that of a run", () => {
  expect(typical([])).toBeUndefined();
  expect(typical([lasted(6100), lasted(120), lasted(6000), lasted(6200), lasted(6150)])).toBe(6100);
  expect(typical([lasted(3), lasted(5)])).toBe(3);
  const none = [
    lasted(1, { status: "cancelled" }),
    lasted(1, { kind: "test" }),
    { kind: "tool" as const, status: "denied" as const, finished: at(1) },
  ];
  expect(typical(none)).toBeUndefined();
});
