import { router } from "./router.svelte";
import { session } from "./session.svelte";

/** projectNow is the project of the address, otherwise the one shown last, or the first that the token may see. */
export function projectNow(): string {
  const of = router.place?.params.project;
  if (of) return of;
  const names = session.projects.map((p) => p.name);
  const last = localStorage.getItem("project");
  if (session.me?.project) return session.me.project;
  if (last && names.includes(last)) return last;
  return names.includes("default") || names.length === 0 ? "default" : names[0]!;
}
