/** Where a position of a YAML file is: the keys on the way there, with [] for an item of a list. */
export interface Where {
  path: string[];
  /** Whether a key or a value is expected there. */
  kind: "key" | "value";
  /** What is written of it so far, and where that begins. */
  word: string;
  from: number;
  /** The keys that the mapping has already, next to the position. */
  siblings: string[];
}

interface Level {
  indent: number;
  key: string; // "[]" for an item
}

const keyPart = /^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#:,[\]{}"'](?:[^:#,[\]{}]|:(?!\s|$))*?)\s*:(?=\s|$)/;

function unquoted(key: string): string {
  return /^["'].*["']$/.test(key) ? key.slice(1, -1) : key;
}

/**
 * whereIs finds the path of a position by indentation and braces. A parser would be no help: what is being typed isn't right yet. Texts over several
 * lines (script: |) have no keys, so the answer there is undefined.
 */
export function whereIs(text: string, position: number): Where | undefined {
  const lines = text.slice(0, position).split("\n");
  const levels: Level[] = [];
  let block: number | undefined; // the indentation of the key whose value is a text over several lines
  for (const [n, line] of lines.entries()) {
    const last = n === lines.length - 1;
    const indent = line.search(/\S|$/);
    const empty = line.trim() === "" || line.trimStart().startsWith("#");
    if (block !== undefined) {
      if (line.trim() === "" ? !last : indent > block) continue;
      if (line.trim() === "" && indent > block) return undefined;
      block = undefined;
    }
    if (empty && !last) continue;
    let at = indent;
    while (levels.length > 0 && levels.at(-1)!.indent >= at) {
      // An item may stand at the indentation of its list's key.
      if (levels.at(-1)!.indent === at && line[at] === "-" && levels.at(-1)!.key !== "[]") break;
      levels.pop();
    }
    let rest = line.slice(at);
    while (/^-(\s|$)/.test(rest)) {
      levels.push({ indent: at, key: "[]" });
      const skip = rest.slice(1).search(/\S|$/) + 1;
      at += skip;
      rest = rest.slice(skip);
    }
    const m = keyPart.exec(rest);
    if (!last) {
      if (m) {
        levels.push({ indent: at, key: unquoted(m[1]!) });
        if (/^[|>][-+0-9]*\s*(#.*)?$/.test(rest.slice(m[0].length).trim())) block = at;
      }
      continue;
    }
    if (rest.startsWith("#")) return undefined;
    const path = levels.map((l) => l.key);
    if (!m) {
      if (/^[[{]/.test(rest)) return flow(rest, path, position - rest.length);
      return { path, kind: "key", word: rest, from: position - rest.length, siblings: siblingsOf(text, position, at) };
    }
    const value = rest.slice(m[0].length);
    const start = value.search(/\S|$/);
    const inner = [...path, unquoted(m[1]!)];
    if (/^[|>]/.test(value.trim())) return undefined;
    if (/^[[{]/.test(value.slice(start))) return flow(value.slice(start), inner, position - value.length + start);
    return { path: inner, kind: "value", word: value.slice(start), from: position - value.length + start, siblings: [] };
  }
  return undefined;
}

/** flow goes on inside of braces. */
function flow(text: string, path: string[], from: number): Where | undefined {
  const stack: { list: boolean; keys: string[] }[] = [];
  const at = [...path];
  let begin = 0; // of the key or the value
  let kind: "key" | "value" = "value";
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    const top = stack.at(-1);
    if (c === '"' || c === "'") {
      const end = text.indexOf(c, i + 1);
      if (end < 0) break;
      i = end;
    } else if (c === "{" || c === "[") {
      stack.push({ list: c === "[", keys: [] });
      if (c === "[") at.push("[]");
      kind = c === "{" ? "key" : "value";
      begin = i + 1;
    } else if (c === "}" || c === "]") {
      stack.pop();
      if (kind === "value" && !top?.list) at.pop();
      if (c === "]") at.pop();
      kind = "value";
      begin = i + 1;
      if (stack.length === 0) return undefined;
    } else if (c === ":" && top && !top.list && kind === "key" && /^(\s|$)/.test(text.slice(i + 1))) {
      const key = unquoted(text.slice(begin, i).trim());
      top.keys.push(key);
      at.push(key);
      kind = "value";
      begin = i + 1;
    } else if (c === "," && top) {
      if (!top.list && kind === "value") at.pop();
      kind = top.list ? "value" : "key";
      begin = i + 1;
    }
  }
  const word = text.slice(begin).trimStart();
  return { path: at, kind, word, from: from + text.length - word.length, siblings: stack.at(-1)?.keys ?? [] };
}

/** siblingsOf returns the keys that stand at an indentation around a position. */
function siblingsOf(text: string, position: number, indent: number): string[] {
  const lines = text.split("\n");
  const here = text.slice(0, position).split("\n").length - 1;
  const found: string[] = [];
  const look = (step: number) => {
    for (let n = here + step; n >= 0 && n < lines.length; n += step) {
      const line = lines[n]!;
      if (line.trim() === "" || line.trimStart().startsWith("#")) continue;
      const item = /^\s*(-\s+)/.exec(line);
      const plain = item ? " ".repeat(item[0].length) + line.slice(item[0].length) : line;
      const at = plain.search(/\S/);
      if (at < indent) break;
      if (at === indent) {
        const m = keyPart.exec(plain.slice(at));
        if (m) found.push(unquoted(m[1]!));
      }
      if (item && line.search(/\S/) < indent) break; // the item begins here
    }
  };
  const own = lines[here] ?? "";
  if (!/^\s*-\s/.test(own) || own.search(/\S/) >= indent) look(-1);
  look(1);
  return found;
}
