import type { Problem, Schemas } from "../api/client";
import { text as words } from "../text";

export type Arg = Schemas["Arg"];

/** textOf is a value as it stands in a field: texts as they are, and the others as JSON. */
export function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** fieldsOf returns what the fields of args have at first. */
export function fieldsOf(args: Arg[], given: Record<string, unknown> = {}): Record<string, string> {
  return Object.fromEntries(args.map((a) => [a.name, a.name in given ? textOf(given[a.name]) : textOf(a.default)]));
}

/**
 * wrongIn returns what is wrong with the text of a field, or "". The server has the last word: it reads numbers more strictly than this, and has
 * integers of any size.
 */
export function wrongIn(arg: Arg, text: string): string {
  const say = words.tools.form;
  if (text === "") return arg.required && arg.default === undefined ? say.needs : "";
  const trimmed = text.trim();
  switch (arg.type) {
    case "integer":
      return /^[+-]?\d+$/.test(trimmed) || Number.isInteger(Number(trimmed || "x")) ? "" : say.integer;
    case "number":
      return Number.isFinite(Number(trimmed || "x")) ? "" : say.number;
    case "array":
    case "object": {
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch (error) {
        return say.json(error instanceof Error ? error.message : "");
      }
      const array = Array.isArray(value);
      if (arg.type === "array") return array ? "" : say.array;
      return typeof value === "object" && value !== null && !array ? "" : say.object;
    }
  }
  return "";
}

/** secretsOf returns the names of the secrets that a tool gets. */
export function secretsOf(definition: Schemas["Definition"] | undefined): string[] {
  const all = [...(definition?.environment ?? []), ...(definition?.volumes ?? [])];
  return [...new Set(all.map((v) => v.secret).filter((s): s is string => Boolean(s)))].sort();
}

/**
 * inputsOf returns the inputs that fields stand for, as texts: the server reads them by the types of the args, and no digit is lost on the way. A
 * field that has its default is left out, and so is an empty one that has none.
 */
export function inputsOf(args: Arg[], fields: Record<string, string>): Record<string, string> {
  const inputs: Record<string, string> = {};
  for (const a of args) {
    const typed = fields[a.name] ?? "";
    const text = a.type === "string" ? typed : typed.trim(); // spaces around a number come with pasting
    if (text === textOf(a.default)) continue;
    if (text === "" && a.type !== "string") continue;
    inputs[a.name] = text;
  }
  return inputs;
}

/** Pair is a row of a list of names and values. */
export interface Pair {
  name: string;
  value: string;
}

export function pairsOf(map: Record<string, unknown> | undefined): Pair[] {
  return Object.entries(map ?? {}).map(([name, value]) => ({ name, value: textOf(value) }));
}

/** mapOf leaves out rows that are empty. */
export function mapOf(pairs: Pair[]): Record<string, string> {
  return Object.fromEntries(pairs.filter((p) => p.name.trim() !== "").map((p) => [p.name.trim(), p.value]));
}

/** placed tells the problems that belong to a field, by its place such as body.inputs.NAME, from the others. */
export function placed(problem: Problem, places: (place: string) => boolean): { at: Record<string, string>; rest: Problem | undefined } {
  const at: Record<string, string> = {};
  const rest: Schemas["Wrong"][] = [];
  for (const one of problem.errors ?? []) {
    if (places(one.where)) {
      const said = one.hint ? `${one.message}; ${one.hint}` : one.message;
      at[one.where] = at[one.where] ? `${at[one.where]} ${said}` : said;
    } else rest.push(one);
  }
  const all = Object.keys(at).length > 0 && rest.length === 0;
  return { at, rest: all ? undefined : { ...problem, errors: rest } };
}
