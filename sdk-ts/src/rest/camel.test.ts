import { describe, expect, it } from "vitest";
import { toCamel, toSnake } from "./camel.js";

describe("the names of the wire", () => {
  it("become those of TypeScript, however deep, and values stay", () => {
    const wire = {
      age_bracket: "18_plus",
      deep_list: [{ first_name: "a_b", count_2: 1 }, null, "c_d"],
      nested_one: { inner_most_name: { x: null } },
      plain: true,
    };
    expect(toCamel(wire)).toEqual({
      ageBracket: "18_plus",
      deepList: [{ firstName: "a_b", count2: 1 }, null, "c_d"],
      nestedOne: { innerMostName: { x: null } },
      plain: true,
    });
    expect([toCamel(null), toCamel("a_b"), toCamel([1])]).toEqual([null, "a_b", [1]]);
  });

  it("come from those of TypeScript, at the top only", () => {
    const given = { ageBracket: "18+", firstInnerName: { keptName: 1 }, plain: undefined };
    expect(toSnake(given)).toEqual({
      age_bracket: "18+",
      first_inner_name: { keptName: 1 },
      plain: undefined,
    });
  });
});
