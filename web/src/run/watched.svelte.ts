import { api, got, problemOf, type Problem, type Schemas } from "../api/client";
import { Source } from "../log/source.svelte";
import { added, latest, type Connected } from "./connected";
import { joined, type Sample } from "./samples";
import { moved, timelineOf } from "./spans";

type Event = Schemas["Event"];

const under = new Set(["queued", "pulling", "creating", "running"]);

/** isOver says whether a run has ended. */
export function isOver(run: Schemas["Run"] | undefined): boolean {
  return !!run && !under.has(run.status);
}

/** A part of a run that is read when it is first shown, and again when it may have changed. */
class Part<T> {
  value = $state.raw<T>();
  problem = $state.raw<Problem>();
  #asked = false;
  #latest = 0;

  constructor(readonly read: () => Promise<T>) {}

  get asked(): boolean {
    return this.#asked;
  }

  /** want reads it, unless it was read before. */
  want = async (): Promise<void> => {
    if (!this.#asked) await this.again();
  };

  again = async (): Promise<void> => {
    this.#asked = true;
    const mine = ++this.#latest;
    try {
      const value = await this.read();
      if (mine !== this.#latest) return; // an answer that came later is newer
      this.value = value;
      this.problem = undefined;
    } catch (error) {
      if (mine === this.#latest) this.problem = problemOf(error);
    }
  };
}

/**
 * Watched is a run as its page shows it: what the server has of it, and what its stream of events adds while it is open. The stream is the log's, so
 * that a page needs one connection.
 */
export class Watched {
  run = $state.raw<Schemas["Run"]>();
  result = $state.raw<Schemas["Result"]>();
  problem = $state.raw<Problem>();
  timeline = $state.raw<Schemas["Timeline"]>({});
  connections = $state.raw<Connected[]>([]);
  omitted = $state(0);
  /** Whether the connections that were there before the page are among those. */
  settled = $state(false);
  samples = $state.raw<Sample[]>([]);

  readonly request: Part<Schemas["RunRequest"]>;
  readonly attempts: Part<Schemas["Attempts"]>;
  readonly connected: Part<void>;
  readonly metrics: Part<void>;
  readonly steps: Part<Schemas["Steps"]>;
  readonly artifacts: Part<Schemas["Artifact"][]>;
  readonly source: Source;

  readonly #path: { project: string; run: string };
  /** Connections of the stream that are still to be counted. */
  #waiting: Schemas["ConnectionEvent"][] = [];
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #due = new Map<() => Promise<void>, number>();
  #closed = false;
  /** Whether the run was over before its stream was opened: then the stream's end says nothing new. */
  #final = false;

  constructor(project: string, id: string) {
    const path = (this.#path = { project, run: id });
    const params = { params: { path } };
    this.source = new Source(project, id, (e) => this.#take(e));
    this.request = new Part(() => got(api.GET("/projects/{project}/runs/{run}/request", params)));
    this.attempts = new Part(() => got(api.GET("/projects/{project}/runs/{run}/attempts", params)));
    this.steps = new Part(() => got(api.GET("/projects/{project}/runs/{run}/steps", params)));
    this.artifacts = new Part(async () => (await got(api.GET("/projects/{project}/runs/{run}/artifacts", params))) ?? []);
    this.connected = new Part(async () => {
      const answer = await got(api.GET("/projects/{project}/runs/{run}/connections", params));
      const all = answer.connections ?? [];
      const since = latest(all);
      const more = this.#waiting.filter((e) => Date.parse(e.time) > since);
      this.#waiting = [];
      this.settled = true;
      this.connections = added(all, more);
      this.omitted = answer.omitted ?? 0;
    });
    this.metrics = new Part(async () => {
      const answer = await got(api.GET("/projects/{project}/runs/{run}/metrics", params));
      const before = this.samples;
      this.samples = joined(
        (answer.samples ?? []).filter((s) => !s.step),
        before,
      );
    });
  }

  get over(): boolean {
    return isOver(this.run);
  }

  /** open reads the run, and follows it. It tries again while the server can't be reached. */
  async open(): Promise<void> {
    await this.load();
    if (this.#closed) return;
    if (!this.run) {
      if (this.problem?.status === 0) this.#later(() => void this.open(), 2000);
      return;
    }
    if (this.run.log_removed) {
      this.connections = added(
        [],
        (this.result?.denied_connections ?? []).map((c) => ({
          ...c,
          type: "connection",
          run: this.run!.id,
          seq: 0,
          time: this.run!.accepted,
        })),
      );
      return;
    }
    this.#final = this.over;
    if (!this.source.ready) await this.source.open();
    if (this.#closed) return;
    if (!this.source.ready && this.source.problem?.status === 0) {
      this.#later(() => void this.open(), 2000);
      return;
    }
    // What the stream has begun to send is added to what was there before.
    await this.connected.want();
    if (!this.over) {
      await this.attempts.want();
      if (!this.over && this.run) this.timeline = { ...timelineOf(this.run, this.attempts.value?.attempts ?? []), ...this.timeline };
      this.#ask();
    }
  }

  /** again is for when the page has been signed out meanwhile. */
  again = (): void => {
    void this.load();
    if (!this.source.ready) void this.open();
    for (const part of [this.request, this.attempts, this.connected, this.metrics, this.steps, this.artifacts])
      if (part.problem) void part.again();
  };

  /** A run that waits says why, and no event tells when that changes. */
  #ask() {
    if (this.run?.status !== "queued") return;
    this.#later(() => {
      if (document.hidden) this.#ask();
      else void this.load().then(() => this.#ask());
    }, 5000);
  }

  async load(): Promise<void> {
    try {
      const path = this.#path;
      const run = await got(api.GET("/projects/{project}/runs/{run}", { params: { path } }));
      if (isOver(run) && !this.result) {
        this.result = await got(api.GET("/projects/{project}/runs/{run}/result", { params: { path } }));
        this.timeline = this.result.timeline;
      }
      this.run = run;
      this.problem = undefined;
    } catch (error) {
      this.problem = problemOf(error);
    }
  }

  close() {
    this.#closed = true;
    for (const t of this.#timers) clearTimeout(t);
    this.source.close();
  }

  #later(what: () => void, ms: number) {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      what();
    }, ms);
    this.#timers.add(timer);
  }

  /** Does something soon, but at most once a second, and less often if it takes long, however often it is asked for. */
  #soon(what: () => Promise<void>) {
    const next = this.#due.get(what) ?? 0;
    if (next === Infinity) return; // it is to come
    const now = performance.now();
    this.#due.set(what, Infinity);
    this.#later(
      () => {
        const began = performance.now();
        this.#due.set(what, began + 1000);
        void what().then(() => {
          const ended = performance.now();
          if (this.#due.get(what) !== Infinity) this.#due.set(what, Math.max(began + 1000, ended + 4 * (ended - began)));
        });
      },
      Math.max(50, next - now),
    );
  }

  readonly #load = () => this.load();

  /** A tool may make thousands of connections a second: they are counted once a second. */
  readonly #merge = () => {
    this.connections = added(this.connections, this.#waiting);
    this.#waiting = [];
    return Promise.resolve();
  };

  #take(e: Event) {
    switch (e.type) {
      case "state": {
        const state = e as Schemas["StateEvent"];
        if (state.step) {
          if (this.steps.asked) this.#soon(this.steps.again);
          break;
        }
        if (this.#final) break;
        if (!this.result) this.timeline = moved(this.timeline, state.state, state.time);
        if (this.attempts.asked) this.#soon(this.attempts.again);
        this.#soon(this.#load);
        break;
      }
      case "result": {
        const result = e as Schemas["ResultEvent"];
        if (result.step) {
          if (this.steps.asked) this.#soon(this.steps.again);
          break;
        }
        if (this.#final) break;
        void this.load();
        for (const part of [this.attempts, this.steps, this.connected, this.artifacts]) if (part.asked) void part.again();
        break;
      }
      case "metric": {
        const metric = e as Schemas["MetricEvent"];
        if (!metric.step) this.samples = joined(this.samples, [metric]);
        break;
      }
      case "connection": {
        const connection = e as Schemas["ConnectionEvent"];
        this.#waiting.push(connection);
        if (this.settled) this.#soon(this.#merge);
        break;
      }
    }
  }
}
