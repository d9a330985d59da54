import { describe, expect, test } from "vitest";
import { whereIs } from "./path";

/** at finds the path at the bar of a text. */
function at(text: string) {
  const position = text.indexOf("|");
  const w = whereIs(text.slice(0, position) + text.slice(position + 1), position);
  return w && { path: w.path.join("."), kind: w.kind, word: w.word, siblings: w.siblings };
}

describe("where a position is", () => {
  const cases: Record<string, [string, string, "key" | "value", string, string[]?]> = {
    "an empty file": ["|", "", "key", ""],
    "a key at the top": ["name: a\nima|\ntimeout: 5m\n", "", "key", "ima", ["name", "timeout"]],
    "a value": ["name: a\nimage: bus|", "image", "value", "bus"],
    "a key below": ["resources:\n  cpu: 1\n  me|", "resources", "key", "me", ["cpu"]],
    "after a block": ["resources:\n  cpu: 1\n|", "", "key", "", ["resources"]],
    "an item": ["args:\n  - name: a\n    ty|", "args.[]", "key", "ty", ["name"]],
    "the first key of an item": ["args:\n  - name: a\n  - na|\n    type: string\n", "args.[]", "key", "na", ["type"]],
    "an item at the indentation of its key": ["args:\n- name: a\n  type: st|", "args.[].type", "value", "st"],
    "a value of an item": ["args:\n  - name: a\n    type: in|", "args.[].type", "value", "in"],
    "inside of braces": ["resources: {cpu: 1, me|", "resources", "key", "me", ["cpu"]],
    "a value inside of braces": ["resources: {cpu: 1, memory: 5|", "resources.memory", "value", "5"],
    "an item in braces": ["args:\n  - {name: a, type: in|", "args.[].type", "value", "in"],
    "a list in brackets": ["args: [{name: a}, {na|", "args.[]", "key", "na"],
    "a list in a list": ["network:\n  egress:\n    - {host: a, ports: [44|", "network.egress.[].ports.[]", "value", "44"],
    "after a script": ["script: |-\n  echo: hello\n  more: text\nna|".replace("|-", "\u0000"), "", "key", "na"],
  };
  for (const [name, [text, path, kind, word, siblings]] of Object.entries(cases)) {
    test(name, () => {
      const position = text.indexOf("|");
      const w = whereIs(
        (text.slice(0, position) + text.slice(position + 1)).replace("\u0000", "|-"),
        position + (text.includes("\u0000") ? 1 : 0),
      );
      expect(w && { path: w.path.join("."), kind: w.kind, word: w.word }).toEqual({ path, kind, word });
      if (siblings) expect(w?.siblings).toEqual(siblings);
    });
  }
  test("inside of a script there is nothing", () => expect(whereIs("script: |\n  echo na", 19)).toBeUndefined());
  test("in a comment there is nothing", () => expect(at("name: a\n# ima|")).toBeUndefined());
});

test("any prefix of a file has an answer", () => {
  const text =
    "name: a\nargs:\n  - {name: x, options: [1, 'b']}\n  - name: y\n    default: \"q: r\"\nscript: |\n  if: {\nnetwork: {egress: [{host: '*.x', ports: [1, 2]}]}\n";
  for (let i = 0; i <= text.length; i++) whereIs(text, i);
});
