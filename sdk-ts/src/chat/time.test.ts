/**
 * How long a message takes, as a ratio within one run: a bound wide enough for a busy machine.
 */
import { expect, it } from "vitest";
import { Counted, FEW, MANY } from "../testing/counted.js";

/** Messages that are timed at once. */
const MESSAGES = 500;

/** The quickest of so many rounds counts: other programs make a round slower, never quicker. */
const ROUNDS = 7;

/** It is over 70 when each message sorts all others. */
const RATIO_MAX = 8;

function time(counted: Counted): number {
  const start = performance.now();
  for (let index = 0; index < MESSAGES; index += 1) {
    counted.next(index % 2);
  }
  return performance.now() - start;
}

it("a message with thousands held takes the time of one with few", async () => {
  const many = await Counted.holding(MANY);
  const quickest = { few: Number.POSITIVE_INFINITY, many: Number.POSITIVE_INFINITY };
  for (let round = 0; round < ROUNDS; round += 1) {
    quickest.few = Math.min(quickest.few, time(await Counted.holding(FEW)));
    quickest.many = Math.min(quickest.many, time(many));
  }
  expect(quickest.many / quickest.few).toBeLessThan(RATIO_MAX);
});
