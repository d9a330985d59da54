import { beforeAll, expect, test, vi } from "vitest";
import type { Schemas } from "../api/client";

// The router reads the browser's address.
beforeAll(() => vi.stubGlobal("location", { pathname: "/", search: "", hash: "", origin: "https://x" }));

const entry = (more: Partial<Schemas["Entry"]>): Schemas["Entry"] => ({
  number: 1,
  time: "2026-01-31T12:00:00Z",
  actor: "ada",
  action: "set-secret",
  subject: "secrets/db",
  outcome: "ok",
  project: "web",
  hash: "",
  previous: "",
  ...more,
});

test("an entry says what was done to what, with a link to it", async () => {
  vi.stubGlobal("location", { pathname: "/", search: "", hash: "", origin: "https://x" });
  const { about, did } = await import("./entries");
  expect(did(entry({}))).toBe("set");
  expect(about(entry({}))).toEqual({ words: "the secret", name: "db", link: "/projects/web/secrets/db" });
  expect(did(entry({ outcome: "forbidden" }))).toBe("tried to set");
  expect(about(entry({ subject: "policies/own", project: "own" })).link).toBe("/projects/own/settings/policy");
  const draft = entry({ action: "set-draft", subject: "drafts/new" });
  expect([did(draft), about(draft)]).toEqual(["saved", { words: "the draft", name: "new", link: "/projects/web/build/new" }]);
  expect(about(entry({ action: "begin-session", subject: "session" }))).toEqual({ words: "", name: "" });
  expect(about(entry({ action: "create-token", subject: "tokens", outcome: "forbidden" }))).toEqual({ words: "a token", name: "" });
});

test("what isn't known is shown as it is", async () => {
  const { about, did } = await import("./entries");
  expect(did(entry({ action: "constructor" }))).toBe("did constructor:");
  expect(about(entry({ subject: "toString/x" }))).toEqual({ words: "", name: "toString/x" });
  expect(about(entry({ subject: "javascript:alert(1)" })).link).toBeUndefined();
  expect(about(entry({ subject: "secrets/../x", project: "web" })).link).toBe("/projects/web/secrets/..");
});
