import type { Schemas } from "../api/client";

/** A state that a run was in, and for how long. What goes on has no end. */
export interface Span {
  state: string;
  from: number;
  to: number | undefined;
}

const order = [
  ["queued", "queued"],
  ["pulling", "pulling"],
  ["creating", "creating"],
  ["started", "running"],
] as const;

/** spans are the states of a timeline, each up to the beginning of the next one. A state that took no time isn't one of them. */
export function spans(t: Schemas["Timeline"], over: boolean): Span[] {
  const known: Span[] = [];
  for (const [key, state] of order) {
    const time = t[key];
    if (time) known.push({ state, from: Date.parse(time), to: undefined });
  }
  known.forEach((span, i) => {
    const next = known[i + 1]?.from ?? (t.finished ? Date.parse(t.finished) : undefined);
    span.to = next === undefined ? undefined : Math.max(span.from, next);
  });
  return known.filter((s) => s.to !== undefined || !over);
}

/** timelineOf is what is known of the timeline of a run that goes on, from its attempts. */
export function timelineOf(run: Schemas["Run"], attempts: Schemas["Attempt"][]): Schemas["Timeline"] {
  const t: Schemas["Timeline"] = { queued: run.accepted };
  const last = attempts.at(-1);
  if (last?.began) t.creating = last.began;
  if (last?.started) t.started = last.started;
  return t;
}

/** moved is a timeline with the state that a run comes into. A run that is queued again has another attempt before it. */
export function moved(t: Schemas["Timeline"], state: string, time: string): Schemas["Timeline"] {
  switch (state) {
    case "queued":
      return t.started || t.creating || t.pulling ? { queued: time } : t;
    case "pulling":
      return { ...(t.queued ? { queued: t.queued } : {}), pulling: time };
    case "creating": {
      const { started: _, ...before } = t;
      return { ...before, creating: time };
    }
    case "running":
      return t.started ? t : { ...t, started: time };
    default:
      return { ...t, finished: time };
  }
}

/** shares are the widths of spans in percent. Each can be seen, however short it was. */
export function shares(all: Span[], now: number): number[] {
  const least = 1.5;
  const lengths = all.map((s) => Math.max(0, (s.to ?? now) - s.from));
  const total = lengths.reduce((a, b) => a + b, 0);
  if (total === 0) return all.map(() => 100 / all.length);
  const raw = lengths.map((l) => Math.max(least, (100 * l) / total));
  const sum = raw.reduce((a, b) => a + b, 0);
  return raw.map((r) => (100 * r) / sum);
}
