import { json } from "@codemirror/lang-json";
import { javascript } from "@codemirror/lang-javascript";
import { python } from "@codemirror/lang-python";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, foldGutter, HighlightStyle, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { dockerFile } from "@codemirror/legacy-modes/mode/dockerfile";
import { ruby } from "@codemirror/legacy-modes/mode/ruby";
import { shell } from "@codemirror/legacy-modes/mode/shell";
import { toml } from "@codemirror/legacy-modes/mode/toml";
import { search, searchKeymap } from "@codemirror/search";
import { EditorState, type Extension } from "@codemirror/state";
import { EditorView, highlightSpecialChars, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const byEnd: Record<string, () => Extension> = {
  json: () => json(),
  js: () => javascript(),
  mjs: () => javascript(),
  ts: () => javascript({ typescript: true }),
  py: () => python(),
  yaml: () => yaml(),
  yml: () => yaml(),
  sh: () => StreamLanguage.define(shell),
  bash: () => StreamLanguage.define(shell),
  rb: () => StreamLanguage.define(ruby),
  toml: () => StreamLanguage.define(toml),
  dockerfile: () => StreamLanguage.define(dockerFile),
};

/** language chooses by the end of a file's name, or by its first line, as the system does for scripts. */
function language(path: string, content: string): Extension {
  const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  const end = name.slice(name.lastIndexOf(".") + 1);
  const found = Object.hasOwn(byEnd, end) ? byEnd[end] : undefined;
  if (found) return found();
  const first = /^#!.*?(python|node|ruby|sh)\b/.exec(content.slice(0, 200))?.[1];
  return (first && byEnd[{ python: "py", node: "js", ruby: "rb", sh: "sh" }[first] ?? ""]?.()) || [];
}

const colours = HighlightStyle.define([
  { tag: [tags.comment, tags.meta], color: "var(--muted)" },
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier, tags.standard(tags.name)], color: "var(--live)" },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom, tags.literal], color: "var(--warn)" },
  {
    tag: [tags.propertyName, tags.attributeName, tags.definition(tags.variableName), tags.function(tags.variableName)],
    color: "var(--accent-text)",
  },
  { tag: tags.invalid, color: "var(--bad)" },
]);

const looks = EditorView.theme({
  "&": { backgroundColor: "transparent", color: "var(--text)", fontSize: "0.8438rem" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--muted)", borderRight: "1px solid var(--line)" },
  ".cm-specialChar": { color: "var(--bad)", fontWeight: "700" },
  ".cm-panels": { backgroundColor: "var(--side)", color: "var(--text)", borderColor: "var(--line)" },
  ".cm-searchMatch": { backgroundColor: "var(--mark)" },
});

/** showCode shows a text that can't be changed, with the colours of its language. */
export function showCode(parent: HTMLElement, path: string, content: string, label: string): () => void {
  const nonce = document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce ?? "";
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: content,
      extensions: [
        EditorView.cspNonce.of(nonce),
        EditorState.readOnly.of(true),
        EditorView.editable.of(false),
        EditorView.contentAttributes.of({ tabindex: "0", "aria-label": label, "aria-readonly": "true" }),
        lineNumbers(),
        foldGutter(),
        // What turns text around is shown as a sign, also what the editor doesn't know by itself.
        highlightSpecialChars({ addSpecialChars: /[\u00ad\u202a-\u202e\u2060-\u2069\ufeff]/g }),
        bracketMatching(),
        search({ top: true }),
        keymap.of(searchKeymap),
        language(path, content),
        syntaxHighlighting(colours),
        looks,
      ],
    }),
  });
  return () => view.destroy();
}
