import { parse } from "regexparam";

/** An address of the pages, with what its pattern has found in it. */
export interface Place {
  name: string;
  params: Record<string, string>;
}

/** The addresses of the pages. What isn't here isn't found. */
const patterns = {
  home: "/",
  overview: "/projects/:project",
  runs: "/projects/:project/runs",
  run: "/projects/:project/runs/:run",
  tools: "/projects/:project/tools",
  tool: "/projects/:project/tools/:tool",
  build: "/projects/:project/build",
  draft: "/projects/:project/build/:draft",
  secrets: "/projects/:project/secrets",
  secret: "/projects/:project/secrets/:secret",
  runners: "/projects/:project/runners",
  settings: "/projects/:project/settings",
  section: "/projects/:project/settings/:section",
} as const;

export type PageName = keyof typeof patterns;

const parsed = Object.entries(patterns).map(([name, pattern]) => ({ name, ...parse(pattern) }));

export function placeOf(path: string): Place | undefined {
  for (const { name, pattern, keys } of parsed) {
    const match = pattern.exec(path);
    if (!match) continue;
    try {
      return { name, params: Object.fromEntries(keys.map((key, i) => [key, decodeURIComponent(match[i + 1] ?? "")])) };
    } catch {
      return undefined; // it isn't UTF-8
    }
  }
  return undefined;
}

/** to returns the address of a page. */
export function to(name: PageName, params: Record<string, string> = {}, query?: Record<string, string | undefined>): string {
  const path = patterns[name].replace(/:(\w+)/g, (_, key: string) => encodeURIComponent(params[key] ?? ""));
  const q = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) if (value) q.set(key, value);
  return q.size > 0 ? `${path}?${q}` : path;
}

class Router {
  path = $state(location.pathname);
  query = $state(location.search);
  hash = $state(location.hash);
  place = $derived(placeOf(this.path));
  params = $derived(new URLSearchParams(this.query));
  /** Asked before another page is shown; false keeps this one. */
  leave: (() => boolean) | undefined;

  start() {
    addEventListener("popstate", () => this.#moved());
    addEventListener("hashchange", () => this.#read());
    document.addEventListener("click", (event) => this.#click(event));
  }

  /** leaves asks whether the page that is shown may go. */
  leaves(): boolean {
    if (this.leave && !this.leave()) return false;
    this.leave = undefined;
    return true;
  }

  go(address: string, replace = false) {
    if (new URL(address, location.href).pathname !== location.pathname && !this.leaves()) return;
    if (replace) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
    this.#read();
    if (!replace) scrollTo(0, 0);
  }

  /** set changes the query of this page; an empty value leaves the key out. */
  set(values: Record<string, string | undefined>, replace = true) {
    const q = new URLSearchParams(location.search);
    for (const [key, value] of Object.entries(values)) {
      if (value) q.set(key, value);
      else q.delete(key);
    }
    this.go(location.pathname + (q.size > 0 ? `?${q}` : "") + location.hash, replace);
  }

  /** The browser has changed the address already, by Back or Forward. A page that stays puts its own there again. */
  #moved() {
    if (location.pathname !== this.path && !this.leaves()) history.pushState(null, "", this.path + this.query + this.hash);
    else this.#read();
  }

  #read() {
    this.path = location.pathname;
    this.query = location.search;
    this.hash = location.hash;
  }

  #click(event: MouseEvent) {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (!placeOf(link.pathname) || (link.pathname === location.pathname && link.search === location.search && link.hash)) return;
    event.preventDefault();
    this.go(link.pathname + link.search + link.hash);
  }
}

export const router = new Router();
