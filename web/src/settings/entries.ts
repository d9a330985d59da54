import type { Schemas } from "../api/client";
import { shortId } from "../format";
import { to } from "../router.svelte";
import { text } from "../text";

type Entry = Schemas["Entry"];

const things: Record<string, [one: string, any: string]> = {
  runs: ["the run", "a run"],
  secrets: ["the secret", "the secrets"],
  tools: ["the tool", "the tools"],
  drafts: ["the draft", "a draft"],
  tokens: ["the token", "a token"],
  policies: ["the policy of", "a policy"],
  runners: ["the runner", "the runners"],
  contents: ["the content", "contents"],
};

/** What an entry is about: words, a name, and a page of it if there is one. */
export interface About {
  words: string;
  name: string;
  link?: string;
}

/** about reads an entry's subject, which is what the server says, or the address of a refused request: anybody's text. */
export function about(e: Entry): About {
  const [kind = "", name = "", ...rest] = e.subject.split("/");
  if (["session", "keys", "audit"].includes(kind) && e.outcome === "ok")
    return { words: kind === "audit" ? "the audit log" : "", name: "" };
  const thing = Object.hasOwn(things, kind) ? things[kind] : undefined;
  if (!thing) return { words: "", name: e.subject };
  if (!name) return { words: thing[1], name: "" };
  let shown = name;
  if (kind === "runs") shown = shortId(name);
  else if (kind === "contents") shown = name.slice(0, 19);
  else if (kind === "tools" && rest.length > 0) shown = `${name} (${rest.join("/")})`;
  const link = page(kind, name, kind === "policies" ? name : (e.project ?? ""));
  return { words: thing[0], name: shown, ...(link ? { link } : {}) };
}

function page(kind: string, name: string, project: string): string | undefined {
  if (!project) return undefined;
  if (kind === "runs") return to("run", { project, run: name });
  if (kind === "secrets") return to("secret", { project, secret: name });
  if (kind === "tools") return to("tool", { project, tool: name });
  if (kind === "drafts") return to("draft", { project, draft: name });
  if (kind === "policies") return to("section", { project, section: "policy" });
  if (kind === "tokens") return to("section", { project, section: "members" });
  return undefined;
}

/** did says what was done, or tried. */
export function did(e: Entry): string {
  const known = Object.hasOwn(text.settings.audit.actions, e.action) ? text.settings.audit.actions[e.action] : undefined;
  if (known) return known[e.outcome === "ok" ? 0 : 1];
  return e.outcome === "ok" ? `did ${e.action}:` : `asked for ${e.action}:`;
}
