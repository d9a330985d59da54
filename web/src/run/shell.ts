import { at, problemIn, problemOf, type Problem } from "../api/client";
import { exitIn, pieces, type Exit } from "./frames";

/** What may wait for the terminal to be shown. A WebSocket can't be told to wait. */
const mostWaiting = 8 << 20;
/** How often a server is asked whose runner is connected to another one. */
const tries = 5;

export interface Events {
  opened(): void;
  /** Shows bytes, and calls shown when they are. */
  print(data: Uint8Array, shown: () => void): void;
  /** The shell has ended; without an exit, its connection has. */
  ended(exit: Exit | "flood" | undefined): void;
  refused(problem: Problem): void;
}

/** Shell is a shell in the sandbox of a run, over a WebSocket. */
export class Shell {
  #socket: WebSocket | undefined;
  #waiting = 0;
  #over = false;
  /** What was typed before the shell was there. */
  #early: Uint8Array<ArrayBuffer>[] = [];
  readonly #address: string;

  constructor(
    project: string,
    run: string,
    size: { cols: number; rows: number },
    readonly on: Events,
  ) {
    this.#address = `${at(project, "runs", run, "shell")}?cols=${size.cols}&rows=${size.rows}`;
    this.#connect(1);
  }

  #connect(n: number) {
    const url = new URL(this.#address, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.#socket = new WebSocket(url));
    socket.binaryType = "arraybuffer";
    let open = false;
    socket.onopen = () => {
      open = true;
      this.on.opened();
      for (const typed of this.#early) this.type(typed);
      this.#early = [];
    };
    socket.onmessage = (e: MessageEvent<ArrayBuffer | string>) => {
      if (typeof e.data === "string") {
        const exit = exitIn(e.data);
        if (exit) this.#end(exit);
        return;
      }
      const data = new Uint8Array(e.data);
      if ((this.#waiting += data.length) > mostWaiting) {
        this.#end("flood");
        return;
      }
      this.on.print(data, () => (this.#waiting -= data.length));
    };
    socket.onclose = () => {
      if (this.#over) return;
      if (open) this.#end(undefined);
      else void this.#why(n);
    };
  }

  /** A browser doesn't tell why a WebSocket was refused. The same request without one has the answer. */
  async #why(n: number) {
    let problem: Problem;
    try {
      const answer = await fetch(this.#address);
      problem = await problemIn(answer);
      if (answer.status === 503 || answer.status === 426) {
        if (n < tries && !this.#over) {
          setTimeout(() => {
            if (!this.#over) this.#connect(n + 1);
          }, 1000);
          return;
        }
      }
    } catch (error) {
      problem = problemOf(error);
    }
    if (this.#over) return;
    this.#over = true;
    this.on.refused(problem);
  }

  #end(exit: Exit | "flood" | undefined) {
    if (this.#over) return;
    this.#over = true;
    this.#socket?.close();
    this.on.ended(exit);
  }

  type(data: Uint8Array<ArrayBuffer>) {
    if (this.#over) return;
    if (this.#socket?.readyState !== WebSocket.OPEN) this.#early.push(data);
    else for (const p of pieces(data)) this.#socket.send(p);
  }

  resize(cols: number, rows: number) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ resize: { cols, rows } }));
  }

  /** close ends the shell, of which nothing is heard any longer. */
  close() {
    this.#over = true;
    this.#socket?.close();
  }
}
