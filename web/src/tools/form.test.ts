import { expect, test } from "vitest";
import { text } from "../text";
import { fieldsOf, inputsOf, mapOf, placed, wrongIn, type Arg } from "./form";

const arg = (type: Arg["type"], more: Partial<Arg> = {}): Arg => ({ name: "x", type, ...more });
const say = text.tools.form;

test("the text of a field is checked by its type", () => {
  const cases: [Arg, string, string][] = [
    [arg("string"), "", ""],
    [arg("string", { required: true }), "", say.needs],
    [arg("string", { required: true, default: "a" }), "", ""],
    [arg("integer"), "123456789012345678901234567890", ""],
    [arg("integer"), "1e3", ""],
    [arg("integer"), " ", say.integer],
    [arg("integer"), "1.5", say.integer],
    [arg("number"), "-.5e-7", ""],
    [arg("number"), "five", say.number],
    [arg("array"), '["a", 1]', ""],
    [arg("array"), "{}", say.array],
    [arg("array"), "1", say.array],
    [arg("object"), '{"a": {}}', ""],
    [arg("object"), "[]", say.object],
    [arg("object"), "null", say.object],
  ];
  for (const [a, typed, wrong] of cases) expect([a.type, typed, wrongIn(a, typed)]).toEqual([a.type, typed, wrong]);
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
