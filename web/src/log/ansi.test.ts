import Anser from "anser";
import { describe, expect, test, vi } from "vitest";
import { pieces, plain } from "./ansi";

const shown = (line: string, most = 100) => pieces(line, most).map((p) => (p.classes ? `[${p.classes}]${p.text}` : p.text));

describe("what a tool prints", () => {
  const cases: Record<string, [string, string[]]> = {
    plain: ["just text", ["just text"]],
    nothing: ["", []],
    colours: ["\x1b[31mred\x1b[0m and \x1b[1;92mbold green\x1b[0m", ["[fg-red]red", " and ", "[fg-bright-green is-bold]bold green"]],
    grounds: ["\x1b[44mon blue\x1b[49m", ["[bg-blue]on blue"]],
    "256 colours": ["\x1b[38;5;196mred\x1b[0m", ["[fg-bright-red]red"]],
    "a progress bar": ["10 %\r55 %\r100 %", ["100 %"]],
    "a Windows line": ["text\r", ["text"]],
    "a title": ["\x1b]0;root@bank\x07text", ["text"]],
    "a title without an end": ["text\x1b]0;root@bank", ["text"]],
    "a link": ["\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\", ["click"]],
    "cursor movements": ["\x1b[2J\x1b[1;1Hhello\x1b[K", ["hello"]],
    "a device control string": ["\x1bPq#0\x1b\\text", ["text"]],
    markup: ["<img src=x onerror=alert(1)>", ["<img src=x onerror=alert(1)>"]],
    "markup in colour": ["\x1b[31m<b>&amp;", ["[fg-red]<b>&amp;"]],
    "reversed text": ["abc\u202edcba", ["abc\\u202edcba"]],
    controls: ["a\x08b\x00c", ["a\\u0008b\\u0000c"]],
    "another language": ["héllo 世界 🎉", ["héllo 世界 🎉"]],
    tabs: ["a\tb", ["a\tb"]],
  };
  for (const [name, [line, want]] of Object.entries(cases)) test(name, () => expect(shown(line)).toEqual(want));
});

test("a line has a bounded number of pieces, and all of its text", () => {
  const line = Array.from({ length: 1000 }, (_, i) => `\x1b[3${i % 7}m${i % 10}`).join("");
  const all = pieces(line, 20);
  expect(all.length).toBeLessThanOrEqual(20);
  expect(all.map((p) => p.text).join("").length).toBe(1000);
});

test("a line of nothing but sequences has a bounded number of them", () => {
  const many = (sequence: string) => sequence.repeat(16384 / sequence.length) + "end";
  for (const s of ["\x1b[1m", "\x1b[1;2;3;4;9m", `\x1b[${"9;".repeat(8000)}m`]) {
    const parse = vi.spyOn(Anser, "ansiToJson");
    expect(pieces(many(s), 20).at(-1)?.text).toBe("end");
    for (const [text] of parse.mock.calls) expect(text.length).toBeLessThan(80 * 44);
    parse.mockRestore();
  }
});

test("classes are of a fixed set", () => {
  for (let n = 0; n < 256; n++) {
    for (const p of pieces(`\x1b[38;5;${n};48;2;${n};10;200mx`, 9))
      expect(p.classes).toMatch(/^((fg|bg)-(bright-)?(black|red|green|yellow|blue|magenta|cyan|white) ?)*$/);
  }
});

test("plain text has no sequences", () => expect(plain("\x1b[31mred\x1b[0m \x1b]0;t\x07end")).toBe("red end"));

test("a copy has each of its lines, also those that end or begin again with a carriage return", () => {
  expect(plain("one\r\ntwo\r\n10 %\r100 %\n\x1b[31mred\x1b[0m\n")).toBe("one\ntwo\n100 %\nred\n");
});
