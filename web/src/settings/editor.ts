import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { indentUnit } from "@codemirror/language";
import { lintGutter, setDiagnostics } from "@codemirror/lint";
import { unifiedMergeView } from "@codemirror/merge";
import { Compartment, EditorState } from "@codemirror/state";
import { EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import type { Schemas } from "../api/client";
import { looks } from "../code/looks";

const roomy = EditorView.theme({ ".cm-content": { minHeight: "14rem" } });

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

/** edit makes an editor for YAML. */
export function edit(parent: HTMLElement, text: string, o: { label: string; readOnly: boolean; changed(): void }): Editor {
  const merge = new Compartment();
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        lintGutter(),
        history(),
        o.readOnly ? [EditorState.readOnly.of(true), EditorView.editable.of(false)] : highlightActiveLine(),
        EditorView.lineWrapping,
        // Tab leaves the editor, as everywhere.
        keymap.of([...defaultKeymap, ...historyKeymap]),
        indentUnit.of("  "),
        yaml(),
        looks(),
        roomy,
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
