import { expect, test } from "vitest";
import { aboutAt, keysAt, takesMapping, valuesAt, type Schema } from "./schema";

const schema: Schema = {
  properties: {
    name: { type: "string", description: "The name." },
    network: {
      description: "What it reaches.",
      anyOf: [{ enum: ["none", "public"] }, { type: "object", properties: { egress: { type: "array", items: { $ref: "#/$defs/rule" } } } }],
    },
    environment: { type: "object", additionalProperties: { type: "string" } },
    read_only: { type: "boolean" },
  },
  required: ["name"],
  $defs: {
    rule: {
      type: "object",
      description: "A rule.",
      properties: { host: { type: "string", description: "A name." }, again: { $ref: "#/$defs/rule" } },
    },
  },
};

test("keys, values and what they mean", () => {
  expect(keysAt(schema, []).map((c) => c.label)).toEqual(["name", "network", "environment", "read_only"]);
  expect(keysAt(schema, [])[0]).toEqual({ label: "name", detail: "string, required", info: "The name." });
  expect(keysAt(schema, ["network", "egress", "[]"]).map((c) => c.label)).toEqual(["host", "again"]);
  expect(valuesAt(schema, ["network"]).map((c) => c.label)).toEqual(["none", "public"]);
  expect(valuesAt(schema, ["read_only"]).map((c) => c.label)).toEqual(["true", "false"]);
  expect(aboutAt(schema, ["network", "egress", "[]", "again", "host"])?.info).toBe("A name.");
  expect(keysAt(schema, ["environment", "X"])).toEqual([]);
  expect(aboutAt(schema, ["nothing"])).toBeUndefined();
  expect(["name", "network", "environment"].map((k) => takesMapping(schema, [k]))).toEqual(["scalar", "scalar", "mapping"]);
});
