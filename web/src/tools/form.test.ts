import { expect, test } from "vitest";
import { fieldsOf, inputsOf, mapOf, placed, wrongIn, type Arg } from "./form";

const arg = (type: Arg["type"], more: Partial<Arg> = {}): Arg => ({ name: "x", type, ...more });
const say = (kind: string) => kind;

test("the text of a field is checked by its type", () => {
  const cases: [Arg, string, string][] = [
    [arg("string"), "", ""],
    [arg("string", { required: true }), "", "required"],
    [arg("string", { required: true, default: "a" }), "", ""],
    [arg("integer"), "123456789012345678901234567890", ""],
    [arg("integer"), "1e3", ""],
    [arg("integer"), " ", "integer"],
    [arg("integer"), "1.5", "integer"],
    [arg("number"), "-.5e-7", ""],
    [arg("number"), "five", "number"],
    [arg("array"), '["a", 1]', ""],
    [arg("array"), "{}", "array"],
    [arg("array"), "[", "json"],
    [arg("object"), '{"a": {}}', ""],
    [arg("object"), "[]", "object"],
    [arg("object"), "null", "object"],
  ];
  for (const [a, text, wrong] of cases) expect([a.type, text, wrongIn(a, text, say)]).toEqual([a.type, text, wrong]);
});

test("what isn't changed isn't sent, and no digit is lost", () => {
  const args: Arg[] = [
    { name: "who", type: "string", default: "you" },
    { name: "none", type: "string" },
    { name: "n", type: "integer" },
    { name: "list", type: "array", default: ["a"] },
    { name: "big", type: "integer" },
  ];
  const fields = fieldsOf(args);
  expect(fields).toEqual({ who: "you", none: "", n: "", list: '["a"]', big: "" });
  expect(inputsOf(args, fields)).toEqual({});
  expect(inputsOf(args, { ...fields, who: "", big: " 12345678901234567890 " })).toEqual({ who: "", big: "12345678901234567890" });
  expect(fieldsOf(args, { who: 5, list: ["b", 2] })).toMatchObject({ who: "5", list: '["b",2]' });
});

test("rows without a name are left out", () => {
  expect(
    mapOf([
      { name: " A ", value: "1" },
      { name: "", value: "2" },
    ]),
  ).toEqual({ A: "1" });
});

test("problems of the server go to their fields", () => {
  const problem = { status: 422, code: "invalid_input", detail: "the inputs are wrong" };
  const known = (place: string) => place === "body.inputs.n";
  expect(placed({ ...problem, errors: [{ where: "body.inputs.n", message: "no", hint: "yes" }] }, known)).toEqual({
    at: { "body.inputs.n": "no; yes" },
    rest: undefined,
  });
  const both = placed(
    {
      ...problem,
      errors: [
        { where: "body.inputs.n", message: "no" },
        { where: "body.inputs", message: "unknown" },
      ],
    },
    known,
  );
  expect(both.rest?.errors).toEqual([{ where: "body.inputs", message: "unknown" }]);
  expect(placed(problem, known)).toEqual({ at: {}, rest: { ...problem, errors: [] } });
});
