import { SvelteMap } from "svelte/reactivity";
import { api, at, got, type Schemas } from "../api/client";
import { follow } from "../api/stream";

type Run = Schemas["Run"];

const shown = 20;
const recent = 50;
const atOnce = 6;

/** Latest has the latest runs of tools, the newest first, and keeps them up to date by one stream for all. */
export class Latest {
  runs = new SvelteMap<string, Run[]>();
  #project: string;
  #asked = new Set<string>();
  #queue: string[] = [];
  #busy = 0;
  #close: (() => void) | undefined;
  #known = new Set<string>();
  #closed = false;

  constructor(project: string) {
    this.#project = project;
  }

  /** want reads the latest runs of tools, once each. */
  want(tools: string[]) {
    if (this.#closed) return; // a list that came after the page was left
    for (const tool of tools) {
      if (this.#asked.has(tool)) continue;
      this.#asked.add(tool);
      this.#queue.push(tool);
    }
    while (this.#busy < atOnce && this.#queue.length > 0) void this.#next();
    this.#close ??= follow(`${at(this.#project, "runs", "live")}?limit=${recent}`, {
      take: (events) => this.#take((JSON.parse(events.at(-1)!.data) as Schemas["RunList"]).runs ?? []),
      ended: () => true,
      problem: () => {}, // the list of tools says it
    });
  }

  async #next() {
    const tool = this.#queue.shift()!;
    this.#busy++;
    try {
      const list = await got(
        api.GET("/projects/{project}/runs", { params: { path: { project: this.#project }, query: { tool, limit: shown } } }),
      );
      this.#merge(tool, list.runs ?? []);
    } catch {
      this.#asked.delete(tool);
    } finally {
      this.#busy--;
      if (this.#queue.length > 0) void this.#next();
    }
  }

  #take(runs: Run[]) {
    // If none of them is known, there were more than the stream shows since its last event.
    if (this.#known.size > 0 && runs.length === recent && !runs.some((r) => this.#known.has(r.id))) {
      const all = [...this.#asked];
      this.#asked.clear();
      this.want(all);
    }
    this.#known = new Set(runs.map((r) => r.id));
    for (const tool of new Set(runs.map((r) => r.tool)))
      this.#merge(
        tool,
        runs.filter((r) => r.tool === tool),
      );
  }

  /** merge keeps the newest ones. Runs of definitions that came with their requests, as from the builder, have no version. */
  #merge(tool: string, runs: Run[]) {
    const all = new Map((this.runs.get(tool) ?? []).map((r) => [r.id, r]));
    for (const r of runs) if (r.version) all.set(r.id, r);
    const sorted = [...all.values()].sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, shown);
    this.runs.set(tool, sorted);
  }

  close() {
    this.#closed = true;
    this.#close?.();
  }
}
