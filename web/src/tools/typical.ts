import type { Schemas } from "../api/client";

type Timed = Pick<Schemas["Run"], "kind" | "status" | "started" | "finished">;

/** typical is the middle one of the durations of runs, in milliseconds: what nobody ended, and no run of tests. It is undefined if there are none. */
export function typical(runs: Timed[]): number | undefined {
  const all = runs
    .filter((r) => r.started && r.finished && r.status !== "cancelled" && r.kind !== "test")
    .map((r) => Date.parse(r.finished!) - Date.parse(r.started!))
    .sort((a, b) => a - b);
  return all[(all.length - 1) >> 1];
}
