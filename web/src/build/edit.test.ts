import { describe, expect, test } from "vitest";
import { allows, apply, read, readable, rename, set, type Key } from "./edit";

const text = `# what it is for
name: check   # short
image: busybox

# inputs
args:
  - name: host     # where
    type: string
  - {name: port, type: integer, default: 80}
resources: {cpu: 500m, memory: 64Mi}
script: |
  echo "$HOST"   # not a comment of YAML
network:
  egress:
    - host: a.example.com
`;

const edited = (path: Key[], value: unknown, of = text) => apply(of, set(of, path, value)!);

describe("a change keeps comments, order and the rest", () => {
  const cases: Record<string, [Key[], unknown, string, string]> = {
    "a value": [["image"], "alpine:3", "image: busybox", "image: alpine:3"],
    "a value beside a comment": [["name"], "probe", "name: check   # short", "name: probe   # short"],
    "a number in braces": [["resources", "memory"], "128Mi", "memory: 64Mi", "memory: 128Mi"],
    "a text that needs quotes": [["image"], "yes: no", "image: busybox", 'image: "yes: no"'],
    "a text that looks like a number": [["image"], "1.20", "image: busybox", 'image: "1.20"'],
    "a comma in braces": [["args", 1, "name"], "a, b", "name: port", 'name: "a, b"'],
    "an item's value": [["args", 0, "type"], "integer", "type: string\n", "type: integer\n"],
    "a boolean": [["args", 1, "default"], true, "default: 80", "default: true"],
  };
  for (const [name, [path, value, from, to]] of Object.entries(cases)) {
    test(name, () => {
      const after = edited(path, value);
      expect(after).toBe(text.replace(from, to));
      expect(read(after, path)).toEqual(value);
    });
  }

  test("a new key", () => {
    const after = edited(["timeout"], "5m");
    expect(read(after, ["timeout"])).toBe("5m");
    for (const line of text.split("\n")) expect(after).toContain(line.trim());
    expect(after.indexOf("# inputs")).toBeLessThan(after.indexOf("args:"));
  });

  test("a new rule", () => {
    const after = edited(["network", "egress", 1], { host: "b.example.com", ports: [443] });
    expect(read(after, ["network", "egress"])).toEqual([{ host: "a.example.com" }, { host: "b.example.com", ports: [443] }]);
    expect(after).toContain("# not a comment of YAML");
    expect(after).toContain("name: check   # short");
  });

  test("a script of several lines", () => {
    const after = edited(["script"], "echo one\necho two\n");
    expect(after).toContain("script: |\n  echo one\n  echo two\n");
    expect(read(after, ["script"])).toBe("echo one\necho two\n");
  });

  test("what is removed takes empty parents with it", () => {
    const after = edited(["network", "egress", 0], undefined);
    expect(read(after, ["network"])).toBeUndefined();
    expect(after).not.toContain("network");
    expect(read(edited(["image"], undefined), ["image"])).toBeUndefined();
  });

  test("an empty file", () => expect(edited(["name"], "x", "")).toBe("name: x\n"));
  test("nothing to remove", () => expect(edited(["nothing", "there"], undefined)).toBe(text));
  test("what isn't YAML isn't changed", () => expect(set("a: [", ["a"], 1)).toBeUndefined());
});

test("a rule that a definition has is known, however it is written", () => {
  const text = "network:\n  egress:\n    - ports: [443]\n      host: a.example\n    - cidr: 192.0.2.0/24\n";
  expect(allows(text, "{host: a.example, ports: [443]}")).toBe(true);
  expect(allows(text, "{cidr: 192.0.2.0/24}")).toBe(true);
  expect(allows(text, "{host: a.example, ports: [80]}")).toBe(false);
  expect(allows(text, "{host: a.example}")).toBe(false);
  expect(allows("network: open\n", "{host: a.example}")).toBe(false);
});

test("a key gets another name where it is, with its comments", () => {
  const text = "environment:\n  A: 1 # one\n  B: two\n";
  expect(apply(text, rename(text, ["environment", "A"], "FIRST")!)).toBe("environment:\n  FIRST: 1 # one\n  B: two\n");
  expect(apply("environment: {A: 1, B: 2}\n", rename("environment: {A: 1, B: 2}\n", ["environment", "B"], "C")!)).toBe(
    "environment: {A: 1, C: 2}\n",
  );
  expect(rename(text, ["environment", "A"], "B")).toBeUndefined();
});

test("aliases that stand for nothing, or for too much, are no values and break nothing", () => {
  const many = (of: string) => `[${Array(9).fill(of).join(", ")}]`;
  const bomb = ["b: &b " + many("x"), "c: &c " + many("*b"), "d: &d " + many("*c"), "e: &e " + many("*d")].join("\n") + "\nargs: *e\n";
  for (const wrong of ["image: *x\n", "<<: *x\nimage: a\n", "x: &x 5\n<<: *x\n", bomb]) {
    expect(readable(wrong), wrong).toBe(false);
    expect(read(wrong), wrong).toBe(undefined);
    expect(set(wrong, ["image"], "b"), wrong).toBe(undefined);
  }
  for (const right of ["", "# nothing\n", "image: a\n", "x: &x {image: a}\n<<: *x\n"]) expect(readable(right), right).toBe(true);
});
