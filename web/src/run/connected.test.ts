import { expect, test } from "vitest";
import { added, latest, place, sorted } from "./connected";

const event = (s: number, host: string, allowed = true, rx = 10) => ({
  type: "connection" as const,
  run: "r",
  seq: s,
  time: new Date(1_700_000_000_000 + 1000 * s).toISOString(),
  host,
  address: "192.0.2.1",
  port: 443,
  protocol: "tcp",
  rule: allowed ? "open" : "none",
  allowed,
  rx_bytes: rx,
  tx_bytes: 1,
});

test("connections that are alike are one, with their number and bytes", () => {
  let all = added([], [event(1, "a.example"), event(2, "a.example"), event(3, "b.example", false)]);
  all = added(all, [event(4, "a.example", true, 5)]);
  expect(all).toHaveLength(2);
  expect(all[0]).toMatchObject({ count: 3, rx_bytes: 25, tx_bytes: 3 });
  expect(sorted(all)[0]!.allowed).toBe(false);
  expect(latest(all)).toBe(Date.parse(event(4, "").time));
});

test("an address of version 6 has brackets before its port", () => {
  expect(place({ ...added([], [event(1, "")])[0]!, address: "2001:db8::1" })).toBe("[2001:db8::1]:443");
});
