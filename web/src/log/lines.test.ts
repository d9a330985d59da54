import { expect, test } from "vitest";
import { Lines } from "./lines";

const time = "2026-01-01T00:00:00Z";

/** read returns what lines has, as stream:text, parts of a line joined by +. */
function read(l: Lines): string[] {
  const all: string[] = [];
  for (let n = l.first; n <= l.total; n++) {
    all.push((l.get(n) ?? []).map((p) => `${p.stream[3]}:${p.text}${p.more ? "…" : ""}`).join("+"));
  }
  return all;
}

test("lines are counted by the line breaks of both streams", () => {
  const l = new Lines(100);
  l.add("stdout", time, "one\ntw");
  l.add("stderr", time, "careful\n");
  l.add("stdout", time, "o\n\nlast");
  // A line break of either stream ends the line, as on the server.
  expect(read(l)).toEqual(["o:one", "o:tw…+e:careful", "o:o", "o:", "o:last…"]);
  expect(l.total).toBe(5);
});

test("it goes on after a window of the server", () => {
  const l = new Lines(100, 8);
  l.seed([
    { line: 7, stream: "stdout", time, text: "seven" },
    { line: 8, stream: "stdout", time, text: "ei", more: true },
  ]);
  l.add("stdout", time, "ght\nnine\n");
  expect(read(l)).toEqual(["o:seven", "o:eight", "o:nine"]);
  expect(l.first).toBe(7);
});

test("however the output is cut into pieces, the lines are the same", () => {
  let seed = 7;
  const random = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  for (let round = 0; round < 200; round++) {
    const text = Array.from({ length: random(60) }, () => "ab\n"[random(3)]).join("");
    const whole = new Lines(1000);
    whole.add("stdout", time, text);
    const cut = new Lines(1000);
    for (let i = 0; i < text.length;) {
      const n = 1 + random(7);
      cut.add("stdout", time, text.slice(i, i + n));
      i += n;
    }
    expect(read(cut)).toEqual(read(whole));
    expect(whole.total).toBe(text === "" ? 0 : text.split("\n").length - (text.endsWith("\n") ? 1 : 0));
  }
});

test("it keeps the latest lines, and only whole ones", () => {
  const l = new Lines(10);
  for (let i = 1; i <= 1000; i++) l.add("stdout", time, `line ${i}\n`);
  expect(l.total).toBe(1000);
  expect(l.first).toBeGreaterThan(985);
  expect(l.get(1000)?.[0]?.text).toBe("line 1000");
  expect(l.get(l.first)?.[0]?.text).toBe(`line ${l.first}`);
  expect(l.get(l.first - 1)).toBeUndefined();
});

test("a line that is very long is cut", () => {
  const l = new Lines(10);
  l.add("stdout", time, "x".repeat(20_000));
  l.add("stdout", time, "y".repeat(20_000) + "\nnext\n");
  expect(l.get(1)?.[0]?.text.length).toBe(16 * 1024);
  expect(l.get(1)?.[0]?.cut).toBe(true);
  expect(l.get(2)?.[0]?.text).toBe("next");
});

test("bytes that are cut inside of a character are put together", () => {
  const l = new Lines(10);
  const bytes = new TextEncoder().encode("grüße");
  const base64 = (b: Uint8Array) => btoa(String.fromCharCode(...b));
  const text = l.decode("stdout", base64(bytes.slice(0, 3))) + l.decode("stdout", base64(bytes.slice(3)));
  expect(text).toBe("grüße");
});
