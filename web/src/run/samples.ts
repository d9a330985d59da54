import type { Schemas } from "../api/client";

export type Sample = Schemas["Sample"];

/** What a chart of usage shows: points in time, and one list of values for each line. */
export interface Lines {
  x: number[];
  y: (number | null)[][];
}

const most = 2000;

/** joined are samples with those that came after them; of very many the older half gets thinner. */
export function joined(have: Sample[], more: Sample[]): Sample[] {
  const last = have.at(-1)?.time;
  const since = last ? Date.parse(last) : -Infinity;
  const all = have.concat(more.filter((m) => Date.parse(m.time) > since));
  if (all.length <= most) return all;
  const half = all.length >> 1;
  return all.filter((_, i) => i >= half || i % 2 === 0);
}

type Counter = "cpu_seconds" | "network_rx_bytes" | "network_tx_bytes";
type Gauge = "memory_bytes" | "disk_bytes" | "pids";

/** levels is a quantity at each sample. */
export function levels(all: Sample[], of: Gauge[]): Lines {
  return { x: all.map((s) => Date.parse(s.time) / 1000), y: of.map((key) => all.map((s) => s[key])) };
}

/** rates is how fast a quantity grew before each sample, by second. It begins anew with each attempt, from nothing. */
export function rates(all: Sample[], of: Counter[], started?: string): Lines {
  const x = all.map((s) => Date.parse(s.time) / 1000);
  const y = of.map((key) =>
    all.map((s, i) => {
      const before = all[i - 1];
      const from = before ? x[i - 1]! : started ? Date.parse(started) / 1000 : NaN;
      const seconds = x[i]! - from;
      if (!(seconds > 0)) return null;
      const grown = before && s[key] >= before[key] ? s[key] - before[key] : s[key];
      return grown / seconds;
    }),
  );
  return { x, y };
}

/** highest is the largest of values, or 0. */
export function highest(values: (number | null)[]): number {
  return values.reduce<number>((a, b) => Math.max(a, b ?? 0), 0);
}

/** thinned are at most n of the samples, evenly, with the last one. */
export function thinned(all: Sample[], n: number): Sample[] {
  if (all.length <= n) return all;
  const every = Math.ceil(all.length / n);
  return all.filter((_, i) => (all.length - 1 - i) % every === 0);
}
