/**
 * How long a message takes, as a ratio within one run: a bound wide enough for a busy machine.
 */
import { describe, expect, it } from "vitest";
import { Counted, FEW, MANY } from "../testing/counted.js";

describe("the time for a message", () => {
  /** Milliseconds for `count` messages. */
  function time(counted: Counted, count: number): number {
    const start = performance.now();
    for (let index = 0; index < count; index += 1) {
      counted.next(index % 2);
    }
    return performance.now() - start;
  }

  it("with thousands held is of the order of that with few", async () => {
    const ratios: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const few = await Counted.holding(FEW);
      const many = await Counted.holding(MANY);
      time(few, 100);
      time(many, 100);
      ratios.push(time(many, 500) / time(few, 500));
    }
    ratios.sort((a, b) => a - b);
    // It is over 70 when each message sorts all others. The median of five rounds tolerates a busy machine.
    expect(ratios[2]).toBeLessThan(8);
  });
});
