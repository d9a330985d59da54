import type { Schemas } from "../api/client";

export type Arg = Schemas["Arg"];

/** textOf is a value as a form shows it: text as it is, anything else as JSON. */
export function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** wrong says what is wrong with a text as the value of an arg, as a key of the texts, or undefined. The server has the last word. */
export function wrong(arg: Pick<Arg, "type" | "required">, text: string): "missing" | Arg["type"] | undefined {
  const s = text.trim();
  if (s === "") return arg.required || arg.type !== "string" ? "missing" : undefined;
  switch (arg.type) {
    case "integer":
      return /^[+-]?\d+$/.test(s) || (/^[+-]?[\d.]+(e\+?\d+)?$/i.test(s) && Number.isInteger(Number(s))) ? undefined : "integer";
    case "number":
      return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(s) ? undefined : "number";
    case "boolean":
      return s === "true" || s === "false" ? undefined : "boolean";
    case "array":
    case "object": {
      try {
        const v: unknown = JSON.parse(s);
        return (arg.type === "array" ? Array.isArray(v) : typeof v === "object" && v !== null && !Array.isArray(v)) ? undefined : arg.type;
      } catch {
        return arg.type;
      }
    }
    default:
      return undefined;
  }
}
