import { isAlias, isCollection, isMap, isPair, isScalar, isSeq, parseDocument, type Document, type ParsedNode } from "yaml";

/** A change of a text: what stands from one position to another becomes something else. */
export interface Change {
  from: number;
  to: number;
  insert: string;
}

export type Key = string | number;

const options = { lineWidth: 0, flowCollectionPadding: false } as const;

/** read returns what a YAML text has at a path, as JSON; undefined for nothing, also if the text can't be read. */
export function read(text: string, path: Key[] = []): unknown {
  const doc = parseDocument(text, { merge: true });
  if (doc.errors.length > 0) return undefined;
  try {
    const node: unknown = path.length > 0 ? doc.getIn(path, true) : doc.contents;
    if (isCollection(node) || isScalar(node) || isAlias(node)) return node.toJS(doc, { maxAliasCount: 100 });
    return node ?? undefined;
  } catch {
    return undefined; // an alias of nothing, or aliases of more than memory has
  }
}

/** readable says whether a text is YAML that stands for values. */
export function readable(text: string): boolean {
  const doc = parseDocument(text, { merge: true });
  return doc.errors.length === 0 && (doc.contents === null || read(text) !== undefined);
}

/**
 * set gives a path of a YAML text a value, and undefined removes it. It changes as little of the text as it can: comments, order and everything else
 * stay as they are. It returns undefined for a text that can't be read.
 */
export function set(text: string, path: Key[], value: unknown): Change | undefined {
  if (!readable(text)) return undefined;
  const doc = parseDocument(text);
  const before = doc.toString(options);
  const node = doc.getIn(path, true) as ParsedNode | undefined;
  // A plain value in place of another: only its own characters change.
  if (
    value !== undefined &&
    !isObject(value) &&
    isScalar(node) &&
    node.range &&
    node.type !== "BLOCK_LITERAL" &&
    node.type !== "BLOCK_FOLDED"
  ) {
    const [from, to] = node.range;
    if (to > from) return { from, to, insert: scalar(value, within(doc, path)) };
  }
  if (value === undefined) {
    if (!doc.hasIn(path)) return { from: 0, to: 0, insert: "" };
    doc.deleteIn(path);
    // A mapping or list without anything left goes too.
    for (let up = path.slice(0, -1); up.length > 0; up = up.slice(0, -1)) {
      const parent = doc.getIn(up, true);
      if (!isCollection(parent) || parent.items.length > 0) break;
      doc.deleteIn(up);
    }
  } else {
    if (doc.contents === null) doc.contents = doc.createNode({}) as never;
    const made = doc.createNode(value);
    // Short lists and mappings of plain values stand on one line, as people write them.
    flow(made);
    if (isScalar(made) && typeof value === "string" && value.includes("\n")) made.type = "BLOCK_LITERAL";
    doc.setIn(path, made);
  }
  return change(text, likeBefore(text, before, isMap(doc.contents) && doc.contents.items.length === 0 ? "" : doc.toString(options)));
}

/** allows says whether a definition has a rule of the network already. */
export function allows(text: string, rule: string): boolean {
  const egress = read(text, ["network", "egress"]);
  const plain = (v: unknown) => JSON.stringify(v, typeof v === "object" && v !== null ? Object.keys(v).sort() : undefined);
  const one = plain(read(rule));
  return Array.isArray(egress) && egress.some((e) => plain(e) === one);
}

/** rename gives a key of a mapping another name. Its value, its place and its comments stay. */
export function rename(text: string, path: Key[], name: string): Change | undefined {
  const doc = parseDocument(text);
  const map = doc.errors.length > 0 ? undefined : doc.getIn(path.slice(0, -1), true);
  const keys = isMap(map) ? map.items.map((pair) => pair.key).filter((key) => isScalar(key)) : [];
  const key = keys.find((k) => k.value === path.at(-1));
  if (!key?.range || keys.some((k) => k.value === name)) return undefined;
  return { from: key.range[0], to: key.range[1], insert: scalar(name, within(doc, path)) };
}

/**
 * likeBefore takes the lines that are the same before and after a change from the text as it was written: the library writes spaces its own way.
 * It needs as many lines in both; otherwise all lines are the library's.
 */
function likeBefore(text: string, before: string, after: string): string {
  const [written, old, now] = [text, before, after].map((s) => s.split("\n")) as [string[], string[], string[]];
  if (written.length !== old.length) return after;
  let from = 0;
  while (from < old.length && from < now.length && old[from] === now[from]) from++;
  let end = 0;
  while (end < old.length - from && end < now.length - from && old[old.length - 1 - end] === now[now.length - 1 - end]) end++;
  return [...written.slice(0, from), ...now.slice(from, now.length - end), ...written.slice(written.length - end)].join("\n");
}

/** change returns the difference of two texts as one change. */
export function change(before: string, after: string): Change {
  let from = 0;
  while (from < before.length && from < after.length && before[from] === after[from]) from++;
  let end = 0;
  while (end < before.length - from && end < after.length - from && before[before.length - 1 - end] === after[after.length - 1 - end])
    end++;
  return { from, to: before.length - end, insert: after.slice(from, after.length - end) };
}

export function apply(text: string, c: Change): string {
  return text.slice(0, c.from) + c.insert + text.slice(c.to);
}

const isObject = (v: unknown): v is object => typeof v === "object" && v !== null;

function flow(node: unknown) {
  if (!isCollection(node)) return;
  if (flat(node.toJSON())) node.flow = true;
  else for (const item of node.items) flow(isPair(item) ? item.value : item);
}

function flat(value: unknown): boolean {
  const all = Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
  return all.every((v) => !isObject(v) || (Array.isArray(v) && flat(v))) && JSON.stringify(value).length < 90;
}

/** within says whether a path is inside of braces, where a plain text may not have commas. */
function within(doc: Document.Parsed, path: Key[]): boolean {
  for (let n = 0; n < path.length; n++) {
    const node = n > 0 ? doc.getIn(path.slice(0, n), true) : doc.contents;
    if ((isMap(node) || isSeq(node)) && node.flow) return true;
  }
  return false;
}

/** scalar writes a plain value, quoted if it has to be. */
function scalar(value: unknown, flow: boolean): string {
  const text = parseDocument("a: b").createNode(value);
  const doc = parseDocument(flow ? "[]" : "");
  doc.contents = (flow ? doc.createNode([value], { flow: true }) : text) as never;
  const out = doc.toString(options).trimEnd();
  return flow ? out.slice(1, -1).trim() : out;
}
