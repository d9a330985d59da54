import Anser from "anser";
import { visible } from "../format";

/** A piece of a line with one look. The colours are names of classes, never values of the output. */
export interface Piece {
  text: string;
  classes: string;
}

// What a tool prints is hostile. Only colours and a few decorations (SGR, ECMA-48 8.3.117) have an effect; all other sequences are left out: they would
// move the cursor, set a title or open a link.
const sequences = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\|$)|[PX^_][^\u001b]*(?:\u001b\\|$)|[ -/]*[0-~]?)/g;
const looks = /^\u001b\[[\d;]{0,40}m$/;

const names = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/** pieces returns what a line shows, in at most `most` pieces. */
export function pieces(line: string, most: number): Piece[] {
  // A carriage return begins the line again, as progress bars do: what counts is what stands there in the end.
  let text = line.endsWith("\r") ? line.slice(0, -1) : line;
  text = text.slice(text.lastIndexOf("\r") + 1);
  if (!/[^\t\u0020-\u007e]/.test(text)) return text ? [{ text, classes: "" }] : [];
  // A line may be nothing but sequences, and each costs more than the one before: those that more pieces would need are left out.
  let left = 4 * most;
  text = text.replace(sequences, (s) => (looks.test(s) && left-- > 0 ? s : ""));
  if (!text.includes("\u001b")) return text ? [{ text: visible(text), classes: "" }] : [];
  const found: Piece[] = [];
  for (const chunk of Anser.ansiToJson(text, { use_classes: true, json: true, remove_empty: true })) {
    if (!chunk.content) continue;
    const classes = [colour("fg", chunk.fg), colour("bg", chunk.bg), ...(chunk.decorations ?? []).map(decoration)]
      .filter(Boolean)
      .join(" ");
    const shown = visible(chunk.content);
    const last = found.at(-1);
    if (last && (last.classes === classes || found.length === most)) last.text += shown;
    else found.push({ text: shown, classes });
  }
  return found;
}

/** colour returns the class of one of the sixteen colours; those of 256 and of 24 bits are brought to the nearest of them. */
function colour(ground: string, of: string | null): string {
  if (!of) return "";
  const named = /^ansi-(bright-)?(\w+?)$/.exec(of);
  if (named && names.includes(named[2]!)) return `${ground}-${named[1] ? "bright-" : ""}${named[2]}`;
  const palette = /^ansi-palette-(\d+)$/.exec(of);
  if (palette) return `${ground}-${nearest(rgbOf(Number(palette[1])))}`;
  return "";
}

function rgbOf(n: number): [number, number, number] {
  if (n >= 232) {
    const grey = 8 + (n - 232) * 10;
    return [grey, grey, grey];
  }
  const i = n - 16;
  const level = (v: number) => (v === 0 ? 0 : 55 + v * 40);
  return [level(Math.floor(i / 36)), level(Math.floor(i / 6) % 6), level(i % 6)];
}

function nearest([r, g, b]: [number, number, number]): string {
  const high = Math.max(r, g, b);
  if (high - Math.min(r, g, b) < 40) return high < 64 ? "black" : high < 160 ? "bright-black" : "white";
  const bit = (v: number) => (v > high * 0.55 ? 1 : 0);
  return (high > 200 ? "bright-" : "") + names[bit(r) + 2 * bit(g) + 4 * bit(b)]!;
}

function decoration(of: string): string {
  return ["bold", "dim", "italic", "underline", "strikethrough"].includes(of) ? `is-${of}` : "";
}

/** plain returns lines without any sequences, for copies. */
export function plain(lines: string): string {
  const text = (line: string) => pieces(line, 1).map((p) => p.text);
  return lines
    .split("\n")
    .map((line) => text(line).join(""))
    .join("\n");
}
