import { bracketMatching, foldGutter } from "@codemirror/language";
import { search, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap, lineNumbers } from "@codemirror/view";
import { languageOf } from "./languages";
import { looks } from "./looks";

/** showCode shows a text that can't be changed, with the colours of its language. */
export function showCode(parent: HTMLElement, path: string, content: string, label: string): () => void {
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: content,
      extensions: [
        EditorState.readOnly.of(true),
        EditorView.editable.of(false),
        EditorView.contentAttributes.of({ tabindex: "0", "aria-label": label, "aria-readonly": "true" }),
        lineNumbers(),
        foldGutter(),
        bracketMatching(),
        search({ top: true }),
        keymap.of(searchKeymap),
        languageOf(path, content),
        looks(),
      ],
    }),
  });
  return () => view.destroy();
}
