import { api, got, onSignedOut, problemOf, send, prefix, type Problem, type Schemas } from "./api/client";

type State = "starting" | "signed-out" | "signed-in" | "away";

/** allProjects is the whole list: a project that isn't in it couldn't be chosen. */
async function allProjects(): Promise<Schemas["Project"][]> {
  const all: Schemas["Project"][] = [];
  let cursor = "";
  do {
    const page = await got(api.GET("/projects", { params: { query: { limit: 200, ...(cursor ? { cursor } : {}) } } }));
    all.push(...(page.projects ?? []));
    cursor = page.next ?? "";
  } while (cursor);
  return all;
}

/** Who uses the pages. The token itself is only in the request that begins a session. */
class Session {
  state = $state<State>("starting");
  me = $state<Schemas["Me"]>();
  projects = $state.raw<Schemas["Project"][]>([]);
  /** The session ended while a page was open: that page stays, behind the form. */
  ended = $state(false);
  problem = $state<Problem>();

  constructor() {
    onSignedOut(() => {
      if (this.state === "signed-in") this.ended = true;
      else this.state = "signed-out";
    });
  }

  async start() {
    try {
      await this.#read();
      this.problem = undefined;
    } catch (error) {
      this.problem = problemOf(error);
      if (this.problem.status === 401) {
        this.state = "signed-out";
        this.problem = undefined;
      } else this.state = "away";
    }
  }

  async #read() {
    this.me = await got(api.GET("/me"));
    this.projects = await allProjects();
    this.state = "signed-in";
    this.ended = false;
    dispatchEvent(new Event("signedin")); // what was refused meanwhile goes on
  }

  async signIn(token: string) {
    await send(prefix + "/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
    await this.#read();
  }

  async signOut() {
    try {
      await send(prefix + "/session", { method: "DELETE" });
    } catch (error) {
      const problem = problemOf(error);
      if (problem.status !== 401) {
        [this.problem, this.state] = [problem, "away"];
        return;
      }
    }
    this.me = undefined;
    this.ended = false;
    this.state = "signed-out";
  }

  /** The folder whose files are the drafts, with mayfly dev. */
  get folder(): string {
    return this.me?.folder ?? "";
  }

  /** may says whether an operation is allowed, so that a page doesn't offer what is refused. */
  may(operation: string): boolean {
    return this.me?.operations?.includes(operation) ?? false;
  }
}

export const session = new Session();
