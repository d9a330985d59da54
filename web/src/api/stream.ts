import { createParser } from "eventsource-parser";
import { text } from "../text";
import { ProblemError, send, type Problem } from "./client";

export interface Sent {
  id: string | undefined;
  event: string;
  data: string;
}

export interface StreamOptions {
  /** The number of the last event that is known. */
  after?: () => string | undefined;
  /** Takes what one piece of the network has. */
  take: (events: Sent[]) => void;
  /** The stream has ended by itself. It returns whether there is more to come. */
  ended: () => boolean;
  /** Says why there is no stream at the moment, and undefined when there is one again. */
  problem: (p: Problem | undefined) => void;
}

const shortest = 500;
const longest = 15_000;

/**
 * follow reads a stream of server-sent events until it is closed. EventSource can't begin at an event, and doesn't say why it fails. A browser has
 * six connections to a server without TLS, so a page that nobody sees gives its connection back, and catches up when it is seen.
 */
export function follow(url: string, o: StreamOptions): () => void {
  let closed = false;
  let abort: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = shortest;
  let running = false;

  const again = (after: number) => {
    clearTimeout(timer);
    if (!closed && !document.hidden) timer = setTimeout(() => void run(), after);
  };

  const run = async () => {
    if (closed || running) return;
    running = true;
    abort = new AbortController();
    const last = o.after?.();
    let next = -1;
    try {
      const answer = await send(url, {
        headers: { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) },
        signal: abort.signal,
        cache: "no-store",
      });
      o.problem(undefined);
      let batch: Sent[] = [];
      const parser = createParser({ onEvent: (e) => batch.push({ id: e.id, event: e.event ?? "message", data: e.data }) });
      const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        wait = shortest;
        parser.feed(value);
        if (batch.length > 0) {
          const events = batch;
          batch = [];
          o.take(events);
        }
      }
      if (o.ended()) next = shortest;
    } catch (error) {
      if (!abort.signal.aborted) {
        const problem =
          error instanceof ProblemError
            ? error.problem
            : { status: 0, code: "stream", detail: text.api.broke, remedy: text.api.brokeRemedy };
        o.problem(problem);
        // What is wrong with the request stays wrong.
        if (problem.status === 0 || problem.status === 429 || problem.status >= 500) {
          next = wait;
          wait = Math.min(longest, wait * 2);
        }
      }
    }
    running = false;
    if (closed) return;
    if (next >= 0) again(next);
    else if (abort.signal.aborted && !document.hidden) again(0);
  };

  const seen = () => {
    if (document.hidden) abort?.abort();
    else again(0);
  };
  const online = () => again(0);
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("online", online);
  window.addEventListener("signedin", online);
  void run();
  return () => {
    closed = true;
    clearTimeout(timer);
    abort?.abort();
    document.removeEventListener("visibilitychange", seen);
    window.removeEventListener("online", online);
    window.removeEventListener("signedin", online);
  };
}
