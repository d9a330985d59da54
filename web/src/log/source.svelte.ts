import { SvelteMap } from "svelte/reactivity";
import { api, at, got, problemOf, type Problem, type Schemas } from "../api/client";
import { follow } from "../api/stream";
import { Lines, type Part } from "./lines";

const windowLines = 500;
const mostWindows = 40;
const mostTail = 5_000;
const mostGroups = 2_000;
/** Of a log of more lines, the groups are found where they are shown: to look through all of it would take the server longer than any line that somebody waits for. */
const mostSearched = 100_000;

type Event = Schemas["Event"];

export interface Found {
  lines: number[];
  more: boolean;
}

/**
 * Source is the log of a run: windows of it that the server sends, and its live end, of which it keeps the latest lines. So it needs the same
 * memory for ten lines and for a million.
 */
export class Source {
  /** How many lines there are so far. */
  total = $state(0);
  /** Grows with each change of what get returns, so that readers look again. */
  version = $state(0);
  over = $state(false);
  ready = $state(false);
  problem = $state.raw<Problem>();
  /** Heads of groups, and the last line of each; 0 while it is open. */
  groups = new SvelteMap<number, number>();
  /** Why output is missing, by the line before which it is. */
  dropped = new SvelteMap<number, string>();

  #windows = new Map<number, Map<number, Part[]>>();
  #asked = new Set<number>();
  #tail = new Lines(mostTail);
  #last: string | undefined;
  #skip = 0;
  #open = 0;
  #stop: (() => void) | undefined;
  #closed = false;

  constructor(
    readonly project: string,
    readonly run: string,
    /** Takes the events that aren't output. */
    readonly other: (e: Event) => void,
  ) {}

  /** open reads the end of the log, and follows it. */
  async open() {
    try {
      let page = await this.#window(-windowLines, windowLines);
      const lines = page.lines ?? [];
      while (page.next) {
        // Lines that are very long come in several answers.
        page = await this.#window(page.next, windowLines);
        lines.push(...(page.lines ?? []));
      }
      if (this.#closed) return;
      this.#tail = new Lines(mostTail, page.total + 1);
      if (lines.length > 0) this.#tail.seed(lines);
      this.total = Math.max(page.total, lines.at(-1)?.line ?? 0);
      this.over = page.over;
      this.#last = page.event ? String(page.event) : undefined;
      this.#skip = page.skip ?? 0;
      this.ready = true;
      this.version++;
      if (this.total <= mostSearched) void this.#findGroups();
      else this.#markShown(lines);
      this.#stop = follow(at(this.project, "runs", this.run, "events"), {
        after: () => this.#last,
        take: (events) => {
          for (const e of events) this.#take(e.id, JSON.parse(e.data) as Event);
          this.#show();
        },
        ended: () => !this.over,
        problem: (p) => (this.problem = p),
      });
    } catch (error) {
      this.problem = problemOf(error);
    }
  }

  #shown = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Readers look again ten times a second at most: nobody reads faster, and a tool may print thousands of lines meanwhile. */
  #show() {
    if (this.#timer) return;
    const wait = this.#shown + 100 - performance.now();
    const show = () => {
      this.#timer = undefined;
      this.#shown = performance.now();
      this.total = Math.max(this.total, this.#tail.total);
      this.version++;
    };
    if (wait <= 0) show();
    else this.#timer = setTimeout(show, wait);
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stop?.();
  }

  #take(id: string | undefined, e: Event) {
    if (id) this.#last = id;
    switch (e.type) {
      case "log": {
        const log = e as Schemas["LogEvent"];
        let data = log.data_base64 ? this.#tail.decode(log.stream, log.data_base64) : (log.data ?? "");
        // The window has the beginning of this event already.
        for (; this.#skip > 0 && data; this.#skip--) data = data.slice(data.indexOf("\n") + 1);
        if (data) this.#tail.add(log.stream, log.time, data, (line, text) => this.#mark(line, text));
        break;
      }
      case "dropped":
        this.dropped.set(this.#tail.line, (e as Schemas["DroppedEvent"]).reason);
        this.other(e);
        break;
      case "result":
        this.over = true;
        this.other(e);
        break;
      default:
        this.other(e);
    }
  }

  /** get returns the parts of a line, or undefined if they are still to come; it asks for them. */
  get(line: number): Part[] | undefined {
    const live = this.#tail.get(line);
    if (live) return live;
    const n = Math.floor((line - 1) / windowLines);
    const kept = this.#windows.get(n);
    if (kept) {
      this.#windows.delete(n); // the ones used last stay
      this.#windows.set(n, kept);
      return kept.get(line) ?? [];
    }
    if (!this.#asked.has(n)) void this.#load(n);
    return undefined;
  }

  async #load(n: number) {
    this.#asked.add(n);
    try {
      const page = await this.#window(n * windowLines + 1, windowLines);
      const lines = new Map<number, Part[]>();
      for (const part of page.lines ?? []) {
        const parts = lines.get(part.line);
        if (parts) parts.push(part);
        else lines.set(part.line, [part]);
      }
      if (this.total > mostSearched) this.#markShown(page.lines ?? []);
      // A window at the end of a run that goes on isn't whole yet.
      if (this.over || (n + 1) * windowLines <= page.total) this.#windows.set(n, lines);
      for (const old of this.#windows.keys()) {
        if (this.#windows.size <= mostWindows) break;
        this.#windows.delete(old);
      }
      this.version++;
      this.#asked.delete(n);
    } catch (error) {
      this.problem = problemOf(error);
      setTimeout(() => this.#asked.delete(n), 2000);
    }
  }

  async #window(line: number, lines: number): Promise<Schemas["LogPage"]> {
    return got(
      api.GET("/projects/{project}/runs/{run}/log", { params: { path: { project: this.project, run: this.run }, query: { line, lines } } }),
    );
  }

  /** lines returns the text of lines, for a copy. */
  async lines(first: number, last: number): Promise<string> {
    const text = new Map<number, string>();
    for (let from = first; from > 0 && from <= last;) {
      const page = await this.#window(from, Math.min(5000, last - from + 1));
      for (const p of page.lines ?? []) text.set(p.line, (text.get(p.line) ?? "") + p.text);
      from = page.next || from + 5000;
    }
    return [...text.values()].join("\n") + "\n";
  }

  /** find returns the lines with a text, from the beginning, as many as one answer has; the server looks in all of the log. */
  async find(what: string, from = 1): Promise<{ lines: number[]; next: number }> {
    const page = await got(
      api.GET("/projects/{project}/runs/{run}/log", {
        params: { path: { project: this.project, run: this.run }, query: { find: what, line: from } },
      }),
    );
    return { lines: [...new Set((page.lines ?? []).map((l) => l.line))], next: page.next ?? 0 };
  }

  #mark(line: number, text: string) {
    if (text.startsWith("::group::")) {
      this.#end(line - 1);
      if (this.groups.size < mostGroups) {
        this.groups.set(line, 0);
        this.#open = line;
      }
    } else if (text.startsWith("::endgroup::")) this.#end(line);
  }

  #end(line: number) {
    if (this.#open > 0) this.groups.set(this.#open, line);
    this.#open = 0;
  }

  /** Marks the groups of a window of a long log. A group whose end isn't there yet is open, and can't be folded. */
  #markShown(lines: Part[]) {
    for (const l of lines) {
      const head = l.text.startsWith("::group::");
      if (!head && !l.text.startsWith("::endgroup::")) continue;
      let before = 0;
      for (const [h, last] of this.groups) if (last === 0 && h < l.line && h > before) before = h;
      if (before > 0 && l.line - before <= windowLines) this.groups.set(before, head ? l.line - 1 : l.line);
      if (head && !this.groups.has(l.line) && this.groups.size < mostGroups) this.groups.set(l.line, 0);
    }
  }

  /** Finds the groups of the part of the log that was there before the page. */
  async #findGroups() {
    try {
      const marks: { line: number; text: string }[] = [];
      for (let from = 1; from > 0 && marks.length < 2 * mostGroups;) {
        const page = await got(
          api.GET("/projects/{project}/runs/{run}/log", {
            params: { path: { project: this.project, run: this.run }, query: { find: "group::", line: from } },
          }),
        );
        for (const l of page.lines ?? []) if (/^::(end)?group::/.test(l.text)) marks.push(l);
        from = page.next ?? 0;
      }
      const live = new Map(this.groups);
      this.groups.clear();
      this.#open = 0;
      for (const m of marks) this.#mark(m.line, m.text);
      for (const [head, last] of live) if (!this.groups.has(head) || last > 0) this.groups.set(head, last);
      if (this.#open === 0) for (const [head, last] of live) if (last === 0) this.#open = head;
    } catch {
      // a log without folds can be read, too
    }
  }
}
