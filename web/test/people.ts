import { expect } from "vitest";
import { call, control, open, type Tab } from "./bed";

/** token makes a token, for a project or, without one, for all. */
export async function token(role: string, project?: string, more: Record<string, unknown> = {}): Promise<{ name: string; token: string }> {
  const path = project ? `/projects/${project}/tokens` : "/tokens";
  return await call("POST", path, { name: `${role}-${crypto.randomUUID().slice(0, 8)}`, role, ...more });
}

/** signedInWith returns a window with the session of a token. */
export async function signedInWith(text: string, at: string): Promise<Tab> {
  const tab = await open();
  const { url } = await control();
  const answer = await tab.context.request.post(`${url}/api/v1/session`, {
    headers: { Authorization: `Bearer ${text}`, "X-Mayfly-Session": "1", "Idempotency-Key": crypto.randomUUID() },
  });
  expect(answer.status(), await answer.text()).toBeLessThan(300);
  await tab.page.goto(at);
  return tab;
}
