import type { Completion, CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import { hoverTooltip } from "@codemirror/view";
import type { Extension } from "@codemirror/state";
import { whereIs } from "./path";
import { aboutAt, keysAt, takesMapping, valuesAt, type Choice, type Schema } from "./schema";

/** names returns what may stand at a place besides what the schema lists, such as names of secrets and files. */
export type Names = (path: string[]) => string[];

/** completeYAML offers keys and values of a schema. */
export function completeYAML(schema: () => Schema | undefined, names: Names) {
  return (context: CompletionContext): CompletionResult | null => {
    const root = schema();
    const where = root && whereIs(context.state.doc.toString(), context.pos);
    if (!root || !where) return null;
    if (!context.explicit && where.word === "" && where.kind === "key") return null;
    const option = (c: Choice, boost: number): Completion => ({ label: c.label, detail: c.detail, info: c.info, boost });
    if (where.kind === "key") {
      const options = keysAt(root, where.path)
        .filter((c) => !where.siblings.includes(c.label))
        .map((c) => ({
          ...option(c, c.detail.includes("required") ? 1 : 0),
          type: "property",
          apply: keyText(root, [...where.path, c.label]),
        }));
      const values = valuesAt(root, where.path).map((c) => ({ ...option(c, -1), type: "constant" }));
      const known = where.path.at(-1) === "[]" ? names(where.path).map((label) => ({ label, type: "variable" })) : [];
      return { from: where.from, options: [...options, ...values, ...known], validFor: /^[\w-]*$/ };
    }
    const options = [
      ...valuesAt(root, where.path).map((c) => ({ ...option(c, 1), type: "constant" })),
      ...names(where.path).map((label) => ({ label, type: "variable" })),
    ];
    return options.length > 0 ? { from: where.from, options, validFor: /^[^\s,}\]]*$/ } : null;
  };
}

function keyText(root: Schema, path: string[]): string {
  const key = path.at(-1)!;
  return takesMapping(root, path) === "scalar" ? `${key}: ` : `${key}:`;
}

/** hoverYAML says what a key means. */
export function hoverYAML(schema: () => Schema | undefined): Extension {
  return hoverTooltip((view, pos) => {
    const root = schema();
    const line = view.state.doc.lineAt(pos);
    const m = /[\w-]+(?=\s*:)/g;
    for (let k = m.exec(line.text); root && k; k = m.exec(line.text)) {
      const from = line.from + k.index;
      const to = from + k[0].length;
      if (pos < from || pos > to) continue;
      const where = whereIs(view.state.doc.toString().slice(0, to), to);
      const about = where && aboutAt(root, [...where.path, k[0]]);
      if (!about?.info) return null;
      return {
        pos: from,
        end: to,
        above: true,
        create: () => {
          const dom = document.createElement("div");
          dom.className = "about-key";
          const name = document.createElement("strong");
          name.textContent = k![0];
          const kind = document.createElement("span");
          kind.textContent = about.detail ? ` ${about.detail}` : "";
          const text = document.createElement("p");
          text.textContent = about.info;
          dom.append(name, kind, text);
          return { dom };
        },
      };
    }
    return null;
  });
}
