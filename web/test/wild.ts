import { expect } from "vitest";
import { control } from "./bed";
import { token } from "./people";

/** A runner that speaks as real ones do, and says what it likes. It takes runs and does nothing with them. */
export class Wild {
  #end = async () => {};
  #timer: ReturnType<typeof setInterval> | undefined;
  #gone = new AbortController();

  async connect(name: string, hello: Record<string, unknown>) {
    const { url } = await control();
    const runner = (await token("runner", undefined, { pool: "wild" })).token;
    const at = `${url}/api/v1/runner/${name}/${"x".repeat(20)}${crypto.randomUUID().slice(0, 8)}`;
    // The key of a runner must be one of age's recipients; this one is of age's documentation.
    const body = JSON.stringify({ protocol: 1, slots: 2, key: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", ...hello });
    const headers = { Authorization: `Bearer ${runner}`, "Content-Type": "application/json" };
    const stream = await fetch(`${at}/messages`, { method: "POST", headers, body, signal: this.#gone.signal });
    expect(stream.status).toBe(200);
    stream.body!.pipeTo(new WritableStream(), { signal: this.#gone.signal }).catch(() => {});
    this.#end = async () => {
      const last = JSON.stringify({ ...(JSON.parse(body) as object), leaving: true });
      expect((await fetch(`${at}/heartbeat`, { method: "POST", headers, body: last })).status).toBe(200);
    };
    this.#timer = setInterval(() => void fetch(`${at}/heartbeat`, { method: "POST", headers, body }).catch(() => {}), 5000);
  }

  /** end says that it has drained, as the last thing that a runner does. */
  async end() {
    clearInterval(this.#timer);
    await this.#end();
    this.leave();
  }

  leave() {
    clearInterval(this.#timer);
    this.#gone.abort();
  }
}
