import type { Schemas } from "../api/client";

/** The ways a run ends that are nobody's wish. */
export const failures = ["failed", "timed_out", "out_of_memory", "denied", "error", "lost"];
export const active = ["pulling", "creating", "running"];

/** The spans of time that the page shows, each with the length of a bucket. */
export const ranges = {
  "24h": { step: "hour", buckets: 24 },
  "7d": { step: "day", buckets: 7 },
  "30d": { step: "day", buckets: 30 },
} as const;
export type Range = keyof typeof ranges;

export function rangeOf(s: string | null): Range {
  return s !== null && Object.hasOwn(ranges, s) ? (s as Range) : "24h";
}

/** since is a time in the first bucket of a range. */
export function since(range: Range, now: number): string {
  const { step, buckets } = ranges[range];
  return new Date(now - (buckets - 1) * (step === "hour" ? 3600e3 : 86400e3)).toISOString();
}

type Ended = Pick<Schemas["Ended"], "runs" | "status">;

/** parts tells how many runs succeeded, failed and were cancelled. */
export function parts(e: Ended): { good: number; bad: number; cancelled: number } {
  const good = e.status.succeeded ?? 0;
  const cancelled = e.status.cancelled ?? 0;
  return { good, cancelled, bad: e.runs - good - cancelled };
}

/** percent writes a rate so that only all is 100 % and only none is 0 %. */
export function percent(rate: number): string {
  const p = rate * 100;
  if (rate < 1 && p > 99) return `${Math.min(99.9, Math.floor(p * 10) / 10)} %`;
  if (rate > 0 && p < 1) return `${Math.max(0.1, Math.round(p * 10) / 10)} %`;
  return `${Math.round(p)} %`;
}

/** The ticks of an axis of durations, in seconds. */
const steps = [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36_000, 360_000, 3_600_000];

/** scale is a logarithmic axis for durations, in seconds: at returns 0 to 1. */
export function scale(seconds: number[]): { at(s: number): number; ticks: number[] } {
  const seen = seconds.filter((s) => s > 0);
  if (seen.length === 0) return { at: () => 0, ticks: [] };
  const least = Math.min(...seen);
  const most = Math.max(...seen);
  const first = Math.max(0, steps.filter((s) => s <= least).length - 1);
  let last = steps.findIndex((s) => s >= most);
  if (last < 0) last = steps.length - 1;
  if (last <= first) last = Math.min(first + 1, steps.length - 1);
  const low = Math.log(steps[first]!);
  const high = Math.log(Math.max(steps[last]!, steps[first]! * 1.1));
  return {
    at: (s) => (s <= 0 ? 0 : Math.min(1, Math.max(0, (Math.log(s) - low) / (high - low)))),
    ticks: steps.slice(first, last + 1),
  };
}

/** ceiling is the next round number, for an axis that begins at 0. */
export function ceiling(n: number): number {
  if (n <= 4) return Math.max(1, n);
  const size = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((m) => m * size).find((m) => m >= n)!;
}
