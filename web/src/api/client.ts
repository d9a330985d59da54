import createClient, { type Middleware } from "openapi-fetch";
import { text } from "../text";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

/** What the server answers if it doesn't do what it was asked for (RFC 9457), or what stands for it if there is no answer. */
export interface Problem {
  status: number;
  code: string;
  detail: string;
  remedy?: string | undefined;
  errors?: Schemas["Wrong"][] | null | undefined;
}

/** An answer that is a problem. */
export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

/** The code of a request that has no answer. */
export const unreachable = "server_unreachable";

/** problemOf returns what a caught value says. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  return { status: 0, code: "error", detail: error instanceof Error ? error.message : String(error) };
}

export async function problemIn(answer: Response): Promise<Problem> {
  try {
    const read: unknown = await answer.json();
    if (typeof read === "object" && read !== null && "detail" in read) {
      const p = read as Problem;
      return { ...p, status: answer.status, code: p.code ?? "error", detail: String(p.detail) };
    }
  } catch {
    // what is not JSON comes from something between this page and the server
  }
  return { status: answer.status, code: "error", detail: text.api.answered(answer.status) };
}

type Listener = (p: Problem) => void;
let signedOut: Listener = () => {};

/** onSignedOut sets what is called when a request is refused because the session has ended. */
export function onSignedOut(call: Listener) {
  signedOut = call;
}

/** send is fetch for this server: with the header that sessions need, and a ProblemError for whatever isn't a success. */
export async function send(input: Request | string, init?: RequestInit): Promise<Response> {
  let request = new Request(input, init);
  if (request.method !== "GET" && request.method !== "HEAD") {
    const headers = new Headers(request.headers);
    headers.set("X-Mayfly-Session", "1");
    if (request.method === "POST" && !headers.has("Idempotency-Key")) headers.set("Idempotency-Key", crypto.randomUUID());
    request = new Request(request, { headers });
  }
  let answer: Response;
  try {
    answer = await fetch(request);
  } catch (error) {
    if (request.signal.aborted) throw error;
    throw new ProblemError({
      status: 0,
      code: unreachable,
      detail: text.api.unreachable,
      remedy: text.api.unreachableRemedy,
    });
  }
  if (answer.ok) return answer;
  const problem = await problemIn(answer);
  if (answer.status === 401 && !request.headers.has("Authorization")) signedOut(problem);
  throw new ProblemError(problem);
}

export const prefix = "/api/v1";

const client = createClient<paths>({ baseUrl: location.origin + prefix, fetch: (request: Request) => send(request) });

// An answer without content, which is a success, has no data.
const none: Middleware = { onError: ({ error }) => (error instanceof Error ? error : new Error(String(error))) };
client.use(none);

export const api = client;

/** got returns the data of an answer. Problems were thrown before. */
export async function got<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T;
}

/** at returns the address of something in a project, for what isn't JSON. */
export function at(project: string, ...parts: string[]): string {
  return [prefix, "projects", project, ...parts].map((p, i) => (i === 0 ? p : encodeURIComponent(p))).join("/");
}
