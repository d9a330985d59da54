import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorView, highlightSpecialChars } from "@codemirror/view";
import type { Extension } from "@codemirror/state";
import { tags } from "@lezer/highlight";
import { visible } from "../format";

// The colours are variables of the page, so that they follow the system's setting.
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

const theme = EditorView.theme({
  "&": { backgroundColor: "var(--card)", color: "var(--text)" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
  ".cm-scroller": { font: "13px/1.55 var(--mono)" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--card)", color: "var(--muted)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--hover) 45%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "var(--hover)", color: "var(--text)" },
  ".cm-selectionBackground, ::selection": { backgroundColor: "color-mix(in srgb, var(--accent) 28%, transparent) !important" },
  ".cm-selectionMatch": { backgroundColor: "color-mix(in srgb, var(--mark) 50%, transparent)" },
  ".cm-searchMatch": { backgroundColor: "var(--mark)" },
  ".cm-matchingBracket": { backgroundColor: "color-mix(in srgb, var(--accent) 25%, transparent) !important" },
  ".cm-specialChar": { color: "var(--bad)", fontWeight: "700" },
  ".cm-panels, .cm-tooltip": { backgroundColor: "var(--card)", color: "var(--text)", border: "1px solid var(--line)" },
  ".cm-tooltip": { borderRadius: "var(--round)", boxShadow: "var(--shadow)" },
  ".cm-diagnostic": { padding: "0.3rem 0.6rem", whiteSpace: "pre-wrap", maxWidth: "36rem" },
  ".cm-textfield, .cm-button": {
    backgroundImage: "none",
    backgroundColor: "var(--card)",
    color: "var(--text)",
    border: "1px solid var(--line)",
  },
  ".cm-deletedChunk": { backgroundColor: "color-mix(in srgb, var(--bad) 10%, transparent) !important" },
  ".cm-deletedChunk .cm-deletedText, .cm-deletedLine": { textDecoration: "line-through", background: "none !important" },
  ".cm-changedLine, .cm-insertedLine": { backgroundColor: "color-mix(in srgb, var(--good) 12%, transparent) !important" },
  ".cm-changedText": { background: "color-mix(in srgb, var(--good) 25%, transparent) !important" },
  ".cm-collapsedLines": { background: "var(--hover)", color: "var(--muted)" },
});

/** What turns text around, or can't be seen, is shown as its code point, also what the editor doesn't know by itself. */
function special(code: number): HTMLElement {
  const char = String.fromCharCode(code);
  const el = document.createElement("span");
  el.className = "cm-specialChar";
  el.textContent = visible(char) === char ? "•" : visible(char);
  return el;
}

/** looks is what every text in an editor has. Its styles need the page's number, as the page's policy says. */
export const looks = (): Extension => [
  EditorView.cspNonce.of(document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? ""),
  highlightSpecialChars({ render: special, addSpecialChars: /[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g }),
  syntaxHighlighting(colours),
  theme,
];
