import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, setDiagnostics } from "@codemirror/lint";
import { unifiedMergeView } from "@codemirror/merge";
import { Compartment, EditorState } from "@codemirror/state";
import { EditorView, highlightActiveLine, highlightSpecialChars, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Schemas } from "../api/client";

const colours = HighlightStyle.define([
  { tag: tags.comment, color: "var(--muted)" },
  { tag: tags.string, color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--warn)" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent-text)" },
]);

const looks = EditorView.theme({
  "&": { backgroundColor: "transparent", color: "var(--text)", fontSize: "0.875rem" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { minHeight: "14rem", caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--muted)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--hover) 45%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, ::selection": {
    backgroundColor: "color-mix(in srgb, var(--accent) 30%, transparent)",
  },
  ".cm-specialChar": { color: "var(--bad)" },
  ".cm-tooltip": { backgroundColor: "var(--card)", color: "var(--text)", border: "1px solid var(--line)" },
  ".cm-deletedChunk": { backgroundColor: "color-mix(in srgb, var(--bad) 10%, transparent)" },
  ".cm-deletedChunk .cm-deletedText, .cm-deletedLine": { textDecoration: "line-through", background: "none" },
  "&.cm-merge-b .cm-changedLine": { backgroundColor: "color-mix(in srgb, var(--good) 12%, transparent)" },
  "&.cm-merge-b .cm-changedText": { background: "color-mix(in srgb, var(--good) 25%, transparent)" },
});

export interface Place {
  line: number;
  column: number;
  message: string;
}

/** places reads where a problem's errors are: FILE:LINE:COLUMN. */
export function places(errors: Schemas["Wrong"][] | undefined): Place[] {
  return (errors ?? []).flatMap((e) => {
    const at = /:(\d+):(\d+)$/.exec(e.where);
    return at ? [{ line: Number(at[1]), column: Number(at[2]), message: e.hint ? `${e.message}; ${e.hint}` : e.message }] : [];
  });
}

export interface Editor {
  text(): string;
  write(text: string): void;
  /** mark shows mistakes at their lines. */
  mark(places: Place[]): void;
  go(place: Place): void;
  /** compare shows what the text changes of another one, which isn't there if it is undefined. */
  compare(other: string | undefined): void;
  focus(): void;
  destroy(): void;
}

/** edit makes an editor for YAML. Its styles need the page's number, as the page's policy says. */
export function edit(parent: HTMLElement, text: string, o: { label: string; readOnly: boolean; changed(): void }): Editor {
  const merge = new Compartment();
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        EditorView.cspNonce.of(document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce ?? ""),
        lineNumbers(),
        lintGutter(),
        history(),
        highlightSpecialChars({ addSpecialChars: /[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g }),
        o.readOnly ? [EditorState.readOnly.of(true), EditorView.editable.of(false)] : highlightActiveLine(),
        EditorView.lineWrapping,
        // Tab leaves the editor, as everywhere.
        keymap.of([...defaultKeymap, ...historyKeymap]),
        indentUnit.of("  "),
        yaml(),
        syntaxHighlighting(colours),
        looks,
        merge.of([]),
        EditorView.contentAttributes.of({ "aria-label": o.label, ...(o.readOnly ? { tabindex: "0", "aria-readonly": "true" } : {}) }),
        EditorView.updateListener.of((u) => {
          if (u.docChanged) o.changed();
        }),
      ],
    }),
  });
  const position = (p: Place) => {
    const line = view.state.doc.line(Math.min(Math.max(1, p.line), view.state.doc.lines));
    return { from: Math.min(line.from + p.column - 1, line.to), to: line.to };
  };
  return {
    text: () => view.state.doc.toString(),
    write: (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }),
    mark: (all) =>
      view.dispatch(
        setDiagnostics(
          view.state,
          all.map((p) => ({ ...position(p), severity: "error" as const, message: p.message })),
        ),
      ),
    go: (p) => {
      view.dispatch({ selection: { anchor: position(p).from }, scrollIntoView: true });
      view.focus();
    },
    compare: (other) =>
      view.dispatch({
        effects: merge.reconfigure(
          other === undefined ? [] : unifiedMergeView({ original: other, mergeControls: false, syntaxHighlightDeletions: false }),
        ),
      }),
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
