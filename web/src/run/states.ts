import { failures } from "../overview/figures";
import { text } from "../text";

/** The states that runs are filtered by, each group of which is chosen at once. */
export const groups: { name: string; states: string[] }[] = [
  { name: "over", states: ["queued", "pulling", "creating", "running"] },
  { name: "bad", states: failures },
  { name: "", states: ["succeeded", "cancelled"] },
];
const order = groups.flatMap((g) => g.states);

/** statesIn reads the states that an address has. */
export function statesIn(status: string): string[] {
  return status.split(",").filter(Boolean);
}

/** toggled returns the states of an address with some of them there, or not. */
export function toggled(status: string, states: string[], there: boolean): string {
  const chosen = new Set(statesIn(status));
  for (const s of states) {
    if (there) chosen.add(s);
    else chosen.delete(s);
  }
  return [...order.filter((s) => chosen.has(s)), ...[...chosen].filter((s) => !order.includes(s))].join(",");
}

/** called says which states are chosen, in as few words as there are. */
export function called(status: string): string {
  const chosen = statesIn(status);
  const group = groups.find((g) => g.name && g.states.length === chosen.length && g.states.every((s) => chosen.includes(s)));
  if (group) return text.runs.states[group.name]!;
  return chosen.map((s) => text.status[s] ?? s).join(", ") || text.runs.anyStatus;
}
