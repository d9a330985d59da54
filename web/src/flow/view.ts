import type { Schemas } from "../api/client";

/** A step as the page of a workflow's run shows it: what is defined, how it goes, and its runs. */
export interface Step {
  name: string;
  tool: string | undefined;
  /** waiting is the status of a step that nothing has begun. */
  status: string;
  result: Schemas["StepResult"] | undefined;
  defined: Schemas["FlowStep"] | undefined;
  /** Its run, or those of its items. */
  runs: Schemas["Run"][];
  repeated: boolean;
}

const stepOf = (run: Schemas["Run"]) => (run.step ?? "").replace(/\[\d+\]$/, "");

const under = ["queued", "pulling", "creating", "running"];

/** view puts together what a workflow defines and what its run has of it. */
export function view(flow: Schemas["Flow"] | undefined, steps: Schemas["Steps"] | undefined): Step[] {
  const runs = new Map<string, Schemas["Run"][]>();
  for (const r of steps?.runs ?? []) {
    const name = stepOf(r);
    const of = runs.get(name);
    if (of) of.push(r);
    else runs.set(name, [r]);
  }
  const results = new Map((steps?.steps ?? []).map((s) => [s.step, s]));
  const defined = new Map((flow?.steps ?? []).map((s) => [s.name, s]));
  const names = [...new Set([...defined.keys(), ...results.keys()])];
  return names.map((name) => {
    const of = runs.get(name) ?? [];
    const result = results.get(name);
    const d = defined.get(name);
    let status = result?.status || "waiting";
    // A step runs as soon as it was begun; whether its run waits for a runner is what people want to know.
    const only = of.at(-1);
    if (status === "running" && !d?.repeated && only && under.includes(only.status)) status = only.status;
    return { name, tool: d?.tool, status, result, defined: d, runs: of, repeated: d?.repeated ?? false };
  });
}

/** A reason for a skipped step, taken apart: the condition and what its references were. */
export interface Skipped {
  condition: string;
  values: { name: string; value: string }[];
}

const head = "its condition is false: ";

/** skippedBy reads the reason of a step whose condition is false, or returns undefined if it was skipped for another one. */
export function skippedBy(reason: string | undefined, condition: string | undefined): Skipped | undefined {
  if (!reason?.startsWith(head)) return undefined;
  const rest = reason.slice(head.length);
  const written = (condition ?? "").split(/\s+/).filter(Boolean).join(" ");
  const at = written && rest.startsWith(written) ? written.length : rest.search(/; \$\{[^}]*\} is |$/);
  const values = [...rest.slice(at).matchAll(/; (\$\{[^}]*\}) is ((?:(?!; \$\{[^}]*\} is ).)*)/gs)].map((m) => ({
    name: m[1]!,
    value: m[2]!,
  }));
  return { condition: rest.slice(0, at), values };
}

/** How many of a step's items are in each state, in the order in which people ask for them. */
export function tally(step: Step): { status: string; n: number }[] {
  const counts = new Map<string, number>();
  for (const r of step.runs) counts.set(r.status, (counts.get(r.status) ?? 0) + 1);
  const order = [
    "failed",
    "error",
    "timed_out",
    "out_of_memory",
    "denied",
    "lost",
    "cancelled",
    "running",
    "creating",
    "pulling",
    "queued",
    "succeeded",
  ];
  return [...counts].map(([status, n]) => ({ status, n })).sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
}

/** A bar of the timeline of a workflow: where it begins and how long it is, in percent of the whole. */
export interface Bar {
  left: number;
  width: number;
}

/** bar is where a step stands between the beginning and the end of a run; undefined if it hasn't begun. */
export function bar(from: string | undefined, to: string | undefined, begin: number, end: number): Bar | undefined {
  if (!from) return undefined;
  const all = Math.max(1, end - begin);
  const start = Math.min(end, Math.max(begin, Date.parse(from)));
  const stop = Math.min(end, Math.max(start, to ? Date.parse(to) : end));
  const width = Math.max(0.4, (100 * (stop - start)) / all);
  return { left: Math.min(100 - width, (100 * (start - begin)) / all), width };
}

/** ticks are round times for an axis of so many milliseconds, about n of them. */
export function ticks(length: number, n: number): number[] {
  const steps = [100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 144e5, 432e5, 864e5];
  const step = steps.find((s) => length / s <= n) ?? 864e5 * Math.ceil(length / 864e5 / n);
  const out: number[] = [];
  for (let at = 0; at <= length; at += step) out.push(at);
  return out;
}
