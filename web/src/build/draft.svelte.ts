import { api, at, got, problemOf, ProblemError, send, type Problem, type Schemas } from "../api/client";
import { several } from "../api/several";
import { follow } from "../api/stream";
import { session } from "../session.svelte";

/** A file of a draft. A file that isn't text, or is large, is kept as it is, and can't be edited here. */
export class BuildFile {
  path = $state("");
  text = $state("");
  executable = $state(false);
  /** What the server has; undefined for a new file. */
  saved = $state.raw<{ text: string; executable: boolean } | undefined>();
  /** Set for a file that isn't edited. */
  binary = $state.raw<Schemas["File"] | undefined>();
  dirty = $derived(!this.binary && (!this.saved || this.saved.text !== this.text || this.saved.executable !== this.executable));

  constructor(path: string, text: string, executable: boolean, saved: boolean) {
    this.path = path;
    this.text = text;
    this.executable = executable;
    if (saved) this.saved = { text, executable };
  }
}

/** Something that is wrong, or probably a mistake, at a place. */
export interface Wrong {
  file: string;
  line: number;
  column: number;
  message: string;
  hint: string;
  warning: boolean;
}

/** A version of a tool with its files. */
export interface Published {
  version: number;
  definition: string;
  files: BuildFile[];
}

/** What another has saved meanwhile. */
export interface Conflict {
  etag: string | undefined;
  by: string;
  changed: string;
  files: Map<string, string | undefined>; // undefined for what isn't text
}

const mostText = 1 << 20;

async function digestOf(data: Uint8Array<ArrayBuffer>): Promise<string> {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return "sha256:" + [...sum].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/** placeOf reads FILE:LINE:COLUMN. */
export function placeOf(where: string): { file: string; line: number; column: number } {
  const m = /^(.*?):(\d+)(?::(\d+))?$/.exec(where);
  return m ? { file: m[1]!, line: Number(m[2]), column: Number(m[3] ?? 1) } : { file: where, line: 0, column: 0 };
}

/**
 * Draft is a tool or workflow that is being written. What is typed is here until it is saved; what another saves meanwhile comes at once, and is never
 * overwritten unasked.
 */
export class Draft {
  files = $state<BuildFile[]>([]);
  definition = $state("tool.yaml");
  etag = $state<string>();
  base = $state(0);
  ready = $state(false);
  missing = $state(false);
  problem = $state.raw<Problem>();
  /** Why nothing is heard of the server at the moment. */
  away = $state.raw<Problem>();
  conflict = $state.raw<Conflict>();
  /** Files that were saved elsewhere and taken over, for a notice. */
  taken = $state("");
  wrong = $state.raw<Wrong[]>([]);
  checked = $state.raw<Schemas["Checked"]>();
  checking = $state(false);
  saving = $state(false);
  /** Grows with each change of the files, here or outside. */
  edits = $state(0);
  /** Nothing was changed since it was saved here. */
  saved = $state(false);
  /** Paths of files that the saved draft has, and this one hasn't any longer. */
  removed = $state<string[]>([]);
  dirty = $derived(this.files.some((f) => f.dirty) || this.removed.length > 0);

  #known = new Set<string>();
  #stop: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #check = 0;
  #outsides = 0;
  #closed = false;

  constructor(
    readonly project: string,
    readonly name: string,
  ) {}

  file(path: string): BuildFile | undefined {
    return this.files.find((f) => f.path === path);
  }

  get source(): BuildFile | undefined {
    return this.file(this.definition);
  }

  /** kind is what the definition is, or looks like while it is wrong. */
  get kind(): "tool" | "workflow" {
    return this.checked?.kind === "workflow" || /^(workflow|parallel_tools):/m.test(this.source?.text ?? "") ? "workflow" : "tool";
  }

  /** open reads the draft; without one, the latest version of the tool of that name; otherwise it is missing. */
  async open() {
    this.problem = undefined;
    try {
      const draft = await this.#get();
      if (draft) this.#take(draft, await this.#filesOf(draft));
      else if (!(await this.#fromTool())) this.missing = true;
      this.ready = !this.missing;
      if (this.#closed) return;
      if (this.ready) void this.check();
      this.#follow();
    } catch (error) {
      this.problem = problemOf(error);
    }
  }

  /** begin fills a draft that doesn't exist yet. */
  begin(definition: string, files: { path: string; text: string; executable?: boolean }[]) {
    this.definition = definition;
    this.files = files.map((f) => new BuildFile(f.path, f.text, !!f.executable, false));
    this.missing = false;
    this.ready = true;
    void this.check();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stop?.();
  }

  async #get(): Promise<Schemas["DraftFiles"] | undefined> {
    try {
      return await got(api.GET("/projects/{project}/drafts/{draft}", { params: { path: { project: this.project, draft: this.name } } }));
    } catch (error) {
      if (error instanceof ProblemError && error.problem.status === 404) return undefined;
      throw error;
    }
  }

  /** published reads the latest version of a tool; undefined if there is none. */
  async published(tool: string): Promise<Published | undefined> {
    try {
      const path = { project: this.project, tool, version: 0 };
      const found = await got(api.GET("/projects/{project}/tools/{tool}/versions/{version}/files", { params: { path } }));
      const version = found.version.version;
      const address = (of: string) => at(this.project, "tools", tool, "versions", String(version), "files", of);
      return { version, definition: found.definition, files: await this.#read(found.files ?? [], address) };
    } catch (error) {
      if (error instanceof ProblemError && error.problem.status === 404) return undefined;
      throw error;
    }
  }

  async #fromTool(): Promise<boolean> {
    const latest = await this.published(this.name);
    if (!latest) return false;
    [this.definition, this.base, this.files] = [latest.definition, latest.version, latest.files];
    return true;
  }

  #filesOf(draft: Schemas["DraftFiles"]): Promise<BuildFile[]> {
    return this.#read(draft.files ?? [], (path) => at(this.project, "drafts", this.name, "files", path));
  }

  #take(draft: Schemas["DraftFiles"], files: BuildFile[]) {
    this.files = files;
    this.definition = draft.definition;
    this.base = draft.base;
    this.etag = draft.etag;
    this.removed = [];
    this.conflict = undefined;
  }

  async #read(files: Schemas["File"][], address: (path: string) => string): Promise<BuildFile[]> {
    return several(files, async (f) => {
      this.#known.add(f.digest);
      const text = await this.#text(f, address(f.path));
      const file = new BuildFile(f.path, text ?? "", !!f.executable, true);
      if (text === undefined) file.binary = f;
      return file;
    });
  }

  /** Returns a file's text, or undefined for what isn't text or is too large for an editor. */
  async #text(f: Schemas["File"], address: string): Promise<string | undefined> {
    if (f.size > mostText) return undefined;
    const data = await (await send(address)).arrayBuffer();
    try {
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
      return text.includes("\u0000") ? undefined : text;
    } catch {
      return undefined;
    }
  }

  /** bundle sends what the server doesn't have, and returns what stands for the files as they are here. */
  async bundle(): Promise<Schemas["Bundle"]> {
    const contents = new Map<string, Uint8Array<ArrayBuffer>>();
    const files = await Promise.all(
      this.files.map(async (f): Promise<Schemas["File"]> => {
        if (f.binary) return { ...f.binary, path: f.path };
        const data = new TextEncoder().encode(f.text);
        const digest = await digestOf(data);
        contents.set(digest, data);
        return { path: f.path, digest, size: data.length, ...(f.executable ? { executable: true } : {}) };
      }),
    );
    const unknown = [...contents.keys()].filter((d) => !this.#known.has(d));
    if (unknown.length > 0) {
      const path = { project: this.project };
      const missing = await got(api.POST("/projects/{project}/contents/missing", { params: { path }, body: { digests: unknown } }));
      for (const digest of missing.digests ?? []) {
        await send(at(this.project, "contents", digest), {
          method: "PUT",
          headers: { "Content-Type": "application/octet-stream" },
          body: contents.get(digest)!,
        });
      }
      for (const digest of unknown) this.#known.add(digest);
    }
    files.sort((a, b) => (a.path < b.path ? -1 : 1));
    return { definition: this.definition, files };
  }

  /** changed is called after each change: the definition is checked when nobody has typed for a moment. */
  changed() {
    this.edits++;
    this.saved = false;
    this.taken = "";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.check(), 300);
  }

  /** check has the server's own parser look at the files as they are here. */
  async check() {
    if (!session.may("validate")) return;
    const mine = ++this.#check;
    this.checking = true;
    try {
      const bundle = await this.bundle();
      if (mine !== this.#check) return;
      const checked = await got(
        api.POST("/projects/{project}/tools/validate", { params: { path: { project: this.project } }, body: bundle }),
      );
      if (mine !== this.#check) return;
      this.checked = checked;
      this.wrong = (checked.warnings ?? []).map((w) => ({ ...placeOf(w.where), message: w.message, hint: w.hint ?? "", warning: true }));
      this.problem = undefined;
    } catch (error) {
      if (mine !== this.#check) return;
      const problem = problemOf(error);
      const places = (problem.errors ?? []).filter((e) => e.where && !e.where.startsWith("body"));
      if (problem.status >= 400 && problem.status < 500 && problem.status !== 401 && problem.status !== 429) {
        this.wrong = places.map((w) => ({ ...placeOf(w.where), message: w.message, hint: w.hint ?? "", warning: false }));
        if (places.length === 0)
          this.wrong = [{ file: this.definition, line: 0, column: 0, message: problem.detail, hint: problem.remedy ?? "", warning: false }];
        this.problem = undefined;
      } else this.problem = problem;
    } finally {
      if (mine === this.#check) this.checking = false;
    }
  }

  /** save keeps the files on the server, or in the folder; over says that what another has saved meanwhile is replaced. It returns whether it did. */
  async save(over = false): Promise<boolean> {
    if (this.saving) return false;
    this.saving = true;
    const sent = this.files.map((f) => ({ f, text: f.text, executable: f.executable }));
    const gone = this.removed.length;
    try {
      const bundle = await this.bundle();
      const etag = over && this.conflict ? this.conflict.etag : this.etag;
      const answer = await send(at(this.project, "drafts", this.name), {
        method: "PUT",
        headers: { "Content-Type": "application/json", ...(etag ? { "If-Match": `"${etag}"` } : { "If-None-Match": "*" }) },
        body: JSON.stringify({ ...bundle, base: this.base }),
      });
      this.etag = ((await answer.json()) as Schemas["DraftFiles"]).etag;
      for (const { f, text, executable } of sent) f.saved = { text, executable };
      this.removed = this.removed.slice(gone);
      this.conflict = undefined;
      this.problem = undefined;
      this.saved = true;
      return true;
    } catch (error) {
      const problem = problemOf(error);
      if (problem.status === 412) await this.#conflict();
      else this.problem = problem;
      return false;
    } finally {
      this.saving = false;
    }
  }

  async #conflict() {
    try {
      const theirs = await this.#get();
      if (!theirs) {
        this.conflict = { etag: undefined, by: "", changed: "", files: new Map() };
        return;
      }
      if (theirs.etag === this.etag) return;
      const files = new Map((await this.#filesOf(theirs)).map((f) => [f.path, f.binary ? undefined : f.text]));
      this.conflict = { etag: theirs.etag, by: theirs.changed_by ?? "", changed: theirs.changed, files };
    } catch (error) {
      this.problem = problemOf(error);
    }
  }

  /** theirs takes what another has saved in place of what is here. */
  async theirs() {
    try {
      const draft = await this.#get();
      if (!draft) return;
      this.#take(draft, await this.#filesOf(draft));
      await this.check();
    } catch (error) {
      this.problem = problemOf(error);
    }
  }

  /** Follows the list of drafts: another editor, or another person, may save this one. */
  #follow() {
    this.#stop = follow(at(this.project, "drafts", "live"), {
      take: (events) => {
        const list = JSON.parse(events.at(-1)!.data) as Schemas["DraftList"];
        const now = list.drafts?.find((d) => d.draft === this.name);
        if (!now || this.saving || now.etag === this.etag || now.etag === this.conflict?.etag) return;
        void (this.dirty || !this.ready ? this.#conflict() : this.#outside(now));
      },
      ended: () => true,
      problem: (p) => {
        const back = this.away && !p;
        this.away = p;
        if (back && this.problem?.status === 0) void this.check();
      },
    });
  }

  async #outside(now: Schemas["Draft"]) {
    const mine = ++this.#outsides;
    try {
      const draft = await this.#get();
      if (!draft || draft.etag === this.etag) return;
      const files = await this.#filesOf(draft);
      if (mine !== this.#outsides) return; // what came later is newer
      if (this.dirty) return void (await this.#conflict());
      this.#take(draft, files);
      this.edits++;
      await this.check();
      this.taken = now.changed;
    } catch (error) {
      this.problem = problemOf(error);
    }
  }

  add(path: string, text = "", executable = false): BuildFile {
    const file = new BuildFile(path, text, executable, false);
    this.files.push(file);
    this.files.sort((a, b) => (a.path < b.path ? -1 : 1));
    this.changed();
    return this.file(path)!;
  }

  remove(path: string) {
    const file = this.file(path);
    if (!file || path === this.definition) return;
    this.files = this.files.filter((f) => f !== file);
    if (file.saved) this.removed.push(path);
    this.changed();
  }

  rename(from: string, to: string) {
    const file = this.file(from);
    if (!file || this.file(to)) return;
    if (file.saved) this.removed.push(from);
    if (!file.binary) file.saved = undefined;
    file.path = to;
    if (from === this.definition) this.definition = to;
    this.changed();
  }
}
