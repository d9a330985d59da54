import type { Schemas } from "../api/client";

export type Part = Schemas["LogLine"];

/** What is shown of a line; the server shows as much in a window. */
const longest = 16 * 1024;

/**
 * Lines counts the lines of a stream of events as the server does: by the line breaks of both streams, in the order in which they came. A line
 * that both streams have a part in has an entry for each part. It keeps the latest ones.
 */
export class Lines {
  /** The entries of lines from first on, in order. */
  #entries: Part[] = [];
  #begin = 0;
  #last: number;
  #decoders: Record<string, TextDecoder> = {};

  /** keep is about how many entries it has at most; from is the line at which the stream goes on. */
  constructor(
    readonly keep: number,
    from = 1,
  ) {
    this.#last = from;
  }

  /** The number of the line that the next piece belongs to. */
  get line(): number {
    return this.#last;
  }

  /** How many lines there are, with the one that isn't complete. */
  get total(): number {
    const last = this.#entries.at(-1);
    return last && last.line === this.#last ? this.#last : this.#last - 1;
  }

  /** The first line that it still has all of. */
  get first(): number {
    const e = this.#entries[this.#begin];
    if (!e) return this.#last;
    return this.#begin > 0 && this.#entries[this.#begin - 1]!.line === e.line ? e.line + 1 : e.line;
  }

  seed(parts: Part[]) {
    for (const p of parts) this.#entries.push({ ...p });
    const last = parts.at(-1);
    if (last) this.#last = last.more ? last.line : last.line + 1;
  }

  decode(stream: string, base64: string): string {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    this.#decoders[stream] ??= new TextDecoder();
    return this.#decoders[stream].decode(bytes, { stream: true });
  }

  /** add takes a piece of output. It calls whole with each line that it completes. */
  add(stream: string, time: string, data: string, whole?: (line: number, text: string) => void) {
    let from = 0;
    while (from < data.length) {
      const at = data.indexOf("\n", from);
      const end = at < 0 ? data.length : at;
      const last = this.#entries.at(-1);
      let entry: Part;
      if (last && last.line === this.#last && last.stream === stream) entry = last;
      else {
        entry = { line: this.#last, stream: stream as Part["stream"], time, text: "" };
        this.#entries.push(entry);
      }
      const room = longest - entry.text.length;
      if (end - from > room) entry.cut = true;
      entry.text += data.slice(from, Math.min(end, from + room));
      entry.more = at < 0;
      if (at < 0) break;
      whole?.(this.#last, entry.text);
      this.#last++;
      from = at + 1;
    }
    if (this.#entries.length - this.#begin > this.keep) this.#begin = this.#entries.length - this.keep;
    if (this.#begin > this.keep) {
      this.#entries = this.#entries.slice(this.#begin - 1); // one more says whether the first line is whole
      this.#begin = 1;
    }
  }

  /** get returns the entries of a line, or undefined if it hasn't all of them. */
  get(line: number): Part[] | undefined {
    if (line < this.first || line > this.#last) return undefined;
    // The entries are in the order of lines: a binary search finds the first one.
    let low = this.#begin;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#entries[middle]!.line < line) low = middle + 1;
      else high = middle;
    }
    const found: Part[] = [];
    for (let i = low; i < this.#entries.length && this.#entries[i]!.line === line; i++) found.push(this.#entries[i]!);
    return found.length > 0 ? found : undefined;
  }
}
