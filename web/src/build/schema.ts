/** What is used here of a JSON Schema. */
export interface Schema {
  description?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  $ref?: string;
  $defs?: Record<string, Schema>;
}

/** ways returns the schemas that a place may have: each of anyOf and oneOf, with references followed. */
export function ways(root: Schema, of: Schema, depth = 0): Schema[] {
  if (depth > 8) return [];
  if (of.$ref) {
    const target = of.$ref.startsWith("#/$defs/") ? root.$defs?.[of.$ref.slice(8)] : undefined;
    return target ? ways(root, target, depth + 1).map((s) => (of.description ? { ...s, description: of.description } : s)) : [];
  }
  const some = of.anyOf ?? of.oneOf;
  const all = (of.allOf ?? []).flatMap((s) => ways(root, s, depth + 1));
  if (!some) return [of, ...all];
  return [
    ...(of.properties ? [of] : []),
    ...some
      .flatMap((s) => ways(root, s, depth + 1))
      .map((s) => (s.description || !of.description ? s : { ...s, description: of.description })),
    ...all,
  ];
}

/** at returns the schemas of a path. */
export function at(root: Schema, path: string[]): Schema[] {
  let here = ways(root, root);
  for (const key of path) {
    here = here
      .flatMap((s) => {
        if (key === "[]") return s.items ? [s.items] : [];
        const of = s.properties?.[key];
        if (of) return [of];
        return typeof s.additionalProperties === "object" ? [s.additionalProperties] : [];
      })
      .flatMap((s) => ways(root, s));
  }
  return here;
}

export interface Choice {
  label: string;
  detail: string;
  info: string;
}

const typeOf = (s: Schema): string =>
  s.enum ? s.enum.slice(0, 4).map(String).join(" | ") : Array.isArray(s.type) ? s.type.join(" or ") : (s.type ?? "");

/** keysAt returns the keys that a mapping may have. */
export function keysAt(root: Schema, path: string[]): Choice[] {
  const found = new Map<string, Choice>();
  for (const s of at(root, path)) {
    for (const [label, of] of Object.entries(s.properties ?? {})) {
      const kinds = ways(root, of);
      const detail =
        [...new Set(kinds.map(typeOf).filter(Boolean))].slice(0, 3).join(" or ") + (s.required?.includes(label) ? ", required" : "");
      if (!found.has(label)) found.set(label, { label, detail, info: of.description ?? kinds[0]?.description ?? "" });
    }
  }
  return [...found.values()];
}

/** valuesAt returns the values that a place may have, if they can be listed. */
export function valuesAt(root: Schema, path: string[]): Choice[] {
  const found = new Map<string, Choice>();
  for (const s of at(root, path)) {
    const values = s.enum ?? (s.const !== undefined ? [s.const] : s.type === "boolean" ? [true, false] : []);
    for (const v of values) found.set(String(v), { label: String(v), detail: v === s.default ? "default" : "", info: s.description ?? "" });
  }
  return [...found.values()];
}

/** aboutAt returns what a key means, for people. */
export function aboutAt(root: Schema, path: string[]): Choice | undefined {
  const label = path.at(-1);
  if (!label || label === "[]") return undefined;
  return keysAt(root, path.slice(0, -1)).find((c) => c.label === label);
}

/** takesMapping says whether a key's value is a mapping or a list, so that its line goes on below. */
export function takesMapping(root: Schema, path: string[]): "mapping" | "list" | "scalar" {
  const all = at(root, path);
  if (
    all.some(
      (s) =>
        s.type === "string" ||
        s.enum ||
        s.type === "boolean" ||
        s.type === "integer" ||
        s.type === "number" ||
        (Array.isArray(s.type) && s.type.includes("string")),
    )
  )
    return "scalar";
  if (all.some((s) => s.type === "array" || s.items)) return "list";
  return all.some((s) => s.properties || s.type === "object") ? "mapping" : "scalar";
}
