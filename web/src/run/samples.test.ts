import { expect, test } from "vitest";
import { joined, levels, rates, thinned, type Sample } from "./samples";

const sample = (s: number, cpu: number, rx = 0): Sample => ({
  time: new Date(1_700_000_000_000 + 1000 * s).toISOString(),
  cpu_seconds: cpu,
  memory_bytes: 10 * s,
  memory_peak_bytes: 0,
  disk_bytes: 0,
  pids: 1,
  network_rx_bytes: rx,
  network_tx_bytes: 0,
});

test("a rate is what was used between two samples, from the start on, and from nothing with another attempt", () => {
  const all = [sample(2, 1), sample(4, 2, 100), sample(5, 0.5)];
  const { y } = rates(all, ["cpu_seconds", "network_rx_bytes"], sample(0, 0).time);
  expect(y[0]).toEqual([0.5, 0.5, 0.5]);
  expect(y[1]).toEqual([0, 50, 0]);
  expect(rates(all, ["cpu_seconds"]).y[0]![0]).toBeNull();
  expect(levels(all, ["memory_bytes"]).y[0]).toEqual([20, 40, 50]);
});

test("samples that come twice count once, and very many are bounded", () => {
  const have = [sample(1, 1), sample(2, 2)];
  expect(joined(have, [sample(2, 2), sample(3, 3)]).map((s) => s.cpu_seconds)).toEqual([1, 2, 3]);
  let all: Sample[] = [];
  for (let i = 0; i < 5000; i++) all = joined(all, [sample(i, i)]);
  expect(all.length).toBeLessThanOrEqual(2000);
  expect(all.at(-1)!.cpu_seconds).toBe(4999);
  expect(thinned(all, 50).length).toBeLessThanOrEqual(50);
  expect(thinned(all, 50).at(-1)).toBe(all.at(-1));
});
